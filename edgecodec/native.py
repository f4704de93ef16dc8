"""libedgecodec through ctypes: where it is, its internal interface (native/include/edgecodec/core.h), and its errors.

Buffers cross as addresses of their memory, never as copies. Every call lets go of the interpreter lock. NumPy is not
imported here, because much of the package works without it, and it takes longer to import than all the rest.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from collections.abc import Callable, Iterable
from ctypes import POINTER, Structure, c_char_p, c_int, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import edgecodec
from edgecodec import interface
from edgecodec.errors import BY_CODE, InternalError
from edgecodec.interface import MAX_SECTIONS, start
from edgecodec.interface import Error as Error

if TYPE_CHECKING:
    import numpy.typing as npt

#: Anything whose bytes can be borrowed.
Buffer = bytes | bytearray | memoryview


class Span(Structure):
    """ec_core_span"""

    _fields_ = [("offset", c_uint64), ("size", c_uint64)]


class CoreContainer(Structure):
    """ec_core_container"""

    _fields_ = [
        ("version", c_uint32),
        ("lanes", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("greyscale", c_uint32),
        ("has_quality", c_uint32),
        ("quality", c_uint32),
        ("model_id", c_uint32),
        ("section_count", c_uint32),
        ("section_tag", c_uint32 * MAX_SECTIONS),
        ("section", Span * MAX_SECTIONS),
        ("payload", Span),
    ]


class CoreTensor(Structure):
    """ec_core_tensor"""

    _fields_ = [("name", c_char_p), ("channels", c_uint32), ("stride", c_uint32)]


class CoreCost(Structure):
    """ec_core_cost"""

    _fields_ = [("bytes", c_uint64), ("multiplications", c_uint64)]


class CoreWeights(Structure):
    """ec_core_weights"""

    _fields_ = [("location", Span), ("values", Span)]


_POINTERS = POINTER(c_void_p)
_SIZES = POINTER(c_size_t)
_NUMBERS = POINTER(c_uint32)
_ERROR = POINTER(Error)

#: Name, result, arguments; in the order of the header. Data buffers and handles are plain addresses.
_SIGNATURES: list[tuple[str, Any, list[Any]]] = [
    ("ec_core_kernels", c_char_p, []),
    ("ec_core_kernels_available", c_char_p, []),
    ("ec_core_kernels_force", c_int, [c_char_p, _ERROR]),
    ("ec_core_container_parse", c_int, [c_void_p, c_size_t, POINTER(CoreContainer), _ERROR]),
    (
        "ec_core_container_write",
        c_int,
        [POINTER(CoreContainer), _POINTERS, c_void_p, c_void_p, c_size_t, _SIZES, _ERROR],
    ),
    ("ec_core_model_open", c_int, [c_void_p, c_size_t, _POINTERS, _ERROR]),
    ("ec_core_model_close", None, [c_void_p]),
    ("ec_core_model_id", c_uint32, [c_void_p]),
    ("ec_core_model_alignment", c_uint32, [c_void_p]),
    ("ec_core_model_encoder_latent_count", c_uint32, [c_void_p]),
    ("ec_core_model_decoder_latent_count", c_uint32, [c_void_p]),
    ("ec_core_model_encoder_latent", c_int, [c_void_p, c_uint32, POINTER(CoreTensor)]),
    ("ec_core_model_decoder_latent", c_int, [c_void_p, c_uint32, POINTER(CoreTensor)]),
    ("ec_core_model_cost", c_int, [c_void_p, c_uint32, c_uint32, POINTER(CoreCost), _ERROR]),
    (
        "ec_core_decode",
        c_int,
        [c_void_p, c_uint32, c_uint32, c_uint32, c_void_p, c_size_t, _POINTERS, c_uint32, _ERROR],
    ),
    ("ec_core_encode_bound", c_size_t, [c_void_p, c_uint32, c_uint32]),
    (
        "ec_core_encode",
        c_int,
        [c_void_p, c_uint32, c_uint32, _NUMBERS, _POINTERS, c_void_p, c_size_t, _SIZES, c_uint32, _ERROR],
    ),
    ("ec_core_encode_bits", c_int, [c_void_p, c_uint32, c_uint32, _POINTERS, c_void_p, c_uint32, _ERROR]),
    ("ec_core_graph_read", c_int, [c_void_p, c_size_t, POINTER(CoreWeights), c_size_t, _SIZES, _ERROR]),
    ("ec_core_tables_open", c_int, [c_void_p, c_size_t, _POINTERS, _ERROR]),
    ("ec_core_tables_close", None, [c_void_p]),
    (
        "ec_core_coder_encode",
        c_int,
        [c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, _NUMBERS, c_uint32, c_void_p, c_size_t, _SIZES, _ERROR],
    ),
    (
        "ec_core_coder_decode",
        c_int,
        [c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_uint32, _NUMBERS, c_void_p, c_size_t, _ERROR],
    ),
    ("ec_core_net_open", c_int, [c_void_p, c_size_t, _POINTERS, _ERROR]),
    ("ec_core_net_close", None, [c_void_p]),
    ("ec_core_net_shape", c_int, [c_void_p, c_uint32, c_uint32, c_uint32 * 3, _ERROR]),
    ("ec_core_net_run", c_int, [c_void_p, c_void_p, c_uint32, c_uint32, c_void_p, c_uint32, _ERROR]),
    ("ec_core_check_size", c_int, [POINTER(interface.Limits), c_uint64, c_uint64, _ERROR]),
    ("ec_core_check_bytes", c_int, [POINTER(interface.Limits), c_uint64, _ERROR]),
    ("ec_core_noise", c_int, [c_uint64, c_void_p, c_size_t, _ERROR]),
    ("ec_core_check_decoding", c_int, [c_void_p, POINTER(interface.DecodeOptions), _ERROR]),
    ("ec_core_job_load", c_int, [c_void_p, c_uint32, c_uint32, _POINTERS, _ERROR]),
    ("ec_core_job_engine", c_int, [c_void_p, POINTER(interface.RunningEngine), _ERROR]),
    ("ec_core_codec_unload", None, [c_void_p]),
    ("ec_core_job_shapes", c_int, [c_void_p, POINTER(interface.ShapeRange), c_size_t, _NUMBERS, _ERROR]),
    (
        "ec_core_onnxruntime_devices",
        c_int,
        [c_char_p, c_char_p, POINTER(interface.Device), c_size_t, _SIZES, _ERROR],
    ),
    ("ec_core_check_encoding", c_int, [c_void_p, POINTER(interface.EncodeOptions), _ERROR]),
]


class _Library(ctypes.CDLL):
    """Has the functions that were declared. One that was not would be called with its addresses cut to 32 bits."""

    def declare(self, name: str, result: Any, arguments: list[Any]) -> None:
        """Raises AttributeError if there is no such function."""
        function = super().__getattr__(name)
        function.restype, function.argtypes = result, arguments
        setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not declared")


@cache
def library() -> ctypes.CDLL:
    """The loaded library with every signature declared. Raises InternalError if it is missing or another one."""
    path = _find()
    try:
        core = _Library(str(path))
        for name, result, arguments in (*_SIGNATURES, *interface.SIGNATURES):
            core.declare(name, result, arguments)
    except (OSError, AttributeError) as error:
        raise InternalError(
            f"the native library cannot be loaded: {error}", where=str(path), hint="reinstall edgecodec"
        ) from error
    return core


def _find() -> Path:
    """EDGECODEC_LIBRARY, or the library in a folder of the package, of which an editable install has two."""
    override = os.environ.get("EDGECODEC_LIBRARY")
    if override:
        return Path(override)
    name = {"win32": "edgecodec.dll", "darwin": "libedgecodec.dylib"}.get(sys.platform, "libedgecodec.so")
    for folder in edgecodec.__path__:
        candidate = Path(folder) / name
        if candidate.is_file():
            return candidate
    raise InternalError(
        f"is not in {', '.join(edgecodec.__path__)}",
        where=name,
        hint="reinstall edgecodec, or build native/ with cmake and set EDGECODEC_LIBRARY to the library",
    )


def custom_ops_library() -> str:
    """The library with the operator of fused graphs: a path for `SessionOptions.register_custom_ops_library`.

    Raises InternalError if it is missing.
    """
    return str(_find())


def call(function: Callable[..., int], *arguments: object) -> None:
    """Call a function whose last argument is an error struct, and raise the error that belongs to its status."""
    error = start(Error)
    status = function(*arguments, ctypes.byref(error))
    if status != 0:
        kind = BY_CODE.get(status, InternalError)
        offset = error.offset if error.offset >= 0 else None
        raise kind(_text(error.message) or "", where=_text(error.where), hint=_text(error.hint), offset=offset)


def _text(text: bytes) -> str | None:
    return text.decode("utf-8", "replace") or None


class Borrowed(NamedTuple):
    """Memory of Python's, for as long as `owner` lives. size: bytes."""

    address: int
    size: int
    owner: object


def view(data: Buffer) -> Borrowed:
    """The memory of `data`."""
    if isinstance(data, bytes):
        return Borrowed(ctypes.cast(c_char_p(data), c_void_p).value or 0, len(data), data)
    flat = memoryview(data).cast("B")
    if flat.readonly:  # which ctypes does not take
        import numpy as np

        array = np.frombuffer(flat, np.uint8)
        return Borrowed(array.ctypes.data, array.size, array)
    memory = (c_uint8 * len(flat)).from_buffer(flat)
    return Borrowed(ctypes.addressof(memory), len(flat), memory)


def lent(address: int, size: int, owner: object) -> ctypes.Array[c_uint8]:
    """Memory of the library's as a buffer of `size` bytes, which keeps `owner` alive."""
    memory = (c_uint8 * size).from_address(address)
    memory.owner = owner  # type: ignore[attr-defined]
    return memory


class Owned:
    """A handle or struct of the library's, released with the last reference to this. needs: what must outlive it."""

    def __init__(self, release: Callable[[Any], None], value: Any, *needs: object) -> None:
        self.value = value
        # The finalizer has the needs, because of a reference cycle that holds this and them any may be released first.
        # When the process ends its memory goes anyway, and a thread may still be at work.
        weakref.finalize(self, _release, release, value, needs).atexit = False


def _release(release: Callable[[Any], None], value: Any, needs: tuple[object, ...]) -> None:
    release(value)


def pointers(addresses: Iterable[int]) -> ctypes.Array[c_void_p]:
    """C array of addresses."""
    listed = list(addresses)
    return (c_void_p * max(len(listed), 1))(*listed)


def addresses(arrays: list[npt.NDArray[Any]]) -> ctypes.Array[c_void_p]:
    """C array of the addresses of contiguous arrays, which the caller keeps alive."""
    return pointers(array.ctypes.data for array in arrays)


def kernels() -> str:
    """Name of the kernels in use, for example "avx2"."""
    return str(library().ec_core_kernels().decode("ascii"))


def kernels_available() -> list[str]:
    """The kernels this processor can run, slowest first."""
    return str(library().ec_core_kernels_available().decode("ascii")).split(",")


def force_kernels(name: str) -> None:
    """Use these kernels from now on; for tests, and not while anything is being coded. Raises InvalidArgument."""
    call(library().ec_core_kernels_force, name.encode())
