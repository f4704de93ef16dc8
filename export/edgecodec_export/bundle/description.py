"""What a bundle says of itself: the description for its index, and the background that its manifest adds."""

from __future__ import annotations

from collections import ChainMap
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
    Model,
    NoiseSpec,
    Padding,
    RateFit,
    SideInput,
)
from edgecodec_export.baking import Baking
from edgecodec_export.bundle.knobs import describe_knobs
from edgecodec_export.entropy.cost import EntropyCost
from edgecodec_export.entropy.freeze import Frozen
from edgecodec_export.graphs.export_graphs import ExportedGraphs

ENTROPY = "entropy.bin"


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


@dataclass(frozen=True)
class ExportedModel:
    """A model whose entropy model and graphs are in the bundle's folder. rate: orders the models of a bundle."""

    baking: Baking
    frozen: Frozen
    exported: ExportedGraphs
    entropy: str = ENTROPY
    rate: float = 0.0


def describe(source: Source, models: Sequence[ExportedModel], files: Mapping[str, BundleFile]) -> Description:
    """What the index of a bundle of these models says. files: those that a runtime may open."""
    graphs = [replace(graph, model=number) for number, each in enumerate(models) for graph in each.exported.graphs]
    defaults = dict(ChainMap(*(dict(each.baking.default_knobs()) for each in models)))
    return Description(
        family=source.family,
        preset=source.preset,
        models=tuple(_model(each, source.classes) for each in models),
        knobs=describe_knobs(models[0].baking.model.KNOBS, graphs, defaults, source.rate_fits),
        graphs=tuple(graphs),
        files=files,
    )


def _model(each: ExportedModel, classes: tuple[str, ...]) -> Model:
    codec, entropy = each.baking.model, each.frozen.entropy
    noise = codec.noise()
    return Model(
        id=entropy.model_id,
        entropy=each.entropy,
        rate=each.rate,
        alignment=entropy.alignment,
        padding=Padding(codec.ALIGNMENT, codec.PADDING, codec.SMALLEST_SIDE),
        noise=None if noise is None else NoiseSpec(noise.channels, noise.stride),
        encoder_latents=entropy.encoder_latents,
        decoder_latents=entropy.decoder_latents,
        side_inputs={
            latent.name: SideInput("labels", classes) if latent.name == "labels" else SideInput("mask")
            for latent in codec.side_latents()
        },
    )


def background(
    source: Source, model: ExportedModel, golden: tuple[Golden, ...], files: Mapping[str, BundleFile]
) -> Background:
    """What the manifest of a bundle of this model adds. files: all but the manifest itself."""
    return Background(
        golden=golden,
        parity=model.exported.errors,
        closeness=model.exported.closeness,
        entropy_cost=_cost_values(model.frozen.cost),
        provenance=_provenance(source, model.frozen),
        files=files,
    )


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
    if cost.knobs:
        values["knobs"] = cost.knobs
    if cost.by_setting:
        values["by_setting"] = [_cost_values(each) for each in cost.by_setting]
    return values


def _provenance(source: Source, frozen: Frozen) -> dict[str, Any]:
    """`Background.provenance`, as JSON values."""
    values: dict[str, Any] = {
        "checkpoints": [asdict(checkpoint) for checkpoint in source.checkpoints],
        "versions": {
            "edgecodec": edgecodec.__version__,
            "numpy": numpy.__version__,
            "onnx": onnx.__version__,
            "torch": torch.__version__,
        },
        "processor": torch.backends.cpu.get_cpu_capability(),
    }
    if frozen.kept is not None:
        values["entropy"] = dict(frozen.kept.origin)
    return values
