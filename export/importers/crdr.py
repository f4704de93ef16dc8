"""The authors' own CRDR checkpoints (github.com/iwa-shi/CRDR): stage 3, and stage 2, which has no beta.

A PyTorch file `{"iter": int, "comp_model": tensors by name}`. Four things differ from this package's layout:

* names, among them the two spellings that CompressAI has had for the parameters of the factorised density;
* channel attention has an axis of length 1 after that of the levels;
* the last layer of the hyper-synthesis is a transposed convolution of stride 1: a convolution with its kernel turned;
* tables of frequencies lie beside the parameters. They date from before the last training and fit no density, so they
  are left out, with the constants of CompressAI's layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec.export.families.crdr import Crdr
from edgecodec.export.importers.base import Checkpoint

# From our names to the origin's, applied in this order.
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
# The origin numbers its channel attention in the order of the stages that it belongs to.
_STAGES = {
    "analysis": ("down1", "block1", "down2", "block2", "attention2", "down3", "block3", "down4", "attention4"),
    "synthesis": ("attention1", "up1", "block1", "up2", "attention2", "block2", "up3", "block3", "up4"),
}
_RATE = re.compile(r"\.interp_ca_list\.")
_TURNED = re.compile(r"^hyperdecoder\.hd_(mu|std)\.conv3\.weight$")
_LATER_SPELLING = re.compile(r"^(entropy_model_z\.)(matrices|biases|factors)\.(\d)$")
_EARLIER = {"matrices": "_matrix", "biases": "_bias", "factors": "_factor"}
_LEFT_OUT = re.compile(
    r"^entropy_model_([zy]\.(_offset|_quantized_cdf|_cdf_length|likelihood_lower_bound\.bound)"
    r"|z\.target|y\.(scale_table|scale_bound|lower_bound_scale\.bound))$"
)


class CrdrCheckpoints:
    """Importer of that layout."""

    ORIGIN = "CRDR (iwa-shi/CRDR)"
    FAMILY = "crdr"

    def recognises(self, content: Mapping[str, Any]) -> bool:
        stored = content.get("comp_model")
        return isinstance(stored, Mapping) and any("interp_ca_list." in str(name) for name in stored)

    def read(self, content: Mapping[str, Any]) -> Checkpoint:
        found = _parameters(content["comp_model"])
        has_beta = any(name.startswith("decoder.mlp.") or ".proj_" in name for name in found)
        preset = "published" if has_beta else "published-multirate"
        with torch.device("meta"):
            state = Crdr(Crdr.PRESETS[preset]).state_dict()
        names = {_origin_name(own): own for own in state}
        shapes = {name: _stored_shape(name, tuple(state[own].shape)) for name, own in names.items()}
        _refuse([*_unfit(found, shapes)])
        tensors = {own: _converted(name, found[name]).float() for name, own in names.items()}
        notes = {"origin": self.ORIGIN, "iterations": str(content.get("iter", "unknown"))}
        return Checkpoint(Crdr.FAMILY, preset, notes, tensors)


def _parameters(stored: Mapping[str, Any]) -> dict[str, Tensor]:
    """What is stored by name, but for what is left out; all names in one spelling."""
    found: dict[str, Tensor] = {}
    problems = []
    for stored_name, tensor in stored.items():
        name = _earlier_spelling(str(stored_name).removeprefix("module."))
        if _LEFT_OUT.match(name):
            continue
        if name in found:
            problems.append(f"{name}: there twice")
        elif not isinstance(tensor, Tensor):
            problems.append(f"{name}: not a tensor")
        else:
            found[name] = tensor
    _refuse(problems)
    return found


def _unfit(found: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for name in sorted(found.keys() | shapes.keys()):
        if name not in shapes:
            yield f"{name}: unused"
        elif name not in found:
            yield f"{name}: missing"
        elif tuple(found[name].shape) != shapes[name]:
            yield f"{name}: has shape {tuple(found[name].shape)}, should have {shapes[name]}"


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise CheckpointRejected("not the CRDR model that was published:\n  " + "\n  ".join(problems))


def _origin_name(own: str) -> str:
    """What the origin calls the tensor `own` of the family's model."""
    rate = re.match(r"^(analysis|synthesis)\.(\w+)_rate\.(weight|bias)$", own)
    if rate:
        transform, layer, kind = rate.groups()
        room = {"analysis": "encoder", "synthesis": "decoder"}[transform]
        return f"{room}.interp_ca_list.{_STAGES[transform].index(layer)}.{kind}"
    for pattern, replacement in _RENAMED:
        own = pattern.sub(replacement, own)
    return own


def _earlier_spelling(name: str) -> str:
    """CompressAI before 1.2.7 wrote `_matrix0`, later ones write `matrices.0`."""
    return _LATER_SPELLING.sub(lambda found: f"{found[1]}{_EARLIER[found[2]]}{found[3]}", name)


def _stored_shape(name: str, own: tuple[int, ...]) -> tuple[int, ...]:
    """How the origin shapes what this package holds as `own`."""
    if _TURNED.match(name):
        return own[1], own[0], *own[2:]
    return (own[0], 1, *own[1:]) if _RATE.search(name) else own


def _converted(name: str, stored: Tensor) -> Tensor:
    if _TURNED.match(name):
        return stored.transpose(0, 1).flip(2, 3)
    return stored.squeeze(1) if _RATE.search(name) else stored
