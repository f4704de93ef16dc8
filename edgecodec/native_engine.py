"""The engine that the native library finds and runs itself: ONNX Runtime, without its Python package being imported."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from edgecodec import interface, native
from edgecodec.description import BakedGraph
from edgecodec.engine import NativeEngine, Ran, RunningEngine
from edgecodec.interruptible import interruptible
from edgecodec.job import Job


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

    def run(self, job: Job) -> Ran:
        """Run all steps of a job. Raises what `Job.run` does.

        An interrupt ends the engine's work at its next node.
        """
        interruptible(job.run, self._cancel)
        found = job.engine()
        return Ran(lambda number: self._running(found, number))

    def load(self, number: int, *, low_memory: bool = False) -> RunningEngine:
        """Load a graph before it is needed. Raises EngineUnavailable, EngineFailed, OutOfMemory, BundleChanged.

        An interrupt ends it as it does in `run`.
        """
        load, found = native.library().ec_core_codec_load, interface.RunningEngine()
        arguments = self._codec.value, number, int(low_memory), ctypes.byref(found)
        interruptible(lambda: native.call(load, *arguments), self._cancel)
        return self._running(found, number)

    def close(self) -> None:
        """Release the graphs, those in use as soon as they are not. A later call loads what it needs again."""
        native.library().ec_core_codec_unload(self._codec.value)

    def _running(self, found: interface.RunningEngine, number: int) -> RunningEngine:
        return RunningEngine(
            self._engine.name,
            found.version.decode(),
            found.device.decode(),
            self._passed_over,
            self._precisions[number],
        )

    def _cancel(self) -> None:
        native.library().ec_codec_cancel(self._codec.value)
