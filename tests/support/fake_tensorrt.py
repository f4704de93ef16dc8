"""A TensorRT without a GPU: modules with the surfaces that `edgecodec_engines.tensorrt` meets from 10.3 to 11.x and in
TensorRT-RTX. A plan of theirs is JSON with the graph of ONNX that it stands for, which NumPy runs as the stub engine
does, on addresses that the engine gave, when the stream of the fake driver comes to it.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecodec.engine import Graph
from edgecodec_engines.stub import Stub

VERSIONS = {"tensorrt": ("10.3.0.30", "11.4.0.106"), "tensorrt_rtx": ("1.7.1.116",)}
_WORK = ctypes.CFUNCTYPE(None)


class Severity(IntEnum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        self.is_made = True


class DataType(Enum):
    FLOAT, HALF, UINT8, INT64 = "float32", "float16", "uint8", "int64"


class TensorIOMode(Enum):
    NONE, INPUT, OUTPUT = range(3)


class TensorLocation(Enum):
    DEVICE, HOST = range(2)


class Dims:
    """A sequence, and no tuple."""

    def __init__(self, sides: Any) -> None:
        self._sides = tuple(sides)

    def __len__(self) -> int:
        return len(self._sides)

    def __iter__(self) -> Iterator[int]:
        return iter(self._sides)


def nptype(dtype: DataType) -> type:
    return getattr(np, dtype.value)


def plan_bytes(graph: Graph, *profiles: Mapping[str, tuple[Any, Any, Any]], **changes: Any) -> bytes:
    """profiles: the smallest, the typical and the largest shape of each input."""
    types = {port.name: "UINT8" if port.is_image else "FLOAT" for port in (*graph.inputs, *graph.outputs)}
    types |= dict.fromkeys(graph.scalars, "FLOAT") | ({graph.size: "INT64"} if graph.size else {})
    plan = {
        "file": str(graph.path),
        "types": types,
        "outputs": [port.name for port in graph.outputs],
        "profiles": profiles,
        "on_host": [],
        "recordable": True,
    }
    return json.dumps({**plan, **changes}).encode()


def fake_module(name: str, version: str, driver: ctypes.CDLL, graphs: Mapping[str, Graph]) -> ModuleType:
    """graphs: by path, those whose plans it takes.

    The module counts in `runs` how often a graph was given to a stream, and in `contexts` what lives; `seen` has the
    inputs of the last run, and `fails` names a function that is to fail.
    """
    module: Any = ModuleType(name)
    module.__version__ = version
    module.ILogger, module.DataType, module.nptype = ILogger, DataType, nptype
    module.TensorIOMode, module.TensorLocation = TensorIOMode, TensorLocation
    module.runs, module.contexts, module.fails = 0, 0, ""

    class Context:
        def __init__(self, plan: Mapping[str, Any]) -> None:
            module.contexts += 1
            self._plan, self._graph = plan, graphs[plan["file"]]
            self._addresses: dict[str, int] = {}
            self._shapes: dict[str, tuple[int, ...]] = {}
            self._shapes_run: dict[str, tuple[int, ...]] = {}
            self._kept: list[Callable[[], None]] = []
            self.active_optimization_profile = 0

        def __del__(self) -> None:
            module.contexts -= 1

        def set_optimization_profile_async(self, index: int, stream: int) -> bool:
            assert stream
            self.active_optimization_profile, self._shapes, self._shapes_run = index, {}, {}
            return True

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            least, _, most = self._plan["profiles"][self.active_optimization_profile][name]
            fits = len(shape) == len(least) and all(
                low <= side <= high for low, side, high in zip(least, shape, most, strict=True)
            )
            if fits:
                self._shapes[name] = tuple(shape)
            return fits and module.fails != "set_input_shape"

        def set_tensor_address(self, name: str, address: int) -> bool:
            self._addresses[name] = address
            return bool(address) and name in self._plan["types"]

        def get_tensor_shape(self, name: str) -> Dims:
            if name in self._shapes:
                return Dims(self._shapes[name])
            (port,) = [each for each in self._graph.outputs if each.name == name]
            (first, *_) = self._graph.inputs
            rows, columns = self._shapes[first.name][:2] if first.is_image else self._shapes[first.name][2:]
            height, width = rows * first.stride // port.stride, columns * first.stride // port.stride
            return Dims((height, width, 3) if port.is_image else (1, port.channels, height, width))

        def execute_async_v3(self, stream_handle: int) -> bool:
            module.runs += 1
            if module.fails == "execute_async_v3":
                logger().log(Severity.ERROR, "the kernel is\n out of order")
                return False
            assert self._shapes.keys() == set(self._plan["types"]) - set(self._plan["outputs"])
            shapes = dict(self._shapes)
            # Work is set up in the first run with these shapes, which takes calls that cannot be recorded.
            is_first, self._shapes_run = shapes != self._shapes_run, shapes
            if not is_first and not self._plan["recordable"]:
                driver.cuStreamSynchronize(stream_handle)

            def work() -> None:
                inputs = {name: self._array(name, shape).copy() for name, shape in shapes.items()}
                module.seen = inputs
                for name, values in Stub(self._graph).run(inputs).items():
                    self._array(name, values.shape)[...] = values

            call = _WORK(work)
            self._kept.append(call)
            return driver.fake_enqueue(stream_handle, call) == 0

        def _array(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
            dtype = np.dtype(DataType[self._plan["types"][name]].value)
            size = int(np.prod(shape)) * dtype.itemsize
            memory = (ctypes.c_uint8 * size).from_address(self._addresses[name])
            return np.frombuffer(memoryview(memory).cast("B"), dtype).reshape(shape)

    class CudaEngine:
        def __init__(self, plan: Mapping[str, Any]) -> None:
            self._plan = plan
            self.num_io_tensors = len(plan["types"])
            self.num_optimization_profiles = len(plan["profiles"])

        def create_execution_context(self) -> Context | None:
            return None if module.fails == "create_execution_context" else Context(self._plan)

        def get_tensor_name(self, index: int) -> str:
            return list(self._plan["types"])[index]

        def get_tensor_dtype(self, name: str) -> DataType:
            return DataType[self._plan["types"][name]]

        def get_tensor_mode(self, name: str) -> TensorIOMode:
            return TensorIOMode.OUTPUT if name in self._plan["outputs"] else TensorIOMode.INPUT

        def get_tensor_location(self, name: str) -> TensorLocation:
            return TensorLocation.HOST if name in self._plan["on_host"] else TensorLocation.DEVICE

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
            return [Dims(shape) for shape in self._plan["profiles"][profile_index][name]]

    loggers: list[Any] = []

    def logger() -> Any:
        return loggers[0]

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            assert logger.is_made, "the base class was not initialised"
            loggers.append(logger)

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> CudaEngine | None:
            logger().log(Severity.INFO, "Loaded engine size: 1 MiB")
            try:
                return CudaEngine(json.loads(serialized_engine))
            except ValueError:
                logger().log(Severity.ERROR, "Serialization assertion magicTagRead == kMAGIC_TAG failed")
                logger().log(Severity.ERROR, "[runtime.cpp] Engine deserialization failed")
                return None

    module.Runtime, module.ICudaEngine, module.IExecutionContext = Runtime, CudaEngine, Context
    return module


def build_driver(folder: Path, compiler: str) -> Path:
    """Compiles the fake driver."""
    import subprocess

    library = folder / "libcuda.so.1"
    source = Path(__file__).with_suffix("").with_name("fake_cuda.c")
    subprocess.run([*compiler.split(), "-shared", "-fPIC", "-Wall", "-Wextra", source, "-o", library], check=True)
    return library
