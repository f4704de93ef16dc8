"""CRDR at fixed knobs is the codec with knobs, borders included, and nothing is left that could be folded."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from edgecodec.errors import InvalidArgument
from edgecodec_export.baking.affine import AffineMap
from edgecodec_export.baking.conditioning import OffsetResidualUnit
from edgecodec_export.families.crdr import Crdr, Preset, bake_decoder, bake_encoder
from edgecodec_export.layers.conditioning import Conditioning, InterpolatedChannelAttention, RealismResidualUnit

WITH_BETA = Preset((8, 4), (12, 6), 16, 8, 8, 4, 2, (8, 8), 5, 16)
WITHOUT_BETA = Preset((8, 4), (12, 6), 16, 8, 8, 4, 2, (8, 8), 5, 0)
QUALITIES = (0, 1.3, 2, 2.75, 4)
BETAS = (0.0, 3.84, 5.12)


@cache
def model(preset: Preset = WITH_BETA) -> Crdr:
    """In double precision, with channel attention far from the identity."""
    torch.manual_seed(11)
    drawn = Crdr(preset).double().eval().requires_grad_(False)
    for parameter in drawn.parameters():
        parameter.mul_(1 + 1e-3 * torch.rand_like(parameter))  # not to be held in single precision
    for module in drawn.modules():
        if isinstance(module, InterpolatedChannelAttention):
            module.weight.uniform_(-2, 2)
            module.bias.uniform_(-0.5, 0.5)
    return drawn


def picture() -> Tensor:
    return torch.rand(2, 3, 64, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def latent() -> Tensor:
    return torch.randint(-400, 400, (2, 16, 4, 8), generator=torch.Generator().manual_seed(6)).double()


def agree(found: Tensor, expected: Tensor, tolerance: float = 1e-12) -> bool:
    """Whether all values are equal within `tolerance` of the largest."""
    return float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_baked_encoder_is_the_encoder_with_its_knob(quality: float) -> None:
    baked = bake_encoder(model(), quality)
    assert agree(baked.analysis(2 * picture() - 1), model().analyse(picture(), quality))
    for found, expected in zip(baked(picture()), model().encode(picture(), quality), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("quality", QUALITIES)
def test_a_baked_decoder_is_the_decoder_with_its_knobs(quality: float, beta: float) -> None:
    assert agree(bake_decoder(model(), quality, beta)(latent()), model().decode(latent(), quality, beta))


@pytest.mark.parametrize("quality", [0, 3.5])
def test_a_codec_without_beta_is_baked_the_same(quality: float) -> None:
    plain = model(WITHOUT_BETA)
    baked = bake_decoder(plain, quality, 0)
    assert agree(baked(latent()), plain.decode(latent(), quality))
    assert not any(isinstance(module, OffsetResidualUnit) for module in baked.modules())


def test_every_value_of_a_knob_gives_other_pictures() -> None:
    """Without this, the tests above would pass on knobs that do nothing."""
    decoded = [model().decode(latent(), quality, beta) for quality in QUALITIES for beta in BETAS]
    encoded = [model().analyse(picture(), quality) for quality in QUALITIES]
    for outputs in (decoded, encoded):
        assert not any(agree(a, b, 1e-3) for i, a in enumerate(outputs) for b in outputs[:i])


def test_a_shift_pushed_forwards_is_wrong_along_the_borders_only() -> None:
    """What baking must not do passes any test that looks at the middle of the picture alone."""
    transform: Any = model().analysis
    conditioning = Conditioning(1.5)
    attention, convolution = transform.block1_rate, transform.down2
    features = torch.randn(1, 8, 24, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    expected = convolution(attention(features, conditioning))

    scale, shift = attention.at(1.5)
    naive = copy.deepcopy(convolution)
    naive.bias += (naive.weight * shift).sum((1, 2, 3))
    naive.weight *= scale
    found = naive(features)

    assert agree(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    assert not agree(found, expected, 1e-2)


def test_what_is_left_can_be_counted() -> None:
    """Sums: one of each residual unit and of each attention block, and what the knobs leave."""
    units, attention_blocks = 9, 2
    sums = units + attention_blocks * (2 * 3 + 1)
    assert operations(bake_encoder(model(), 1.5).analysis) == {"add": sums, "mul": attention_blocks}
    decoder = bake_decoder(model(), 1.5, 3.84)
    assert operations(decoder) == {"add": sums + 1 + 9, "mul": attention_blocks + 1}
    leaves = [type(module) for module in decoder.modules()]
    assert leaves.count(AffineMap) == 1
    assert leaves.count(OffsetResidualUnit) == 9
    assert isinstance(decoder.layers[0], AffineMap)
    for baked in (bake_encoder(model(), 1.5), decoder):
        assert not any(
            isinstance(each, (InterpolatedChannelAttention, RealismResidualUnit)) for each in baked.modules()
        )


def operations(baked: nn.Module) -> dict[str, int]:
    """How many sums and products of whole maps a traced module holds."""
    names = [node.target.__name__ for node in fx.symbolic_trace(baked).graph.nodes if node.op == "call_function"]
    return {name: names.count(name) for name in ("add", "mul")}


def test_baking_leaves_the_model_as_it_was() -> None:
    before = copy.deepcopy(model().state_dict())
    bake_encoder(model(), 0.5)
    bake_decoder(model(), 0.5, 1.0)
    assert all(torch.equal(before[name], tensor) for name, tensor in model().state_dict().items())


def test_a_model_in_single_precision_is_folded_in_double() -> None:
    single = copy.deepcopy(model()).float()
    decoder, encoder = bake_decoder(single, 2.75, 3.84), bake_encoder(single, 2.75)
    for baked in (decoder, encoder):
        assert all(tensor.dtype == torch.float32 for tensor in baked.state_dict().values())
    assert agree(decoder(latent().float()), single.decode(latent().float(), 2.75, 3.84), 2e-6)
    assert agree(encoder.analysis(2 * picture().float() - 1), single.analyse(picture().float(), 2.75), 2e-6)


def test_between_two_levels_values_are_interpolated_before_softplus() -> None:
    attention = InterpolatedChannelAttention(5, 1).double().requires_grad_(False)
    attention.weight[:, 0, 0, 0] = torch.tensor([0.0, 1.0, -3.0, 5.0, 2.0])
    attention.bias[:, 0, 0, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0, -4.0])
    scale, shift = attention.at(2.25)
    assert scale.item() == pytest.approx(F.softplus(torch.tensor(-1.0, dtype=torch.float64)).item())
    assert scale.item() != pytest.approx(
        0.75 * F.softplus(torch.tensor(-3.0)).item() + 0.25 * F.softplus(torch.tensor(5.0)).item()
    )
    assert shift.item() == pytest.approx(2.25)
    assert attention.at(4)[1].item() == -4.0
    assert attention.at(0)[1].item() == 0.0


@pytest.mark.parametrize("quality", [-0.01, 4.01, float("nan")])
def test_a_quality_out_of_range_is_refused(quality: float) -> None:
    for call in (
        lambda: bake_encoder(model(), quality),
        lambda: bake_decoder(model(), quality, 0),
        lambda: model().encode(picture(), quality),
        lambda: model().decode(latent(), quality),
    ):
        with pytest.raises(InvalidArgument, match="quality must be between 0 and 4"):
            call()


def test_a_beta_out_of_range_is_refused() -> None:
    for beta in (-0.1, 5.13, float("nan")):
        with pytest.raises(InvalidArgument, match=r"beta must be between 0 and 5\.12"):
            bake_decoder(model(), 0, beta)
    with pytest.raises(InvalidArgument, match=r"beta must be between 0 and 0,"):
        model(WITHOUT_BETA).decode(latent(), 0, 1.0)
