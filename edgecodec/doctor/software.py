"""Versions of edgecodec and of what it stands on."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata

import edgecodec
from edgecodec import native
from edgecodec.container import FORMAT_VERSION
from edgecodec.description import SCHEMA
from edgecodec.errors import EdgecodecError


@dataclass(frozen=True)
class NativeLibrary:
    """libedgecodec. version: of the C interface. kernels: the instruction set in use; available: what this processor
    can run, slowest first. problem: why it cannot be loaded, and then the others are None.
    """

    path: str | None
    version: str | None
    kernels: str | None
    available: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True)
class Software:
    """coded_pictures, bundle_index: versions of the formats that are written. packages: None where not installed."""

    edgecodec: str
    coded_pictures: int
    bundle_index: int
    library: NativeLibrary
    python: str
    system: str
    packages: dict[str, str | None]


_PACKAGES = (
    "numpy",
    "pillow",
    "typer",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "polygraphy",
    "torch",
    "onnx",
    "matplotlib",
)


def software() -> Software:
    """Nothing is imported for this but edgecodec itself."""
    return Software(
        edgecodec=edgecodec.__version__,
        coded_pictures=FORMAT_VERSION,
        bundle_index=SCHEMA,
        library=_library(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        packages={name: version_of(name) for name in _PACKAGES},
    )


def version_of(package: str) -> str | None:
    """Of an installed distribution."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _library() -> NativeLibrary:
    try:
        path = native.custom_ops_library()
        version = native.library().ec_version().decode("ascii")
        return NativeLibrary(path, version, native.kernels(), tuple(native.kernels_available()), None)
    except EdgecodecError as error:
        return NativeLibrary(None, None, None, (), str(error))
