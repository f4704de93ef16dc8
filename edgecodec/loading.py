"""Graphs of a bundle on an engine of Python's: each checked and loaded once, when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from edgecodec import description
from edgecodec.bundle import Bundle
from edgecodec.description import BakedGraph, Model
from edgecodec.engine import Engine, Graph, Options, Port, RunningEngine
from edgecodec.engine_outputs import require_output
from edgecodec.engine_registry import open_engine
from edgecodec.job import DTYPES, Job, shape_of


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
        self._engines: dict[int, Engine] = {}
        self._low_memory: set[int] = set()
        self._users = 0
        self._retired: list[Engine] = []
        # A signal handler may close what the code that it interrupted is loading.
        self._lock = threading.RLock()

    def run(self, job: Job) -> Callable[[int], RunningEngine]:
        """Run all steps of a job. Returns what tells which engine ran a graph, by its number in the bundle.

        Raises OutOfMemory and OutOfRange too.
        """
        import numpy as np

        engines = {}
        with self.in_use():
            while step := job.next():
                graph = step.graph.contents
                engine = self.engine(graph.number, low_memory=bool(step.low_memory))
                if graph.number not in engines and not job.fit(engine.allowed_sizes()):
                    continue
                engines[graph.number] = engine
                outputs = engine.run({each.name.decode(): job.array(each) for each in step.inputs[: step.input_count]})
                taken = []  # until the next step has been asked for
                for i in range(step.output_count):
                    wanted = step.outputs[i]
                    found = require_output(
                        outputs, wanted.name.decode(), DTYPES[wanted.type], shape_of(wanted), graph.file.decode()
                    )
                    taken.append(np.ascontiguousarray(found))
                    wanted.data = taken[i].ctypes.data
            return {number: engine.describe() for number, engine in engines.items()}.__getitem__

    def load(self, number: int, *, low_memory: bool = False) -> RunningEngine:
        """Load a graph before it is needed."""
        return self.engine(number, low_memory=low_memory).describe()

    def engine(self, number: int, *, low_memory: bool = False) -> Engine:
        """The graph of this number among those of the bundle, loaded."""
        with self._lock:
            if low_memory and number not in self._low_memory:
                if number in self._engines:
                    self._retired.append(self._engines.pop(number))
                self._low_memory.add(number)
            if number not in self._engines:
                options = replace(self._options, low_memory=number in self._low_memory)
                self._engines[number] = open_engine(self._engine_name, graph_of(self._bundle, number), options)
            return self._engines[number]

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


def graph_of(bundle: Bundle, number: int) -> Graph:
    """The graph of this number among those of a bundle, as engines take it. Raises BundleChanged, BadModel,
    LimitExceeded.
    """
    graph = bundle.info.graphs[number]
    model = bundle.info.models[graph.model]
    contents = bundle.graph(number)
    return Graph(
        path=contents.path,
        data=contents.data,
        inputs=_ports(graph.inputs, graph, model),
        outputs=_ports(graph.outputs, graph, model),
        scalars=tuple(port.name for port in graph.inputs if port.role == "knob"),
        size=next((port.name for port in graph.inputs if port.role == "size"), None),
        weights=contents.weights,
        precision=graph.precision,
    )


def _ports(ports: tuple[description.Port, ...], graph: BakedGraph, model: Model) -> tuple[Port, ...]:
    """Those that carry images, latents and noise, as engines have them."""
    latents = model.encoder_latents if graph.side == "encode" else model.decoder_latents
    sizes = {("latent", latent.name): (latent.channels, latent.stride) for latent in latents}
    sizes["image", ""] = (3, 1)
    if model.noise is not None:
        sizes["noise", ""] = (model.noise.channels, model.noise.stride)
    return tuple(Port(port.name, *sizes[port.role, port.of]) for port in ports if (port.role, port.of) in sizes)
