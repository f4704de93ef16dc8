"""The frozen mixture: what the library codes is what the reference says, at the cost of the mixture in floats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import CheckpointRejected
from edgecodec_export.entropy import entropy_file
from edgecodec_export.entropy.cost import integer_bits_of, measure
from edgecodec_export.entropy.freezers.mixture import MixtureFreezer, Observation
from edgecodec_export.entropy.integer_net import IntegerLayer
from edgecodec_export.families import Fidelity
from edgecodec_export.families.fidelity import Preset
from support import reference_picture
from support.exactness import assert_exact
from support.reference_coder import Bits, Distribution
from support.reference_integer_net import Integers
from support.reference_model_file import parse_model
from support.reference_picture import Mixed

SMALL = replace(Fidelity.PRESETS["compact"], channels=8, latent_channels=6, context_channels=(24, 32))
COMPACT = replace(Fidelity.PRESETS["compact"], channels=8)  # the whole context model
STRIDE = 16


@torch.no_grad()
def random_model(seed: int, preset: Preset = SMALL) -> Fidelity:
    """Whose mixtures have means a few units wide, deviations from hundredths to units, and uneven weights."""
    torch.manual_seed(seed)
    model = Fidelity(preset)
    layers = context_layers(model)
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, a=0.2)
    layers[-1].weight /= 10  # of neighbours a few units wide the last layer makes changes of about as much
    means, deviations, logits = layers[-1].bias.reshape(model.context.components, 3, -1).unbind(1)
    means.normal_(0, 2)
    deviations.uniform_(-3, 1).exp_()
    logits.normal_(0, 2)
    return model.eval().requires_grad_(False)


def context_layers(model: Fidelity) -> list[Any]:
    """The convolutions, every one of which has a bias."""
    return [layer for layer in model.context.context_network() if isinstance(layer, nn.Conv2d)]


def random_latent(model: Fidelity, seed: int, rows: int = 8, columns: int = 12, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(1, model.latent_channels, rows, columns, generator=generator)).round()


def freeze(model: Fidelity) -> entropy_file.EntropyFile:
    freezer = MixtureFreezer(model)
    return freezer.freeze([freezer.observe_latent(random_latent(model, seed)) for seed in range(3)])


def integer_bits(frozen: entropy_file.EntropyFile, observation: Observation) -> int:
    return integer_bits_of(EntropyModel(frozen.to_bytes()), observation)


def observe(model: Fidelity, y: Integers) -> Observation:
    """y: (C, rows, columns)"""
    return MixtureFreezer(model).observe_latent(torch.from_numpy(y)[None].float())


def assert_reference_agrees(frozen: entropy_file.EntropyFile, y: Integers) -> None:
    """y: (C, rows, columns)"""
    _, rows, columns = y.shape
    assert_exact(parse_model(frozen.to_bytes()), {"y": y}, columns * STRIDE, rows * STRIDE)


def latents_as_likely(frozen: entropy_file.EntropyFile, seed: int, rows: int, columns: int) -> Integers:
    """(C, rows, columns) that the integer mixture itself draws, of the values that have intervals."""
    generator = np.random.default_rng(seed)

    def draw(distribution: Distribution) -> int:
        assert isinstance(distribution, Mixed)
        return distribution.decode(int(generator.integers(distribution.escape().start)), Bits())[1]

    model = parse_model(frozen.to_bytes())
    return reference_picture.fill(model, columns * STRIDE, rows * STRIDE, lambda _symbols, _last: None, draw)["y"]


@pytest.mark.parametrize("seed", range(3))
def test_the_library_codes_what_the_reference_says(seed: int) -> None:
    model = random_model(seed)
    frozen = freeze(model)
    assert_reference_agrees(frozen, random_latent(model, 10 + seed)[0].long().numpy())
    assert_reference_agrees(frozen, latents_as_likely(frozen, seed, 5, 7))


def test_the_compact_context_model_is_exact() -> None:
    model = random_model(4, COMPACT)
    assert_reference_agrees(freeze(model), random_latent(model, 14, 4, 6)[0].long().numpy())


@pytest.mark.parametrize("seed", range(3))
def test_the_integer_mixture_costs_what_the_float_one_does(seed: int) -> None:
    """On values that one of them draws: the other can only take more, and takes hardly more."""
    model = random_model(seed)
    frozen = freeze(model)
    observation = observe(model, latents_as_likely(frozen, seed, 16, 24))
    cost = measure(model.freezer(), EntropyModel(frozen.to_bytes()), [observation])
    assert cost.float_bits > 2000
    assert abs(cost.overhead_percent) < 0.5


def test_the_cost_grows_when_the_net_is_made_worse() -> None:
    model = random_model(0)
    frozen = freeze(model)
    (net,) = frozen.nets
    first = net.layers[0]
    assert isinstance(first, IntegerLayer)
    coarse = replace(first, weight=first.weight // 16 * 16)
    worse = replace(frozen, nets=(replace(net, layers=(coarse, *net.layers[1:])),))
    observation = observe(model, latents_as_likely(frozen, 0, 16, 24))
    assert integer_bits(worse, observation) > 1.005 * integer_bits(frozen, observation)


@pytest.mark.parametrize("far", [40, 3000, -30000])
def test_values_far_from_any_that_were_seen_cost_an_escape_and_little_more(far: int) -> None:
    """Their neighbours see them clamped to what the net takes."""
    model = random_model(1)
    frozen = freeze(model)
    y = random_latent(model, 21)[0].long().numpy()
    usual = integer_bits(frozen, observe(model, y))
    y[2, 3, 4] = y[5, 7, 11] = far
    assert_reference_agrees(frozen, y)
    assert integer_bits(frozen, observe(model, y)) < 1.5 * usual


def test_a_calibration_without_contrast_still_codes_everything() -> None:
    model = random_model(2)
    freezer = MixtureFreezer(model)
    frozen = freezer.freeze([freezer.observe_latent(torch.zeros(1, 6, 2, 2))])
    assert frozen.nets[0].low < 0 < frozen.nets[0].high
    assert_reference_agrees(frozen, random_latent(model, 22, 4, 6, scale=20)[0].long().numpy())


@pytest.mark.parametrize("factor", [0.0, 1e-6, 1e4, 1e12])
@pytest.mark.parametrize("layer", [0, -1])
def test_extreme_weights_saturate_and_stay_exact(layer: int, factor: float) -> None:
    model = random_model(3)
    context_layers(model)[layer].weight.data *= factor
    context_layers(model)[layer].bias.data *= factor
    frozen = freeze(model)
    assert_reference_agrees(frozen, random_latent(model, 23, 4, 6)[0].long().numpy())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    model = random_model(3)
    context_layers(model)[-1].bias.data[0] = value
    with pytest.raises(CheckpointRejected):
        freeze(model)


def test_the_wavefront_waits_for_every_tap() -> None:
    (step,) = freeze(random_model(0)).steps
    assert isinstance(step, entropy_file.Mixture)
    assert step.delay == 3
    assert all(across < step.delay * up for up, across in step.taps)
