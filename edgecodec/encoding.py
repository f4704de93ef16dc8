"""A picture to a coded file: the analysis graph at a choice of knobs, the entropy coder, and the container."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgecodec import container, knobs, rate_search
from edgecodec.container import FileInfo
from edgecodec.engine import Engine, RunningEngine
from edgecodec.engine_outputs import require_output
from edgecodec.entropy_model import EntropyModel, Latents
from edgecodec.errors import EngineFailed, InvalidArgument, KnobUnavailable, OutOfRange
from edgecodec.loading import LoadedGraphs
from edgecodec.manifest import AnalysisGraph, BundleInfo, Knobs, RateFit
from edgecodec.padding import Pixels, check_room, encoder_side, pad
from edgecodec.tiling import Plan, Tiler, Tiles
from edgecodec.timings import Timings

if TYPE_CHECKING:
    from edgecodec.picture import Picture

_INT16 = np.iinfo(np.int16)
_SCALAR_POINTS = 257  # values of a scalar knob that a search for a rate chooses from


@dataclass(frozen=True)
class Encoded:
    """data: the coded picture. latents: input of the entropy coder, (channels, rows, columns) by name.

    notes: what was changed in the picture before it was coded, and the rate that was reached for a target.
    engine: what computed the latents.
    """

    data: bytes
    latents: Latents
    info: FileInfo
    timings: Timings
    notes: tuple[str, ...]
    tiles: Tiles
    engine: RunningEngine


@dataclass(frozen=True)
class Prepared:
    """A picture, and what does not depend on the knobs. side_inputs: the latents that no graph computes."""

    picture: Picture
    padded: Pixels
    side_inputs: Latents
    noise_seed: int

    @property
    def pixels(self) -> int:
        """Pixels of the picture without padding."""
        height, width = self.picture.pixels.shape[:2]
        return int(height * width)

    @property
    def metadata_bytes(self) -> int:
        """Bytes of ICC profile, EXIF and XMP, which the file holds beside the latents."""
        return sum(len(each) for each in (self.picture.icc, self.picture.exif, self.picture.xmp) if each)


class Encoder:
    """Encodes with the analysis graphs and the entropy model of one bundle."""

    def __init__(self, info: BundleInfo, model: EntropyModel, graphs: LoadedGraphs, tiler: Tiler, threads: int) -> None:
        self._info = info
        self._model = model
        self._graphs = graphs
        self._tiler = tiler
        self._threads = threads

    def check(self, asked: Knobs, target_bpp: float | None, noise_seed: int | None) -> None:
        """Raise InvalidArgument or KnobUnavailable for choices that suit no picture."""
        if target_bpp is not None:
            if asked:
                raise InvalidArgument(f"{knobs.describe(asked)} and a target rate exclude each other", hint="give one")
            if not (isfinite(target_bpp) and target_bpp > 0):
                raise InvalidArgument(
                    f"the target is {knobs.decimal(target_bpp)} bits per pixel", hint="give a positive number"
                )
        if noise_seed is not None:
            container.check_noise_seed(noise_seed)
            if not any(graph.noise for graph in self._info.synthesis):
                raise KnobUnavailable("the bundle's decoders take no noise", where="seed")
        self._point(asked)
        if target_bpp is not None:
            self._rate_points()

    def prepare(self, picture: Picture, side_inputs: Latents, noise_seed: int | None) -> Prepared:
        """Pad a picture for the graph. Raises OutOfRange if it is too small."""
        height, width = picture.pixels.shape[:2]
        padding = self._info.image
        check_room(width, height, padding, self._model.alignment)
        rows, columns = encoder_side(height, padding), encoder_side(width, padding)
        return Prepared(picture, pad(picture.pixels, rows, columns, padding.rule), side_inputs, noise_seed or 0)

    def encode(self, prepared: Prepared, asked: Knobs) -> Encoded:
        """Encode at one choice of knobs.

        In tiles, a value halfway between two integers may round to the other one than in the whole picture, which gives
        another file that is as good. Raises KnobUnavailable, OutOfRange, LimitExceeded, OutOfMemory, EngineUnavailable,
        EngineFailed.
        """
        graph, scalars = self._point(asked)
        rows, columns = prepared.padded.shape[:2]
        plan = self._tiler.plan(graph, rows, columns, self._model.alignment)
        with self._graphs.in_use():
            engine = self._graphs.analysis(graph, low_memory=plan.low_memory)
            latents, engine_seconds = self._analyse(prepared, graph, scalars, engine, plan)
        picture = prepared.picture
        height, width = picture.pixels.shape[:2]
        start = perf_counter()
        payload, lanes = self._model.encode(latents, width=width, height=height, threads=self._threads)
        before_container = perf_counter()
        data = container.write(
            payload,
            width=width,
            height=height,
            lanes=lanes,
            model_id=self._model.model_id,
            greyscale=picture.greyscale,
            quality=graph.knobs.get(knobs.QUALITY),
            noise_seed=prepared.noise_seed,
            icc=picture.icc,
            exif=picture.exif,
            xmp=picture.xmp,
        )
        info = container.parse(data).info
        parse = perf_counter() - before_container
        timings = Timings(parse, before_container - start, engine_seconds, 0)
        return Encoded(data, latents, info, timings, picture.notes, plan.tiles(), engine.describe())

    def encode_to_rate(self, prepared: Prepared, target_bpp: float) -> Encoded:
        """Encode at the value of the knob that gives the largest whole file of at most `target_bpp` bits per pixel.

        A search tries values, led by the knob's rate fit where the bundle has one, and the best of these is taken, or
        the smallest where none fits; a note says which.
        Raises what `encode` does, and KnobUnavailable if no knob of the bundle changes the rate.
        """
        knob, points, fit = self._rate_points()
        tried: dict[int, Encoded] = {}

        def size_of(point: int) -> int:
            tried[point] = self.encode(prepared, {knob: points[point]})
            return len(tried[point].data)

        expected = None
        if fit is not None:
            metadata = prepared.metadata_bytes
            expected = [metadata + fit.bits_per_pixel(value) * prepared.pixels / 8 for value in points]
        best = rate_search.search(len(points), target_bpp * prepared.pixels / 8, size_of, expected)
        encoded = tried[best]
        reached = encoded.info.bits_per_pixel
        chosen, target = knobs.decimal(points[best]), knobs.decimal(target_bpp)
        note = f"{knob} {chosen} gives {reached:.4g} bpp for a target of {target}"
        if reached > target_bpp:
            note += ", the smallest that was found"
        spent = [attempt.timings for attempt in tried.values()]
        timings = Timings(
            parse=sum(each.parse for each in spent),
            entropy=sum(each.entropy for each in spent),
            engine=sum(each.engine for each in spent),
            rest=0,
        )
        return replace(encoded, timings=timings, notes=(*encoded.notes, note))

    def _point(self, asked: Knobs) -> tuple[AnalysisGraph, dict[str, float]]:
        """The graph for these knobs, and the values of its scalar inputs."""
        graphs = self._info.analysis
        if not graphs:
            raise KnobUnavailable("the bundle holds no encoder", where=self._info.path, hint="export it with one")
        knobs.check_known(self._info, "encode", asked)
        graph = knobs.choose(graphs, asked, self._info.default_knobs)
        return graph, knobs.scalars(graph.scalars, asked)

    def _rate_points(self) -> tuple[str, list[float], RateFit | None]:
        """The knob that changes the rate, the values of it to choose from, ascending, and its fit if it has one."""
        qualities = knobs.values(self._info.analysis, knobs.QUALITY)
        if qualities:
            return knobs.QUALITY, qualities, None
        for name, scalar in self._point({})[0].scalars.items():
            return name, np.linspace(scalar.low, scalar.high, _SCALAR_POINTS).tolist(), scalar.rate_fit
        raise KnobUnavailable("the bundle codes at one rate only", where="target_bpp")

    def _analyse(
        self, prepared: Prepared, graph: AnalysisGraph, scalars: Knobs, engine: Engine, plan: Plan
    ) -> tuple[Latents, float]:
        """All encoder latents, and the seconds the engine took."""
        size = np.array(prepared.picture.pixels.shape[:2], np.int64)
        padded = prepared.padded
        shapes = self._model.encoder_shapes(int(size[1]), int(size[0]))
        strides = {latent.name: latent.stride for latent in self._info.encoder_latents}
        made = {name: np.empty(shapes[name], np.int16) for name in graph.outputs}
        knob_inputs = {name: np.array(value, np.float32) for name, value in scalars.items()}
        seconds = 0.0
        for window in plan.windows():
            area = window.area(1)
            inputs: dict[str, npt.NDArray[Any]] = {graph.input: np.ascontiguousarray(padded[area]), **knob_inputs}
            if graph.size_input is not None:
                # The part of the window that is picture and not padding.
                beyond = [each.stop for each in area]
                inputs[graph.size_input] = np.minimum(size, beyond) - [each.start for each in area]
            start = perf_counter()
            outputs = engine.run(inputs)
            seconds += perf_counter() - start
            for name, port in graph.outputs.items():
                stride = strides[name]
                shape = (1, shapes[name][0], *window.size(stride))
                symbols = _symbols(require_output(outputs, port, np.float32, shape, graph.file), name)
                (rows, columns), (kept_rows, kept_columns) = window.core(stride), window.kept(stride)
                made[name][:, rows, columns] = symbols[:, kept_rows, kept_columns]
        return {**prepared.side_inputs, **made}, seconds


def _symbols(output: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.int16]:
    """An encoder graph's float32 (1, channels, rows, columns) of integers as int16 (channels, rows, columns)."""
    low, high = float(output.min()), float(output.max())
    if np.isnan(low) or np.isnan(high):
        raise EngineFailed("the encoder gave values that are not numbers", where=f"latent {name}")
    if low < _INT16.min or high > _INT16.max:
        raise OutOfRange(f"values from {low:g} to {high:g} do not fit 16 bits", where=f"latent {name}")
    symbols: npt.NDArray[np.int16] = output[0].astype(np.int16)
    return symbols
