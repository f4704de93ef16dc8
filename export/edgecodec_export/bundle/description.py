"""The description of a bundle, as the `BundleInfo` that the runtime will read from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy
import onnx
import torch

import edgecodec
from edgecodec.manifest import SCHEMA, AnalysisGraph, BundleFile, BundleInfo, Padding, RateFit, SideInput
from edgecodec_export.baking import Baking
from edgecodec_export.entropy.cost import EntropyCost
from edgecodec_export.entropy.freeze import Frozen
from edgecodec_export.families import LearnedCodec
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


def describe(
    folder: Path,
    source: Source,
    baking: Baking,
    frozen: Frozen,
    graphs: ExportedGraphs,
    files: Mapping[str, BundleFile],
) -> BundleInfo:
    """The bundle in `folder`, which holds `files` and no golden pictures yet."""
    model, entropy = baking.model, frozen.entropy
    return BundleInfo(
        path=str(folder),
        schema=SCHEMA,
        family=source.family,
        preset=source.preset,
        model_id=entropy.model_id,
        entropy=ENTROPY,
        encoder_latents=entropy.encoder_latents,
        decoder_latents=entropy.decoder_latents,
        image=Padding(model.ALIGNMENT, model.PADDING, model.SMALLEST_SIDE),
        analysis=tuple(_with_rate_fits(graph, source.rate_fits) for graph in graphs.analysis),
        given=_side_inputs(model, source.classes),
        synthesis=graphs.synthesis,
        default_knobs=baking.default_knobs(),
        golden=(),
        entropy_cost=_cost_values(frozen.cost),
        provenance=_provenance(source, frozen),
        files=files,
    )


def _with_rate_fits(graph: AnalysisGraph, fits: Mapping[str, RateFit]) -> AnalysisGraph:
    scalars = {name: replace(scalar, rate_fit=fits.get(name)) for name, scalar in graph.scalars.items()}
    return replace(graph, scalars=scalars)


def _side_inputs(model: LearnedCodec, classes: tuple[str, ...]) -> dict[str, SideInput]:
    return {
        latent.name: SideInput("labels", classes) if latent.name == "labels" else SideInput("mask", ())
        for latent in model.side_latents()
    }


def _cost_values(cost: EntropyCost) -> dict[str, Any]:
    """`BundleInfo.entropy_cost`, as JSON values."""
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
    """`BundleInfo.provenance`, as JSON values."""
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
