"""Input scales of networks that share an input: in range, and such that one byte holds the weights of all channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgecodec_export.entropy.input_units import Consumer, Statistics, balanced_units
from edgecodec_export.entropy.quantise import InputFormat, Quantiser, ValueOutput

LARGEST = 2047


def samples(spreads: Tensor) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [spreads.reshape(1, -1, 1, 1) * torch.randn(1, len(spreads), 8, 8, generator=generator) for _ in range(3)]


def consumer(seed: int, *inputs: tuple[str, int]) -> Consumer:
    torch.manual_seed(seed)
    return Consumer(nn.Conv2d(sum(channels for _, channels in inputs), 6, 5), [name for name, _ in inputs])


def test_no_calibrating_value_is_clipped_and_the_range_is_used() -> None:
    tensors = {"a": Statistics.of(samples(torch.logspace(-3, 2, 8))), "b": Statistics.of(samples(torch.ones(4)))}
    units = balanced_units(tensors, [consumer(0, ("a", 8), ("b", 4)), consumer(1, ("b", 4))], LARGEST)
    integers = np.concatenate([tensors[name].peaks / units[name] for name in ("a", "b")])
    np.testing.assert_allclose(integers.max(), LARGEST)


def test_channels_with_large_weights_get_small_units() -> None:
    tensors = {"a": Statistics.of(samples(torch.ones(4)))}
    (only,) = consumers = [consumer(0, ("a", 4))]
    with torch.no_grad():
        only.convolution.weight.copy_(torch.tensor([1.0, 2.0, 4.0, 8.0]).reshape(1, 4, 1, 1).expand(6, 4, 5, 5))
    units = balanced_units(tensors, consumers, LARGEST)["a"]
    np.testing.assert_allclose(units / units[-1], [8, 4, 2, 1])


def test_unused_channels_and_values_that_are_zero_get_finite_units() -> None:
    tensors = {
        "a": Statistics.of(samples(torch.tensor([1.0, 1.0, 0.0]))),
        "b": Statistics.of([torch.zeros(1, 2, 3, 3)]),
    }
    consumers = [consumer(0, ("a", 3), ("b", 2))]
    with torch.no_grad():
        consumers[0].convolution.weight[:, 1] = 0
    units = balanced_units(tensors, consumers, LARGEST)
    assert all(np.isfinite(each).all() and (each > 0).all() for each in units.values())
    units = balanced_units({"b": tensors["b"]}, [consumer(0, ("b", 2))], LARGEST)
    assert np.isfinite(units["b"]).all() and (units["b"] > 0).all()


def test_small_features_beside_large_values_are_not_lost() -> None:
    """Half of the inputs are 300 times the others. With the full range each, the small half gets weights of 0."""
    spreads = torch.cat([torch.full((24,), 0.03), torch.full((24,), 9.0)])
    inputs = [x.abs() for x in samples(spreads)]
    torch.manual_seed(2)
    layer = nn.Conv2d(48, 8, 5, padding=2)
    network = nn.Sequential(layer)
    with torch.no_grad():
        layer.weight[:, :24].abs_()  # a small sum of many, which rounding every weight to 0 would miss
        wanted = network(inputs[0]).double().numpy()
        without = network(inputs[0] * (spreads > 1).reshape(1, -1, 1, 1)).double().numpy()
    tensors = {"all": Statistics.of(inputs)}
    peaks = tensors["all"].peaks / LARGEST
    balanced = balanced_units(tensors, [Consumer(layer, ["all"])], LARGEST)["all"]

    def error(units: npt.NDArray[np.float64]) -> float:
        integers = np.rint(inputs[0].double().numpy() / units.reshape(1, -1, 1, 1)).astype(np.int64)
        net = Quantiser(network, [], InputFormat(units, -LARGEST, LARGEST), ValueOutput(1e-3, -32767, 32767)).build([1])
        return float(np.abs((net.run(integers) * 1e-3 - wanted).mean()))

    lost = float(np.abs((without - wanted).mean()))
    assert error(balanced) < 0.1 * lost
    assert error(peaks) > 0.9 * lost
