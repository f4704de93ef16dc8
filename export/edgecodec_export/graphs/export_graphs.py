"""The graphs of a bundle: every baked encoder and decoder in every precision, exported, checked and described."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor

from edgecodec.description import BakedGraph, Closeness, Knobs, Port, Side
from edgecodec.errors import VerificationFailed
from edgecodec.steps import Step
from edgecodec_export.baking import Baking, Point
from edgecodec_export.calibration import CalibrationPictures, Picture, crop, to_tensor
from edgecodec_export.entropy.freeze import Frozen
from edgecodec_export.graphs.closeness import closeness
from edgecodec_export.graphs.needs import GraphNeeds, analysis_needs, grids, synthesis_needs
from edgecodec_export.graphs.onnx_export import (
    IMAGE,
    SIZE,
    SynthesisModule,
    export_analysis,
    export_synthesis,
    synthesis_inputs,
    takes_size,
)
from edgecodec_export.graphs.parity import check_analysis_parity, check_synthesis_parity
from edgecodec_export.graphs.sample_latents import SampleLatents, decoder_inputs, sample_latents
from edgecodec_export.graphs.weights import remove_unused_weights
from edgecodec_export.precisions import SINGLE, Precision
from edgecodec_export.precisions.precision import Inputs
from edgecodec_export.text import Progress, suffix

CHECKED_SIZE = (128, 192)  # pixels, height and width; multiples of every alignment
MEASURED_SIDE = 384  # pixels of a photograph, and a multiple of every alignment


@dataclass(frozen=True)
class ExportedGraphs:
    """The graphs of a model in a bundle's folder: encoders, then decoders, each side in one precision after the other.

    errors: largest difference of each from PyTorch, by file. closeness: of each decoder in another precision than
    single, by file. left_out: a line for each side and precision that missed its bounds.
    """

    graphs: tuple[BakedGraph, ...]
    errors: Mapping[str, float]
    closeness: Mapping[str, Closeness] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def export_graphs(
    folder: Path,
    baking: Baking,
    frozen: Frozen,
    photographs: CalibrationPictures,
    progress: Progress,
    precisions: Sequence[Precision] = (SINGLE,),
    *,
    leave_out: bool = False,
    ending: str = "",
) -> ExportedGraphs:
    """Write the graphs of every baked encoder and decoder to `folder` and compare them with PyTorch.

    frozen: codes the sample latents for the decoders. photographs: integers are ranged on those that calibrate, and
    other precisions than single are measured on the others. leave_out: a side of a bundle goes without a precision in
    which one of its graphs misses the bounds; otherwise, and for single precision, that is an error. ending: what tells
    the files from those of other models in the folder.

    One baked network is in memory at a time, and a conversion of it. Raises VerificationFailed.
    """
    sides = (_Encoders(folder, ending, baking, photographs), _Decoders(folder, ending, baking, photographs, frozen))
    exported: list[_Exported] = []
    left_out: list[str] = []
    count = sum(len(side.knobs()) * sum(side.SIDE in each.SIDES for each in precisions) for side in sides)
    numbers = itertools.count(1)
    for side in sides:
        done = {precision: list[_Exported]() for precision in precisions if side.SIDE in precision.SIDES}
        for knobs in side.knobs():
            point = side.point(knobs)
            for precision in list(done):
                path = side.path(knobs, precision)
                progress(Step(path.name, "graph", next(numbers), count))
                try:
                    done[precision].append(side.export(path, point, precision))
                except VerificationFailed as error:
                    if not leave_out or precision is SINGLE:
                        error.locate(path.name)
                        raise
                    left_out.append(f"no {precision.name} to {side.SIDE}: {path.name} {error.message}")
                    progress(left_out[-1])
                    path.unlink(missing_ok=True)
                    for each in done.pop(precision):
                        (folder / each.graph.file).unlink()
        exported += [each for precision in done.values() for each in precision]
    if left_out:
        remove_unused_weights(folder, folder.glob("*.onnx"))
    return ExportedGraphs(
        tuple(each.graph for each in exported),
        {each.graph.file: each.error for each in exported},
        {each.graph.file: each.closeness for each in exported if each.closeness is not None},
        tuple(left_out),
    )


@dataclass(frozen=True)
class _Exported:
    """A graph as described, its largest error, and how close it is to the one in fp32, where that was measured."""

    graph: BakedGraph
    error: float
    closeness: Closeness | None = None


class _Exporter(ABC):
    """What there is to export of one side of a model."""

    SIDE: ClassVar[Side]
    NAME: ClassVar[str]

    def __init__(self, folder: Path, ending: str, baking: Baking, photographs: CalibrationPictures) -> None:
        self.folder, self.ending = folder, ending
        self.baking, self.model, self.photographs = baking, baking.model, photographs
        self.share_weights = max(len(baking.encoder_knobs()), len(baking.decoder_knobs())) > 1

    @abstractmethod
    def knobs(self) -> list[Knobs]:
        """Of every graph."""

    @abstractmethod
    def point(self, knobs: Knobs) -> Point:
        """The encoder or decoder at these knobs."""

    @abstractmethod
    def export(self, path: Path, point: Point, precision: Precision) -> _Exported:
        """Write and check one graph. Raises VerificationFailed."""

    def path(self, knobs: Knobs, precision: Precision) -> Path:
        named = "" if precision is SINGLE else f".{precision.name}"
        return self.folder / f"{self.NAME}{self.ending}{suffix(knobs)}{named}.onnx"

    def samples(self, alignment: int) -> list[Picture]:
        """Crops of two sizes, of which one is small and not square."""
        picture = self.photographs.measuring[0]
        return [crop(picture, *CHECKED_SIZE), crop(picture, 3 * alignment, 2 * alignment)]

    def measured(self) -> list[Picture]:
        """The part that is used of every photograph on which graphs are measured."""
        return _parts(self.photographs.measuring)

    def _described(
        self, path: Path, point: Point, precision: Precision, needs: GraphNeeds, ports: tuple[list[Port], list[Port]]
    ) -> BakedGraph:
        inputs, outputs = map(tuple, ports)
        return BakedGraph(
            file=path.name,
            side=self.SIDE,
            model=0,
            precision=precision.name,
            knobs=point.knobs,
            inputs=inputs,
            outputs=outputs,
            tiling=needs.tiling,
            bytes_per_pixel=needs.bytes_per_pixel,
        )


def _parts(photographs: Sequence[Picture]) -> list[Picture]:
    return [picture[:MEASURED_SIDE, :MEASURED_SIDE] for picture in photographs]


class _Encoders(_Exporter):
    SIDE, NAME = "encode", "analysis"

    def knobs(self) -> list[Knobs]:
        return self.baking.encoder_knobs()

    def point(self, knobs: Knobs) -> Point:
        return self.baking.encoder(knobs)

    def export(self, path: Path, point: Point, precision: Precision) -> _Exported:
        exported = replace(point, module=self._converted(point, precision))
        needs = analysis_needs(self._write(path, exported), self.model)
        error = check_analysis_parity(
            path, self.model, point, self.samples(self.model.ALIGNMENT), precision.LARGEST_ERROR
        )
        inputs = [Port(IMAGE, "image")]
        if takes_size(self.model):
            inputs.append(Port(SIZE, "size"))
        inputs += [Port(name, "knob", name) for name in point.scalars]
        outputs = [Port(latent.name, "latent", latent.name) for latent in self.model.encoder_latents()]
        return _Exported(self._described(path, point, precision, needs, (inputs, outputs)), error)

    def _write(self, path: Path, point: Point) -> onnx.ModelProto:
        return export_analysis(self.model, point, path, share_weights=self.share_weights)

    def _converted(self, point: Point, precision: Precision) -> torch.nn.Module:
        """The encoder in this precision, which has coded every photograph within the range of its numbers."""
        scalars = [torch.tensor(scalar.default) for scalar in point.scalars.values()]
        sample, *_ = self.samples(self.model.ALIGNMENT)
        converted = precision.converted(point.module, self.SIDE, [to_tensor(sample), *scalars])
        if precision is not SINGLE:
            for picture in self.measured():
                precision.run(converted, [to_tensor(picture), *scalars])
        return converted


class _Decoders(_Exporter):
    SIDE, NAME = "decode", "synthesis"

    def __init__(
        self, folder: Path, ending: str, baking: Baking, photographs: CalibrationPictures, frozen: Frozen
    ) -> None:
        super().__init__(folder, ending, baking, photographs)
        self._frozen = frozen

    def knobs(self) -> list[Knobs]:
        return self.baking.decoder_knobs()

    def point(self, knobs: Knobs) -> Point:
        return self.baking.decoder(knobs)

    @cached_property
    def _checked(self) -> list[SampleLatents]:
        return sample_latents(self.baking, self._frozen, self.samples(self.model.latent_alignment()))

    @cached_property
    def _measured(self) -> list[SampleLatents]:
        return sample_latents(self.baking, self._frozen, self.measured())

    @cached_property
    def _calibrating(self) -> list[SampleLatents]:
        return sample_latents(self.baking, self._frozen, _parts(self.photographs.calibrating))

    def export(self, path: Path, point: Point, precision: Precision) -> _Exported:
        latents = [each.latents for each in self._checked if each.suit(point.knobs)]
        converted = precision.converted(point.module, self.SIDE, self._tensors(latents[0]))
        graph = export_synthesis(
            self.model,
            replace(point, module=converted),
            path,
            share_weights=self.share_weights,
            finish=precision.finish(grids(synthesis_inputs(self.model)), partial(self._ranging, point)),
        )
        error = check_synthesis_parity(path, self.model, point, latents, precision.LARGEST_ERROR)
        close = self._closeness(path, point, converted, precision) if precision is not SINGLE else None
        ports = [Port(latent.name, "latent", latent.name) for latent in self.model.decoder_latents()]
        noise = self.model.noise()
        if noise is not None:
            ports.append(Port(noise.name, "noise"))
        needs = synthesis_needs(graph, self.model)
        described = self._described(path, point, precision, needs, (ports, [Port(IMAGE, "image")]))
        described = replace(described, tolerance_levels=precision.LEVELS, tolerance_db=precision.LEAST_DB)
        return _Exported(described, error, close)

    def _closeness(self, path: Path, point: Point, converted: torch.nn.Module, precision: Precision) -> Closeness:
        """Of the graph that was written. Raises VerificationFailed where it misses a bound."""
        single = SINGLE.decoder(SynthesisModule(point.module), path)
        found = precision.decoder(SynthesisModule(converted), path)
        return closeness(
            precision,
            lambda sample: single(decoder_inputs(self.model, sample.latents)),
            lambda sample: found(decoder_inputs(self.model, sample.latents)),
            (each for each in self._measured if each.suit(point.knobs)),
        )

    def _ranging(self, point: Point) -> list[Inputs]:
        """What the graph takes for the photographs that calibrate."""
        return [decoder_inputs(self.model, each.latents) for each in self._calibrating if each.suit(point.knobs)]

    def _tensors(self, latents: Mapping[str, npt.NDArray[np.int16]]) -> list[Tensor]:
        return [torch.from_numpy(each) for each in decoder_inputs(self.model, latents).values()]
