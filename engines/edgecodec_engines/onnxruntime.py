"""ONNX Runtime (1.18 or newer). The variant names the execution provider; none means the processor."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecodec.engine import (
    Backend,
    Engine,
    Graph,
    NativeEngine,
    Options,
    Plugin,
    Port,
    RunningEngine,
    SizeRange,
    Variant,
)
from edgecodec.errors import EngineFailed, EngineUnavailable, OutOfMemory
from edgecodec.interruptible import interruptible

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgecodec.engine import Arrays

_PROVIDERS = {"": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_OLDEST, _OLDEST_NATIVE = (1, 18), (1, 20)
#: Bytes of weights from which on the optimiser, which copies them, takes longer than it saves for one picture.
_LARGE_WEIGHTS = 64 << 20
_WARNING, _FATAL = 2, 4  # ONNX Runtime's log severities, the first its default
#: Set to 1 before the import it keeps ONNX Runtime (1.29 and newer) from sending facts about its use over the network
#: and from writing an identifier of the device under HOME. The function that turns telemetry off comes too late.
TELEMETRY = "ORT_DISABLE_TELEMETRY"


class OnnxRuntime(Engine):
    """A session on one provider, checked to be the one that was asked for."""

    def __init__(self, session: Any, graph: Graph, variant: str, runtime: Any, sizes: tuple[SizeRange, ...]) -> None:
        self._session: Any = session
        self._runtime = runtime
        self._scalars = {port.name: port.shape for port in session.get_inputs() if port.name in graph.scalars}
        self._variant = variant
        self._allowed_sizes = sizes
        self._outputs = [output.name for output in session.get_outputs()]

    @classmethod
    def require(cls, variant: str) -> None:
        if variant == "cuda" and _package_without_cuda():
            raise EngineUnavailable(
                f"this ONNX Runtime has no {_PROVIDERS[variant]}",
                where=f"onnxruntime:{variant}",
                hint="install the onnxruntime build for this device",
            )
        runtime = import_runtime()
        available = runtime.get_available_providers()
        if _PROVIDERS[variant] not in available:
            raise EngineUnavailable(
                f"this ONNX Runtime has no {_PROVIDERS[variant]}, only {', '.join(available)}",
                where=f"onnxruntime:{variant}",
                hint="install the onnxruntime build for this device",
            )

    @classmethod
    def load(cls, graph: Graph, variant: str, options: Options) -> OnnxRuntime:
        from edgecodec_engines.onnxruntime_options import allowed_sizes, provider_options

        runtime = import_runtime()
        provider = _PROVIDERS[variant]
        settings = runtime.SessionOptions()
        settings.log_severity_level = _FATAL
        # The arena keeps up to twice what a call needs, and with a memory pattern as much again. Without the arena, a
        # pattern allocates one block for all tensors of a call, which is much faster than a block for each.
        settings.enable_cpu_mem_arena = not options.low_memory
        settings.enable_mem_pattern = options.low_memory
        # Threads that spin after a call would take the processor from the entropy stage of the next picture.
        settings.add_session_config_entry("session.force_spinning_stop", "1")
        if options.one_shot and not variant and sum(map(len, graph.weights.values())) > _LARGE_WEIGHTS:
            settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if options.threads is not None:
            settings.intra_op_num_threads = options.threads

        chosen = provider_options(variant, graph, runtime.__version__)

        def start() -> Any:
            with _silenced(runtime) if variant else nullcontext():
                # A fallback is a second try on the processor, whatever the first was on, and is announced on standard
                # output.
                return runtime.InferenceSession(
                    _source(runtime, settings, graph),
                    sess_options=settings,
                    providers=[(provider, chosen)] if chosen else [provider],
                    enable_fallback=0,
                )

        try:
            session = interruptible(start, partial(_cancel_loading, settings))
        except MemoryError as error:
            raise OutOfMemory("there is not enough memory for the graph", where=graph.path.name) from error
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this
            raise EngineFailed(
                f"ONNX Runtime refuses the graph: {_first_line(error)}", where=graph.path.name
            ) from error
        # A provider whose libraries are missing is dropped without an exception, and the processor takes over.
        if session.get_providers()[0] != provider:
            raise EngineUnavailable(
                f"{provider} could not start; ONNX Runtime would run on {session.get_providers()[0]}",
                where=f"onnxruntime:{variant}",
                hint="check the driver and the CUDA libraries this onnxruntime build wants",
            )
        session._model_bytes = None  # kept for a fallback alone, and as large as the weights
        _check_ports(graph, "input", _promised_inputs(graph), session.get_inputs())
        _check_ports(graph, "output", _promised(graph.outputs), session.get_outputs())
        return cls(session, graph, variant, runtime, allowed_sizes(variant, graph))

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        session = self._session  # which `close` on another thread may take away
        if session is None:
            raise EngineFailed("the engine is closed")
        options = self._runtime.RunOptions()
        options.log_severity_level = _FATAL
        try:
            scalars = {name: inputs[name].reshape(shape) for name, shape in self._scalars.items()}
            feeds = {**inputs, **scalars}
            results = interruptible(
                lambda: session.run(self._outputs, feeds, options), lambda: setattr(options, "terminate", True)
            )
        except MemoryError as error:
            raise OutOfMemory("there is not enough memory to run the graph") from error
        except Exception as error:
            raise EngineFailed(f"ONNX Runtime failed: {_first_line(error)}") from error
        return dict(zip(self._outputs, results, strict=True))

    def allowed_sizes(self) -> tuple[SizeRange, ...]:
        return self._allowed_sizes

    def close(self) -> None:
        self._session = None

    def describe(self) -> RunningEngine:
        name = f"onnxruntime:{self._variant}" if self._variant else "onnxruntime"
        return RunningEngine(name, self._runtime.__version__, self._variant or "cpu", self.passed_over)


def native(variant: str) -> NativeEngine | None:
    """The processor's engine needs nothing of the Python package but the shared library in it."""
    os.environ.setdefault(TELEMETRY, "1")
    library = _package_library()
    return None if variant or library is None else NativeEngine("onnxruntime", library)


def plugin_engine(provider: str, plugin: Plugin) -> NativeEngine:
    """The engine of a provider that a plugin brings; whether the plugin has it is seen when it is opened.

    Raises EngineUnavailable where there is nothing to run it with.
    """
    from edgecodec_engines.onnxruntime_plugins import path_of_library, runtime_library

    return NativeEngine(f"onnxruntime:{provider}", runtime_library(), path_of_library(plugin.library), plugin.device)


def _package_library() -> Path | None:
    """ONNX Runtime's shared library, of a version that the native library takes, in the folder of the Python package.

    The package is looked up and not imported, which would take ten times as long as opening the library.
    """
    for library in _in_package("libonnxruntime.so.*"):
        version = re.fullmatch(r"libonnxruntime\.so\.(\d+)\.(\d+)\..*", library.name)
        if version is not None and (int(version[1]), int(version[2])) >= _OLDEST_NATIVE:
            return library
    return None


def _package_without_cuda() -> bool:
    return _package_library() is not None and not _in_package("libonnxruntime_providers_cuda*")


def _in_package(pattern: str) -> list[Path]:
    try:
        found = find_spec("onnxruntime")
    except (ImportError, ValueError):  # something else of that name is loaded or in the way
        return []
    folders = (found.submodule_search_locations or []) if found is not None else []
    return [file for folder in folders for file in sorted(Path(folder, "capi").glob(pattern))]


BACKEND = Backend(
    "onnxruntime",
    (
        Variant("", "cpu", auto_rank=2),
        Variant("cuda", "cuda", auto_rank=0, precision="fp16"),
        # It compiles for minutes at first use, so it has to be asked for.
        Variant("tensorrt", "tensorrt", auto_rank=None, precision="fp16"),
    ),
    OnnxRuntime,
    native,
    plugin_engine,
    modules=("onnxruntime",),
)


def import_runtime() -> Any:
    """The module `onnxruntime`, without telemetry unless the user has set its variable. Raises EngineUnavailable."""
    os.environ.setdefault(TELEMETRY, "1")
    try:
        onnxruntime = interruptible(lambda: import_module("onnxruntime"), lambda: None)
    except Exception as error:  # whatever it raises where its libraries are broken
        raise EngineUnavailable(
            f"ONNX Runtime cannot be imported: {_first_line(error)}",
            where="onnxruntime",
            hint="pip install 'edgecodec[ort]'",
        ) from error
    found = str(getattr(onnxruntime, "__version__", "without a version"))  # as a folder of that name is
    version = re.match(r"(\d+)\.(\d+)", found)
    if version is None or (int(version[1]), int(version[2])) < _OLDEST:
        raise EngineUnavailable(f"ONNX Runtime {found} is too old", where="onnxruntime", hint="install 1.18 or newer")
    return onnxruntime


def _cancel_loading(settings: Any) -> None:
    """End the making of a session with these `settings` at its next step, where ONNX Runtime can (1.21 and newer)."""
    if hasattr(settings, "set_load_cancellation_flag"):
        settings.set_load_cancellation_flag(True)


@contextmanager
def _silenced(runtime: Any) -> Iterator[None]:
    """While a session is made: a provider that fails to start logs past the session's settings, for the whole process.

    The severity of that logger cannot be read, so afterwards it has the default of ONNX Runtime.
    """
    runtime.set_default_logger_severity(_FATAL)
    try:
        yield
    finally:
        runtime.set_default_logger_severity(_WARNING)


def _source(runtime: Any, settings: Any, graph: Graph) -> bytes:
    """What a session is made of, and into `settings` the weights that it would look for in other files.

    ONNX Runtime is given memory alone, so that it opens no file by itself, whatever it finds in the graph, and computes
    with what was checked. It gets the weights as tensors, by name, like in native code: as contents of files, which it
    takes since 1.24, they would cost it twice as much.
    """
    if graph.weights:
        from edgecodec_engines.weights_in_memory import tensors_by_name

        tensors = dict(tensors_by_name(graph.data, graph.weights))
        values = [runtime.OrtValue.ortvalue_from_numpy(each) for each in tensors.values()]
        settings.add_external_initializers([*tensors], values)
    # Where it would look for weights that it was not given: in no folder, rather than in the current one.
    settings.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    settings.add_session_config_entry("session.load_model_format", "ONNX")
    return graph.data


def _promised(ports: Iterable[Port]) -> dict[str, str]:
    """By name, the type of each port in ONNX Runtime's words. A sequence, a map or an optional has another."""
    return {port.name: "tensor(uint8)" if port.is_image else "tensor(float)" for port in ports}


def _promised_inputs(graph: Graph) -> dict[str, str]:
    sizes = {graph.size: "tensor(int64)"} if graph.size else {}
    return {**_promised(graph.inputs), **dict.fromkeys(graph.scalars, "tensor(float)"), **sizes}


def _check_ports(graph: Graph, role: str, promised: dict[str, str], found: Any) -> None:
    types = {port.name: port.type for port in found}
    if types.keys() != promised.keys():
        raise EngineFailed(
            f"the index promises {role}s {sorted(promised)}, the graph has {sorted(types)}", where=graph.path.name
        )
    for name, kind in promised.items():
        if types[name] != kind:
            raise EngineFailed(f"{role} {name!r} is {types[name]}, not {kind}", where=graph.path.name)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
