"""An ec_engine table (native/include/edgecodec/edgecodec.h) called as a codec calls it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecodec import native
from edgecodec.interface import Error, Graph, GraphData, Port, Tensor, Weights, start

_TYPES = {np.dtype(np.uint8): 1, np.dtype(np.int16): 2, np.dtype(np.int64): 3, np.dtype(np.float32): 4}


class Role(IntEnum):
    """ec_role"""

    IMAGE = 0
    LATENT = 1
    KNOB = 2
    SIZE = 3
    NOISE = 4


_TYPE_OF_ROLE = {Role.IMAGE: np.uint8, Role.SIZE: np.int64}


class _Options(Structure):
    """ec_engine_options"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("threads", c_uint32),
        ("low_memory", c_uint32),
        ("one_shot", c_uint32),
    ]


class _Loaded(Structure):
    """ec_loaded_graph"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("graph", c_void_p),
        ("device", c_char * 64),
        ("version", c_char * 64),
        ("serial", c_uint32),
        ("shape_count", c_uint32),
        ("shapes", c_uint32 * (6 * 16)),
    ]


class Table(Structure):
    """ec_engine"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("context", c_void_p),
        (
            "load",
            CFUNCTYPE(
                c_int, c_void_p, c_void_p, POINTER(GraphData), POINTER(_Options), POINTER(_Loaded), POINTER(Error)
            ),
        ),
        (
            "run",
            CFUNCTYPE(
                c_int,
                c_void_p,
                c_void_p,
                c_void_p,
                POINTER(Tensor),
                c_size_t,
                POINTER(Tensor),
                c_size_t,
                POINTER(Error),
            ),
        ),
        ("cancel", CFUNCTYPE(None, c_void_p, c_void_p)),
        ("unload", CFUNCTYPE(None, c_void_p, c_void_p)),
        ("precision", c_char_p),
    ]


def _ports(roles: Mapping[str, Role]) -> Any:
    made = [
        Port(name.encode(), role, 0, _TYPES[np.dtype(_TYPE_OF_ROLE.get(role, np.float32))], 1, 1)
        for name, role in roles.items()
    ]
    return (POINTER(Port) * len(made))(*map(ctypes.pointer, made))


def _tensors(arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    return (Tensor * len(arrays))(
        *(
            Tensor(
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

    def __init__(self, table: Table, loaded: _Loaded) -> None:
        self._table = table
        self._handle = loaded.graph
        self.device = loaded.device.decode()
        self.version = loaded.version.decode()

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write the outputs into these arrays, whose shapes are those that are expected."""
        given, wanted = _tensors(inputs), _tensors(outputs)
        native.call(self._table.run, self._table.context, None, self._handle, given, len(given), wanted, len(wanted))

    def unload(self) -> None:
        self._table.unload(self._table.context, self._handle)


class EngineTable:
    """What a codec does with an engine, for no job."""

    def __init__(self, table: Table) -> None:
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
        description = Graph(file=file.encode(), inputs=promised_in, outputs=promised_out)
        description.input_count, description.output_count = len(promised_in), len(promised_out)
        model = np.frombuffer(graph, np.uint8)
        contents = [Weights(name.encode(), data.ctypes.data, data.size) for name, data in (weights or {}).items()]
        data = start(
            GraphData,
            graph=ctypes.pointer(description),
            data=model.ctypes.data,
            size=model.size,
            weights=(Weights * len(contents))(*contents),
            weight_count=len(contents),
        )
        options = start(_Options, threads=threads, low_memory=low_memory)
        loaded = start(_Loaded)
        native.call(self._table.load, self._table.context, None, data, ctypes.byref(options), ctypes.byref(loaded))
        return LoadedGraph(self._table, loaded)

    def cancel(self) -> None:
        self._table.cancel(self._table.context, None)


SIGNATURES: list[tuple[str, Any, list[Any]]] = [
    ("ec_core_onnxruntime_open", c_int, [c_char_p] * 4 + [POINTER(c_void_p), POINTER(Error)]),
    ("ec_core_onnxruntime_table", POINTER(Table), [c_void_p]),
    ("ec_core_onnxruntime_close", None, [c_void_p]),
]


@contextmanager
def onnxruntime_table(
    engine: str | None = None,
    library: Path | str | None = None,
    provider_library: Path | str | None = None,
    provider_device: str | None = None,
) -> Iterator[EngineTable]:
    """The engine that libedgecodec has for ONNX Runtime, as ec_codec_options choose it."""
    core = ctypes.CDLL(native.library()._name)  # a handle of its own, for functions that the package does not use
    for name, result, arguments in SIGNATURES:
        function = getattr(core, name)
        function.restype, function.argtypes = result, arguments
    handle = c_void_p()
    texts = [
        None if text is None else str(text).encode() for text in (engine, library, provider_library, provider_device)
    ]
    native.call(core.ec_core_onnxruntime_open, *texts, ctypes.byref(handle))
    try:
        yield EngineTable(core.ec_core_onnxruntime_table(handle).contents)
    finally:
        core.ec_core_onnxruntime_close(handle)
