"""HiFiC as NeuralCompression saves it: the generators of MS-ILLM and their counterparts without a GAN.

A `.ckpt` file is a bare state dict. The network is the family's own with its default conventions; only names differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgecodec.export.families.hific import Hific, Preset
from edgecodec.export.importers.base import Checkpoint
from edgecodec.export.importers.bottleneck import plain_bottlenecks
from edgecodec.export.importers.layout import (
    entries_of,
    foreign_names,
    require_layout,
    state_dict_keys,
    state_shapes,
    width,
)

PUBLISHED = Hific.PRESETS["published"]
_BLOCK = re.compile(r"decoder\.resid_blocks\.(\d+)\.")


class NeuralCompression:
    """Importer of one layout."""

    ORIGIN = "NeuralCompression (HiFiC, MS-ILLM)"
    FAMILY = "hific"

    def recognises(self, content: Mapping[str, Any]) -> bool:
        return {"encoder.blocks.5.weight", "hyper_bottleneck.quantiles"} <= state_dict_keys(content)

    def read(self, content: Mapping[str, Any]) -> Checkpoint:
        found = plain_bottlenecks(entries_of(content))
        preset = Preset(
            widths=tuple(width(found, f"encoder.blocks.{k}.0.bias", PUBLISHED.widths[k]) for k in range(5)),
            latent_channels=width(found, "encoder.blocks.5.bias", PUBLISHED.latent_channels),
            hyperlatent_channels=width(found, "hyper_analysis.0.bias", PUBLISHED.hyperlatent_channels),
            residual_blocks=len({match[1] for match in map(_BLOCK.match, found) if match}),
        )
        shapes = state_shapes(Hific, preset)
        names = foreign_names(shapes, _modules(preset.residual_blocks))
        require_layout(self.ORIGIN, found, {names[name]: shape for name, shape in shapes.items()})
        tensors = {name: found[foreign].float() for name, foreign in names.items()}
        return Checkpoint("hific", "neural-compression", {"origin": self.ORIGIN}, tensors, preset)


def _modules(residual_blocks: int) -> dict[str, str]:
    """Path in NeuralCompression of each of the family's modules."""
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
