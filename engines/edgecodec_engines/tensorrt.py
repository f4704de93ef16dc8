"""TensorRT (10.3 or newer), and TensorRT-RTX as the variant "rtx": runs plans that `edgecodec build` made.

Nothing is compiled here. A plan takes pictures of some sizes; others are padded or cut to fit. All memory is allocated
when a plan is loaded. The work for a picture of the same shapes as the one before is recorded once and then started as
a whole.

What TensorRT makes of a value that is not a number, in an output of type uint8, is undefined: decoded pictures are as
good as the graph is, and only encoders' outputs, which are floats, are checked for such values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from edgecodec.engine import Backend, Engine, Graph, Options, RunningEngine, SideRange, SizeRange, Variant
from edgecodec.errors import EdgecodecError, EngineFailed, EngineUnavailable
from edgecodec_engines.tensorrt_plans.cuda_driver import first_device

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgecodec.engine import Arrays
    from edgecodec_engines.cuda_memory import Buffer, Gpu, Recording
    from edgecodec_engines.tensorrt_plans.plan_key import TensorRT

    Shapes = dict[str, tuple[int, ...]]

_MODULES = {"": "tensorrt", "rtx": "tensorrt_rtx"}
_MOST_LINES = 8  # of TensorRT's log that are kept
_MOST_PROFILES = 16  # that the planner of windows takes


class TensorRTEngine(Engine):
    """A plan with its memory. One picture at a time is worked on."""

    def __init__(self, plan: _Plan, gpu: Gpu, description: RunningEngine) -> None:
        self._plan: _Plan | None = plan
        self._gpu = gpu
        self._description = description
        self._lock = Lock()

    @classmethod
    def require(cls, variant: str) -> None:
        from edgecodec_engines.tensorrt_plans.tensorrt_module import find_tensorrt

        if first_device() is None:
            raise EngineUnavailable(
                "no CUDA driver answers here",
                where=_name(variant),
                hint="install NVIDIA's driver, or use another engine",
            )
        find_tensorrt(_MODULES[variant])

    @classmethod
    def load(cls, graph: Graph, variant: str, options: Options) -> TensorRTEngine:
        from edgecodec_engines.tensorrt_plans.choosing import take_plan
        from edgecodec_engines.tensorrt_plans.tensorrt_module import find_tensorrt, target_of

        tensorrt, module = find_tensorrt(_MODULES[variant])
        device = first_device()
        target = target_of(tensorrt, device)
        plan, data = take_plan(graph, tensorrt, target, options.shapes, only_verified=options.only_verified)
        gpu = _gpu()
        with gpu.current():
            loaded = _Plan(gpu, module, tensorrt, data, graph)
        name = device.name if device is not None else plan.key.target.device
        return cls(loaded, gpu, RunningEngine(_name(variant), tensorrt.version, name))

    def allowed_sizes(self) -> tuple[SizeRange, ...]:
        return self._opened().sizes

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        with self._lock:
            plan = self._opened()
            with self._gpu.current():
                return plan.run(inputs)

    def close(self) -> None:
        with self._lock:
            plan, self._plan = self._plan, None
            if plan is not None:
                with suppress(EngineFailed), self._gpu.current():
                    plan.close()

    def __del__(self) -> None:
        """Nothing else gives the GPU's memory back where a codec is forgotten rather than closed."""
        self.close()

    def describe(self) -> RunningEngine:
        found = self._description
        return RunningEngine(found.name, found.version, found.device, self.passed_over)

    def _opened(self) -> _Plan:
        if self._plan is None:
            raise EngineFailed("the engine is closed")
        return self._plan


BACKEND = Backend(
    "tensorrt",
    (
        # `auto` takes them only where there is a plan that gave the golden pictures.
        Variant("", "cuda", auto_rank=-2, precision="fp16"),
        Variant("rtx", "cuda", auto_rank=-1, precision="fp16"),
    ),
    TensorRTEngine,
    modules=tuple(_MODULES.values()),
    preparation="a plan: edgecodec build BUNDLE",
)


class _Plan:
    """A plan, its buffers and its stream. sizes: of the pictures that it takes."""

    def __init__(self, gpu: Gpu, module: Any, tensorrt: TensorRT, data: bytes, graph: Graph) -> None:
        from edgecodec_engines.cuda_memory import Stream
        from edgecodec_engines.tensorrt_plans.tensorrt_module import title

        self._gpu = gpu
        self._graph = graph
        self._buffers: dict[str, Buffer] = {}
        self._shapes: Shapes = {}
        self._recording: Recording | None = None
        self._runs = 0  # with these shapes
        self._can_record = True
        log, self._runtime = _runtime(module)
        log.lines.clear()
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise EngineUnavailable(
                f"{title(tensorrt)} refuses the plan: {log.words()}",
                where=graph.path.name,
                hint="edgecodec build makes it again",
            )
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineFailed(f"{title(tensorrt)} cannot start the plan: {log.words()}", where=graph.path.name)
        self._log = log
        self._stream = Stream(gpu)
        try:
            self._inputs, self._outputs = self._check_tensors(module)
            # By profile, the smallest and the largest shape of each input.
            self._profiles = [self._profile(index) for index in range(self._engine.num_optimization_profiles)]
            self.sizes = tuple(
                size for profile in self._profiles[:_MOST_PROFILES] if (size := _sizes(graph, profile)) is not None
            )
            if not self.sizes:
                raise EngineFailed("the plan takes no picture at all", where=graph.path.name)
            self._allocate()
        except BaseException:
            with suppress(EdgecodecError):
                self.close()
            raise

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        import numpy as np

        inputs = {**inputs, **self._with_ranks({name: inputs[name] for name in self._graph.scalars})}
        shapes = {name: inputs[name].shape for name in self._inputs}
        if shapes != self._shapes:
            self._reshape(shapes)
        for name, shape in shapes.items():
            np.copyto(self._buffers[name].view(shape), inputs[name], casting="no")
        if self._recording is None and self._runs == 1 and self._can_record:
            # TensorRT prepares itself for new shapes in the first run, which therefore cannot be recorded.
            self._recording = self._stream.record(self._enqueue)
            self._can_record = self._recording is not None
        try:
            if self._recording is not None:
                self._recording.play()
            else:
                self._enqueue()
        finally:
            self._stream.wait()  # also after a failure: copies that were begun use the buffers
        self._runs += 1
        return {name: self._buffers[name].view(self._shape_of(name)).copy() for name in self._outputs}

    def close(self) -> None:
        """The context goes first: it may use the rest to its end."""
        self._forget_recording()
        self._context = self._engine = None
        for buffer in self._buffers.values():
            buffer.close()
        self._buffers.clear()
        self._stream.close()

    def _with_ranks(self, scalars: Arrays) -> Arrays:
        """One number each, of whatever rank the graph declares."""
        return {name: each.reshape(self._profiles[0][name][0]) for name, each in scalars.items()}

    def _enqueue(self) -> None:
        for name in self._inputs:
            if not self._on_host(name):
                self._buffers[name].to_device(self._shapes[name], self._stream)
        self._log.lines.clear()
        if not self._context.execute_async_v3(self._stream.handle):
            raise EngineFailed(f"TensorRT failed: {self._log.words()}")
        for name in self._outputs:
            self._buffers[name].to_host(self._shape_of(name), self._stream)

    def _reshape(self, shapes: Shapes) -> None:
        self._forget_recording()
        self._shapes, self._runs = {}, 0
        fitting = (index for index, profile in enumerate(self._profiles) if _holds(profile, shapes))
        index = next(fitting, None)
        if index is None:
            raise EngineFailed(f"the plan takes no inputs of the shapes {shapes}", where=self._graph.path.name)
        if index != self._context.active_optimization_profile:
            self._use_profile(index)
        self._set_shapes(shapes)
        self._shapes = dict(shapes)

    def _use_profile(self, index: int) -> None:
        if not self._context.set_optimization_profile_async(index, self._stream.handle):
            raise EngineFailed(f"TensorRT cannot change to profile {index}: {self._log.words()}")
        self._stream.wait()

    def _set_shapes(self, shapes: Shapes) -> None:
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise EngineFailed(f"TensorRT takes no {name!r} of shape {shape}: {self._log.words()}")

    def _shape_of(self, output: str) -> tuple[int, ...]:
        return tuple(self._context.get_tensor_shape(output))

    def _on_host(self, name: str) -> bool:
        """Whether TensorRT reads an input in the processor's memory."""
        return bool(self._engine.get_tensor_location(name).name == "HOST")

    def _check_tensors(self, module: Any) -> tuple[list[str], list[str]]:
        """The names of inputs and outputs, which are what the graph promises."""
        promised: dict[str, Mapping[str, str]] = {"INPUT": _input_types(self._graph), "OUTPUT": _types(self._graph)}
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        found: dict[str, dict[str, str]] = {"INPUT": {}, "OUTPUT": {}}
        for name in names:
            dtype = module.nptype(self._engine.get_tensor_dtype(name))
            found[self._engine.get_tensor_mode(name).name][name] = dtype.__name__
        if found != promised:
            raise EngineUnavailable(
                f"the plan is of another graph: it has {found}, not {promised}", where=self._graph.path.name
            )
        return list(found["INPUT"]), list(found["OUTPUT"])

    def _profile(self, index: int) -> Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        profile = {}
        for name in self._inputs:
            least, _, most = self._engine.get_tensor_profile_shape(name, index)
            profile[name] = tuple(least), tuple(most)
        return profile

    def _allocate(self) -> None:
        """Buffers for the largest picture, which keep their addresses."""
        from edgecodec_engines.cuda_memory import Buffer

        elements = dict.fromkeys((*self._inputs, *self._outputs), 0)
        for index, profile in enumerate(self._profiles):
            if index != self._context.active_optimization_profile:
                self._use_profile(index)
            largest = {name: most for name, (_, most) in profile.items()}
            self._set_shapes(largest)
            for name, count in elements.items():
                shape = largest[name] if name in largest else self._shape_of(name)
                elements[name] = max(count, math.prod(shape))
        types = {**_input_types(self._graph), **_types(self._graph)}
        for name, count in elements.items():
            buffer = self._buffers[name] = Buffer(self._gpu, types[name], count)
            address = buffer.host if name in self._inputs and self._on_host(name) else buffer.device
            if not self._context.set_tensor_address(name, address):
                raise EngineFailed(f"TensorRT takes no memory for {name!r}: {self._log.words()}")

    def _forget_recording(self) -> None:
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()


def _types(graph: Graph) -> dict[str, str]:
    """By output, NumPy's name of its type."""
    return {port.name: "uint8" if port.is_image else "float32" for port in graph.outputs}


def _input_types(graph: Graph) -> dict[str, str]:
    images = {port.name: "uint8" if port.is_image else "float32" for port in graph.inputs}
    sizes = {graph.size: "int64"} if graph.size else {}
    return {**images, **dict.fromkeys(graph.scalars, "float32"), **sizes}


def _holds(profile: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], shapes: Shapes) -> bool:
    return all(
        len(shape) == len(profile[name][0])
        and all(low <= side <= high for low, side, high in zip(profile[name][0], shape, profile[name][1], strict=True))
        for name, shape in shapes.items()
    )


def _sizes(graph: Graph, profile: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]) -> SizeRange | None:
    """The pictures of which every input fits a profile; None where there are none."""
    sides = []
    for axis in range(2):
        least, most, multiple = 0, 1 << 31, 1
        for port in graph.inputs:
            low, high = (shape[axis if port.is_image else 2 + axis] for shape in profile[port.name])
            least, most = max(least, low * port.stride), min(most, high * port.stride)
            multiple = math.lcm(multiple, port.stride)
        least, most = -(-least // multiple) * multiple, most // multiple * multiple
        if least > most:
            return None
        sides.append(SideRange(least, most, multiple))
    return SizeRange(*sides)


def _name(variant: str) -> str:
    return f"tensorrt:{variant}" if variant else "tensorrt"


@cache
def _gpu() -> Gpu:
    from edgecodec_engines.cuda_memory import Gpu

    return Gpu()


@cache
def _runtime(module: Any) -> tuple[Any, Any]:
    """A log, and what loads plans. TensorRT has one log in a process, so there is one of both."""

    class Log(module.ILogger):  # type: ignore[misc]
        """Keeps what is worse than a warning, and says nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.lines: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= module.ILogger.Severity.ERROR:
                self.lines = [*self.lines, " ".join(message.split())][-_MOST_LINES:]

        def words(self) -> str:
            """The first error: those that follow are mostly about it."""
            return self.lines[0] if self.lines else "it does not say why"

    log = Log()
    runtime = module.Runtime(log)
    return log, runtime
