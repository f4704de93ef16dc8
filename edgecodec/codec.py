"""Pictures to coded files and back: one bundle, one entropy model, one engine call per picture."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from edgecodec import container, files, knobs
from edgecodec.bundle import AnalysisGraph, Bundle, BundleInfo, Knobs, SynthesisGraph
from edgecodec.container import Container, FileInfo
from edgecodec.engines import Engine, Graph, Options, open_engine, require_engine
from edgecodec.engines.base import Description, Port
from edgecodec.entropy import EntropyModel, Latents, LatentSpec
from edgecodec.errors import EdgecodecError, EngineFailed, InvalidArgument, KnobUnavailable, ModelMismatch, OutOfRange
from edgecodec.limits import Limits
from edgecodec.padding import Pixels, crop, pad

if TYPE_CHECKING:
    from edgecodec.picture import AlphaChannel, Picture

_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class Timings:
    """Seconds spent on one picture. rest: cropping, padding and whatever else is not named."""

    parse: float
    entropy: float
    engine: float
    rest: float

    @property
    def total(self) -> float:
        return self.parse + self.entropy + self.engine + self.rest


@dataclass(frozen=True)
class Decoded:
    """pixels: uint8 (height, width, 3), or (height, width) when greyscale. icc, exif, xmp: bytes as stored, or None."""

    pixels: Pixels
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    info: FileInfo
    timings: Timings


@dataclass(frozen=True)
class Encoded:
    """data: the coded picture. latents: what the encoder graph gave, (channels, rows, columns) by name.

    notes: what had to be changed in the picture before it could be coded.
    """

    data: bytes
    latents: Latents
    info: FileInfo
    timings: Timings
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Parsed:
    """A picture between the entropy stage and the engine."""

    file: Container
    latents: Latents
    parse: float
    entropy: float


def open_bundle(
    path: str | os.PathLike[str],
    engine: str = "auto",
    alpha: float | None = None,
    beta: float | None = None,
    precision: str | None = None,
    limits: Limits | None = None,
    threads: int | None = None,
) -> Codec:
    """Open a bundle for decoding and encoding.

    engine: one of edgecodec.engines.NAMES; a named engine is that engine or an error. alpha, beta: knobs as exported,
    None for the bundle's defaults. precision: "fp32", "fp16", ... or None for the bundle's first. threads: processor
    threads of the engine and the entropy model, None for all that this process may use. Graphs are loaded when they are
    first needed.

    Raises NotABundle, BundleChanged, BadModel, UnsupportedVersion, KnobUnavailable, EngineUnavailable, InvalidArgument.
    """
    if threads is not None and threads < 1:
        raise InvalidArgument(f"threads is {threads}", hint="give 1 or more")
    require_engine(engine)
    asked = {name: value for name, value in (("alpha", alpha), ("beta", beta)) if value is not None}
    return Codec(Bundle(path), engine, asked, precision, limits or Limits(), threads)


class Codec:
    """An opened bundle; `open_bundle` makes it. May be used by several threads at a time. A context manager.

    info: the bundle's manifest.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str,
        asked: Knobs,
        precision: str | None,
        limits: Limits,
        threads: int | None,
    ) -> None:
        self.info: BundleInfo = bundle.info
        self._bundle = bundle
        self._engine_name = engine
        self._asked = asked
        self._limits = limits
        self._options = Options(threads)
        self._entropy_threads = threads or _usable_processors()
        self._graphs = knobs.with_precision(bundle.info.synthesis, precision)
        self._default_graph = knobs.choose(self._graphs, asked, bundle.info.default_knobs)
        self._model: EntropyModel = bundle.entropy_model()
        self._engines: dict[str, Engine] = {}
        self._loading = threading.Lock()

    def __enter__(self) -> Codec:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the engines. A later call loads what it needs again."""
        with self._loading:
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()

    def describe_engine(self, role: Literal["decoder", "encoder"] = "decoder") -> Description:
        """The engine of the default decoder or of the encoder, loaded if it is not yet.

        Raises EngineUnavailable, EngineFailed, BundleChanged, and KnobUnavailable if the bundle holds no encoder.
        """
        if role == "encoder":
            return self._analysis(self._analysis_graph()).describe()
        return self._synthesis(self._default_graph).describe()

    def decode(self, source: files.Source, alpha: float | None = None) -> Decoded:
        """Decode one file given as path, bytes or open file; alpha overrides the codec's for this picture.

        Raises NotEdgc, Corrupt, LatentsDiffer, UnsupportedVersion, ModelMismatch, LimitExceeded, OutOfMemory,
        CannotRead, KnobUnavailable, EngineUnavailable, EngineFailed.
        """
        return self._paint(self._parse(source), self._graph(alpha))

    @overload
    def decode_many(self, sources: Iterable[files.Source], alpha: float | None = None) -> Iterator[Decoded]: ...

    @overload
    def decode_many(
        self, sources: Iterable[files.Source], alpha: float | None = None, *, errors: Literal["return"]
    ) -> Iterator[Decoded | EdgecodecError]: ...

    def decode_many(
        self,
        sources: Iterable[files.Source],
        alpha: float | None = None,
        *,
        errors: Literal["raise", "return"] = "raise",
    ) -> Iterator[Decoded | EdgecodecError]:
        """Decode in order. While the engine works on a picture, the next one's entropy stage runs on another thread.

        errors: "raise" ends at the first failure; "return" yields the error in the place of its picture and goes on.
        """
        graph = self._graph(alpha)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgecodec-entropy") as worker:
            ahead: deque[Future[_Parsed]] = deque()
            remaining = iter(sources)
            while True:
                # One being painted and one being parsed: no more pictures than that are held.
                while len(ahead) < 2 and (source := next(remaining, None)) is not None:
                    ahead.append(worker.submit(self._parse, source))
                if not ahead:
                    return
                try:
                    result: Decoded | EdgecodecError = self._paint(ahead.popleft().result(), graph)
                except EdgecodecError as error:
                    if errors == "raise":
                        raise
                    result = error
                yield result

    def decode_latents(self, source: files.Source) -> dict[str, npt.NDArray[np.int16]]:
        """The integer latents alone, (channels, rows, columns) by name, the same on every machine. Loads no engine."""
        return self._parse(source).latents

    def encode(
        self, picture: files.Source | npt.NDArray[np.uint8] | Picture, alpha_channel: AlphaChannel = "refuse"
    ) -> Encoded:
        """Encode a picture file (path, bytes or open file), uint8 (height, width, 3) or (height, width), or a Picture.

        alpha_channel: for pictures with transparency: "refuse", "drop", or lay on "white" or "black".
        Raises AlphaRefused, InvalidArgument, NotAnImage, CannotRead, LimitExceeded, OutOfRange, OutOfMemory,
        KnobUnavailable if the bundle holds no encoder, EngineUnavailable, EngineFailed.
        """
        from edgecodec import picture as pictures

        start = perf_counter()
        if isinstance(picture, np.ndarray):
            picture = pictures.from_pixels(picture)
        elif not isinstance(picture, pictures.Picture):
            picture = pictures.read(picture, self._limits, alpha_channel)
        height, width = picture.pixels.shape[:2]
        self._limits.check_size(width, height)
        latents, engine = self._analyse(picture.pixels)

        before_entropy = perf_counter()
        payload, lanes = self._model.encode(latents, width=width, height=height, threads=self._entropy_threads)
        before_container = perf_counter()
        data = container.write(
            payload,
            width=width,
            height=height,
            lanes=lanes,
            model_id=self._model.model_id,
            greyscale=picture.greyscale,
            icc=picture.icc,
            exif=picture.exif,
            xmp=picture.xmp,
        )
        info = container.parse(data).info
        end = perf_counter()
        entropy, parse = before_container - before_entropy, end - before_container
        return Encoded(
            data, latents, info, Timings(parse, entropy, engine, end - start - parse - entropy - engine), picture.notes
        )

    def _analyse(self, pixels: Pixels) -> tuple[Latents, float]:
        """Pixels to latents, and the seconds the engine took."""
        height, width = pixels.shape[:2]
        padded = pad(pixels, self._model.alignment)
        graph = self._analysis_graph()
        engine = self._analysis(graph)
        start = perf_counter()
        outputs = engine.run({graph.input: padded})
        seconds = perf_counter() - start
        shapes = self._model.encoder_shapes(width, height)
        return {name: _symbols(outputs[port], shapes[name], name) for name, port in graph.outputs.items()}, seconds

    def _parse(self, source: files.Source) -> _Parsed:
        """File to latents: everything before the engine."""
        where = files.name_of(source)
        data = files.read(source, self._limits)
        try:
            start = perf_counter()
            file = container.parse(data)
            info = file.info
            self._limits.check_size(info.width, info.height)
            if info.model_id != self._model.model_id:
                raise ModelMismatch(
                    f"was coded with model {info.model_id}, this bundle is {self._model.model_id}",
                    hint="decode it with the bundle that encoded it",
                )
            parsed = perf_counter()
            latents = self._model.decode(
                file.payload, width=info.width, height=info.height, lanes=info.lanes, threads=self._entropy_threads
            )
            return _Parsed(file, latents, parsed - start, perf_counter() - parsed)
        except EdgecodecError as error:
            error.locate(where)
            raise

    def _paint(self, parsed: _Parsed, graph: SynthesisGraph) -> Decoded:
        """Latents to pixels: the engine, and a crop."""
        engine = self._synthesis(graph)
        file, info = parsed.file, parsed.file.info
        start = perf_counter()
        inputs = {port: parsed.latents[name].astype(np.float32)[None] for name, port in graph.inputs.items()}
        before_engine = perf_counter()
        image = engine.run(inputs)[graph.output]
        run = perf_counter() - before_engine
        rows, columns = (
            -(-side // self._model.alignment) * self._model.alignment for side in (info.height, info.width)
        )
        if image.dtype != np.uint8 or image.shape != (rows, columns, 3):
            raise EngineFailed(
                f"gave {image.dtype} {image.shape} for an image of uint8 {(rows, columns, 3)}", where=graph.file
            )
        pixels = crop(image, info.width, info.height, greyscale=info.greyscale)
        timings = Timings(parsed.parse, parsed.entropy, run, perf_counter() - start - run)
        return Decoded(pixels, file.icc, file.exif, file.xmp, info, timings)

    def _graph(self, alpha: float | None) -> SynthesisGraph:
        if alpha is None:
            return self._default_graph
        return knobs.choose(self._graphs, {**self._asked, "alpha": alpha}, self.info.default_knobs)

    def _analysis_graph(self) -> AnalysisGraph:
        if not self.info.analysis:
            raise KnobUnavailable("the bundle holds no encoder", where=self.info.path, hint="export it with one")
        return knobs.choose(self.info.analysis, {}, self.info.default_knobs)

    def _analysis(self, graph: AnalysisGraph) -> Engine:
        latents = _ports(self._model.encoder_latents, graph.outputs)
        return self._engine(graph.file, (Port(graph.input, 3, 1),), latents)

    def _synthesis(self, graph: SynthesisGraph) -> Engine:
        latents = _ports(self._model.decoder_latents, graph.inputs)
        return self._engine(graph.file, latents, (Port(graph.output, 3, 1),))

    def _engine(self, file: str, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Engine:
        """The loaded engine of a graph; its file is hashed and loaded once."""
        with self._loading:
            if file not in self._engines:
                graph = Graph(self._bundle.checked(file), inputs, outputs)
                self._engines[file] = open_engine(self._engine_name, graph, self._options)
            return self._engines[file]


def _ports(latents: Iterable[LatentSpec], names: Mapping[str, str]) -> tuple[Port, ...]:
    return tuple(Port(names[latent.name], latent.channels, latent.stride) for latent in latents)


def _symbols(output: npt.NDArray[Any], shape: tuple[int, int, int], name: str) -> npt.NDArray[np.int16]:
    """An encoder graph's float32 (1, channels, rows, columns) of integers as int16 (channels, rows, columns)."""
    if output.shape != (1, *shape):
        raise EngineFailed(f"the encoder gave {output.shape}, not {(1, *shape)}", where=f"latent {name}")
    low, high = float(output.min()), float(output.max())
    if np.isnan(low) or np.isnan(high):
        raise EngineFailed("the encoder gave values that are not numbers", where=f"latent {name}")
    if low < _INT16.min or high > _INT16.max:
        raise OutOfRange(f"values from {low:g} to {high:g} do not fit 16 bits", where=f"latent {name}")
    symbols: npt.NDArray[np.int16] = output[0].astype(np.int16)
    return symbols


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
