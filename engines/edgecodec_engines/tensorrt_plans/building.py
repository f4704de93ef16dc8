"""Building plans, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

from edgecodec.child_process import START, path_of_modules
from edgecodec.engine import Graph
from edgecodec.errors import CannotWrite, EngineFailed, EngineUnavailable, OutOfMemory
from edgecodec_engines.tensorrt_plans.builder_process import GRAPH, MODEL, PLAN, REQUEST, TIMINGS
from edgecodec_engines.tensorrt_plans.plan_cache import Plan, PlanCache
from edgecodec_engines.tensorrt_plans.plan_key import ANY, PlanKey
from edgecodec_engines.tensorrt_plans.tensorrt_module import TENSORRT_RTX, title

#: Seconds between two reports where TensorRT itself says nothing.
HEARTBEAT = 10.0

_PROGRAM = START + "from edgecodec_engines.tensorrt_plans.builder_process import main; main(*sys.argv[1:])"
_BLOCK = 1 << 16  # bytes
_LOG = "log"


@dataclass(frozen=True)
class Progress:
    """seconds: since the process was started. phase: what TensorRT says it does, or "". share: of that, 0 to 1."""

    seconds: float
    phase: str = ""
    share: float = 0.0


@dataclass(frozen=True)
class Built:
    """warnings: TensorRT's own. seconds: that building took. layers: of the network. memory: the largest that the
    process took, in bytes.
    """

    plan: Plan
    warnings: tuple[str, ...]
    seconds: float
    layers: int
    memory: int


def build(
    cache: PlanCache,
    key: PlanKey,
    graph: Graph,
    about: Mapping[str, Any],
    *,
    limit: float | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Built:
    """Build the plan with this key for a graph, and store it in the cache.

    about: kept beside the plan. limit: seconds after which the builder is ended. report: called at every phase of the
    builder, and after HEARTBEAT seconds in which it said nothing.

    Whatever ends this call ends the process too, and leaves nothing half-written. Raises EngineUnavailable where
    Polygraphy is not installed, EngineFailed where TensorRT refuses the graph or its builder crashes or takes too long,
    OutOfMemory where the system ended the builder, CannotWrite, CannotRead.
    """
    if find_spec("polygraphy") is None:
        raise EngineUnavailable(
            "build needs polygraphy, which is not installed", hint="pip install 'edgecodec[tensorrt]'"
        )
    start = monotonic()
    with cache.work_folder() as work:
        _lay_out(work, cache, key, graph)
        process = _BuilderProcess(work, key, graph.path.name)
        facts = process.run(start, limit, report)
        seconds = monotonic() - start
        plan = cache.store(key, work / PLAN, {**about, "seconds": round(seconds, 1), **facts})
        with contextlib.suppress(OSError):  # the next build measures again
            os.replace(work / TIMINGS, _timings(cache, key))
    return Built(plan, tuple(process.warnings), seconds, facts["layers"], facts["memory"])


def _timings(cache: PlanCache, key: PlanKey) -> Path:
    """What TensorRT has measured so far on this target, for builds to come."""
    return cache.timings(key.tensorrt, key.target)


def _lay_out(work: Path, cache: PlanCache, key: PlanKey, graph: Graph) -> None:
    """Write what the process needs. The bytes are those that were checked, whatever has become of the bundle."""
    portable = key.target.device == ANY if key.tensorrt.name == TENSORRT_RTX else None
    request = {
        "tensorrt": key.tensorrt.name,
        "portable": portable,
        "workspace": key.options.workspace,
        "profile": {name: asdict(each) for name, each in key.profile.items()},
    }
    try:
        for name, contents in graph.weights.items():
            path = work / MODEL / name
            if ".." in path.parts or not path.is_relative_to(work / MODEL):
                raise EngineFailed(f"the graph has weights in {name!r}", where=graph.path.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)
        (work / MODEL).mkdir(exist_ok=True)
        (work / GRAPH).write_bytes(graph.data)
        (work / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        with contextlib.suppress(FileNotFoundError):
            (work / TIMINGS).write_bytes(_timings(cache, key).read_bytes())
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(cache.folder)) from error


class _BuilderProcess:
    """warnings: what TensorRT warned of."""

    def __init__(self, work: Path, key: PlanKey, graph: str) -> None:
        self.warnings: list[str] = []
        self._work = work
        self._key = key
        self._graph = graph

    def run(self, start: float, limit: float | None, report: Callable[[Progress], None]) -> dict[str, Any]:
        """Its facts. The process has ended when this returns or raises."""
        latest = Progress(0.0)
        error = facts = None
        with self._started() as (process, pipe):
            for line in _lines(pipe, HEARTBEAT if limit is None else min(HEARTBEAT, limit)):
                seconds = monotonic() - start
                if limit is not None and seconds > limit:
                    raise EngineFailed(
                        f"TensorRT was not done after {seconds:.0f} seconds",
                        where=self._graph,
                        hint="give it --minutes",
                    )
                if line is None or "phase" in line:
                    said = line or {"phase": latest.phase, "share": latest.share}
                    latest = Progress(seconds, **said)
                    report(latest)
                elif "warning" in line:
                    self.warnings.append(line["warning"])
                else:
                    error, facts = line.get("error"), line.get("facts")
            status = process.wait()
        if status == 0 and facts is not None:
            return dict(facts)
        raise self._failure(status, error)

    @contextlib.contextmanager
    def _started(self) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """The process, and the end of the pipe on which it speaks. It is killed at the end, if it still runs."""
        flavour = "1" if self._key.tensorrt.name == TENSORRT_RTX else "0"
        reading, writing = os.pipe()
        process = None
        try:
            with open(self._work / _LOG, "wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, path_of_modules(), str(self._work), str(writing)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[writing],
                    # Away from the terminal's signals, which are this process's to answer.
                    start_new_session=True,
                    env={**os.environ, "POLYGRAPHY_USE_TENSORRT_RTX": flavour, "POLYGRAPHY_AUTOINSTALL_DEPS": "0"},
                )
            os.close(writing)
            writing = -1
            yield process, reading
        finally:
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                assert process.stdin is not None
                process.stdin.close()
            for descriptor in {reading, writing} - {-1}:
                os.close(descriptor)

    def _failure(self, status: int, error: str | None) -> Exception:
        if status == -signal.SIGKILL:
            return OutOfMemory(
                "the system ended TensorRT's builder, most likely for memory",
                where=self._graph,
                hint="give --workspace, or a smaller --max",
            )
        # Graphs with quantised weights are known to fail on Orin: NVIDIA/TensorRT, number 4832.
        hint = "use --precision fp16" if self._key.precision == "int8" else None
        name = title(self._key.tensorrt)
        if status < 0:
            ended = signal.Signals(-status).name
            return EngineFailed(f"{name} crashed while building ({ended})", where=self._graph, hint=hint)
        said = error or self._last_words()
        return EngineFailed(f"{name} builds no plan of the graph: {said}", where=self._graph, hint=hint)

    def _last_words(self) -> str:
        lines = (self._work / _LOG).read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _lines(pipe: int, patience: float) -> Iterator[dict[str, Any] | None]:
    """Lines of JSON from a pipe, until its other end is closed; None whenever there was none for so many seconds."""
    rest = b""
    while True:
        if not select.select([pipe], [], [], patience)[0]:
            yield None
            continue
        block = os.read(pipe, _BLOCK)
        if not block:
            return
        *lines, rest = (rest + block).split(b"\n")
        yield from map(json.loads, lines)
