"""An ec_engine table (native/include/edgecodec/edgecodec.h) called as a codec calls it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_void_p,
)
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecodec import native

_TYPES = {np.dtype(np.uint8): 1, np.dtype(np.int16): 2, np.dtype(np.int64): 3, np.dtype(np.float32): 4}


class Role(IntEnum):
    """ec_role"""

    IMAGE = 0
    LATENT = 1
    KNOB = 2
    SIZE = 3
    NOISE = 4


_TYPE_OF_ROLE = {Role.IMAGE: np.uint8, Role.SIZE: np.int64}


class _Port(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("role", c_int),
        ("index", c_uint32),
        ("type", c_int),
        ("channels", c_uint32),
        ("stride", c_uint32),
    ]


_PORTS = POINTER(POINTER(_Port))


class _Graph(Structure):
    _fields_ = [
        ("number", c_uint32),
        ("file", c_char_p),
        ("side", c_int),
        ("model", c_uint32),
        ("precision", c_char_p),
        ("knobs", c_void_p),
        ("knob_count", c_size_t),
        ("inputs", _PORTS),
        ("input_count", c_size_t),
        ("outputs", _PORTS),
        ("output_count", c_size_t),
        ("tolerance_levels", c_uint32),
        ("tolerance_db", c_double),
        ("not_tiled", c_char_p),
        ("halo_before", c_uint32),
        ("halo_after", c_uint32),
        ("bytes_per_pixel", c_double),
    ]


class _Weights(Structure):
    _fields_ = [("location", c_char_p), ("data", c_void_p), ("size", c_size_t)]


class _GraphData(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("graph", POINTER(_Graph)),
        ("path", c_char_p),
        ("data", c_char_p),
        ("size", c_size_t),
        ("weights", POINTER(_Weights)),
        ("weight_count", c_size_t),
        ("owner", c_void_p),
    ]


class _Options(Structure):
    _fields_ = [("struct_size", c_size_t), ("threads", c_uint32), ("low_memory", c_uint32)]


class _Loaded(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("graph", c_void_p),
        ("device", c_char * 64),
        ("version", c_char * 64),
        ("serial", c_uint32),
        ("shape_count", c_uint32),
        ("shapes", c_uint32 * (6 * 16)),
    ]


class _Tensor(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("type", c_int),
        ("rank", c_uint32),
        ("shape", c_int64 * 4),
        ("data", c_void_p),
        ("bytes", c_size_t),
    ]


_ERROR = POINTER(native.Error)


class _Table(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("context", c_void_p),
        ("load", CFUNCTYPE(c_int, c_void_p, POINTER(_GraphData), POINTER(_Options), POINTER(_Loaded), _ERROR)),
        (
            "run",
            CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(_Tensor), c_size_t, POINTER(_Tensor), c_size_t, _ERROR),
        ),
        ("cancel", CFUNCTYPE(None, c_void_p)),
        ("unload", CFUNCTYPE(None, c_void_p, c_void_p)),
    ]


def _ports(roles: Mapping[str, Role]) -> Any:
    made = [
        _Port(name.encode(), role, 0, _TYPES[np.dtype(_TYPE_OF_ROLE.get(role, np.float32))], 1, 1)
        for name, role in roles.items()
    ]
    return (POINTER(_Port) * len(made))(*map(ctypes.pointer, made))


def _tensors(arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    return (_Tensor * len(arrays))(
        *(
            _Tensor(
                name.encode(),
                _TYPES[array.dtype],
                array.ndim,
                (c_int64 * 4)(*array.shape),
                array.ctypes.data,
                array.nbytes,
            )
            for name, array in arrays.items()
        )
    )


class LoadedGraph:
    """A graph on an engine. device, version: as the engine reports them."""

    def __init__(self, table: _Table, loaded: _Loaded) -> None:
        self._table = table
        self._handle = loaded.graph
        self.device = loaded.device.decode()
        self.version = loaded.version.decode()

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write the outputs into these arrays, whose shapes are those that are expected."""
        given, wanted = _tensors(inputs), _tensors(outputs)
        native.call(self._table.run, self._table.context, self._handle, given, len(given), wanted, len(wanted))

    def unload(self) -> None:
        self._table.unload(self._table.context, self._handle)


class EngineTable:
    """What a codec does with an engine."""

    def __init__(self, table: _Table) -> None:
        self._table = table
        self.name = table.name.decode()

    def load(
        self,
        graph: bytes,
        inputs: Mapping[str, Role],
        outputs: Mapping[str, Role],
        *,
        weights: Mapping[str, npt.NDArray[np.uint8]] | None = None,
        threads: int = 1,
        low_memory: bool = False,
        file: str = "graph.onnx",
    ) -> LoadedGraph:
        """inputs and outputs: what the index says of the graph. weights: contents of other files, by their names."""
        promised_in, promised_out = _ports(inputs), _ports(outputs)
        description = _Graph(file=file.encode(), inputs=promised_in, outputs=promised_out)
        description.input_count, description.output_count = len(promised_in), len(promised_out)
        contents = [_Weights(name.encode(), data.ctypes.data, data.size) for name, data in (weights or {}).items()]
        data = _GraphData(
            struct_size=ctypes.sizeof(_GraphData),
            graph=ctypes.pointer(description),
            data=graph,
            size=len(graph),
            weights=(_Weights * len(contents))(*contents),
            weight_count=len(contents),
        )
        options = _Options(ctypes.sizeof(_Options), threads, low_memory)
        loaded = _Loaded(struct_size=ctypes.sizeof(_Loaded))
        native.call(self._table.load, self._table.context, data, ctypes.byref(options), ctypes.byref(loaded))
        return LoadedGraph(self._table, loaded)

    def cancel(self) -> None:
        self._table.cancel(self._table.context)


@contextmanager
def onnxruntime_table(
    engine: str | None = None, library: Path | str | None = None, provider_library: Path | str | None = None
) -> Iterator[EngineTable]:
    """The engine that libedgecodec has for ONNX Runtime, as ec_codec_options choose it."""
    core = native.library()
    core.ec_core_onnxruntime_table.restype = POINTER(_Table)
    core.ec_core_onnxruntime_table.argtypes = core.ec_core_onnxruntime_close.argtypes = [c_void_p]
    core.ec_core_onnxruntime_close.restype = None
    handle = c_void_p()
    texts = [None if text is None else str(text).encode() for text in (engine, library, provider_library)]
    native.call(core.ec_core_onnxruntime_open, *texts, ctypes.byref(handle))
    try:
        yield EngineTable(core.ec_core_onnxruntime_table(handle).contents)
    finally:
        core.ec_core_onnxruntime_close(handle)
