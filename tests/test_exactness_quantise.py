"""Integer scale nets: safe for every input, what the native library computes, and as good as the float ones."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from make_tiny_bundle import tiny_halves, tiny_model
from native_net import NativeNet
from torch import nn

from edgecodec.entropy import EntropyModel
from edgecodec.errors import CheckpointRejected
from edgecodec.export.calibration import to_tensor
from edgecodec.export.coding_tables import coded_bits, gaussian_scale_boundaries, gaussian_scales, gaussian_tables
from edgecodec.export.entropy.cost import measure
from edgecodec.export.entropy.scale_hyperprior import ScaleHyperpriorFreezer
from edgecodec.export.entropy_file import net_bytes
from edgecodec.export.families import Hific, Hyperprior
from edgecodec.export.families.hific import Preset as HificPreset
from edgecodec.export.families.hyperprior import Preset as HyperpriorPreset
from edgecodec.export.integer_net import INT32_MAX, INT32_MIN, IntegerNet
from edgecodec.export.quantise import InputFormat, Quantiser, cheapest_precision

Integers = npt.NDArray[np.int64]


def scale_network(family: str) -> tuple[nn.Sequential, int]:
    """A scale network, and its input channels."""
    torch.manual_seed(5)
    if family == "hific":
        model = Hific(HificPreset((4, 8, 8, 16, 16), 20, 12, 1))
        return model.scale_network(), 12
    return Hyperprior(HyperpriorPreset(16, 24)).scale_network(), 16


def quantiser(family: str, spread: float) -> tuple[Quantiser, int]:
    network, channels = scale_network(family)
    samples = [spread * torch.randn(1, channels, 3, 4, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    return Quantiser(network, samples, gaussian_scale_boundaries()), channels


def inputs_for(form: InputFormat, channels: int) -> dict[str, Integers]:
    """Inputs (1, channels, 5, 3) inside the format: random, and the two that drive sums to their bounds."""
    generator = np.random.default_rng(11)
    shape = (1, channels, 5, 3)
    return {
        "random": generator.integers(form.low, form.high + 1, shape),
        "highest": np.full(shape, form.high, np.int64),
        "alternating": np.where(generator.random(shape) < 0.5, form.low, form.high),
    }


@pytest.mark.parametrize("weight_bytes", [(1, 1, 1), (2, 2, 2), (2, 1, 2)])
@pytest.mark.parametrize("spread", [1.0, 300.0])
@pytest.mark.parametrize("family", ["hific", "hyperprior"])
def test_the_native_library_computes_the_same_indices(
    family: str, spread: float, weight_bytes: tuple[int, ...]
) -> None:
    made, channels = quantiser(family, spread)
    net = made.build(weight_bytes)
    native = NativeNet(net_bytes(net))
    for values in inputs_for(made.input_format, channels).values():
        np.testing.assert_array_equal(native.run(values[0]), net.run(values)[0])


@pytest.mark.parametrize("family", ["hific", "hyperprior"])
def test_no_input_can_drive_a_sum_out_of_32_bits(family: str) -> None:
    made, _ = quantiser(family, spread=3.0)
    for weight_bytes in ((1, 1, 1), (2, 2, 2)):
        net = made.build(weight_bytes)
        low, high = net.low, net.high
        for layer, (least, most) in zip(net.layers, net.accumulator_bounds(), strict=True):
            assert INT32_MIN <= least <= most <= INT32_MAX
            # The bound is reached by giving every weight the input that it makes most of.
            row = int(layer.weight.reshape(len(layer.bias), -1).clip(0).sum(1).argmax())
            weights = layer.weight[row].astype(object)
            assert sum((weights * np.where(weights > 0, high, low)).ravel()) + int(layer.bias[row]) <= most
            low, high = getattr(layer.epilogue, "low", 0), getattr(layer.epilogue, "high", 0)


def test_activations_give_up_bits_before_wide_layers_overflow() -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(400, 400, 5, padding=2), nn.ReLU(), nn.Conv2d(400, 4, 5, padding=2))
    for convolution in (wide[0], wide[2]):
        # Weights of one size and sign are the worst a layer can be: 10,000 taps at full scale.
        nn.init.constant_(convolution.weight, 0.01)
    made = Quantiser(wide, [torch.ones(1, 400, 1, 1)], gaussian_scale_boundaries())
    net = made.build((1, 1))
    assert net.high < 1 << 13
    assert all(least >= INT32_MIN and most <= INT32_MAX for least, most in net.accumulator_bounds())
    assert NativeNet(net_bytes(net)).shape(1, 1) == (4, 1, 1)


@pytest.mark.parametrize("family", ["hific", "hyperprior"])
def test_indices_are_those_of_the_nearest_scale_up_to_ties(family: str) -> None:
    network, channels = scale_network(family)
    samples = [2 * torch.randn(1, channels, 4, 4, generator=torch.Generator().manual_seed(9))]
    with torch.no_grad():
        network[-1].bias.copy_(torch.linspace(0.1, 6, len(network[-1].bias)))
        made = Quantiser(network, samples, gaussian_scale_boundaries())
        net = made.build((2, 2, 2))
        fixed = np.rint(samples[0].double().numpy() * 2.0**made.input_format.shift).astype(np.int64)
        scales = network((torch.from_numpy(fixed).double() * 2.0**-made.input_format.shift).float()).double().numpy()
    distance = np.abs(np.log(np.maximum(scales, 0.11))[..., None] - np.log(gaussian_scales()))
    nearest = distance.argmin(-1)
    indices = net.run(fixed)
    # Where the two differ, the float scale sits on the boundary.
    ties = np.take_along_axis(distance, indices[..., None], -1)[..., 0] - distance.min(-1)
    assert (indices != nearest).mean() < 0.02
    assert ties.max() < 0.02


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.01, 2000.0))
def test_one_number_through_a_net_gets_the_nearest_of_64_scales(scale: float) -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1))
    nn.init.zeros_(network[0].weight)
    nn.init.constant_(network[0].bias, scale)
    made = Quantiser(network, [torch.ones(1, 1, 1, 1)], gaussian_scale_boundaries())
    index = int(made.build((2,)).run(np.zeros((1, 1, 1, 1), np.int64))[0, 0, 0, 0])
    distances = np.abs(np.log(gaussian_scales()) - math.log(max(scale, 0.11)))
    assert distances[index] <= distances.min() + 1e-6


def test_freezing_costs_at_most_0_15_percent_on_pictures_that_did_not_calibrate() -> None:
    freezer, pictures = ScaleHyperpriorFreezer(tiny_model()), tiny_halves()
    frozen = freezer.freeze([freezer.observe(to_tensor(picture)) for picture in pictures.calibrating])
    observations = [freezer.observe(to_tensor(picture)) for picture in pictures.measuring]
    cost = measure(freezer, EntropyModel(frozen.to_bytes()), observations)
    assert cost.pictures == 2
    assert cost.float_bits > 5000
    assert cost.overhead_percent < 0.15


def test_the_reported_cost_grows_when_the_net_is_made_worse() -> None:
    freezer = ScaleHyperpriorFreezer(tiny_model())
    latents = [freezer.observe(to_tensor(picture)) for picture in tiny_halves().measuring]
    tables = gaussian_tables()
    good = sum(coded_bits(tables, each.float_indices, each.r) for each in latents)
    shifted = sum(coded_bits(tables, np.minimum(each.float_indices + 12, 63), each.r) for each in latents)
    assert shifted > 1.05 * good


def test_layers_widen_only_while_the_budget_is_exceeded() -> None:
    made, _ = quantiser("hific", spread=2.0)

    def bytes_of(net: IntegerNet) -> list[int]:
        return [layer.weight_bytes for layer in net.layers]

    assert bytes_of(cheapest_precision(made, lambda net: 0.0, budget=0.001)) == [1, 1, 1]
    assert bytes_of(cheapest_precision(made, lambda net: 1.0, budget=0.001)) == [2, 2, 2]
    middle_only = cheapest_precision(made, lambda net: float(net.layers[1].weight_bytes == 1), budget=0.001)
    assert bytes_of(middle_only) == [1, 2, 1]


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(2, 2, 1), nn.Tanh(), nn.Conv2d(2, 2, 1)),
        nn.Sequential(nn.Conv2d(2, 2, 1, groups=2)),
        nn.Sequential(nn.Conv2d(2, 2, 3, dilation=2)),
        nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")),
        nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU()),
        nn.Sequential(nn.ReLU(), nn.Conv2d(2, 2, 1)),
        nn.Sequential(),
    ],
)
def test_a_network_without_an_integer_form_is_refused(network: nn.Sequential) -> None:
    with pytest.raises(CheckpointRejected):
        Quantiser(network, [torch.ones(1, 2, 4, 4)], gaussian_scale_boundaries())
