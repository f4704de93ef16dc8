"""Integer networks as entropy.bin stores them (docs/format.md, section 3), and an execution of them for export.

The native library runs these nets at both ends of the wire. The one here is independent of it: convolutions in float64,
which is exact because every sum of a valid net fits 32 bits and float64 holds integers up to 2^53.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

IntArray = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


@dataclass(frozen=True)
class Requantise:
    """Epilogue of a hidden layer: accumulators to the next layer's activations, in low..high.

    multiplier_positive, multiplier_negative: (out,) int32, for accumulators of that sign. shift: (out,), 1 to 62.
    """

    multiplier_positive: IntArray
    multiplier_negative: IntArray
    shift: IntArray
    low: int
    high: int

    def apply(self, accumulators: IntArray) -> IntArray:
        """(B, out, h, w) accumulators to activations of the same shape."""
        positive, negative, shift = (
            each.reshape(1, -1, 1, 1) for each in (self.multiplier_positive, self.multiplier_negative, self.shift)
        )
        product = accumulators * np.where(accumulators < 0, negative, positive)
        rounded: IntArray = (product + (np.int64(1) << (shift - 1))) >> shift
        return rounded.clip(self.low, self.high)


@dataclass(frozen=True)
class Index:
    """Epilogue of a last layer: thresholds (out, T), ascending; the index is the number of them <= the accumulator."""

    thresholds: IntArray

    def apply(self, accumulators: IntArray) -> IntArray:
        """(B, out, h, w) accumulators to table indices of the same shape."""
        indices = np.empty_like(accumulators)
        for channel, thresholds in enumerate(self.thresholds):
            indices[:, channel] = np.searchsorted(thresholds, accumulators[:, channel], side="right")
        return indices


@dataclass(frozen=True)
class ValueTable:
    """Epilogue of any layer: requantised, then looked up. entries: (high - low + 1,), the first for low."""

    requantise: Requantise
    entries: IntArray

    def apply(self, accumulators: IntArray) -> IntArray:
        """(B, out, h, w) accumulators to values of the same shape."""
        values: IntArray = self.entries[self.requantise.apply(accumulators) - self.requantise.low]
        return values


Epilogue = Requantise | Index | ValueTable


@dataclass(frozen=True)
class IntegerLayer:
    """A convolution, or a transposed one, with integer weights (out, kernel, kernel, in) and biases (out,)."""

    transposed: bool
    stride: int
    padding: int
    output_padding: int
    weight_bytes: int
    weight: IntArray
    bias: IntArray
    epilogue: Epilogue

    def run(self, activations: IntArray) -> IntArray:
        """(B, in, h, w) activations to the (B, out, h', w') output of the epilogue."""
        return self.epilogue.apply(self.accumulate(activations))

    def accumulate(self, activations: IntArray) -> IntArray:
        """(B, in, h, w) activations to (B, out, h', w') accumulators."""
        x, bias = torch.from_numpy(activations).double(), torch.from_numpy(self.bias).double()
        weight = torch.from_numpy(self.weight).double()
        if self.transposed:
            kernel = weight.permute(3, 0, 1, 2)
            sums = F.conv_transpose2d(x, kernel, bias, self.stride, self.padding, self.output_padding)
        else:
            sums = F.conv2d(x, weight.permute(0, 3, 1, 2), bias, self.stride, self.padding)
        return sums.to(torch.int64).numpy()


@dataclass(frozen=True)
class PixelShuffle:
    """Depth to space: `factor` squared channels become one of `factor` times the rows and columns."""

    factor: int
    in_channels: int

    def run(self, activations: IntArray) -> IntArray:
        """(B, in, h, w) to (B, in / factor^2, h * factor, w * factor)."""
        return F.pixel_shuffle(torch.from_numpy(activations), self.factor).numpy()


@dataclass(frozen=True)
class Crop:
    """Cuts off so many rows and columns at each side."""

    top: int
    left: int
    bottom: int
    right: int
    channels: int

    def run(self, activations: IntArray) -> IntArray:
        """(B, C, h, w) to (B, C, h - top - bottom, w - left - right)."""
        rows, columns = activations.shape[2:]
        return activations[:, :, self.top : rows - self.bottom, self.left : columns - self.right]


AnyLayer = IntegerLayer | PixelShuffle | Crop


@dataclass(frozen=True)
class IntegerNet:
    """Layers in order; `low` and `high` bound every value of the first one's input."""

    low: int
    high: int
    layers: tuple[AnyLayer, ...]

    def run(self, activations: IntArray) -> IntArray:
        """(B, in, h, w) integers within low..high to (B, out, h', w') activations or table indices."""
        for layer in self.layers:
            activations = layer.run(activations)
        return activations


def sum_bounds(weight: Numbers, bias: Numbers, low: int, high: int) -> tuple[Numbers, Numbers]:
    """(out,) lowest and (out,) highest partial sums of bias + weight * input, with inputs in low..high or padding.

    A transposed convolution adds fewer taps to any one output than counted here, so the bound holds for it too.
    """
    taps = weight.reshape(len(weight), -1)
    most = np.maximum(np.maximum(taps * high, taps * low), 0).sum(1) + np.maximum(bias, 0)
    least = np.minimum(np.minimum(taps * high, taps * low), 0).sum(1) + np.minimum(bias, 0)
    return least, most
