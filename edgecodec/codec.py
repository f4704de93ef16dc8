"""Pictures to coded files and back: one bundle, and an engine that runs its graphs."""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Literal, overload

from edgecodec import container, files, interface, native
from edgecodec import knobs as knob_rules
from edgecodec.bundle import Bundle, BundleInfo
from edgecodec.container import Container, FileInfo
from edgecodec.description import SINGLE, Knobs, Model
from edgecodec.encoding import Encoded, Wish
from edgecodec.encoding import encode as encode_with
from edgecodec.engine import MAX_THREADS, Options, Plugin, RunningEngine
from edgecodec.engine_registry import native_engine, plugin_of, preferred_precision, require_engine
from edgecodec.errors import EdgecodecError, InvalidArgument, typed
from edgecodec.job import Job, decode_options, knob_values
from edgecodec.knobs import KnobChoice
from edgecodec.limits import Limits
from edgecodec.loading import LoadedGraphs
from edgecodec.native_engine import NativeGraphs
from edgecodec.tiling import TileChoice, Tiles, memory_option, tile_option, tiles_of
from edgecodec.timings import Timings, timings_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    from edgecodec.entropy_model import Latents
    from edgecodec.picture import AlphaChannel, Picture, Pixels
    from edgecodec.side_inputs import Keep, Labels


@dataclass(frozen=True)
class Decoded:
    """pixels: uint8 (height, width, 3), or (height, width) when greyscale. icc, exif, xmp: bytes as stored, or None.

    memory: the bytes of the pixels, row by row, which need no NumPy. engine: what computed them.
    """

    memory: memoryview
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    info: FileInfo
    timings: Timings
    tiles: Tiles
    engine: RunningEngine

    @cached_property
    def pixels(self) -> Pixels:
        import numpy as np

        shape = (self.info.height, self.info.width, *(() if self.info.greyscale else (3,)))
        return np.frombuffer(self.memory, np.uint8).reshape(shape)

    def image(self) -> Image:
        """The pixels in Pillow, of mode RGB or L."""
        from PIL import Image

        size = (self.info.width, self.info.height)
        mode = "L" if self.info.greyscale else "RGB"
        return Image.frombuffer(mode, size, self.memory)  # type: ignore[arg-type]  # it takes any buffer

    def without_metadata(self) -> Decoded:
        return replace(self, icc=None, exif=None, xmp=None)


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
        return self._synthesise(self._begin(source, self._decoder_knobs(knobs, shorthands)))

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
        return self._decode_in_order(sources, self._decoder_knobs(knobs, shorthands), errors)

    def _decode_in_order(
        self, sources: Iterable[files.Source], asked: Knobs, errors: Literal["raise", "return"]
    ) -> Iterator[Decoded | EdgecodecError]:
        worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgecodec-entropy")
        interrupted = False
        try:
            ahead: deque[tuple[str | None, Future[_Begun]]] = deque()
            remaining = iter(sources)
            while True:
                # At most two pictures are held: one in the engine and one in the entropy stage.
                for source in islice(remaining, 2 - len(ahead)):
                    ahead.append((files.name_of(source), worker.submit(self._begin, source, asked)))
                if not ahead:
                    return
                where, begun = ahead.popleft()
                try:
                    result: Decoded | EdgecodecError = self._synthesise(begun.result())
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

    def decode_latents(self, source: files.Source) -> Latents:
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
        import numpy as np

        from edgecodec import picture as pictures
        from edgecodec.side_inputs import SideInputs

        start = perf_counter()
        wish = Wish(knob_rules.asked(knobs, shorthands), target_bpp, seed)
        self._check_encoding(wish)
        if isinstance(picture, np.ndarray):
            picture = pictures.from_pixels(picture)
        elif not isinstance(picture, pictures.Picture):
            picture = pictures.read(picture, self._limits, alpha_channel)
        height, width = picture.pixels.shape[:2]
        self._limits.check_size(width, height)
        planes = SideInputs(self._encoder_model().side_inputs, self._limits).planes(picture, labels, keep)
        encoded = encode_with(self._owned, self.graphs, picture, planes, wish)
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

    def _begin(self, source: files.Source, asked: Knobs) -> _Begun:
        """File to latents: everything before the engine."""
        where = files.name_of(source)
        data = files.read(source, self._limits)
        with _located(where):
            job = Job.decode(self._owned, data, asked)
            return _Begun(where, container.parse(data), job)

    def _synthesise(self, begun: _Begun) -> Decoded:
        """Latents to pixels."""
        with _located(begun.where):
            ran = self.graphs.run(begun.job)
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


@contextmanager
def _located(where: str | None) -> Iterator[None]:
    """Errors raised inside name the file that they are about."""
    try:
        yield
    except EdgecodecError as error:
        error.locate(where)
        raise
