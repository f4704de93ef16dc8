"""Graphs of a bundle on an engine: each proven and loaded once, when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace

from edgecodec.backends import Engine, Graph, Options, Port, open_engine
from edgecodec.bundle import Bundle
from edgecodec.entropy import LatentSpec
from edgecodec.manifest import AnalysisGraph, SynthesisGraph


class LoadedGraphs:
    """May be used by several threads at a time. Every call raises EngineUnavailable, EngineFailed, BundleChanged,
    BadModel.

    frugal: as engines have it. A graph is loaded once only: where it is first wanted fast and then frugal, it stays
    frugal from then on.
    """

    def __init__(self, bundle: Bundle, engine: str, options: Options) -> None:
        self._bundle = bundle
        self._engine_name = engine
        self._options = options
        self._engines: dict[str, Engine] = {}
        self._frugal: set[str] = set()
        self._loading = threading.Lock()

    def analysis(self, graph: AnalysisGraph, *, frugal: bool = False) -> Engine:
        return self._engine(
            graph.file,
            frugal,
            (Port(graph.input, 3, 1),),
            _ports(self._bundle.info.encoder_latents, graph.outputs),
            scalars=tuple(graph.scalars),
            size=graph.size_input,
        )

    def synthesis(self, graph: SynthesisGraph, *, frugal: bool = False) -> Engine:
        inputs = _ports(self._bundle.info.decoder_latents, graph.inputs)
        if graph.noise is not None:
            inputs += (Port(graph.noise.input, graph.noise.channels, graph.noise.stride),)
        return self._engine(graph.file, frugal, inputs, (Port(graph.output, 3, 1),))

    def close(self) -> None:
        """Release the engines. A later call loads what it needs again."""
        with self._loading:
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()
            self._frugal.clear()

    def _engine(
        self,
        file: str,
        frugal: bool,
        inputs: tuple[Port, ...],
        outputs: tuple[Port, ...],
        *,
        scalars: tuple[str, ...] = (),
        size: str | None = None,
    ) -> Engine:
        with self._loading:
            if frugal and file not in self._frugal:
                # Not closed: another thread may be running it. Its memory goes with the last who does.
                self._engines.pop(file, None)
                self._frugal.add(file)
            if file not in self._engines:
                path, weights = self._bundle.checked_graph(file)
                graph = Graph(path, inputs, outputs, scalars, size, weights)
                options = replace(self._options, frugal=file in self._frugal)
                self._engines[file] = open_engine(self._engine_name, graph, options)
            return self._engines[file]


def _ports(latents: Iterable[LatentSpec], names: Mapping[str, str]) -> tuple[Port, ...]:
    return tuple(Port(names[latent.name], latent.channels, latent.stride) for latent in latents if latent.name in names)
