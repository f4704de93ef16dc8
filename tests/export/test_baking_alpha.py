"""Baking alpha: exact at its ends, linear between, and refused for decoders that do not share an encoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected, InvalidArgument
from edgecodec_export.baking.interpolation import interpolate
from edgecodec_export.families.hyperprior import Hyperprior, Preset
from support.make_tiny_bundle import second_decoder, tiny_model

PREFIXES = ("synthesis.",)


@pytest.fixture
def main() -> dict[str, Tensor]:
    return dict(tiny_model().state_dict())


@pytest.fixture
def mse() -> dict[str, Tensor]:
    return dict(second_decoder(tiny_model()).state_dict())


def test_the_ends_are_the_two_checkpoints_bit_for_bit(main: dict[str, Tensor], mse: dict[str, Tensor]) -> None:
    for alpha, expected in ((0.0, mse), (1.0, main)):
        baked = interpolate(main, mse, alpha, PREFIXES)
        assert list(baked) == list(main)
        assert all(torch.equal(baked[name], expected[name]) for name in baked)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.9])
def test_between_the_ends_only_the_decoder_moves_and_linearly(
    main: dict[str, Tensor], mse: dict[str, Tensor], alpha: float
) -> None:
    baked = interpolate(main, mse, alpha, PREFIXES)
    for name, tensor in baked.items():
        if name.startswith("synthesis."):
            expected = mse[name] + alpha * (main[name] - mse[name])
            torch.testing.assert_close(tensor, expected, rtol=1e-6, atol=1e-7)
        else:
            assert torch.equal(tensor, main[name])
        assert tensor.dtype == torch.float32


def test_what_is_mixed_are_the_stored_roots_of_gdn_and_not_its_effective_values() -> None:
    torch.manual_seed(0)
    a, b = (Hyperprior(Preset(8, 8)).synthesis.state_dict(prefix="synthesis.") for _ in range(2))
    b = {name: tensor * 3 for name, tensor in b.items()}
    baked = interpolate(a, b, 0.5, PREFIXES)
    assert torch.allclose(baked["synthesis.1.beta"], (a["synthesis.1.beta"] + b["synthesis.1.beta"]) / 2)


def test_one_changed_bit_in_the_encoder_is_refused_and_named(main: dict[str, Tensor], mse: dict[str, Tensor]) -> None:
    changed = "hyper_synthesis_scale.0.bias"
    mse[changed] = mse[changed].clone()
    mse[changed].view(torch.int32)[3] ^= 1
    with pytest.raises(CheckpointRejected) as refused:
        interpolate(main, mse, 0.5, PREFIXES)
    assert changed in str(refused.value)
    assert str(refused.value).count("\n") == 1


def test_every_missing_extra_and_reshaped_tensor_is_listed(main: dict[str, Tensor], mse: dict[str, Tensor]) -> None:
    del mse["synthesis.image.bias"]
    mse["synthesis.extra"] = torch.zeros(1)
    mse["synthesis.head.1.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointRejected) as refused:
        interpolate(main, mse, 0.5, PREFIXES)
    for name in ("synthesis.image.bias", "synthesis.extra", "synthesis.head.1.bias"):
        assert name in str(refused.value)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_alpha_outside_0_to_1_is_refused(main: dict[str, Tensor], mse: dict[str, Tensor], alpha: float) -> None:
    with pytest.raises(InvalidArgument):
        interpolate(main, mse, alpha, PREFIXES)
