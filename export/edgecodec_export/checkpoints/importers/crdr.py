"""CRDR checkpoints of the authors (github.com/iwa-shi/CRDR): stage 3, and stage 2, which has no beta.

A PyTorch file `{"iter": int, "comp_model": tensors by name}`. Four things differ from this package's layout:

* names, including the two spellings of CompressAI for the parameters of the factorised density;
* channel attention has an axis of length 1 after the axis of the levels;
* the last layer of the hyper-synthesis is a transposed convolution of stride 1, which is a convolution with the kernel
  flipped on both axes;
* tables of frequencies are stored beside the parameters. They are older than the parameters and match no density, so
  they are left out, as are the tensors that CompressAI's layers keep for training.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from torch import Tensor

from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.importers.bottleneck import Bottlenecks
from edgecodec_export.checkpoints.importers.importer import Importer
from edgecodec_export.checkpoints.importers.layout import checkpoint, count_of, require_layout
from edgecodec_export.checkpoints.importers.state_dicts import StateDict
from edgecodec_export.checkpoints.tensor_mismatches import Shape, state_shapes
from edgecodec_export.families.crdr import Crdr

BOTTLENECKS = Bottlenecks(density="entropy_model_z", conditional="entropy_model_y")

# From the family's names to the origin's, applied in this order.
_RENAMED = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^analysis\.", "encoder."),
        (r"^(synthesis|realism)\.", "decoder."),
        (r"\.(down|up)(\d)\.", r".conv\2."),
        (r"\.(block\d)\.(\d)\.", r".\1.block\2."),
        (r"(block\d)\.enter\.", r"\1.conv.0."),
        (r"(block\d)\.inside\.", r"\1.conv.2."),
        (r"(block\d)\.leave\.", r"\1.conv.4."),
        (r"\.entered\.", ".proj_1."),
        (r"\.within\.", ".proj_2."),
        (r"\.left\.", ".proj_3."),
        (r"\.attention(\d)\.", r".attn\1."),
        (r"\.mask\.3\.", ".conv."),
        (r"\.trunk\.", ".trunk_block."),
        (r"\.mask\.", ".attention_block."),
        (r"\.enter\.", ".c1."),
        (r"\.inside\.", ".c2."),
        (r"\.leave\.", ".c3."),
        (r"^decoder\.layers\.", "decoder.mlp."),
        (r"^hyper_analysis\.", "hyperencoder."),
        (r"^hyper_synthesis_mean\.", "hyperdecoder.hd_mu."),
        (r"^hyper_synthesis_scale\.", "hyperdecoder.hd_std."),
        (r"^(hyper.*)\.0\.", r"\1.conv1."),
        (r"^(hyper.*)\.2\.", r"\1.conv2."),
        (r"^(hyper.*)\.4\.", r"\1.conv3."),
        (r"^context\.(mean|scale)\.(\d+)\.", r"context_model.\1_slice_transforms.\2.model."),
        (r"^context\.residual\.(\d+)\.", r"context_model.lrp_slice_transforms.\1.model."),
        (r"^density\.", "entropy_model_z."),
    )
)
# The origin numbers its channel attention layers in the order of these stages.
_STAGES = {
    "analysis": ("down1", "block1", "down2", "block2", "attention2", "down3", "block3", "down4", "attention4"),
    "synthesis": ("attention1", "up1", "block1", "up2", "attention2", "block2", "up3", "block3", "up4"),
}
_RATE = re.compile(r"\.interp_ca_list\.")
_FLIPPED = re.compile(r"^hyperdecoder\.hd_(mu|std)\.conv3\.weight$")


class CrdrCheckpoints(Importer):
    """Importer of this layout."""

    ORIGIN = "CRDR (iwa-shi/CRDR)"
    FAMILY = "crdr"
    STATE = "comp_model"
    ROOTS = ("encoder.", "decoder.", "hyperencoder.", "hyperdecoder.", "context_model.", "entropy_model_")

    def has_layout(self, names: AbstractSet[str]) -> bool:
        return any(name.startswith(("encoder.interp_ca_list.", "decoder.interp_ca_list.")) for name in names)

    def convert(self, stored: StateDict) -> Checkpoint:
        stored = BOTTLENECKS.plain(stored)
        found = stored.entries
        has_beta = any(name.startswith("decoder.mlp.") or ".proj_" in name for name in found)
        preset = "published" if has_beta else "published-multirate"
        shapes = state_shapes(Crdr, Crdr.PRESETS[preset])
        names = {own: _origin_name(own) for own in shapes}
        require_layout(self.ORIGIN, stored, {name: _stored_shape(name, shapes[own]) for own, name in names.items()})
        tensors = {own: _converted(name, found[name]).float() for own, name in names.items()}
        notes = {"origin": self.ORIGIN, "iterations": count_of(stored.around.get("iter"))}
        return checkpoint(stored, self.FAMILY, preset, notes, names, tensors)


def _origin_name(own: str) -> str:
    """The origin's name of the tensor `own` of the family's model."""
    rate = re.match(r"^(analysis|synthesis)\.(\w+)_rate\.(weight|bias)$", own)
    if rate:
        transform, layer, kind = rate.groups()
        network = {"analysis": "encoder", "synthesis": "decoder"}[transform]
        return f"{network}.interp_ca_list.{_STAGES[transform].index(layer)}.{kind}"
    for pattern, replacement in _RENAMED:
        own = pattern.sub(replacement, own)
    return own


def _stored_shape(name: str, own: Shape) -> Shape:
    """The origin's shape of a tensor that has shape `own` here."""
    if _FLIPPED.match(name):
        return own[1], own[0], *own[2:]
    return (own[0], 1, *own[1:]) if _RATE.search(name) else own


def _converted(name: str, stored: Tensor) -> Tensor:
    if _FLIPPED.match(name):
        return stored.transpose(0, 1).flip(2, 3)
    return stored.squeeze(1) if _RATE.search(name) else stored
