"""Graphs of a bundle on an engine: each checked and loaded once, when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from edgecodec.bundle import Bundle
from edgecodec.engine import Engine, Graph, Options, Port
from edgecodec.engine_registry import open_engine
from edgecodec.entropy_model import LatentSpec
from edgecodec.manifest import AnalysisGraph, SynthesisGraph


class LoadedGraphs:
    """May be used by several threads at a time. Every call raises EngineUnavailable, EngineFailed, BundleChanged,
    BadModel, LimitExceeded.

    low_memory: as engines have it. A graph is loaded once only: where it is first wanted fast and then with low memory,
    it stays so from then on.
    """

    def __init__(self, bundle: Bundle, engine: str, options: Options) -> None:
        self._bundle = bundle
        self._engine_name = engine
        self._options = options
        self._engines: dict[str, Engine] = {}
        self._low_memory: set[str] = set()
        self._users = 0
        self._retired: list[Engine] = []
        # A signal handler may close what the code that it interrupted is loading.
        self._lock = threading.RLock()

    def analysis(self, graph: AnalysisGraph, *, low_memory: bool = False) -> Engine:
        return self._engine(
            graph.file,
            low_memory,
            (Port(graph.input, 3, 1),),
            _ports(self._bundle.info.encoder_latents, graph.outputs),
            scalars=tuple(graph.scalars),
            size=graph.size_input,
        )

    def synthesis(self, graph: SynthesisGraph, *, low_memory: bool = False) -> Engine:
        inputs = _ports(self._bundle.info.decoder_latents, graph.inputs)
        if graph.noise is not None:
            inputs += (Port(graph.noise.input, graph.noise.channels, graph.noise.stride),)
        return self._engine(graph.file, low_memory, inputs, (Port(graph.output, 3, 1),))

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Engines that are handed out in here work until its end, also where another thread calls `close`."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._close_retired()

    def close(self) -> None:
        """Release the engines, those in use as soon as they are not. A later call loads what it needs again."""
        with self._lock:
            self._retired += self._engines.values()
            self._engines.clear()
            self._low_memory.clear()
            self._close_retired()

    def _close_retired(self) -> None:
        while self._retired and not self._users:
            self._retired.pop().close()

    def _engine(
        self,
        file: str,
        low_memory: bool,
        inputs: tuple[Port, ...],
        outputs: tuple[Port, ...],
        *,
        scalars: tuple[str, ...] = (),
        size: str | None = None,
    ) -> Engine:
        with self._lock:
            if low_memory and file not in self._low_memory:
                if file in self._engines:
                    self._retired.append(self._engines.pop(file))
                self._low_memory.add(file)
            if file not in self._engines:
                data, weights = self._bundle.graph(file)
                graph = Graph(self._bundle.root / file, data, inputs, outputs, scalars, size, weights)
                options = replace(self._options, low_memory=file in self._low_memory)
                self._engines[file] = open_engine(self._engine_name, graph, options)
            return self._engines[file]


def _ports(latents: Iterable[LatentSpec], names: Mapping[str, str]) -> tuple[Port, ...]:
    return tuple(Port(names[latent.name], latent.channels, latent.stride) for latent in latents if latent.name in names)
