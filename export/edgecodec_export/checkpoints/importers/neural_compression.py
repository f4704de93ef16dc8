"""HiFiC as NeuralCompression saves it: the MS-ILLM models, and the same network trained without a GAN.

A `.ckpt` file is a bare state dict. The network is the family's with its default conventions; only names differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.importers.bottleneck import Bottlenecks
from edgecodec_export.checkpoints.importers.importer import Importer
from edgecodec_export.checkpoints.importers.layout import (
    checkpoint,
    foreign_names,
    repetitions,
    require_layout,
    width,
)
from edgecodec_export.checkpoints.importers.state_dicts import StateDict
from edgecodec_export.checkpoints.tensor_mismatches import state_shapes
from edgecodec_export.families.hific import Hific, Preset

PUBLISHED = Hific.PRESETS["published"]
BOTTLENECKS = Bottlenecks(density="hyper_bottleneck", conditional="latent_bottleneck")
_BLOCK = r"decoder\.resid_blocks\.(\d+)\."


class NeuralCompression(Importer):
    """Importer of this layout."""

    ORIGIN = "NeuralCompression (HiFiC, MS-ILLM)"
    FAMILY = "hific"
    STATE = None
    ROOTS = ("encoder.", "decoder.", "hyper_", "latent_bottleneck.")

    def has_layout(self, names: AbstractSet[str]) -> bool:
        return {"encoder.blocks.5.weight", "hyper_bottleneck.quantiles"} <= names

    def convert(self, stored: StateDict) -> Checkpoint:
        stored = BOTTLENECKS.plain(stored)
        preset = _preset(stored.entries)
        shapes = state_shapes(Hific, preset)
        names = foreign_names(shapes, _modules(preset.residual_blocks))
        require_layout(self.ORIGIN, stored, {names[name]: shape for name, shape in shapes.items()})
        tensors = {name: stored.entries[foreign].float() for name, foreign in names.items()}
        notes = {"origin": self.ORIGIN}
        return checkpoint(stored, self.FAMILY, "neural-compression", notes, names, tensors, preset)


def _preset(found: Mapping[str, Any]) -> Preset:
    """The preset that the shapes tell. Layers of the encoder and their counterparts in the decoder are equally wide."""
    stages = [{f"encoder.blocks.{k}.0.{leaf}": 0 for leaf in ("bias", "weight")} for k in range(5)]
    for k in range(4):
        stages[k][f"decoder.blocks.{3 - k}.0.bias"] = 0
        stages[k + 1][f"decoder.blocks.{3 - k}.0.weight"] = 0
    latent = {"encoder.blocks.5.bias": 0, "encoder.blocks.5.weight": 0, "hyper_synthesis_mean.4.bias": 0}
    hyperlatent = {f"hyper_analysis.{i}.bias": 0 for i in (0, 2, 4)}
    full, half, quarter, eighth, sixteenth = (width(found, stages[k], PUBLISHED.widths[k]) for k in range(5))
    return Preset(
        widths=(full, half, quarter, eighth, sixteenth),
        latent_channels=width(found, latent, PUBLISHED.latent_channels),
        hyperlatent_channels=width(found, hyperlatent, PUBLISHED.hyperlatent_channels),
        residual_blocks=repetitions(found, _BLOCK),
    )


def _modules(residual_blocks: int) -> dict[str, str]:
    """NeuralCompression's path of each of the family's modules."""
    modules = {"analysis.15": "encoder.blocks.5", "synthesis.image": "decoder.blocks.4", "density": "hyper_bottleneck"}
    for k in range(5):
        modules |= {f"analysis.{3 * k + i}": f"encoder.blocks.{k}.{i}" for i in (0, 1)}
    for k in range(4):
        modules |= {f"synthesis.doublings.{3 * k + i}": f"decoder.blocks.{k}.{i}" for i in (0, 1)}
    modules |= {f"synthesis.head.{i}": f"decoder.block_0.{i}" for i in range(3)}
    for k in range(residual_blocks):
        ours, theirs = f"synthesis.residual_blocks.{k}.body", f"decoder.resid_blocks.{k}.sequence"
        modules |= {f"{ours}.{i}": f"{theirs}.{i}" for i in (0, 1, 3, 4)}
    for network in ("hyper_analysis", "hyper_synthesis_mean", "hyper_synthesis_scale"):
        modules |= {f"{network}.{i}": f"{network}.{i}" for i in (0, 2, 4)}
    return modules
