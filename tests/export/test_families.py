"""The models of the families keep their promises to training and export."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgecodec_export.families import FAMILIES, ScaleHyperprior, build
from edgecodec_export.families.hific import Hific, Preset

SMALL = Preset((4, 8, 8, 16, 16), 8, 8, 1)


@pytest.mark.parametrize("family", sorted(name for name in FAMILIES if issubclass(FAMILIES[name], ScaleHyperprior)))
def test_the_compact_preset_of_every_scale_hyperprior_codes_a_picture(family: str) -> None:
    torch.manual_seed(0)
    model: Any = build(family, "compact").eval()
    image = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        z_symbols, residual, y = model.quantise(model.analysis(image))
        assert z_symbols.shape == (1, model.hyperlatent_channels, 1, 2)
        assert residual.shape == (1, model.latent_channels, 4, 8)
        assert torch.equal(residual, residual.round())
        torch.testing.assert_close(model.rebuild(z_symbols, residual), y)
        assert model.synthesis(y).shape == image.shape
        assert all(map(torch.equal, model.encode(image), (z_symbols, residual)))
        assert torch.equal(model.decode(z_symbols, residual), model.synthesis(model.rebuild(z_symbols, residual)))
        for latent, symbols in zip(model.encoder_latents(), (z_symbols, residual), strict=True):
            assert symbols.shape == (1, latent.channels, 64 // latent.stride, 128 // latent.stride)
        medians = model.density.medians.reshape(1, -1, 1, 1)
        assert model.scale_network()(z_symbols + medians).shape == residual.shape


@pytest.mark.parametrize(("family", "millions"), [("hific", 181.5), ("hyperprior", 17.6)])
def test_published_sizes_have_the_published_number_of_parameters(family: str, millions: float) -> None:
    with torch.device("meta"):
        model: Any = build(family, "published")
    density = {id(parameter) for parameter in model.density.parameters()}
    count = sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in density)
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


def test_hific_has_the_stages_of_the_paper() -> None:
    model: Any = Hific(SMALL)
    strides = [layer.stride[0] for layer in model.analysis if isinstance(layer, nn.Conv2d)]
    assert strides == [1, 2, 2, 2, 2, 1]
    assert sum(isinstance(layer, nn.ConvTranspose2d) for layer in model.synthesis.modules()) == 4
