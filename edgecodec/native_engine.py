"""The engine that the native library finds and runs itself: ONNX Runtime, without its Python package being imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgecodec import interface, native
from edgecodec.description import BakedGraph
from edgecodec.engine import NativeEngine, Ran, RunningEngine
from edgecodec.interruptible import interruptible
from edgecodec.job import Job

if TYPE_CHECKING:
    from edgecodec.steps import Parts


class NativeGraphs:
    """Graphs of a codec that has its own engine. May be used by several threads at a time."""

    def __init__(
        self,
        codec: native.Owned,
        engine: NativeEngine,
        passed_over: tuple[tuple[str, str], ...],
        graphs: Sequence[BakedGraph],
    ) -> None:
        """graphs: those of the bundle."""
        self._codec = codec
        self._precisions = [graph.precision for graph in graphs]
        self._engine = engine
        self._passed_over = passed_over

    @property
    def engine_name(self) -> str:
        return self._engine.name

    def run(self, job: Job, progress: Parts | None = None) -> Ran:
        """Run all steps of a job. Raises what `Job.run` does.

        An interrupt ends the engine's work on this job at its next node. progress: is told how far it has come, by this
        thread, a few times a second.
        """
        found = self._run(job, progress)
        return Ran(lambda number: self._running(found, number))

    def load(self, number: int, *, low_memory: bool = False) -> RunningEngine:
        """Load a graph before it is needed. Raises EngineUnavailable, EngineFailed, OutOfMemory, BundleChanged.

        An interrupt ends it as it does in `run`.
        """
        return self._running(self._run(Job.load(self._codec, number, low_memory)), number)

    def close(self) -> None:
        """Release the graphs, those in use as soon as they are not. A later call loads what it needs again."""
        native.library().ec_core_codec_unload(self._codec.value)

    def _run(self, job: Job, progress: Parts | None = None) -> interface.RunningEngine:
        look = None if progress is None else _telling(job, progress)
        interruptible(job.run, job.cancel, look)
        if look is not None:
            look()
        return job.engine()

    def _running(self, found: interface.RunningEngine, number: int) -> RunningEngine:
        return RunningEngine(
            self._engine.name,
            found.version.decode(),
            found.device.decode(),
            self._passed_over,
            self._precisions[number],
        )


def _telling(job: Job, progress: Parts) -> Callable[[], None]:
    """Tells how far a job has come, where that has changed."""
    told = (0, 0)

    def look() -> None:
        nonlocal told
        found = job.progress()
        if found != told:
            told = found
            progress(*found)

    return look
