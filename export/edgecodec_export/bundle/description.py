"""What a bundle says of itself: the description for its index, and the background that its manifest adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy
import onnx
import torch

import edgecodec
from edgecodec.description import (
    Background,
    BundleFile,
    Description,
    Golden,
    Knobs,
    Model,
    NoiseSpec,
    Padding,
    RateFit,
    Side,
    SideInput,
)
from edgecodec.knobs import QUALITY
from edgecodec_export.baking import Baking, Knob
from edgecodec_export.bundle.knobs import describe_knobs
from edgecodec_export.entropy.cost import EntropyCost, summed
from edgecodec_export.entropy.freeze import Frozen
from edgecodec_export.graphs.export_graphs import ExportedGraphs

#: Of a bundle of several models, which is a knob of theirs together.
QUALITY_OF_MODELS = Knob(QUALITY, "quality is chosen when a picture is encoded, 0 for the smallest files.")


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint for the provenance. role: "main" or "mse". name: of the file. sha256: 64 hexadecimal digits.

    notes: as `checkpoints.stored_notes` gives them.
    """

    role: str
    name: str
    sha256: str
    notes: Mapping[str, str]


@dataclass(frozen=True)
class Source:
    """Origin of the weights, and what is known of them.

    classes: names of the labels, for a codec that takes label maps. rate_fits: the measured rate, by scalar knob.
    """

    family: str
    preset: str
    checkpoints: tuple[CheckpointFile, ...] = ()
    classes: tuple[str, ...] = ()
    rate_fits: Mapping[str, RateFit] = field(default_factory=dict)

    def name(self) -> str:
        """Of the checkpoint's file, for messages."""
        return self.checkpoints[0].name if self.checkpoints else self.preset


@dataclass(frozen=True)
class ExportedModel:
    """A model whose entropy model and graphs are in the bundle's folder. It holds no network, which may be large.

    described: as the index has it. knobs: those of its family. defaults: their values at run time where a caller names
    none. kept: origin of the entropy model where it is that of an earlier bundle.
    """

    source: Source
    described: Model
    knobs: tuple[Knob, ...]
    defaults: Knobs
    cost: EntropyCost
    exported: ExportedGraphs
    kept: Mapping[str, Any] | None = None


def exported_model(
    source: Source, baking: Baking, frozen: Frozen, exported: ExportedGraphs, *, entropy: str, rate: float
) -> ExportedModel:
    """entropy: the file. rate: bits per pixel, which order the models of a bundle."""
    codec, integers = baking.model, frozen.entropy
    noise = codec.noise()
    described = Model(
        id=integers.model_id,
        entropy=entropy,
        rate=rate,
        alignment=integers.alignment,
        padding=Padding(codec.ALIGNMENT, codec.PADDING, codec.SMALLEST_SIDE),
        noise=None if noise is None else NoiseSpec(noise.channels, noise.stride),
        encoder_latents=integers.encoder_latents,
        decoder_latents=integers.decoder_latents,
        side_inputs={
            latent.name: SideInput("labels", source.classes) if latent.name == "labels" else SideInput("mask")
            for latent in codec.side_latents()
        },
    )
    kept = None if frozen.kept is None else frozen.kept.origin
    return ExportedModel(source, described, codec.KNOBS, baking.default_knobs(), frozen.cost, exported, kept)


def describe(models: Sequence[ExportedModel], files: Mapping[str, BundleFile]) -> Description:
    """What the index of a bundle of these models says. files: those that a runtime may open.

    Of several models the encoders are at a quality each, the number of the model, which chooses it.
    """
    first = models[0]
    knobs, defaults = list(first.knobs), dict(first.defaults)
    if len(models) > 1:
        knobs.append(QUALITY_OF_MODELS)
        defaults[QUALITY] = float(len(models) // 2)
    graphs = [
        replace(graph, model=number, knobs={**graph.knobs, **_quality(models, number, graph.side)})
        for number, each in enumerate(models)
        for graph in each.exported.graphs
    ]
    return Description(
        family=first.source.family,
        preset=", ".join(dict.fromkeys(each.source.preset for each in models)),
        models=tuple(each.described for each in models),
        knobs=describe_knobs(knobs, graphs, defaults, first.source.rate_fits),
        graphs=tuple(graphs),
        files=files,
    )


def _quality(models: Sequence[ExportedModel], number: int, side: Side) -> Knobs:
    return {QUALITY: float(number)} if len(models) > 1 and side == "encode" else {}


def background(
    models: Sequence[ExportedModel], golden: tuple[Golden, ...], files: Mapping[str, BundleFile]
) -> Background:
    """What the manifest of a bundle of these models adds. files: all but the manifest itself."""
    return Background(
        golden=golden,
        parity={file: error for each in models for file, error in each.exported.errors.items()},
        closeness={file: close for each in models for file, close in each.exported.closeness.items()},
        entropy_cost=_cost_values(entropy_cost(models)),
        provenance=_provenance(models),
        files=files,
    )


def entropy_cost(models: Sequence[ExportedModel]) -> EntropyCost:
    """The cost of all models; of several, each is a setting of its own."""
    return summed([
        replace(each.cost, knobs={**each.cost.knobs, **_quality(models, number, "encode")})
        for number, each in enumerate(models)
    ])  # fmt: skip


def _cost_values(cost: EntropyCost) -> dict[str, Any]:
    """`Background.entropy_cost`, as JSON values."""
    values: dict[str, Any] = {
        "pictures": cost.pictures,
        "float_bits": round(cost.float_bits),
        "integer_bits": round(cost.integer_bits),
        "overhead_percent": round(cost.overhead_percent, 4),
        "bound_percent": cost.bound_percent,
        **{name: round(bits) for name, bits in cost.compared_bits.items()},
    }
    if cost.density_bits is not None and cost.fitting_percent is not None:
        values |= {"density_bits": round(cost.density_bits), "fitting_percent": round(cost.fitting_percent, 4)}
    if cost.knobs:
        values["knobs"] = cost.knobs
    if cost.by_setting:
        values["by_setting"] = [_cost_values(each) for each in cost.by_setting]
    return values


def _provenance(models: Sequence[ExportedModel]) -> dict[str, Any]:
    """`Background.provenance`, as JSON values. Of several models each checkpoint says of which it is."""
    values: dict[str, Any] = {
        "checkpoints": [
            {**asdict(checkpoint), **({"model": each.described.id} if len(models) > 1 else {})}
            for each in models
            for checkpoint in each.source.checkpoints
        ],
        "versions": {
            "edgecodec": edgecodec.__version__,
            "numpy": numpy.__version__,
            "onnx": onnx.__version__,
            "torch": torch.__version__,
        },
        "processor": torch.backends.cpu.get_cpu_capability(),
    }
    if models[0].kept is not None:
        values["entropy"] = dict(models[0].kept)
    return values
