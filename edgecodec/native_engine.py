"""The engine that the native library finds and runs itself: ONNX Runtime, without its Python package being imported."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from edgecodec import interface, native
from edgecodec.engine import NativeEngine, RunningEngine
from edgecodec.interruptible import interruptible
from edgecodec.job import Job


class NativeGraphs:
    """Graphs of a codec that has its own engine. May be used by several threads at a time."""

    def __init__(self, codec: native.Owned, engine: NativeEngine, passed_over: tuple[tuple[str, str], ...]) -> None:
        self._codec = codec
        self._engine = engine
        self._passed_over = passed_over

    def run(self, job: Job) -> Callable[[int], RunningEngine]:
        """Run all steps of a job. Returns what tells which engine ran a graph, by its number in the bundle.

        Raises what `Job.run` does. An interrupt ends the engine's work at its next node.
        """
        interruptible(job.run, self._cancel)
        return self.load

    def load(self, number: int, *, low_memory: bool = False) -> RunningEngine:
        """Load a graph before it is needed. Raises EngineUnavailable, EngineFailed, OutOfMemory, BundleChanged."""
        running, load = interface.RunningEngine(), native.library().ec_core_codec_load
        native.call(load, self._codec.value, number, int(low_memory), ctypes.byref(running))
        return RunningEngine(self._engine.name, running.version.decode(), running.device.decode(), self._passed_over)

    def close(self) -> None:
        """Release the graphs, those in use as soon as they are not. A later call loads what it needs again."""
        native.library().ec_core_codec_unload(self._codec.value)

    def _cancel(self) -> None:
        native.library().ec_codec_cancel(self._codec.value)
