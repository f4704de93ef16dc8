"""A slow, plain implementation of the integer nets of entropy.bin, written from docs/format.md, section 3, "net".

NumPy int64 throughout: no packing, no phases, no tricks. It shares nothing with the native library and is what the
library is compared with. Tensors are (channels, rows, columns).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


@dataclass(frozen=True)
class Requantise:
    """Multipliers for accumulators from 0 up and below 0, and shifts, for each output channel; bounds of the output."""

    multiplier_positive: Integers
    multiplier_negative: Integers
    shift: Integers
    low: int
    high: int


@dataclass(frozen=True)
class Index:
    """thresholds: (channels, T), ascending along T."""

    thresholds: Integers


@dataclass(frozen=True)
class Table:
    """A lookup table. entries: the output for each value from requantise.low to requantise.high."""

    requantise: Requantise
    entries: Integers


Epilogue = Requantise | Index | Table


@dataclass(frozen=True)
class Layer:
    """A convolution. weight: (out, kernel, kernel, in); bias: (out,)."""

    transposed: bool
    stride: int
    padding: int
    output_padding: int
    weight_bytes: int
    bias: Integers
    weight: Integers
    epilogue: Epilogue

    @property
    def kernel(self) -> int:
        return int(self.weight.shape[1])


@dataclass(frozen=True)
class PixelShuffle:
    """Depth to space. channels: those of the input."""

    factor: int
    channels: int


@dataclass(frozen=True)
class Crop:
    """Cuts rows and columns off the edges."""

    top: int
    left: int
    bottom: int
    right: int
    channels: int


AnyLayer = Layer | PixelShuffle | Crop


@dataclass(frozen=True)
class Net:
    """A chain of layers. low, high: bounds of the input."""

    low: int
    high: int
    layers: Sequence[AnyLayer]


def net_bytes(net: Net) -> bytes:
    """The net as stored in entropy.bin."""
    return struct.pack("<hhH", net.low, net.high, len(net.layers)) + b"".join(map(_layer_bytes, net.layers))


def _layer_bytes(layer: AnyLayer) -> bytes:
    if isinstance(layer, PixelShuffle):
        return struct.pack("<2BH", 2, layer.factor, layer.channels)
    if isinstance(layer, Crop):
        return struct.pack("<5BH", 3, layer.top, layer.left, layer.bottom, layer.right, layer.channels)
    outputs, kernel, _, inputs = layer.weight.shape
    head = struct.pack(
        "<6B2H",
        layer.transposed,
        kernel,
        layer.stride,
        layer.padding,
        layer.output_padding,
        layer.weight_bytes,
        inputs,
        outputs,
    )
    body = layer.bias.astype("<i4").tobytes() + layer.weight.astype(f"<i{layer.weight_bytes}").tobytes()
    return head + body + _epilogue_bytes(layer.epilogue)


def _epilogue_bytes(epilogue: Epilogue) -> bytes:
    if isinstance(epilogue, Index):
        return struct.pack("<BH", 1, epilogue.thresholds.shape[1]) + epilogue.thresholds.astype("<i4").tobytes()
    if isinstance(epilogue, Table):
        return b"\2" + _requantise_bytes(epilogue.requantise) + epilogue.entries.astype("<i2").tobytes()
    return b"\0" + _requantise_bytes(epilogue)


def _requantise_bytes(epilogue: Requantise) -> bytes:
    return (
        epilogue.multiplier_positive.astype("<i4").tobytes()
        + epilogue.multiplier_negative.astype("<i4").tobytes()
        + epilogue.shift.astype("u1").tobytes()
        + struct.pack("<hh", epilogue.low, epilogue.high)
    )


def run(net: Net, values: Integers) -> Integers:
    """Run all layers on an input (channels, rows, columns). The output is values or table indices."""
    for layer in net.layers:
        values = run_layer(layer, values)
    return values


def run_layer(layer: AnyLayer, values: Integers) -> Integers:
    """Run one layer on an input (channels, rows, columns)."""
    if isinstance(layer, PixelShuffle):
        factor, (channels, rows, columns) = layer.factor, values.shape
        squares = values.reshape(channels // factor**2, factor, factor, rows, columns)
        return squares.transpose(0, 3, 1, 4, 2).reshape(-1, rows * factor, columns * factor)
    if isinstance(layer, Crop):
        return values[:, layer.top : values.shape[1] - layer.bottom, layer.left : values.shape[2] - layer.right]
    return finish(layer.epilogue, accumulate(layer, values))


def output_bounds(layer: AnyLayer, low: int, high: int) -> tuple[int, int]:
    """Lowest and highest output of a layer for inputs from low to high."""
    if not isinstance(layer, Layer):
        return low, high
    if isinstance(layer.epilogue, Index):
        return 0, layer.epilogue.thresholds.shape[1]
    if isinstance(layer.epilogue, Table):
        return int(layer.epilogue.entries.min()), int(layer.epilogue.entries.max())
    return layer.epilogue.low, layer.epilogue.high


def accumulate(layer: Layer, values: Integers) -> Integers:
    """The accumulators of a layer, here without any bound."""
    values = values.astype(np.int64)
    return _transposed_convolution(layer, values) if layer.transposed else _convolution(layer, values)


def _convolution(layer: Layer, values: Integers) -> Integers:
    kernel, stride, padding = layer.kernel, layer.stride, layer.padding
    padded = np.pad(values, ((0, 0), (padding, padding), (padding, padding)))
    rows, columns = ((side - kernel) // stride + 1 for side in padded.shape[1:])
    sums = np.zeros((len(layer.bias), rows, columns), np.int64) + layer.bias[:, None, None]
    for y in range(rows):
        for x in range(columns):
            window = padded[:, y * stride : y * stride + kernel, x * stride : x * stride + kernel]
            sums[:, y, x] += (layer.weight.transpose(0, 3, 1, 2) * window).sum((1, 2, 3))
    return sums


def _transposed_convolution(layer: Layer, values: Integers) -> Integers:
    kernel, stride, padding = layer.kernel, layer.stride, layer.padding
    _, rows, columns = values.shape
    extra = kernel + layer.output_padding
    spread = np.zeros((len(layer.bias), (rows - 1) * stride + extra, (columns - 1) * stride + extra), np.int64)
    for y in range(rows):
        for x in range(columns):
            footprint = spread[:, y * stride : y * stride + kernel, x * stride : x * stride + kernel]
            footprint += layer.weight @ values[:, y, x]
    sums = spread[:, padding : spread.shape[1] - padding, padding : spread.shape[2] - padding]
    return sums + layer.bias[:, None, None]


def finish(epilogue: Epilogue, sums: Integers) -> Integers:
    """Turn accumulators into the output of a layer."""
    if isinstance(epilogue, Table):
        return epilogue.entries.astype(np.int64)[finish(epilogue.requantise, sums) - epilogue.requantise.low]
    if isinstance(epilogue, Index):
        return (epilogue.thresholds[:, None, None, :] <= sums[..., None]).sum(-1)
    positive, negative, shift = (
        numbers.astype(np.int64)[:, None, None]
        for numbers in (epilogue.multiplier_positive, epilogue.multiplier_negative, epilogue.shift)
    )
    scaled = (sums * np.where(sums < 0, negative, positive) + (1 << (shift - 1))) >> shift
    return np.clip(scaled, epilogue.low, epilogue.high)


def accumulator_bounds(layer: Layer, low: int, high: int) -> tuple[Integers, Integers]:
    """Lowest and highest accumulator of each output channel for inputs from low to high, if any tap may be padding."""
    weight = layer.weight.reshape(len(layer.bias), -1).astype(np.int64)
    products = np.stack([weight * low, weight * high, weight * 0])
    return layer.bias + products.min(0).sum(1), layer.bias + products.max(0).sum(1)
