"""A codec of every family, small enough to export in a few seconds, with random weights that make its latents vary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgecodec_export.bundle.description import Source
from edgecodec_export.calibration import to_tensor
from edgecodec_export.families import Agustsson, Crdr, Fidelity, Hific, Hyperprior, LearnedCodec, Tunable
from edgecodec_export.families import agustsson as agustsson_module
from edgecodec_export.families import crdr as crdr_module
from edgecodec_export.families import fidelity as fidelity_module
from edgecodec_export.families import hyperprior as hyperprior_module
from edgecodec_export.families import tunable as tunable_module
from edgecodec_export.layers.conditioning import InterpolatedChannelAttention
from edgecodec_export.originals import Original
from edgecodec_export.pipeline import write_bundle
from support.make_tiny_bundle import PRESET as HIFIC
from support.make_tiny_bundle import last_convolution, tiny_halves, tiny_model, tiny_pictures

#: Every preset is of the class that its family defines.
PRESETS: dict[str, Any] = {
    # Its 3x3 convolutions that no knob changes are large enough to be stored in files of their own.
    "crdr": crdr_module.Preset((8, 4), (8, 48), 16, 8, 8, 4, 2, (8, 8), 5, 16),
    "crdr-multirate": crdr_module.Preset((8, 4), (8, 6), 16, 8, 8, 4, 2, (8, 8), 5, 0),
    "fidelity": fidelity_module.Preset(6, 4, (8, 8)),
    "hific": HIFIC,
    "hific-reflect": replace(
        HIFIC, padding="reflect", signed_images=True, rounding="half up", likelihood="logistic", pads_latent=True
    ),
    "hyperprior": hyperprior_module.Preset(6, 10),
    "hyperprior-blocks": hyperprior_module.Preset(6, 10, block_channels=12, block_units=(1, 1)),
    "agustsson": agustsson_module.Preset("GC", 3, (4, 6, 8, 8, 10), 1),
    "agustsson-sc": agustsson_module.Preset("SC", 3, (4, 6, 8, 8, 10), 1, classes=5, noise_channels=2, grain=True),
    "tunable": tunable_module.Preset((4, 6, 8), encoder_blocks=1, masker_blocks=1, decoder_blocks=1),
}


@cache
@torch.no_grad()
def tiny_codec(name: str) -> Any:
    """The codec, a LearnedCodec of any family, in evaluation mode. All callers share it: copy it before changing it."""
    torch.manual_seed(3)
    return _MAKERS[name.partition("-")[0]](name).eval().requires_grad_(False)


def _crdr(name: str) -> Crdr:
    model = Crdr(PRESETS[name])
    for module in model.modules():
        if isinstance(module, InterpolatedChannelAttention):
            module.weight.uniform_(0, 1.5)
            module.bias.uniform_(-0.3, 0.3)
    _scale(model.get_submodule("analysis.down4"), 4)
    _scale(last_convolution(model.hyper_analysis), 20)
    return model


def _fidelity(name: str) -> Fidelity:
    return Fidelity(PRESETS[name])


def _hific(name: str) -> Hific:
    if name == "hific":
        return tiny_model()
    model = Hific(PRESETS[name])
    _scale(last_convolution(model.analysis), 4)
    _scale(last_convolution(model.hyper_analysis), 20)
    return model


def _hyperprior(name: str) -> Hyperprior:
    model = Hyperprior(PRESETS[name])
    _scale(last_convolution(model.analysis), 60)
    _scale(last_convolution(model.hyper_analysis), 20)
    model.density.quantiles[:, 0, 1] = torch.linspace(-1, 1, 6)
    return model


def _agustsson(name: str) -> Agustsson:
    model = Agustsson(PRESETS[name])
    for module in model.modules():
        if isinstance(module, agustsson_module.InstanceNorm):
            module.gamma.uniform_(0.5, 1.5)
            module.beta.normal_(0, 0.3)
    _scale(model.get_submodule("analysis.1"), 8)
    return model


def _tunable(name: str) -> Tunable:
    """The batch statistics are those of a few pictures."""
    model = Tunable(PRESETS[name])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            module.weight.uniform_(1, 2)
            module.bias.normal_(std=0.2)
    model.train()(torch.cat([to_tensor(picture) for picture in tiny_pictures()]), n=0.0)
    return model


def write_tiny_bundle(name: str, output: Path) -> Path:
    """Write a bundle of `tiny_codec(name)`, with two qualities for CRDR."""
    model = tiny_codec(name)
    asked = {"quality": (0, 3), "beta": (3.84,)} if name == "crdr" else {}
    classes = tuple(f"class {i}" for i in range(model.classes()))
    source = Source(model.FAMILY, "tiny", classes=classes)
    write_bundle(output, [lambda: Original(source, model.baking(asked), tiny_halves())])
    return output


_MAKERS: dict[str, Callable[[str], LearnedCodec]] = {
    "agustsson": _agustsson,
    "crdr": _crdr,
    "fidelity": _fidelity,
    "hific": _hific,
    "hyperprior": _hyperprior,
    "tunable": _tunable,
}


def _scale(layer: nn.Module, factor: float) -> None:
    assert isinstance(layer, nn.Conv2d)
    layer.weight.mul_(factor)
