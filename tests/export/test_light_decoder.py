"""A decode by the preset `light` takes at most 6000 multiplications for a pixel, those of its entropy model too."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edgecodec_export.families import Hyperprior, build

SIDE = 256  # pixels; work for a pixel does not depend on it


def thousands_of_multiplications(preset: str) -> float:
    model = build("hyperprior", preset).eval()
    assert isinstance(model, Hyperprior)
    z, r = (
        torch.zeros(1, latent.channels, SIDE // latent.stride, SIDE // latent.stride)
        for latent in model.decoder_latents()
    )
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.decode(z, r)
        model.scale_network()(z)
    return counter.get_total_flops() / 2 / SIDE**2 / 1000


def test_it_stays_below_six_thousand_multiplications_for_a_pixel() -> None:
    assert thousands_of_multiplications("light") <= 6


def test_the_transforms_of_the_papers_need_more() -> None:
    """Which shows that the layers of a decoder are counted."""
    assert thousands_of_multiplications("compact") == pytest.approx(7.2, abs=0.1)
