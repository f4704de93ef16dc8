"""Inference engines by name. A named engine is that engine or an error; only `auto` chooses, and says how it chose."""

from __future__ import annotations

import difflib
from importlib import import_module

from edgecodec.engine import Description, Engine, Graph, Options, Port
from edgecodec.errors import EngineError, EngineUnavailable, InvalidArgument

__all__ = ["AUTO", "NAMES", "Description", "Engine", "Graph", "Options", "Port", "open_engine", "require_engine"]

AUTO = "auto"

#: Where each backend lives: the module is imported when it is asked for.
_BACKENDS = {"onnxruntime": "OnnxRuntime", "stub": "Stub"}

#: Every name that can be asked for.
NAMES = (AUTO, "onnxruntime", "onnxruntime:cuda", "onnxruntime:tensorrt", "stub")

#: What `auto` tries, fastest first. The TensorRT provider compiles for minutes at first use, so it has to be asked for.
_PREFERENCE = ("onnxruntime:cuda", "onnxruntime")


def require_engine(name: str) -> None:
    """Fail early, before any graph is read. Raises InvalidArgument for an unknown name, EngineUnavailable."""
    if name not in NAMES:
        nearest = difflib.get_close_matches(name, NAMES, n=1)
        raise InvalidArgument(
            f"there is no engine {name!r}",
            hint=f"did you mean {nearest[0]!r}?" if nearest else f"the engines are {', '.join(NAMES)}",
        )
    if name != AUTO:
        backend, variant = _backend(name)
        backend.require(variant)


def open_engine(name: str, graph: Graph, options: Options) -> Engine:
    """Load `graph` on the engine called `name`. Raises InvalidArgument, EngineUnavailable, EngineFailed."""
    require_engine(name)
    if name != AUTO:
        backend, variant = _backend(name)
        return backend.load(graph, variant, options)
    passed_over: list[tuple[str, str]] = []
    for candidate in _PREFERENCE:
        try:
            engine = open_engine(candidate, graph, options)
        except EngineError as error:
            passed_over.append((candidate, error.message))
            cause = error
        else:
            engine.passed_over = tuple(passed_over)
            return engine
    raise EngineUnavailable(
        "no engine can be used: " + "; ".join(f"{tried}: {why}" for tried, why in passed_over),
        where=AUTO,
        hint=cause.hint,
    ) from cause


def _backend(name: str) -> tuple[type[Engine], str]:
    module, _, variant = name.partition(":")
    backend: type[Engine] = getattr(import_module(f"edgecodec_engines.{module}"), _BACKENDS[module])
    return backend, variant
