"""Integer scale nets: safe for every input, what the native library computes, and as good as the float ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import CheckpointRejected
from edgecodec_export.calibration import to_tensor
from edgecodec_export.entropy.coding_tables import (
    GAUSSIAN,
    coded_bits,
    gaussian_scale_boundaries,
    gaussian_scales,
    scale_tables,
)
from edgecodec_export.entropy.cost import measure
from edgecodec_export.entropy.entropy_file import net_bytes
from edgecodec_export.entropy.freezers.scale_hyperprior import ScaleHyperpriorFreezer
from edgecodec_export.entropy.integer_net import INT32_MAX, INT32_MIN, IntegerLayer, IntegerNet, sum_bounds
from edgecodec_export.entropy.quantise import (
    FixedPoint,
    IndexOutput,
    InputFormat,
    Quantiser,
    TableOutput,
    ValueOutput,
    cheapest_precision,
    fixed_point_input,
)
from edgecodec_export.families import Hific, Hyperprior
from edgecodec_export.families.hific import Preset as HificPreset
from edgecodec_export.families.hyperprior import Preset as HyperpriorPreset
from support.make_tiny_bundle import tiny_halves, tiny_model
from support.native_net import NativeNet

Integers = npt.NDArray[np.int64]


def scale_network(family: str) -> tuple[nn.Sequential, int]:
    """A scale network, and its input channels."""
    torch.manual_seed(5)
    if family == "hific":
        model = Hific(HificPreset((4, 8, 8, 16, 16), 20, 12, 1))
        return model.scale_network(), 12
    return Hyperprior(HyperpriorPreset(16, 24)).scale_network(), 16


def index_quantiser(network: nn.Sequential, samples: list[torch.Tensor]) -> tuple[Quantiser, FixedPoint]:
    """As for a scale network, in the fixed point chosen for its samples."""
    form = fixed_point_input([network], samples)
    return Quantiser(network, samples, form.format, IndexOutput(gaussian_scale_boundaries())), form


def quantiser(family: str, spread: float) -> tuple[Quantiser, int]:
    network, channels = scale_network(family)
    samples = [spread * torch.randn(1, channels, 3, 4, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    return index_quantiser(network, samples)[0], channels


def inputs_for(net: IntegerNet, channels: int) -> dict[str, Integers]:
    """Inputs (1, channels, 5, 3) inside the net's bounds: random, and the two that drive sums to theirs."""
    generator = np.random.default_rng(11)
    shape = (1, channels, 5, 3)
    return {
        "random": generator.integers(net.low, net.high + 1, shape),
        "highest": np.full(shape, net.high, np.int64),
        "alternating": np.where(generator.random(shape) < 0.5, net.low, net.high),
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
    for values in inputs_for(net, channels).values():
        np.testing.assert_array_equal(native.run(values[0]), net.run(values)[0])


def convolutions(net: IntegerNet) -> list[IntegerLayer]:
    return [layer for layer in net.layers if isinstance(layer, IntegerLayer)]


@pytest.mark.parametrize("family", ["hific", "hyperprior"])
def test_no_input_can_drive_a_sum_out_of_32_bits(family: str) -> None:
    made, _ = quantiser(family, spread=3.0)
    for weight_bytes in ((1, 1, 1), (2, 2, 2)):
        net = made.build(weight_bytes)
        low, high = net.low, net.high
        for layer in convolutions(net):
            least, most = sum_bounds(layer.weight, layer.bias, low, high)
            assert least.min() >= INT32_MIN and most.max() <= INT32_MAX
            # The bound is reached by giving every weight the input that it makes most of.
            row = int(layer.weight.reshape(len(layer.bias), -1).clip(0).sum(1).argmax())
            weights = layer.weight[row].astype(object)
            assert sum((weights * np.where(weights > 0, high, low)).ravel()) + int(layer.bias[row]) <= most[row]
            low, high = getattr(layer.epilogue, "low", 0), getattr(layer.epilogue, "high", 0)


def test_activations_give_up_bits_before_wide_layers_overflow() -> None:
    torch.manual_seed(0)
    first, last = nn.Conv2d(400, 400, 5, padding=2), nn.Conv2d(400, 4, 5, padding=2)
    wide = nn.Sequential(first, nn.ReLU(), last)
    for convolution in (first, last):
        # Weights of one size and sign are the worst a layer can be: 10,000 taps at full scale.
        nn.init.constant_(convolution.weight, 0.01)
    made, _ = index_quantiser(wide, [torch.ones(1, 400, 1, 1)])
    net = made.build((1, 1))
    assert net.high < 1 << 13
    assert NativeNet(net_bytes(net)).shape(1, 1) == (4, 1, 1)


@pytest.mark.parametrize("family", ["hific", "hyperprior"])
def test_indices_are_those_of_the_nearest_scale_up_to_ties(family: str) -> None:
    network: Any
    network, channels = scale_network(family)
    samples = [2 * torch.randn(1, channels, 4, 4, generator=torch.Generator().manual_seed(9))]
    with torch.no_grad():
        network[-1].bias.copy_(torch.linspace(0.1, 6, len(network[-1].bias)))
        made, form = index_quantiser(network, samples)
        net = made.build((2, 2, 2))
        fixed = np.rint(samples[0].double().numpy() * 2.0**form.shift).astype(np.int64)
        scales = network((torch.from_numpy(fixed).double() * 2.0**-form.shift).float()).double().numpy()
    distance = np.abs(np.log(np.maximum(scales, 0.11))[..., None] - np.log(gaussian_scales()))
    nearest = distance.argmin(-1)
    indices = net.run(fixed)
    # Where the two differ, the float scale sits on the boundary.
    ties = np.take_along_axis(distance, indices[..., None], -1)[..., 0] - distance.min(-1)
    assert (indices != nearest).mean() < 0.02
    assert ties.max() < 0.02


@settings(max_examples=30)
@given(scale=st.floats(0.01, 2000.0))
def test_one_number_through_a_net_gets_the_nearest_of_64_scales(scale: float) -> None:
    layer = nn.Conv2d(1, 1, 1)
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, scale)
    network = nn.Sequential(layer)
    made, _ = index_quantiser(network, [torch.ones(1, 1, 1, 1)])
    index = int(made.build((2,)).run(np.zeros((1, 1, 1, 1), np.int64))[0, 0, 0, 0])
    distances = np.abs(np.log(gaussian_scales()) - math.log(max(scale, 0.11)))
    assert distances[index] <= distances.min() + 1e-6


@pytest.mark.parametrize("table", [False, True])
def test_values_are_those_of_the_float_net_in_the_unit_asked_for(table: bool) -> None:
    """Inputs of one net may have units a thousand times apart."""
    torch.manual_seed(3)
    first = nn.Conv2d(5, 24, 5, padding=2)
    network = nn.Sequential(first, nn.ReLU(), nn.Conv2d(24, 3, 3, padding=1))
    units = np.array([1.0, 0.1, 0.01, 0.3, 1e-3])
    first.weight.data /= torch.from_numpy(units).float().reshape(1, -1, 1, 1)
    integers = np.random.default_rng(4).integers(-2000, 2001, (1, 5, 6, 7))
    sample = torch.from_numpy(integers * units.reshape(1, -1, 1, 1)).float()
    with torch.no_grad():
        wanted = network(sample).double().numpy()
    unit = float(np.abs(wanted).max()) / 500
    values = ValueOutput(unit, -600, 600)
    entries = np.rint(200 * np.tanh(np.arange(-600, 601) / 300)).astype(np.int64)
    output = TableOutput(values, entries) if table else values
    net = Quantiser(network, [sample], InputFormat(units, -2000, 2000), output).build((2, 2))
    found = net.run(integers)
    np.testing.assert_array_equal(NativeNet(net_bytes(net)).run(integers[0]), found[0])
    expected = 200 * np.tanh(wanted / unit / 300) if table else wanted / unit
    assert np.abs(found - expected).max() < 2
    assert np.abs(found).max() > 100


def test_values_out_of_reach_are_clipped() -> None:
    layer = nn.Conv2d(1, 1, 1)
    assert layer.bias is not None
    nn.init.constant_(layer.weight, 1.0)
    nn.init.zeros_(layer.bias)
    network = nn.Sequential(layer)
    net = Quantiser(network, [], InputFormat(np.ones(1), -1000, 1000), ValueOutput(0.5, -300, 400)).build((1,))
    values = net.run(np.array([-1000, -1, 0, 3, 1000]).reshape(1, 1, 1, 5))
    assert values.ravel().tolist() == [-300, -2, 0, 6, 400]


def test_freezing_costs_at_most_0_15_percent_on_pictures_that_did_not_calibrate() -> None:
    """Both models have the tables that were fitted to those that did."""
    freezer: Any = ScaleHyperpriorFreezer(tiny_model())
    pictures = tiny_halves()
    frozen = freezer.freeze([freezer.observe(to_tensor(picture)) for picture in pictures.calibrating])
    observations = [freezer.observe(to_tensor(picture)) for picture in pictures.measuring]
    cost = measure(freezer, EntropyModel(frozen.to_bytes()), observations)
    assert cost.pictures == 2
    assert cost.float_bits > 5000
    assert abs(cost.overhead_percent) < 0.15


def test_the_reported_cost_grows_when_the_net_is_made_worse() -> None:
    freezer = ScaleHyperpriorFreezer(tiny_model())
    latents = [freezer.observe(to_tensor(picture)) for picture in tiny_halves().measuring]
    tables = scale_tables(GAUSSIAN)
    good = sum(coded_bits(tables, each.float_indices, each.r) for each in latents)
    shifted = sum(coded_bits(tables, np.minimum(each.float_indices + 12, 63), each.r) for each in latents)
    assert shifted > 1.05 * good


def test_layers_widen_only_while_the_budget_is_exceeded() -> None:
    made, _ = quantiser("hific", spread=2.0)

    def bytes_of(net: IntegerNet) -> list[int]:
        return [layer.weight_bytes for layer in convolutions(net)]

    assert bytes_of(cheapest_precision(made, lambda net: 0.0, budget=0.001)) == [1, 1, 1]
    assert bytes_of(cheapest_precision(made, lambda net: 1.0, budget=0.001)) == [2, 2, 2]
    middle_only = cheapest_precision(made, lambda net: float(bytes_of(net)[1] == 1), budget=0.001)
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
        index_quantiser(network, [torch.ones(1, 2, 4, 4)])
