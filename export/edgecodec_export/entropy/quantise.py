"""Post-training quantisation: a float network to an integer net that gives table indices, or values in a known unit.

Symmetric quantisation (Jacob et al. 2018, section 2): one scale per output channel for weights, one per layer for
activations, biases in the accumulator's unit. Where table indices are wanted the last layer is never brought back to a
scale: its accumulators are compared with the table boundaries, so scales from 0.11 to 256 need no wide fixed point.

Weights take one byte where that is precise enough and two where it is not. The caller's cost function decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgecodec.errors import CheckpointRejected
from edgecodec_export.entropy.integer_net import (
    INT32_MAX,
    Epilogue,
    Index,
    IntArray,
    IntegerLayer,
    IntegerNet,
    Requantise,
    ValueTable,
    sum_bounds,
)

FloatArray = npt.NDArray[np.float64]

ACTIVATION_BITS = 12
INPUT_BITS = 13  # of the hyperlatent: each unit is a whole symbol, so its fraction needs the room
HEADROOM = 2.0  # activations may be this much larger than on the calibration pictures before they saturate
LARGEST_SHIFT = 62
LARGEST_INDEX = 255  # sums stay this far below 2^31, so that thresholds out of reach still ascend
MULTIPLIER_BITS = 30


@dataclass(frozen=True)
class InputFormat:
    """The input of a net: integers in low..high. units: (in,) real values of their 1, or (1,) if all are the same."""

    units: FloatArray
    low: int
    high: int


@dataclass(frozen=True)
class FixedPoint:
    """integer = real * 2^shift, clipped to low..high."""

    shift: int
    low: int
    high: int

    @property
    def format(self) -> InputFormat:
        return InputFormat(np.array([2.0**-self.shift]), self.low, self.high)


class Output(Protocol):
    """How the accumulators of a last layer become outputs."""

    def epilogue(self, units: FloatArray) -> Epilogue:
        """The epilogue of the layer. units: (out,) real value of an accumulator's 1."""


@dataclass(frozen=True)
class IndexOutput:
    """Table indices. boundaries: (T,) real outputs at which the index grows by one, ascending."""

    boundaries: FloatArray

    def epilogue(self, units: FloatArray) -> Index:
        return Index(_integer_thresholds(self.boundaries, units))


@dataclass(frozen=True)
class ValueOutput:
    """Integers of the real value `unit`, of all channels or (out,) of each, clipped to low..high."""

    unit: float | FloatArray
    low: int
    high: int

    def epilogue(self, units: FloatArray) -> Requantise:
        return _requantise(units / self.unit, 1.0, self.low, self.high)


@dataclass(frozen=True)
class TableOutput:
    """Entries of a table, which the integers of the value output choose; the first is for its lowest."""

    values: ValueOutput
    entries: IntArray

    def epilogue(self, units: FloatArray) -> ValueTable:
        return ValueTable(self.values.epilogue(units), self.entries)


@dataclass(frozen=True)
class _Stage:
    """One float convolution and the slope of the rectifier after it (1: none, 0: ReLU, between: LeakyReLU)."""

    convolution: nn.Conv2d | nn.ConvTranspose2d
    negative_slope: float

    @property
    def weight(self) -> FloatArray:
        """(out, kernel, kernel, in)"""
        weight = self.convolution.weight.detach().double()
        order = (1, 2, 3, 0) if isinstance(self.convolution, nn.ConvTranspose2d) else (0, 2, 3, 1)
        return np.ascontiguousarray(weight.permute(order).numpy())

    @property
    def bias(self) -> FloatArray:
        bias = self.convolution.bias
        return np.zeros(self.convolution.out_channels) if bias is None else bias.detach().double().numpy()

    def __call__(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        return torch.where(x < 0, x * self.negative_slope, x)


class Quantiser:
    """Makes integer forms of one network.

    network: convolutions, transposed convolutions, ReLU and LeakyReLU only, else CheckpointRejected.
    samples: float inputs (1, in, h, w) from the calibration pictures. form: of the integers that stand for them.
    activation_bits: most bits of magnitudes between layers; fewer are taken where accumulators would not fit 32 bits.
    """

    def __init__(
        self,
        network: nn.Sequential,
        samples: Iterable[Tensor],
        form: InputFormat,
        output: Output,
        activation_bits: int = ACTIVATION_BITS,
    ) -> None:
        self._stages = _stages(network)
        self._form = form
        self._activation_bits = activation_bits
        self._output = output
        self._peaks = _peaks(self._stages, samples)

    def __len__(self) -> int:
        """Number of layers."""
        return len(self._stages)

    def build(self, weight_bytes: Sequence[int]) -> IntegerNet:
        """The integer net whose layer k has weights of weight_bytes[k] bytes, 1 or 2. Its sums provably fit 32 bits."""
        # The units of the inputs become part of the first layer's weights; the input of every later layer has one unit.
        unit, low, high = 1.0, self._form.low, self._form.high
        layers = []
        for k, stage in enumerate(self._stages):
            input_units = 1.0 if k else self._form.units
            weight, bias, weight_units = _quantise_weights(
                stage.weight * input_units, stage.bias / unit, low, high, weight_bytes[k]
            )
            units = weight_units * unit
            epilogue: Epilogue
            if k + 1 == len(self._stages):
                epilogue = self._output.epilogue(units)
            else:
                unit, low, high = self._activation_format(k)
                epilogue = _requantise(units / unit, stage.negative_slope, low, high)
            layers.append(_layer(stage, weight_bytes[k], weight, bias, epilogue))
        return IntegerNet(self._form.low, self._form.high, tuple(layers))

    def _activation_format(self, k: int) -> tuple[float, int, int]:
        """Real value of one unit, and the range, of what layer k hands to layer k + 1."""
        reach = self._peaks[k + 1] * HEADROOM
        signed = self._stages[k].negative_slope > 0
        for bits in range(self._activation_bits, 1, -1):
            high = (1 << (bits - signed)) - 1
            low = -high if signed else 0
            if _bytes_fit(self._stages[k + 1].weight, low, high):
                break
        return reach / high, low, high


def cheapest_precision(quantiser: Quantiser, cost: Callable[[IntegerNet], float], budget: float) -> IntegerNet:
    """A net with few two-byte layers whose cost is within budget; failing that, two bytes everywhere.

    Starts with one byte everywhere and widens, one at a time, the layer that lowers the cost most.
    """
    weight_bytes = [1] * len(quantiser)
    net = quantiser.build(weight_bytes)
    reached = cost(net)
    while reached > budget and 1 in weight_bytes:
        trials = []
        for k in (k for k, width in enumerate(weight_bytes) if width == 1):
            wider = [2 if i == k else width for i, width in enumerate(weight_bytes)]
            candidate = quantiser.build(wider)
            trials.append((cost(candidate), k, wider, candidate))
        reached, _, weight_bytes, net = min(trials, key=lambda trial: trial[:2])
    return net


def fixed_point_input(networks: Sequence[nn.Sequential], samples: Sequence[Tensor]) -> FixedPoint:
    """The finest fixed point of `samples` that every one of the networks can take with one-byte weights."""
    largest = (1 << INPUT_BITS) - 1
    peak = max([1e-6, *(float(x.abs().max()) for x in samples)])
    shift = min(max(math.floor(math.log2(largest / (peak * HEADROOM))), 0), 14)
    weights = [_stages(network)[0].weight for network in networks]
    while shift > 0 and not all(_bytes_fit(weight, -largest, largest) for weight in weights):
        shift, largest = shift - 1, largest >> 1
    return FixedPoint(shift, -largest, largest)


def _stages(network: nn.Sequential) -> list[_Stage]:
    stages: list[_Stage] = []
    rectified = True
    for module in network:
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and _is_plain(module):
            stages.append(_Stage(module, 1.0))
            rectified = False
        elif isinstance(module, (nn.ReLU, nn.LeakyReLU)) and not rectified:
            slope = module.negative_slope if isinstance(module, nn.LeakyReLU) else 0.0
            stages[-1] = _Stage(stages[-1].convolution, slope)
            rectified = True
        else:
            raise CheckpointRejected(f"a network of the entropy model has a layer without an integer form: {module}")
    if not stages or rectified:
        raise CheckpointRejected("a network of the entropy model does not end in a convolution")
    return stages


def _is_plain(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    square = all(len(set(each)) == 1 for each in (module.kernel_size, module.stride, module.padding))
    return square and module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"


@torch.no_grad()
def _peaks(stages: Sequence[_Stage], samples: Iterable[Tensor]) -> list[float]:
    """Largest magnitude of the input and of every hidden layer's activations over the samples."""
    peaks = [1e-6] * len(stages)
    for x in samples:
        for k, stage in enumerate(stages):
            peaks[k] = max(peaks[k], float(x.abs().max()))
            x = stage(x)
    return peaks


def _bytes_fit(weight: FloatArray, low: int, high: int) -> bool:
    """Whether one-byte weights at full precision keep a layer's sums in 32 bits for inputs in low..high."""
    # Biases are left out: fewer activation bits would not make them smaller.
    needed = _weight_units_for_32_bits(weight, np.zeros(len(weight)), low, high)
    return bool((needed <= np.abs(weight).max((1, 2, 3)) / 127).all())


def _weight_units_for_32_bits(weight: FloatArray, bias: FloatArray, low: int, high: int) -> FloatArray:
    """(out,) smallest real value of one weight unit whose sums, roundings included, cannot leave 32 bits.

    bias: (out,) in units of the input.
    """
    least, most = sum_bounds(weight, bias, low, high)
    rounding = weight[0].size * 0.5 * max(-low, high) + 1
    return np.asarray(np.maximum(most, -least) / (INT32_MAX - LARGEST_INDEX - rounding), np.float64)


def _quantise_weights(
    weight: FloatArray, bias: FloatArray, low: int, high: int, weight_bytes: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """Integer weights, integer biases and the (out,) real values of one weight unit; `bias` in units of the input."""
    largest = 127 if weight_bytes == 1 else 32767
    units = np.maximum.reduce([
        np.abs(weight).max((1, 2, 3)) / largest,
        _weight_units_for_32_bits(weight, bias, low, high),
        np.full(len(bias), 1e-12),
    ])  # fmt: skip
    quantised = np.rint(weight / units.reshape(-1, 1, 1, 1)).astype(np.int64)
    return quantised, np.rint(bias / units).astype(np.int64), units


def _integer_thresholds(boundaries: FloatArray, units: FloatArray) -> IntArray:
    """(out, T) least accumulators that reach each boundary. units: (out,) real value of an accumulator's 1."""
    count = len(boundaries)
    thresholds = np.ceil(boundaries / units[:, None])
    # A threshold beyond every sum still has to be stored, and in order.
    unreachable = INT32_MAX - np.arange(count)[::-1]
    thresholds = np.minimum(thresholds, unreachable).astype(np.int64)
    steps = np.arange(count)
    return np.asarray(np.maximum.accumulate(thresholds - steps, axis=1) + steps)


def _requantise(ratios: FloatArray, negative_slope: float, low: int, high: int) -> Requantise:
    """ratios: (out,) units of the accumulator over the unit of the activation; becomes multiplier * 2^-shift."""
    _, exponents = np.frexp(ratios)
    shift = np.clip(MULTIPLIER_BITS - exponents, 1, LARGEST_SHIFT).astype(np.int64)
    positive = np.minimum(np.rint(np.ldexp(ratios, shift)), INT32_MAX).astype(np.int64)
    negative = np.rint(positive * negative_slope).astype(np.int64)
    return Requantise(positive, negative, shift, low, high)


def _layer(stage: _Stage, weight_bytes: int, weight: IntArray, bias: IntArray, epilogue: Epilogue) -> IntegerLayer:
    convolution = stage.convolution
    transposed = isinstance(convolution, nn.ConvTranspose2d)
    return IntegerLayer(
        transposed=transposed,
        stride=convolution.stride[0],
        padding=int(convolution.padding[0]),
        output_padding=convolution.output_padding[0] if transposed else 0,
        weight_bytes=weight_bytes,
        weight=weight,
        bias=bias,
        epilogue=epilogue,
    )
