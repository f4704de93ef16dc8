"""Pictures to coded files and back: one bundle, and an engine that runs its graphs."""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, overload

from edgecodec import container, files, interface, native
from edgecodec import knobs as knob_rules
from edgecodec.bundle import Bundle, BundleInfo
from edgecodec.container import Container
from edgecodec.decoded import Decoded
from edgecodec.description import SINGLE, Knobs, Model
from edgecodec.encoding import Encoded, Wish
from edgecodec.encoding import encode as encode_with
from edgecodec.engine import MAX_THREADS, Options, Plugin
from edgecodec.engine_registry import native_engine, plugin_of, preferred_precision, require_engine
from edgecodec.errors import EdgecodecError, InvalidArgument, typed
from edgecodec.job import Job, decode_options, knob_values
from edgecodec.knobs import KnobChoice
from edgecodec.limits import Limits
from edgecodec.loading import LoadedGraphs
from edgecodec.native_engine import NativeGraphs
from edgecodec.tiling import TileChoice, memory_option, tile_option, tiles_of
from edgecodec.timings import timings_of

if TYPE_CHECKING:
    from edgecodec.entropy_model import Latents
    from edgecodec.picture import AlphaChannel
    from edgecodec.picture_sources import PictureSource
    from edgecodec.side_inputs import Keep, Labels
    from edgecodec.steps import Parts


#: A coded picture: path, bytes, open binary file, or what `Codec.encode` gave.
CodedSource = files.Source | Encoded


@dataclass(frozen=True)
class _Begun:
    """A picture between the entropy stage and the engine."""

    where: str | None
    file: Container
    job: Job


def open_bundle(
    path: str | os.PathLike[str],
    engine: str = "auto",
    *,
    engine_library: str | os.PathLike[str] | None = None,
    engine_device: str | None = None,
    knobs: KnobChoice | None = None,
    precision: str | None = None,
    encode_precision: str | None = None,
    limits: Limits | None = None,
    threads: int | None = None,
    tile: TileChoice = "auto",
    max_memory: int | None = None,
    one_shot: bool = False,
    **shorthands: float | None,
) -> Codec:
    """Open a bundle for decoding and encoding.

    engine: a name like "onnxruntime:cuda"; a named engine is that engine or an error. engine_library: a plugin of ONNX
    Runtime whose provider `engine` names, as in "onnxruntime:openvino": the path of its library, or the name of the
    Python package that has it. engine_device: of the plugin's devices, "cpu", "gpu", "npu", and "gpu:1" for the second
    of a kind; None for the first that the plugin lists. knobs: of the decoder, by name;
    any knob may be given by its own name instead, like alpha=0.5. None and what is not named mean the bundle's default.
    precision: of decoders, "fp32", "fp16"...; None for what suits the engine: fp16 on a GPU, fp32 otherwise and where
    the bundle has no other. encode_precision: of encoders, None for fp32, because another may change what is coded. One
    that is named and not there is an error. threads: processor threads of the engine and the entropy model, None for
    all that this process may use. Graphs are loaded when they are first needed.

    tile: "auto" works on a picture in tiles where it would take more than max_memory otherwise; a number is the side of
    every tile in pixels, without what overlaps; "off" never does. max_memory: bytes that one engine call may take
    beside the weights, None for half of what is available. one_shot: whether one picture is coming rather than many;
    "auto" then takes an engine that starts quickly, and graphs with large weights start sooner and take less memory on
    ONNX Runtime, and run up to a fifth slower.

    Raises NotABundle, BundleChanged, BadModel, UnsupportedVersion, KnobUnavailable, EngineUnavailable, InvalidArgument.

        >>> with edgecodec.open_bundle("hific.bundle", "onnxruntime", alpha=0.5) as codec:
        ...     codec
        <Codec hific tiny, alpha=0.5, engine onnxruntime>
    """
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise InvalidArgument(f"threads is {threads}", hint=f"give 1 to {MAX_THREADS}")
    plugin = plugin_of(None if engine_library is None else os.fspath(engine_library), engine_device)
    require_engine(engine, plugin)
    asked = knob_rules.asked(knobs, shorthands)
    room = tile_option(tile), memory_option(max_memory)
    return Codec(
        Bundle(path),
        engine,
        asked,
        precision,
        limits or Limits(),
        threads,
        *room,
        encode_precision=encode_precision,
        one_shot=one_shot,
        plugin=plugin,
    )


class Codec:
    """An opened bundle; `open_bundle` makes it. May be used by several threads at a time. A context manager.

    May be pickled for other processes, where the bundle is opened again from the same folder.

    info: what the bundle's index says. graphs: the bundle's graphs on the engine, to load one before it is needed.
    notes: what a user should hear of the choice of precision.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str,
        asked: Knobs,
        precision: str | None = None,
        limits: Limits | None = None,
        threads: int | None = None,
        tile: int = interface.TILE_OFF,
        max_memory: int = 0,
        encode_precision: str | None = None,
        one_shot: bool = False,
        plugin: Plugin | None = None,
    ) -> None:
        """tile, max_memory: as the library has them. Raises KnobUnavailable."""
        self.info: BundleInfo = bundle.info
        self._limits = limits or Limits()
        self._asked = asked
        self._reopening = (
            *(os.path.abspath(bundle.root), engine, asked, precision, self._limits, threads, tile, max_memory),
            *(encode_precision, one_shot, plugin),
        )
        own, passed_over = native_engine(engine, plugin, one_shot=one_shot)
        self.notes: tuple[str, ...] = ()
        chosen_by_engine = precision is None
        if precision is None and own is None:
            preferred = preferred_precision(engine, one_shot=one_shot)
            if all(preferred in self.info.precisions("decode", model) for model in range(len(self.info.models))):
                precision = preferred
            elif preferred != SINGLE:
                self.notes = (f"{engine} would decode in {preferred}, and the bundle has none: it decodes in fp32",)
        options = interface.start(
            interface.CodecOptions,
            engine=interface.NO_ENGINE if own is None else own.name.encode(),
            onnxruntime_library=None if own is None else os.fsencode(own.library),
            provider_library=None if own is None or own.plugin is None else os.fsencode(own.plugin),
            provider_device=None if own is None or own.device is None else own.device.encode(),
            knobs=knob_values(asked),
            knob_count=len(asked),
            precision=None if precision is None else precision.encode(),
            encode_precision=None if encode_precision is None else encode_precision.encode(),
            threads=threads or 0,
            tile=tile,
            max_memory=max_memory,
            limits=self._limits.struct(),
            one_shot=int(one_shot),
        )
        library, handle = native.library(), ctypes.c_void_p()
        native.call(library.ec_codec_open, bundle.handle, ctypes.byref(options), ctypes.byref(handle))
        self._owned = native.Owned(library.ec_codec_close, handle.value, bundle)
        self.graphs: LoadedGraphs | NativeGraphs = (
            LoadedGraphs(bundle, engine, Options(threads, one_shot=one_shot), chosen_by_engine=chosen_by_engine)
            if own is None
            else NativeGraphs(self._owned, own, passed_over, self.info.graphs)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """For worker processes: the bundle is opened again where this is unpickled, from the same folder."""
        return _reopened, self._reopening

    def __repr__(self) -> str:
        knobs = " ".join(
            f"{knob.name}={knob_rules.decimal(self._asked.get(knob.name, knob.default))}"
            for knob in self.info.knobs
            if knob.side == "decode" or len(knob.values) != 1
        )
        name = " ".join(filter(None, (self.info.family, self.info.preset)))
        return f"<Codec {name}{', ' * bool(knobs)}{knobs}, engine {self.graphs.engine_name}>"

    def __enter__(self) -> Codec:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the engines. A later call loads what it needs again.

        Other threads finish the pictures that they work on, and the last of them releases the engines it uses.
        """
        self.graphs.close()

    def decode(
        self,
        source: CodedSource,
        *,
        knobs: KnobChoice | None = None,
        progress: Parts | None = None,
        **shorthands: float | None,
    ) -> Decoded:
        """Decode one file given as path, bytes or open file, or what `encode` gave.

        knobs, or each by its own name: override the codec's for this picture. progress: for large pictures, is called
        by this thread with how many tiles are done and how many there are, after each of them or a few times a second;
        what it raises ends the picture.

        Raises NotEdgc, Corrupt, LatentsDiffer, UnsupportedVersion, ModelMismatch, LimitExceeded, OutOfRange,
        OutOfMemory, CannotRead, KnobUnavailable, EngineUnavailable, EngineFailed.

            >>> codec.decode("photo.edgc").pixels.shape
            (64, 96, 3)
        """
        return self._synthesise(self._begin(source, self._decoder_knobs(knobs, shorthands)), progress)

    @overload
    def decode_many(
        self,
        sources: Iterable[CodedSource],
        *,
        knobs: KnobChoice | None = None,
        errors: Literal["raise"] = "raise",
        jobs: int | None = None,
        progress: Parts | None = None,
        **shorthands: float | None,
    ) -> Iterator[Decoded]: ...

    @overload
    def decode_many(
        self,
        sources: Iterable[CodedSource],
        *,
        knobs: KnobChoice | None = None,
        errors: Literal["return"],
        jobs: int | None = None,
        progress: Parts | None = None,
        **shorthands: float | None,
    ) -> Iterator[Decoded | EdgecodecError]: ...

    def decode_many(
        self,
        sources: Iterable[CodedSource],
        *,
        knobs: KnobChoice | None = None,
        errors: Literal["raise", "return"] = "raise",
        jobs: int | None = None,
        progress: Parts | None = None,
        **shorthands: float | None,
    ) -> Iterator[Decoded | EdgecodecError]:
        """Decode in order. While the engine works on a picture, the next one's entropy stage runs on another thread.

        knobs: as in `decode`. errors: "raise" ends at the first failure; "return" yields the error in the place of its
        picture and goes on. jobs: instead, so many pictures are decoded at a time, each by a thread of its own, and up
        to as many more wait for the caller. That suits many small pictures, with `open_bundle(threads=1)` and a job for
        each processor. Processes are not needed for it: native code does the work, and holds no lock of Python's.
        progress: as in `decode`, of the picture that comes next; with `jobs` it is not called.

        Raises InvalidArgument for other `errors` and `jobs`, and what `decode` raises.

            >>> for result in codec.decode_many(["photo.edgc", b"something else"], errors="return"):
            ...     print(result)
            <Decoded 96x64, onnxruntime on cpu, fp32>
            is not an edgecodec picture (at byte 0)
        """
        if errors not in ("raise", "return"):
            raise InvalidArgument(f"errors is {errors!r}", hint='give "raise" or "return"')
        if jobs is not None and not 1 <= jobs <= MAX_THREADS:
            raise InvalidArgument(f"jobs is {jobs}", hint=f"give 1 to {MAX_THREADS}")
        return self._decode_in_order(sources, self._decoder_knobs(knobs, shorthands), errors, jobs, progress)

    def _decode_in_order(
        self,
        sources: Iterable[CodedSource],
        asked: Knobs,
        errors: Literal["raise", "return"],
        jobs: int | None,
        progress: Parts | None,
    ) -> Iterator[Decoded | EdgecodecError]:
        """jobs: None for one thread that runs the entropy stage, and the caller's that runs the engine."""

        def work(source: CodedSource) -> _Begun | Decoded:
            begun = self._begin(source, asked)
            return begun if jobs is None else self._synthesise(begun)

        workers = ThreadPoolExecutor(max_workers=jobs or 1, thread_name_prefix="edgecodec-decode")
        most = 2 * (jobs or 1)  # one in every thread, and as many that wait for the engine or the caller
        interrupted = False
        try:
            ahead: deque[tuple[str | None, Future[_Begun | Decoded]]] = deque()
            remaining = iter(sources)
            while True:
                for source in islice(remaining, most - len(ahead)):
                    ahead.append((files.name_of(source), workers.submit(work, source)))
                if not ahead:
                    return
                where, future = ahead.popleft()
                try:
                    found = future.result()
                    result: Decoded | EdgecodecError = (
                        self._synthesise(found, progress) if isinstance(found, _Begun) else found
                    )
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
            workers.shutdown(wait=not interrupted, cancel_futures=True)

    def decode_latents(self, source: CodedSource) -> Latents:
        """The integer latents alone, (channels, rows, columns) by name, the same on every machine. Loads no engine."""
        return self._begin(source, {}).job.latents()

    def check_encoding(
        self,
        *,
        knobs: KnobChoice | None = None,
        target_bpp: float | None = None,
        seed: int | None = None,
        **shorthands: float | None,
    ) -> None:
        """Raise what `encode` would raise for these with any picture: InvalidArgument or KnobUnavailable."""
        self._check_encoding(Wish(knob_rules.asked(knobs, shorthands), target_bpp, seed))

    def encode(
        self,
        picture: PictureSource,
        alpha_channel: AlphaChannel = "refuse",
        *,
        knobs: KnobChoice | None = None,
        target_bpp: float | None = None,
        labels: Labels | None = None,
        keep: Keep | None = None,
        seed: int | None = None,
        progress: Parts | None = None,
        **shorthands: float | None,
    ) -> Encoded:
        """Encode a picture: a file (path, bytes or open file), an array, an image of Pillow, or a tensor of PyTorch.

        An array is uint8 (height, width, 3) or (height, width). An image of Pillow is coded as its file would be:
        turned upright by its EXIF data, and with its ICC profile, EXIF and XMP. A tensor is uint8, or of floats from 0
        to 1, on any device: (channels, height, width) or (height, width, channels) with 1 or 3 channels, or (height,
        width). A shape that can be read both ways is refused.

        alpha_channel: for pictures with transparency: "refuse", "drop", or lay on "white" or "black".
        knobs: of the encoder, by name; any knob may be given by its own name instead, like quality=2. None and what is
        not named mean the bundle's default; a quality is rounded to the 1/64 that files hold. Of a bundle with several
        models, the quality is the number of one by its rate, 0 for the lowest. target_bpp: instead of a knob, bits per
        pixel that the whole file may take. labels: the class of every pixel, as whole numbers (height, width) or a
        picture file of such. keep: what must be as in the picture, non-zero in (height, width) or in a picture file, or
        a list of classes; None for everything. seed: of the generator's noise, 0 to 2^64 - 1, None for 0. progress: as
        in `decode`; it begins anew for every encode that a search for a target takes.

        Labels and masks belong to the picture as it is shown, with its EXIF orientation applied; the orientation of a
        file of labels or of a mask is applied too.

        Raises AlphaRefused, InvalidArgument, NotAnImage, CannotRead, LimitExceeded, OutOfRange, OutOfMemory,
        KnobUnavailable for what this bundle cannot do, EngineUnavailable, EngineFailed.

            >>> codec.encode("photo.jpg")
            <Encoded 96x64, ... bits per pixel>
            >>> codec.encode(np.zeros((64, 96), np.uint8)).info.greyscale
            True
        """
        from edgecodec.picture_sources import as_picture
        from edgecodec.side_inputs import SideInputs

        start = perf_counter()
        wish = Wish(knob_rules.asked(knobs, shorthands), target_bpp, seed)
        self._check_encoding(wish)
        picture = as_picture(picture, self._limits, alpha_channel)
        height, width = picture.pixels.shape[:2]
        self._limits.check_size(width, height)
        planes = SideInputs(self._encoder_model().side_inputs, self._limits).planes(picture, labels, keep)
        encoded = encode_with(self._owned, self.graphs, picture, planes, wish, progress)
        spent = encoded.timings
        rest = perf_counter() - start - (spent.total - spent.rest)
        return replace(encoded, timings=replace(spent, rest=rest))

    def _encoder_model(self) -> Model:
        """That of the encoders; of side inputs all of a bundle's models have the same."""
        return self.info.models[next(graph.model for graph in self.info.graphs if graph.side == "encode")]

    def _check_encoding(self, wish: Wish) -> None:
        options = wish.options()
        native.call(native.library().ec_core_check_encoding, self._owned.value, ctypes.byref(options))

    def _decoder_knobs(self, knobs: KnobChoice | None, shorthands: KnobChoice) -> Knobs:
        """Those of one picture, refused before any work where no decoder suits them."""
        asked = knob_rules.asked(knobs, shorthands)
        options = decode_options(asked)
        native.call(native.library().ec_core_check_decoding, self._owned.value, ctypes.byref(options))
        return asked

    def _begin(self, source: CodedSource, asked: Knobs) -> _Begun:
        """File to latents: everything before the engine."""
        where = files.name_of(source)
        data = files.read(source.data if isinstance(source, Encoded) else source, self._limits)
        with _located(where):
            job = Job.decode(self._owned, data, asked)
            return _Begun(where, container.parse(data), job)

    def _synthesise(self, begun: _Begun, progress: Parts | None = None) -> Decoded:
        """Latents to pixels."""
        with _located(begun.where):
            ran = self.graphs.run(begun.job, progress)
            picture, memory = begun.job.finish_decode()
        file = begun.file
        return Decoded(
            memory=memory,
            icc=file.icc,
            exif=file.exif,
            xmp=file.xmp,
            info=file.info,
            timings=timings_of(picture.timings, ran.copies),
            tiles=tiles_of(picture.tiles),
            engine=ran.engine(picture.graph.contents.number),
        )


def _reopened(path: str, *arguments: Any) -> Codec:
    return Codec(Bundle(path), *arguments)


@contextmanager
def _located(where: str | None) -> Iterator[None]:
    """Errors raised inside name the file that they are about."""
    try:
        yield
    except EdgecodecError as error:
        error.locate(where)
        raise
