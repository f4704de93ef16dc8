"""Plugins of ONNX Runtime (1.22 and newer): libraries that bring execution providers of their own."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from edgecodec import interface, native
from edgecodec.errors import EngineUnavailable
from edgecodec_engines import onnxruntime

_MOST_DEVICES = 64
_SUFFIXES = (".so", ".dylib", ".dll")


@dataclass(frozen=True)
class Device:
    """A device that a provider can use on this machine.

    provider: as ONNX Runtime calls it. name: what `engine_device` takes, "gpu", and "gpu:1" for the second of the kind.
    vendor: of the hardware.
    """

    provider: str
    name: str
    vendor: str


def list_devices(library: str | None = None) -> list[Device]:
    """The devices of a plugin, or without one those of ONNX Runtime's own providers that list any.

    library: its path, or the name of the Python package that has it. The plugin stays in the process.

    Raises EngineUnavailable for what is no plugin, or cannot be opened here, and where there is no ONNX Runtime.
    """
    found, count = (interface.Device * _MOST_DEVICES)(), ctypes.c_size_t()
    native.call(
        native.library().ec_core_onnxruntime_devices,
        os.fsencode(runtime_library()),
        None if library is None else os.fsencode(path_of_library(library)),
        found,
        len(found),
        ctypes.byref(count),
    )
    return [
        Device(each.provider.decode(), each.name.decode(), each.vendor.decode())
        for each in found[: min(count.value, len(found))]
    ]


def runtime_library() -> Path:
    """ONNX Runtime's shared library, which is what takes plugins. Raises EngineUnavailable."""
    os.environ.setdefault(onnxruntime.TELEMETRY, "1")
    library = onnxruntime._package_library()
    if library is None:
        raise EngineUnavailable(
            "there is no shared library of ONNX Runtime, which plugins need",
            where="onnxruntime",
            hint="pip install 'edgecodec[ort]'",
        )
    return library


def path_of_library(given: str) -> Path:
    """A path as it is; for the name of a Python package what its `get_library_path` says, which vendors' packages have.

    Packages are imported, since some load what their library needs. Raises EngineUnavailable.
    """
    if os.sep in given or given.endswith(_SUFFIXES) or os.path.isfile(given):
        return Path(given).absolute()
    try:
        path = import_module(given).get_library_path()
    except Exception as error:  # whatever the package raises
        raise EngineUnavailable(
            f"this is no Python package of a plugin: {type(error).__name__}: {error}",
            where=given,
            hint="give the path of the plugin's library, or install its package",
        ) from error
    return Path(path)
