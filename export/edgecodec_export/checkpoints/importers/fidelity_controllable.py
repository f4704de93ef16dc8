"""Checkpoints of the fidelity-controllable codec as its authors release them: `ckpt_model*_{mse,gan}.pth`.

A file holds {"iter", "comp_model", ...}; only `comp_model` is used. Its 202 tensors are taken as they are, except that
the twelve causal taps of the masked convolution become a 1x1 convolution. The other taps are ignored, zero or not: the
origin zeroes them each time it computes, so a file may be stored with or without the mask applied.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import torch
from torch import Tensor

from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.importers.importer import Importer
from edgecodec_export.checkpoints.importers.layout import checkpoint, count_of, require_layout
from edgecodec_export.checkpoints.importers.state_dicts import StateDict
from edgecodec_export.checkpoints.tensor_mismatches import state_shapes
from edgecodec_export.families.fidelity import Fidelity
from edgecodec_export.layers.causal_mixture import ContextModel

PRESET = "published"
MASKED = "contextmodel.mask_conv1.conv.weight"
MASKED_KERNEL = (3, 5)

# The origin's name of each layer of our sequences, in order. None: a layer without tensors.
_SEQUENCES: dict[str, tuple[str | None, ...]] = {
    "analysis": (
        *("encoder.block1", "encoder.block2", "encoder.block3", "encoder.nlam1"),
        *("encoder.block4", "encoder.block5", "encoder.block6", "encoder.conv1.0", None),
        *("encoder.nlam2", "encoder.conv2"),
    ),
    "synthesis": (
        *("decoder.conv1.0", None, "decoder.nlam1", "decoder.block1", "decoder.up1", "decoder.block2", "decoder.up2"),
        *("decoder.nlam2", "decoder.block3", "decoder.up3", "decoder.block4", "decoder.up4.0"),
    ),
    "context.network": (
        *("contextmodel.mask_conv1.conv", None, "contextmodel.c1", None, "contextmodel.c2", None, "contextmodel.c3"),
    ),
}
_RESIDUAL = {"first": "conv1", "second": "conv2", "norm": "actv2"}
_ATTENTION = {"main": "blocks_main", "mask": "blocks_mask", "mask_projection": "conv_mask"} | _RESIDUAL
_UPSAMPLING = {"first": "c1.0", "second": "c1.3", "norm": "c1.4", "shortcut": "shortcut.0"}


class FidelityControllable(Importer):
    """Importer of this layout."""

    ORIGIN = "fidelity_controllable_compression (Iwai et al.)"
    FAMILY = "fidelity"
    STATE = "comp_model"
    ROOTS = ("encoder.", "decoder.", "contextmodel.")

    def has_layout(self, names: AbstractSet[str]) -> bool:
        return any(name.startswith("contextmodel.") for name in names)

    def convert(self, stored: StateDict) -> Checkpoint:
        shapes = state_shapes(Fidelity, Fidelity.PRESETS[PRESET])
        names = {name: origin_name(name) for name in shapes}
        expected = {origin: shapes[name] for name, origin in names.items()}
        outputs, gathered, *_ = expected[MASKED]
        expected[MASKED] = (outputs, gathered // len(ContextModel.taps), *MASKED_KERNEL)
        require_layout(self.ORIGIN, stored, expected)
        tensors = {
            name: (causal_taps if origin == MASKED else Tensor.float)(stored.entries[origin])
            for name, origin in names.items()
        }
        notes = {"origin": self.ORIGIN, "iterations": count_of(stored.around.get("iter"))}
        return checkpoint(stored, self.FAMILY, PRESET, notes, names, tensors)


def origin_name(name: str) -> str:
    """The origin's name of one of the model's tensors: "encoder.block1.actv2.beta" for "analysis.0.norm.beta"."""
    sequence = next(sequence for sequence in _SEQUENCES if name.startswith(sequence + "."))
    index, *inner = name.removeprefix(sequence + ".").split(".")
    layer = _SEQUENCES[sequence][int(index)]
    assert layer is not None, name
    kind = _UPSAMPLING if ".up" in layer else _ATTENTION if ".nlam" in layer else _RESIDUAL
    return ".".join([layer, *(kind.get(part, part) for part in inner)])


def causal_taps(kernel: Tensor) -> Tensor:
    """(O, C, 3, 5) masked kernel, whose last row is that of the position itself, to (O, 12 C, 1, 1) over the neighbours
    that the context model gathers.
    """
    rows, columns = kernel.shape[2:]
    taps = [kernel[:, :, rows - 1 - up, columns // 2 + right] for up, right in ContextModel.taps]
    return torch.cat(taps, 1)[:, :, None, None]
