"""OpenVINO (2026.4 or newer) on the processor; by name also in bfloat16 there, or on a GPU of Intel's."""

from __future__ import annotations

import platform
from threading import RLock
from typing import TYPE_CHECKING, Any

from edgecodec.engine import Backend, Engine, Graph, Options, RunningEngine, Tolerance, Variant
from edgecodec.errors import EngineFailed, EngineUnavailable, OutOfMemory
from edgecodec.interruptible import interruptible
from edgecodec.native import Owned
from edgecodec_engines import openvino_library
from edgecodec_engines.openvino_library import Library, ModelPort, OpenVinoError
from edgecodec_engines.weights_in_memory import with_addresses

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgecodec.engine import Arrays

_DEVICES = {"": "CPU", "bf16": "CPU", "gpu": "GPU"}


class OpenVino(Engine):
    """A compiled model. Each call has an infer request to itself; they wait for each other where all threads work."""

    def __init__(self, library: Library, graph: Graph, variant: str, options: Options) -> None:
        """Raises OpenVinoError, MemoryError, EngineFailed."""
        self._library = library
        self._graph = graph
        self._variant = variant
        self._properties = _properties(variant, options)
        self._loading = RLock()  # a signal handler may run what it interrupts
        self._closed = False
        self._model: Owned | None = None
        self._idle: list[Owned] = []
        self._inputs: dict[str, ModelPort] = {}
        self._outputs: dict[str, ModelPort] = {}
        self._loaded()

    @classmethod
    def require(cls, variant: str) -> None:
        library = openvino_library.library()
        wanted = "OPTIMIZATION_CAPABILITIES" if variant == "bf16" else "FULL_DEVICE_NAME"
        try:
            found = library.device_property(_DEVICES[variant], wanted)
        except OpenVinoError as error:
            raise EngineUnavailable(
                f"OpenVINO cannot use this device: {error}",
                where=_name(variant),
                hint="check the driver that OpenVINO wants for it",
            ) from error
        if variant == "bf16" and "BF16" not in found.split():
            raise EngineUnavailable("this processor has no bfloat16", where=_name(variant), hint="take openvino")

    @classmethod
    def load(cls, graph: Graph, variant: str, options: Options) -> OpenVino:
        try:
            return cls(openvino_library.library(), graph, variant, options)
        except MemoryError as error:
            raise OutOfMemory("there is not enough memory for the graph", where=graph.path.name) from error
        except OpenVinoError as error:
            raise EngineFailed(f"OpenVINO refuses the graph: {error}", where=graph.path.name) from error

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        if self._closed:
            raise EngineFailed("the engine is closed")
        if inputs.keys() != self._inputs.keys():
            raise EngineFailed(f"the inputs are {sorted(self._inputs)}, not {sorted(inputs)}")
        try:
            return self._infer(inputs)
        except MemoryError as error:
            # It would try to get the same memory in each later call.
            self._model = None
            self._idle.clear()
            # The frames that the error went through hold the request, and with it all that it had got.
            raise OutOfMemory("there is not enough memory to run the graph") from error.with_traceback(None)
        except OpenVinoError as error:
            raise EngineFailed(f"OpenVINO failed: {error}") from error

    def _infer(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        request = self._request()
        tensors = [self._set(request, name, array) for name, array in inputs.items()]

        def infer() -> list[Owned]:
            """Keeps the tensors, also where an interrupt leaves it behind. Other calls take no cancel."""
            self._library.call("ov_infer_request_start_async", request.value)
            self._library.call("ov_infer_request_wait", request.value)
            return tensors

        interruptible(infer, lambda: self._library.call("ov_infer_request_cancel", request.value))
        outputs = {name: self._output(request, port) for name, port in self._outputs.items()}
        self._idle.append(request)
        return outputs

    def close(self) -> None:
        self._closed = True
        self._model = None
        self._idle.clear()

    def describe(self) -> RunningEngine:
        device = _DEVICES[self._variant].lower()
        return RunningEngine(_name(self._variant), self._library.version(), device, self.passed_over)

    def _loaded(self) -> Owned:
        """The compiled model, again where it was given up."""
        with self._loading:
            if self._model is not None:
                return self._model
            library, graph = self._library, self._graph
            model = interruptible(lambda: _read(library, graph), lambda: None)
            self._inputs = _checked(graph, "input", _promised_inputs(graph), [*library.ports(model, "input")])
            self._outputs = _checked(graph, "output", _promised_outputs(graph), [*library.ports(model, "output")])
            device, properties = _DEVICES[self._variant], self._properties
            self._model = interruptible(lambda: library.compile(model, device, properties), lambda: None)
            return self._model

    def _request(self) -> Owned:
        """One that no call works with. A call that an interrupt left behind keeps its own."""
        try:
            return self._idle.pop()
        except IndexError:
            model = self._loaded()
            return self._library.make(
                "ov_compiled_model_create_infer_request", model.value, release="ov_infer_request_free", needs=model
            )

    def _set(self, request: Owned, name: str, array: npt.NDArray[Any]) -> Owned:
        import numpy as np

        shape = (1,) * (self._inputs[name].rank or 0) if name in self._graph.scalars else array.shape
        tensor = self._library.tensor(np.ascontiguousarray(array).reshape(shape))
        self._library.call("ov_infer_request_set_tensor", request.value, name.encode(), tensor.value)
        return tensor

    def _output(self, request: Owned, port: ModelPort) -> npt.NDArray[Any]:
        tensor = self._library.make(
            "ov_infer_request_get_tensor", request.value, port.name.encode(), release="ov_tensor_free", needs=request
        )
        values: npt.NDArray[Any] = self._library.values(tensor, port)
        return values


#: On other processors than these nobody has compared it with ONNX Runtime yet.
_COMPARED = platform.machine() in ("x86_64", "AMD64")

BACKEND = Backend(
    "openvino",
    (
        Variant("", "cpu", auto_rank=1 if _COMPARED else None, slow_start=True),
        Variant("bf16", "cpu", auto_rank=None, tolerance=Tolerance(levels=32, psnr_db=45.0)),
        Variant("gpu", "gpu", auto_rank=None),
    ),
    OpenVino,
    modules=("openvino",),
)


def _name(variant: str) -> str:
    return f"openvino:{variant}" if variant else "openvino"


def _read(library: Library, graph: Graph) -> Owned:
    """The weights are copied, so that they need not stay."""
    data = with_addresses(graph.data, graph.weights)
    return library.make(
        *("ov_core_read_model_from_memory_buffer", library.core, data, len(data), None), release="ov_model_free"
    )


def _properties(variant: str, options: Options) -> dict[str, str]:
    properties = {"INFERENCE_PRECISION_HINT": "bf16" if variant == "bf16" else "f32"}
    if _DEVICES[variant] == "CPU":
        # One picture at a time is worked on by all threads. Pinned ones would be in the way of other processes.
        # What is kept for sizes that have occurred, 3 MB for each, would otherwise grow to thousands of kernels.
        properties |= {"NUM_STREAMS": "1", "ENABLE_CPU_PINNING": "NO", "CPU_RUNTIME_CACHE_CAPACITY": "256"}
        if options.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = str(options.threads)
    return properties


def _promised_outputs(graph: Graph) -> dict[str, str]:
    """By name, the type of each."""
    return {port.name: "uint8" if port.is_image else "float32" for port in graph.outputs}


def _promised_inputs(graph: Graph) -> dict[str, str]:
    sizes = {graph.size: "int64"} if graph.size else {}
    images = {port.name: "uint8" if port.is_image else "float32" for port in graph.inputs}
    return {**images, **dict.fromkeys(graph.scalars, "float32"), **sizes}


def _checked(graph: Graph, role: str, promised: dict[str, str], found: list[ModelPort]) -> dict[str, ModelPort]:
    """The ports by name. Raises EngineFailed unless they are those that are promised."""
    ports = {port.name: port for port in found}
    if ports.keys() != promised.keys():
        raise EngineFailed(
            f"the index promises {role}s {sorted(promised)}, the graph has {sorted(ports)}", where=graph.path.name
        )
    for name, kind in promised.items():
        if ports[name].type != kind:
            raise EngineFailed(f"{role} {name!r} is {ports[name].type}, not {kind}", where=graph.path.name)
    return ports
