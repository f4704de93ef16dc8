"""Pictures to coded files and back: one bundle, one entropy model, one engine call per picture or tile of it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import numpy.typing as npt

from edgecodec import container, files
from edgecodec import knobs as knob_rules
from edgecodec.bundle import Bundle
from edgecodec.container import Container, FileInfo
from edgecodec.encoding import Encoded, Encoder
from edgecodec.engine import MAX_THREADS, Options, RunningEngine
from edgecodec.engine_outputs import require_output
from edgecodec.engine_registry import require_engine
from edgecodec.entropy_model import EntropyModel, Latents
from edgecodec.errors import EdgecodecError, InvalidArgument, KnobUnavailable, ModelMismatch, typed
from edgecodec.limits import Limits
from edgecodec.loading import LoadedGraphs
from edgecodec.manifest import BundleInfo, Knobs, SynthesisGraph
from edgecodec.noise import normal_noise
from edgecodec.padding import Pixels, aligned, as_stored, check_room
from edgecodec.side_inputs import Keep, Labels, SideInputs
from edgecodec.tiling import TileChoice, Tiler, Tiles
from edgecodec.timings import Timings

if TYPE_CHECKING:
    from edgecodec.picture import AlphaChannel, Picture


#: Values of knobs by name, None for the bundle's default.
KnobChoice = Mapping[str, float | None]


@dataclass(frozen=True)
class Decoded:
    """pixels: uint8 (height, width, 3), or (height, width) when greyscale. icc, exif, xmp: bytes as stored, or None.

    engine: what computed them.
    """

    pixels: Pixels
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    info: FileInfo
    timings: Timings
    tiles: Tiles
    engine: RunningEngine


@dataclass(frozen=True)
class _Parsed:
    """A picture between the entropy stage and the engine."""

    where: str | None
    file: Container
    latents: Latents
    parse: float
    entropy: float


def open_bundle(
    path: str | os.PathLike[str],
    engine: str = "auto",
    *,
    knobs: KnobChoice | None = None,
    precision: str | None = None,
    limits: Limits | None = None,
    threads: int | None = None,
    tile: TileChoice = "auto",
    max_memory: int | None = None,
    **shorthands: float | None,
) -> Codec:
    """Open a bundle for decoding and encoding.

    engine: a name like "onnxruntime:cuda"; a named engine is that engine or an error. knobs: of the decoder, by name;
    any knob may be given by its own name instead, like alpha=0.5. None and what is not named mean the bundle's default.
    precision: "fp32", "fp16", ... or None for the bundle's first. threads: processor threads of the engine and the
    entropy model, None for all that this process may use. Graphs are loaded when they are first needed.

    tile: "auto" works on a picture in tiles where it would take more than max_memory otherwise; a number is the side of
    every tile in pixels, without what overlaps; "off" never does. max_memory: bytes that one engine call may take
    beside the weights, None for half of what is available.

    Raises NotABundle, BundleChanged, BadModel, UnsupportedVersion, KnobUnavailable, EngineUnavailable, InvalidArgument.
    """
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise InvalidArgument(f"threads is {threads}", hint=f"give 1 to {MAX_THREADS}")
    require_engine(engine)
    asked = knob_rules.asked(knobs, shorthands)
    tiler = Tiler(tile, max_memory)
    return Codec(Bundle(path), engine, asked, precision, limits or Limits(), threads, tiler)


class Codec:
    """An opened bundle; `open_bundle` makes it. May be used by several threads at a time. A context manager.

    info: the bundle's manifest. graphs: the bundle's graphs on the engine, to load one before it is needed.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str,
        asked: Knobs,
        precision: str | None,
        limits: Limits,
        threads: int | None,
        tiler: Tiler,
    ) -> None:
        self.info: BundleInfo = bundle.info
        self._asked = asked
        self._limits = limits
        self._threads = threads or _usable_processors()
        self._baked = knob_rules.with_precision(bundle.info.synthesis, precision)
        self._require(asked)
        self._model: EntropyModel = bundle.entropy_model()
        self.graphs = LoadedGraphs(bundle, engine, Options(threads))
        self._tiler = tiler
        self._encoder = Encoder(self.info, self._model, self.graphs, tiler, self._threads)

    def __enter__(self) -> Codec:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the engines. A later call loads what it needs again.

        Other threads finish the pictures that they work on, and the last of them releases the engines it uses.
        """
        self.graphs.close()

    def decode(self, source: files.Source, *, knobs: KnobChoice | None = None, **shorthands: float | None) -> Decoded:
        """Decode one file given as path, bytes or open file.

        knobs, or each by its own name: override the codec's for this picture.

        Raises NotEdgc, Corrupt, LatentsDiffer, UnsupportedVersion, ModelMismatch, LimitExceeded, OutOfRange,
        OutOfMemory, CannotRead, KnobUnavailable, EngineUnavailable, EngineFailed.
        """
        asked = self._overridden(knobs, shorthands)
        return self._synthesise(self._parse(source), asked)

    @overload
    def decode_many(
        self,
        sources: Iterable[files.Source],
        *,
        knobs: KnobChoice | None = None,
        errors: Literal["raise"] = "raise",
        **shorthands: float | None,
    ) -> Iterator[Decoded]: ...

    @overload
    def decode_many(
        self,
        sources: Iterable[files.Source],
        *,
        knobs: KnobChoice | None = None,
        errors: Literal["return"],
        **shorthands: float | None,
    ) -> Iterator[Decoded | EdgecodecError]: ...

    def decode_many(
        self,
        sources: Iterable[files.Source],
        *,
        knobs: KnobChoice | None = None,
        errors: Literal["raise", "return"] = "raise",
        **shorthands: float | None,
    ) -> Iterator[Decoded | EdgecodecError]:
        """Decode in order. While the engine works on a picture, the next one's entropy stage runs on another thread.

        knobs: as in `decode`. errors: "raise" ends at the first failure; "return" yields the error in the place of its
        picture and goes on.

        Raises InvalidArgument for other `errors`, and what `decode` raises.
        """
        if errors not in ("raise", "return"):
            raise InvalidArgument(f"errors is {errors!r}", hint='give "raise" or "return"')
        return self._decode_in_order(sources, self._overridden(knobs, shorthands), errors)

    def _decode_in_order(
        self, sources: Iterable[files.Source], asked: Knobs, errors: Literal["raise", "return"]
    ) -> Iterator[Decoded | EdgecodecError]:
        worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgecodec-entropy")
        interrupted = False
        try:
            ahead: deque[tuple[str | None, Future[_Parsed]]] = deque()
            remaining = iter(sources)
            while True:
                # At most two pictures are held: one in the engine and one in the entropy stage.
                for source in islice(remaining, 2 - len(ahead)):
                    ahead.append((files.name_of(source), worker.submit(self._parse, source)))
                if not ahead:
                    return
                where, parsed = ahead.popleft()
                try:
                    result: Decoded | EdgecodecError = self._synthesise(parsed.result(), asked)
                except Exception as error:
                    if errors == "raise":
                        raise
                    result = typed(error)
                    result.locate(where)
                yield result
        except (KeyboardInterrupt, SystemExit):
            interrupted = True
            raise
        finally:
            worker.shutdown(wait=not interrupted, cancel_futures=True)

    def decode_latents(self, source: files.Source) -> dict[str, npt.NDArray[np.int16]]:
        """The integer latents alone, (channels, rows, columns) by name, the same on every machine. Loads no engine."""
        return self._parse(source).latents

    def check_encoding(
        self,
        *,
        knobs: KnobChoice | None = None,
        target_bpp: float | None = None,
        seed: int | None = None,
        **shorthands: float | None,
    ) -> None:
        """Raise what `encode` would raise for these with any picture: InvalidArgument or KnobUnavailable."""
        self._encoder.check(knob_rules.asked(knobs, shorthands), target_bpp, seed)

    def encode(
        self,
        picture: files.Source | npt.NDArray[np.uint8] | Picture,
        alpha_channel: AlphaChannel = "refuse",
        *,
        knobs: KnobChoice | None = None,
        target_bpp: float | None = None,
        labels: Labels | None = None,
        keep: Keep | None = None,
        seed: int | None = None,
        **shorthands: float | None,
    ) -> Encoded:
        """Encode a picture file (path, bytes or open file), uint8 (height, width, 3) or (height, width), or a Picture.

        alpha_channel: for pictures with transparency: "refuse", "drop", or lay on "white" or "black".
        knobs: of the encoder, by name; any knob may be given by its own name instead, like quality=2. None and what is
        not named mean the bundle's default; a quality is rounded to the 1/64 that files hold. target_bpp: instead of a
        knob, bits per pixel that the whole file may take. labels: the class of every pixel, as whole numbers (height,
        width) or a picture file of such. keep: what must be as in the picture, non-zero in (height, width) or in a
        picture file, or a list of classes; None for everything. seed: of the generator's noise, 0 to 2^64 - 1, None
        for 0.

        Labels and masks belong to the picture as it is shown, with its EXIF orientation applied; the orientation of a
        file of labels or of a mask is applied too.

        Raises AlphaRefused, InvalidArgument, NotAnImage, CannotRead, LimitExceeded, OutOfRange, OutOfMemory,
        KnobUnavailable for what this bundle cannot do, EngineUnavailable, EngineFailed.
        """
        from edgecodec import picture as pictures

        start = perf_counter()
        asked = knob_rules.asked(knobs, shorthands)
        self._encoder.check(asked, target_bpp, seed)
        if isinstance(picture, np.ndarray):
            picture = pictures.from_pixels(picture)
        elif not isinstance(picture, pictures.Picture):
            picture = pictures.read(picture, self._limits, alpha_channel)
        height, width = picture.pixels.shape[:2]
        self._limits.check_size(width, height)
        side_inputs = SideInputs(self.info.given, self._model, self._limits)
        prepared = self._encoder.prepare(picture, side_inputs.latents(picture, labels, keep), seed)
        if target_bpp is None:
            encoded = self._encoder.encode(prepared, asked)
        else:
            encoded = self._encoder.encode_to_rate(prepared, target_bpp)
        rest = perf_counter() - start - encoded.timings.total
        return replace(encoded, timings=replace(encoded.timings, rest=rest))

    def _parse(self, source: files.Source) -> _Parsed:
        """File to latents: everything before the engine."""
        where = files.name_of(source)
        data = files.read(source, self._limits)
        with _located(where):
            start = perf_counter()
            file = container.parse(data)
            info = file.info
            self._limits.check_size(info.width, info.height)
            self._limits.check_ratio(info.width, info.height, memoryview(data).nbytes)
            if info.model_id != self._model.model_id:
                raise ModelMismatch(
                    f"was coded with model {info.model_id}, this bundle is {self._model.model_id}",
                    hint="decode it with the bundle that encoded it",
                )
            check_room(info.width, info.height, self.info.image, self._model.alignment)
            parsed = perf_counter()
            latents = self._model.decode(
                file.payload, width=info.width, height=info.height, lanes=info.lanes, threads=self._threads
            )
            return _Parsed(where, file, latents, parsed - start, perf_counter() - parsed)

    def _synthesise(self, parsed: _Parsed, asked: Knobs) -> Decoded:
        """Latents to pixels: the engine, and a crop."""
        with _located(parsed.where), self.graphs.in_use():
            file, info = parsed.file, parsed.file.info
            graph = self._graph(info, asked)
            rows, columns = (aligned(side, self._model.alignment) for side in (info.height, info.width))
            plan = self._tiler.plan(graph, rows, columns, self._model.alignment)
            engine = self.graphs.synthesis(graph, low_memory=plan.low_memory)
            start = perf_counter()
            strides = {latent.name: latent.stride for latent in self.info.decoder_latents}
            maps = [(port, strides[name], parsed.latents[name]) for name, port in graph.inputs.items()]
            if (noise := graph.noise) is not None:
                values = normal_noise(info.noise_seed, noise.channels, rows // noise.stride, columns // noise.stride)
                maps.append((noise.input, noise.stride, values))
            picture = np.empty((info.height, info.width, 3), np.uint8)
            run = 0.0
            for window in plan.windows():
                inputs = {}
                for port, stride, values in maps:
                    rows_in, columns_in = window.area(stride)
                    inputs[port] = values[:, rows_in, columns_in].astype(np.float32)[None]
                before_engine = perf_counter()
                outputs = engine.run(inputs)
                run += perf_counter() - before_engine
                image = require_output(outputs, graph.output, np.uint8, (*window.size(1), 3), graph.file)
                core = picture[window.core(1)]
                core[...] = image[window.kept(1)][: core.shape[0], : core.shape[1]]
            pixels = as_stored(picture, greyscale=info.greyscale)
            timings = Timings(parsed.parse, parsed.entropy, run, perf_counter() - start - run)
            return Decoded(pixels, file.icc, file.exif, file.xmp, info, timings, plan.tiles(), engine.describe())

    def _graph(self, info: FileInfo, asked: Knobs) -> SynthesisGraph:
        """The decoder for a file. Where decoders differ in quality, the file decides it."""
        qualities = knob_rules.values(self._baked, knob_rules.QUALITY)
        if not qualities:
            return knob_rules.choose(self._baked, asked, self.info.default_knobs)
        if info.quality is None:
            raise KnobUnavailable("the file does not say of which quality it is", hint="encode it again")
        return knob_rules.choose(self._baked, {**asked, knob_rules.QUALITY: info.quality}, self.info.default_knobs)

    def _overridden(self, knobs: KnobChoice | None, shorthands: KnobChoice) -> Knobs:
        asked = {**self._asked, **knob_rules.asked(knobs, shorthands)}
        self._require(asked)
        return asked

    def _require(self, asked: Knobs) -> SynthesisGraph:
        """Some decoder for these knobs, at any value of the others, so that an error comes before any work."""
        knob_rules.check_known(self.info, "decode", asked)
        return knob_rules.choose(self._baked, asked, {})


@contextmanager
def _located(where: str | None) -> Iterator[None]:
    """Errors raised inside name the file that they are about."""
    try:
        yield
    except EdgecodecError as error:
        error.locate(where)
        raise


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
