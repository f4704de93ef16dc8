"""Which engines work here: each loads and runs a graph of one node, in a process of its own.

An engine that runs only what was prepared for it, like plans, has nothing to run; loading its library has to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

from edgecodec import engine_registry
from edgecodec.child_process import ChildFailed, call_in_child
from edgecodec.engine import Graph, Options, Port
from edgecodec.errors import EdgecodecError

#: y = Relu(x), float32 (1, 1, rows, columns), of opset 18.
_RELU = bytes.fromhex(
    "08083a510a0c0a0178120179220452656c7512037472795a1d0a017812180a16080112120a0208010a0208010a031201720a03120163"
    "621d0a017912180a16080112120a0208010a0208010a031201720a0312016342040a001012"
)
GRAPH = Graph(Path("relu.onnx"), _RELU, (Port("x", 1, 8),), (Port("y", 1, 8),))

_USABLE: dict[str, Any] = {"usable": True, "problem": None, "hint": None}


@dataclass(frozen=True)
class EngineState:
    """usable: whether it ran, or could with what it needs. needs: of each bundle, like a plan; None for nothing.

    version, device: of what ran; where something is needed, the kind of device alone. problem, hint: why it is not
    usable. seconds: until then, the start of the process and the import of the engine's library included.
    """

    name: str
    usable: bool
    version: str | None
    device: str | None
    problem: str | None
    hint: str | None
    seconds: float
    needs: str | None = None


def engine_states(patience: float) -> tuple[EngineState, ...]:
    """Of every engine that can be named, in the order of the help. patience: seconds for each."""
    return states_of(_names(), patience)


def states_of(names: Iterable[str], patience: float) -> tuple[EngineState, ...]:
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="edgecodec-doctor") as workers:
        return tuple(workers.map(lambda name: _state(name, patience), names))


def _names() -> list[str]:
    own = [name for name in engine_registry.engine_names() if name != engine_registry.AUTO]
    offered = {entry.name for entry in metadata.entry_points(group=engine_registry.ENTRY_POINTS)}
    return [*own, *sorted(offered.difference(own))]


def _state(name: str, patience: float) -> EngineState:
    start = perf_counter()
    try:
        found = call_in_child(f"{__name__}:try_engine", name, patience=patience)
    except ChildFailed as failure:
        found = _unusable(str(failure), "run a program that uses this engine alone, and look at what it says")
    return EngineState(name, **found, seconds=round(perf_counter() - start, 3))


def try_engine(name: str) -> dict[str, Any]:
    """The fields of an EngineState but for name and seconds. To be called in a child."""
    import numpy as np

    try:
        engine_registry.require_engine(name)
        needs, device = engine_registry.preparation(name)
        if needs:
            return {**_USABLE, "version": None, "device": device, "needs": needs}
        with closing(engine_registry.open_engine(name, GRAPH, Options(threads=1))) as engine:
            result = engine.run({"x": np.full((1, 1, 8, 8), -1, np.float32)})["y"]
            running = engine.describe()
    except EdgecodecError as error:
        return _unusable(error.message, error.hint)
    if np.any(result != 0):
        return _unusable("computes something else than was asked", "use another engine on this device")
    return {**_USABLE, "version": running.version, "device": running.device}


def _unusable(problem: str, hint: str | None) -> dict[str, Any]:
    return {"usable": False, "version": None, "device": None, "problem": problem, "hint": hint}
