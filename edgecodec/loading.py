"""Graphs of a bundle on an engine of Python's: each checked and loaded once, when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from edgecodec import description
from edgecodec.bundle import Bundle
from edgecodec.description import SINGLE, BakedGraph, Model
from edgecodec.engine import Copies, Engine, Graph, Options, Port, Ran, RunningEngine
from edgecodec.engine_outputs import require_output
from edgecodec.engine_registry import open_engine, preferred_precision
from edgecodec.job import DTYPES, Job, shape_of

if TYPE_CHECKING:
    from edgecodec.steps import Parts


class LoadedGraphs:
    """May be used by several threads at a time. Every call raises EngineUnavailable, EngineFailed, BundleChanged,
    BadModel, LimitExceeded.

    low_memory: as engines have it. A graph is loaded once only: where it is first wanted fast and then with low memory,
    it stays so from then on.
    """

    def __init__(self, bundle: Bundle, engine: str, options: Options, *, chosen_by_engine: bool = False) -> None:
        """chosen_by_engine: whether nobody named the precision of decoders. Then one for GPUs is not run on a processor
        where `auto` ends up on that after all: the same decoder in fp32 is.
        """
        self._bundle = bundle
        self.engine_name = engine
        self._options = options
        self._chosen_by_engine = chosen_by_engine
        self._engines: dict[int, Engine] = {}
        self._low_memory: set[int] = set()
        self._taken: dict[int, int] = {}  # the place of another graph, by that graph
        self._users = 0
        self._retired: list[Engine] = []
        # A signal handler may close what the code that it interrupted is loading.
        self._lock = threading.RLock()

    def run(self, job: Job, progress: Parts | None = None) -> Ran:
        """Run all steps of a job. Raises OutOfMemory and OutOfRange too.

        progress: is told how far it has come, by this thread.
        """
        import numpy as np

        engines = {}
        upload = download = 0.0
        with self.in_use():
            while step := job.next(progress):
                graph = step.graph.contents
                inputs = step.inputs[: step.input_count]
                shapes = {each.name.decode(): shape_of(each) for each in inputs}
                engine = self.engine(graph.number, low_memory=bool(step.low_memory), shapes=shapes)
                if graph.number not in engines and not job.fit(engine.allowed_sizes()):
                    continue
                engines[graph.number] = engine
                outputs = engine.run({each.name.decode(): job.array(each) for each in inputs})
                copies = engine.copies()
                upload, download = upload + copies.upload, download + copies.download
                taken = []  # until the next step has been asked for
                for i in range(step.output_count):
                    wanted = step.outputs[i]
                    found = require_output(
                        outputs, wanted.name.decode(), DTYPES[wanted.type], shape_of(wanted), graph.file.decode()
                    )
                    taken.append(np.ascontiguousarray(found))
                    wanted.data = taken[i].ctypes.data
            running = {number: self._describe(number, engine) for number, engine in engines.items()}
            return Ran(running.__getitem__, Copies(upload, download))

    def load(self, number: int, *, low_memory: bool = False) -> RunningEngine:
        """Load a graph before it is needed."""
        return self._describe(number, self.engine(number, low_memory=low_memory))

    def engine(
        self, number: int, *, low_memory: bool = False, shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> Engine:
        """The graph of this number among those of the bundle, loaded. shapes: of its inputs, for when it is loaded."""
        with self._lock:
            if low_memory and number not in self._low_memory:
                if number in self._engines:
                    self._retired.append(self._engines.pop(number))
                self._low_memory.add(number)
            if number not in self._engines:
                options = replace(self._options, low_memory=number in self._low_memory, shapes=shapes or {})
                self._engines[number] = self._open(number, options)
            return self._engines[number]

    def _open(self, number: int, options: Options) -> Engine:
        engine = open_engine(self.engine_name, graph_of(self._bundle, number), options)
        self._taken.pop(number, None)
        in_single = self._in_single(number)
        if in_single == number or preferred_precision(engine.describe().name) != SINGLE:
            return engine
        engine.close()
        self._taken[number] = in_single
        return open_engine(self.engine_name, graph_of(self._bundle, in_single), options)

    def _in_single(self, number: int) -> int:
        """The number of the graph that may take another's place on a processor; that of the graph itself for none.

        Graphs that differ in precision alone have the same inputs and outputs.
        """
        graphs = self._bundle.info.graphs
        if not self._chosen_by_engine or graphs[number].side == "encode":
            return number
        wanted = (graphs[number].model, "decode", graphs[number].knobs, SINGLE)
        found = (i for i, each in enumerate(graphs) if (each.model, each.side, each.knobs, each.precision) == wanted)
        return next(found, number)

    def _describe(self, number: int, engine: Engine) -> RunningEngine:
        graph = self._bundle.info.graphs[self._taken.get(number, number)]
        return replace(engine.describe(), precision=graph.precision)

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
