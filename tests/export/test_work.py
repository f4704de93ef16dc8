"""The work of a model is what its layers multiply, counted here from their shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgecodec_export.graphs.work import work_of
from support.tiny_codecs import tiny_codec

SIDE = 256


def _multiplications(module: nn.Module, *inputs: torch.Tensor) -> float:
    """For a pixel: of each convolution, its weights times the positions of its output, or of its input where it is
    transposed.
    """
    total = 0

    def count(layer: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        positions = given[0] if isinstance(layer, nn.ConvTranspose2d) else output
        total += layer.weight.numel() * positions.shape[-1] * positions.shape[-2]

    layers = [each for each in module.modules() if isinstance(each, nn.Conv2d | nn.ConvTranspose2d)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        module(*inputs)
    for handle in handles:
        handle.remove()
    return total / SIDE**2


@pytest.mark.parametrize("name", ["crdr", "agustsson"])
def test_the_work_of_a_model_is_that_of_its_layers(name: str) -> None:
    model: Any = tiny_codec(name)
    work = work_of(model)
    assert work.parameters == sum(each.numel() for each in model.parameters())
    baking = model.baking()
    encoder = baking.baked_encoder(baking.encoder_knobs()[0]).module
    decoder = baking.baked_decoder(baking.decoder_knobs()[0]).module
    latents = [
        torch.zeros(1, each.channels, SIDE // each.stride, SIDE // each.stride) for each in model.decoder_latents()
    ]
    assert work.analysis == pytest.approx(_multiplications(encoder, torch.zeros(1, 3, SIDE, SIDE)))
    assert work.synthesis == pytest.approx(_multiplications(decoder, *latents))
    assert (work.entropy > 0) == (name == "crdr")
