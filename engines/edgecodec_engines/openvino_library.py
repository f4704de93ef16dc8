"""OpenVINO's shared library, in the folder of its Python package, through its C interface.

The package is looked up and never imported: that takes 0.2 s of processor time, and would load its converter and the
package that reports the use of OpenVINO over the network. The library itself reports nothing.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Iterator
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_size_t, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgecodec.errors import EngineUnavailable
from edgecodec.native import Owned

#: Older versions lack functions of the C interface.
OLDEST = (2026, 4)
_INSTALL = "pip install 'edgecodec[openvino]'"

#: The types of tensors by their numbers in the C interface.
_TYPES = (
    *("dynamic", "bool", "bfloat16", "float16", "float32", "float64", "int4", "int8", "int16", "int32", "int64"),
    *("uint1", "uint2", "uint3", "uint4", "uint6", "uint8", "uint16", "uint32", "uint64"),
)


class OpenVinoError(Exception):
    """A call failed: with the line of OpenVINO's message that says why."""


@dataclass(frozen=True)
class ModelPort:
    """An input or output of a model as OpenVINO has read it. rank: None if it is not fixed."""

    name: str
    type: str
    rank: int | None


class Shape(Structure):
    """ov_shape_t"""

    _fields_ = [("rank", c_int64), ("sides", POINTER(c_int64))]


class _Interval(Structure):
    """ov_dimension_t, and ov_rank_t, which is the same: the least and the largest value."""

    _fields_ = [("least", c_int64), ("largest", c_int64)]


class _PartialShape(Structure):
    """ov_partial_shape_t"""

    _fields_ = [("rank", _Interval), ("sides", POINTER(_Interval))]


class _Property(Structure):
    """ov_property_t"""

    _fields_ = [("key", c_char_p), ("value", c_char_p)]


class _Version(Structure):
    """ov_version_t"""

    _fields_ = [("build", c_char_p), ("description", c_char_p)]


_HANDLE = POINTER(c_void_p)
_SIZE = POINTER(c_size_t)

#: The arguments of functions that return a status. Objects are plain addresses.
_CALLS: dict[str, list[Any]] = {
    "ov_get_openvino_version": [POINTER(_Version)],
    "ov_core_create": [_HANDLE],
    "ov_core_get_property": [c_void_p, c_char_p, c_char_p, _HANDLE],
    "ov_core_read_model_from_memory_buffer": [c_void_p, c_void_p, c_size_t, c_void_p, _HANDLE],
    "ov_core_compile_model_props": [c_void_p, c_void_p, c_char_p, c_size_t, POINTER(_Property), _HANDLE],
    "ov_model_inputs_size": [c_void_p, _SIZE],
    "ov_model_outputs_size": [c_void_p, _SIZE],
    "ov_model_const_input_by_index": [c_void_p, c_size_t, _HANDLE],
    "ov_model_const_output_by_index": [c_void_p, c_size_t, _HANDLE],
    "ov_port_get_any_name": [c_void_p, _HANDLE],
    "ov_port_get_element_type": [c_void_p, POINTER(c_int)],
    "ov_port_get_partial_shape": [c_void_p, POINTER(_PartialShape)],
    "ov_compiled_model_create_infer_request": [c_void_p, _HANDLE],
    "ov_infer_request_set_tensor": [c_void_p, c_char_p, c_void_p],
    "ov_infer_request_get_tensor": [c_void_p, c_char_p, _HANDLE],
    "ov_infer_request_start_async": [c_void_p],
    "ov_infer_request_wait": [c_void_p],
    "ov_infer_request_cancel": [c_void_p],
    "ov_tensor_create_from_host_ptr": [c_int, Shape, c_void_p, _HANDLE],
    "ov_tensor_get_shape": [c_void_p, POINTER(Shape)],
    "ov_tensor_get_byte_size": [c_void_p, _SIZE],
    "ov_tensor_data": [c_void_p, _HANDLE],
}

#: What releases an object, and its argument.
_RELEASES = {
    "ov_free": c_void_p,
    "ov_version_free": POINTER(_Version),
    "ov_model_free": c_void_p,
    "ov_output_const_port_free": c_void_p,
    "ov_partial_shape_free": POINTER(_PartialShape),
    "ov_compiled_model_free": c_void_p,
    "ov_infer_request_free": c_void_p,
    "ov_tensor_free": c_void_p,
    "ov_shape_free": POINTER(Shape),
}


class Library:
    """The library with the functions above declared, and the one core that a process needs.

    Raises OSError, and AttributeError for a library without one of the functions.
    """

    def __init__(self, path: Path) -> None:
        self._functions = ctypes.CDLL(str(path))
        for name, arguments in _CALLS.items():
            getattr(self._functions, name).argtypes = arguments
        for name, argument in _RELEASES.items():
            getattr(self._functions, name).argtypes = [argument]
            getattr(self._functions, name).restype = None
        self._functions.ov_get_last_err_msg.restype = c_void_p
        self._core: Owned | None = None

    @property
    def core(self) -> int:
        if self._core is None:
            self._core = self.make("ov_core_create", release="")
        return int(self._core.value)

    def call(self, name: str, *arguments: Any) -> None:
        """Raises OpenVinoError, and MemoryError where OpenVINO found too little."""
        if getattr(self._functions, name)(*arguments):
            message = self._taken(self._functions.ov_get_last_err_msg())
            if re.search("bad_alloc|failed to allocate|out.of.memory", message, re.IGNORECASE):
                raise MemoryError(message)
            raise OpenVinoError(_reason(message))

    def make(self, name: str, *arguments: Any, release: str, needs: object = None) -> Owned:
        """What a function stores through its last argument. release: its function. needs: what must outlive it."""
        made = c_void_p()
        self.call(name, *arguments, ctypes.byref(made))
        return Owned(getattr(self._functions, release) if release else lambda value: None, made.value, needs)

    def version(self) -> str:
        """Like "2026.4.1"."""
        found = _Version()
        self.call("ov_get_openvino_version", ctypes.byref(found))
        build = (found.build or b"").decode("utf-8", "replace")
        self._functions.ov_version_free(ctypes.byref(found))
        return build.partition("-")[0]

    def device_property(self, device: str, name: str) -> str:
        value = c_void_p()
        self.call("ov_core_get_property", self.core, device.encode(), name.encode(), ctypes.byref(value))
        return self._taken(value.value)

    def compile(self, model: Owned, device: str, properties: dict[str, str]) -> Owned:
        """A model on a device, ready to run."""
        listed = (_Property * len(properties))(*(_Property(k.encode(), v.encode()) for k, v in properties.items()))
        return self.make(
            *("ov_core_compile_model_props", self.core, model.value, device.encode(), len(listed), listed),
            release="ov_compiled_model_free",
        )

    def ports(self, model: Owned, role: str) -> Iterator[ModelPort]:
        """role: "input" or "output"."""
        count = c_size_t()
        self.call(f"ov_model_{role}s_size", model.value, ctypes.byref(count))
        for index in range(count.value):
            port = self.make(f"ov_model_const_{role}_by_index", model.value, index, release="ov_output_const_port_free")
            name, kind, shape = c_void_p(), c_int(), _PartialShape()
            self.call("ov_port_get_any_name", port.value, ctypes.byref(name))
            self.call("ov_port_get_element_type", port.value, ctypes.byref(kind))
            self.call("ov_port_get_partial_shape", port.value, ctypes.byref(shape))
            rank = shape.rank.least if shape.rank.least == shape.rank.largest else None
            self._functions.ov_partial_shape_free(ctypes.byref(shape))
            yield ModelPort(self._taken(name.value), _type_name(kind.value), rank)

    def tensor(self, array: Any) -> Owned:
        """On the memory of a contiguous array, which it keeps alive."""
        shape = Shape(array.ndim, (c_int64 * array.ndim)(*array.shape))
        return self.make(
            *("ov_tensor_create_from_host_ptr", _TYPES.index(array.dtype.name), shape, array.ctypes.data),
            release="ov_tensor_free",
            needs=array,
        )

    def values(self, tensor: Owned, port: ModelPort) -> Any:
        """A copy of what is at this port, float32 or bytes: nothing else has passed the check of the ports."""
        import numpy as np

        shape, size, memory = Shape(), c_size_t(), c_void_p()
        self.call("ov_tensor_get_byte_size", tensor.value, ctypes.byref(size))
        self.call("ov_tensor_data", tensor.value, ctypes.byref(memory))
        if port.rank != 0:  # for which there is no ov_shape_t
            self.call("ov_tensor_get_shape", tensor.value, ctypes.byref(shape))
        sides = shape.sides[: shape.rank]
        self._functions.ov_shape_free(ctypes.byref(shape))
        data = ctypes.string_at(memory.value or 0, size.value)
        return np.frombuffer(bytearray(data), port.type).reshape(sides)

    def _taken(self, address: int | None) -> str:
        """Text of the library's, which is then released."""
        if not address:
            return ""
        text = ctypes.string_at(address).decode("utf-8", "replace")
        self._functions.ov_free(address)
        return text


def _reason(message: str) -> str:
    """The last line, but for advice to programmers; those before it say where in OpenVINO the error arose."""
    lines = [line for line in message.strip().splitlines() if not line.startswith("To facilitate")]
    return lines[-1].strip() if lines else "it does not say why"


def _type_name(number: int) -> str:
    return _TYPES[number] if 0 <= number < len(_TYPES) else f"type {number}"


@cache
def library() -> Library:
    """Raises EngineUnavailable."""
    path = next(iter(_candidates()), None)
    if path is None:
        raise EngineUnavailable("OpenVINO is not installed", where="openvino", hint=_INSTALL)
    try:
        opened = Library(path)
        version = opened.version()
    except (OSError, AttributeError, OpenVinoError) as error:
        raise EngineUnavailable(f"OpenVINO cannot be opened: {error}", where="openvino", hint=_INSTALL) from error
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise EngineUnavailable(
            f"OpenVINO {version} is too old", where="openvino", hint=f"install {'.'.join(map(str, OLDEST))} or newer"
        )
    return opened


def _candidates() -> Iterable[Path]:
    try:
        found = find_spec("openvino")
    except (ImportError, ValueError):  # something else of that name is loaded or in the way
        return []
    folders = (found.submodule_search_locations or []) if found is not None else []
    return [file for folder in folders for file in sorted(Path(folder, "libs").glob("libopenvino_c.so.*"))]
