"""Writer of entropy.bin, the frozen entropy model (docs/format.md, section 3)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecodec_export.entropy.coding_tables import CodingTable
from edgecodec_export.entropy.integer_net import (
    AnyLayer,
    Crop,
    Index,
    IntArray,
    IntegerNet,
    PixelShuffle,
    Requantise,
    ValueTable,
)

MAGIC = b"ECEM"
LAYOUT_VERSION = 1
NO_TENSOR = 65535


@dataclass(frozen=True)
class Values:
    """A tensor of int16 values, one every `stride` pixels. decoder_latent: whether a decoder gives it."""

    name: str
    channels: int
    stride: int
    decoder_latent: bool = False


@dataclass(frozen=True)
class TableIndices:
    """A tensor of uint8 table indices, one every `stride` pixels."""

    name: str
    channels: int
    stride: int


@dataclass(frozen=True)
class Code:
    """Decode `tensor` with a table set: table c for channel c, or the table that `indices` names for every value."""

    tensor: str
    table_set: int
    indices: str | None = None


@dataclass(frozen=True)
class Affine:
    """destination = clip((source << shift) + offset of the channel, low, high)."""

    destination: str
    source: str
    shift: int
    offsets: IntArray
    low: int
    high: int


@dataclass(frozen=True)
class Apply:
    """destination = net(source)."""

    destination: str
    source: str
    net: int


@dataclass(frozen=True)
class Concat:
    """destination = the channels of all sources."""

    destination: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Add:
    """destination = clip((first * its multiplier + second * its multiplier) / 2^shift, low, high), ties up."""

    destination: str
    first: str
    second: str
    multiplier_first: int
    multiplier_second: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True)
class Residual:
    """Decode `tensor` as `Code` does. An encoder computes it: round((target - mean) / 2^fraction), ties up.

    Only an encoder has `target`; the step takes as many of its channels as `mean` has, from `first_channel` on.
    """

    tensor: str
    table_set: int
    indices: str
    target: str
    first_channel: int
    mean: str
    fraction: int


@dataclass(frozen=True)
class Context:
    """Decode a tensor of values from `lowest` up by the tables that their neighbours to the left and above choose.

    tables: (1 or 2, channels, S + 1 by the left, S + 1 by the one above), numbers in the set; S is the number of
    values, and index S stands for no neighbour. The second half is for the last channel coded at a position. limit: a
    tensor of one channel; channels below it are coded, others are 0. prefix_of: the tensor is itself such a limit,
    namely the number of channels of that one up to the last that is not 0.
    """

    tensor: str
    table_set: int
    lowest: int
    tables: IntArray
    limit: str | None = None
    prefix_of: str | None = None


@dataclass(frozen=True)
class Mixture:
    """Decode a tensor by the mixtures that a net of 1x1 convolutions makes of values decoded before.

    taps: rows up and columns to the right of the values that are inputs of the net. delay: how many columns a row is
    behind the one above. components: how many (means, scales, logits) the net gives. Means are multiples of
    2^-mean_fraction; scales are multiples of 2^-scale_fraction, at least `least_scale` of them. reach: values within so
    many scales of a mean have intervals. tails: mass beyond every 2^-tail_fraction scales, in 2^-16. weights: those of
    components, by how much less their logit is than the largest.
    """

    tensor: str
    net: int
    delay: int
    taps: tuple[tuple[int, int], ...]
    components: int
    mean_fraction: int
    scale_fraction: int
    least_scale: int
    reach: int
    tail_fraction: int
    tails: tuple[int, ...]
    weights: tuple[int, ...]


@dataclass(frozen=True)
class Labels:
    """Decode a tensor of one channel, of labels from 0 to classes - 1."""

    tensor: str
    classes: int


Step = Code | Affine | Apply | Concat | Add | Residual | Context | Mixture | Labels


@dataclass(frozen=True)
class EntropyFile:
    """Everything entropy.bin holds. Steps name tensors; table sets and nets are numbered from 0."""

    alignment: int
    tensors: tuple[Values | TableIndices, ...]
    table_sets: tuple[tuple[CodingTable, ...], ...]
    nets: tuple[IntegerNet, ...]
    steps: tuple[Step, ...]

    @property
    def encoder_latents(self) -> list[Values]:
        """The tensors that an encoder is given, in the order in which the steps name them first."""
        names = [name for name in map(_encoder_input, self.steps) if name is not None]
        by_name = {tensor.name: tensor for tensor in self.tensors if isinstance(tensor, Values)}
        return [by_name[name] for name in dict.fromkeys(names)]

    @property
    def decoder_latents(self) -> list[Values]:
        """The tensors that a decoder gives, in their order."""
        return [tensor for tensor in self.tensors if isinstance(tensor, Values) and tensor.decoder_latent]

    def to_bytes(self) -> bytes:
        """The file, byte for byte. Raises struct.error or OverflowError where a number does not fit its field."""
        numbers = {tensor.name: number for number, tensor in enumerate(self.tensors)}
        head = struct.pack("<4sHHI", MAGIC, LAYOUT_VERSION, 0, self.alignment)
        counts = struct.pack("<4H", len(self.tensors), len(self.table_sets), len(self.nets), len(self.steps))
        return b"".join([
            head,
            counts,
            *(_tensor(tensor) for tensor in self.tensors),
            *(table_set_bytes(tables) for tables in self.table_sets),
            *(net_bytes(net) for net in self.nets),
            *(_step(step, numbers) for step in self.steps),
        ])  # fmt: skip


def model_id(entropy_file: bytes) -> str:
    """Eight hexadecimal digits: the CRC-32 of entropy.bin, which coded pictures carry."""
    return f"{zlib.crc32(entropy_file):08x}"


def table_set_bytes(tables: Sequence[CodingTable]) -> bytes:
    """One table set of the file."""
    parts = [struct.pack("<H", len(tables))]
    for table in tables:
        parts.append(struct.pack("<BBbBh", len(table.frequencies), table.raw_bits, table.sign, 0, table.mode))
        parts.append(struct.pack(f"<{len(table.frequencies)}H", *table.frequencies))
    return b"".join(parts)


def net_bytes(net: IntegerNet) -> bytes:
    """One net of the file."""
    return struct.pack("<hhH", net.low, net.high, len(net.layers)) + b"".join(_layer(layer) for layer in net.layers)


def _encoder_input(step: Step) -> str | None:
    """The tensor that an encoder must be given for a step, unless it computes it from others."""
    if isinstance(step, Residual):
        return step.target
    if isinstance(step, Context) and step.prefix_of is not None:
        return None
    return step.tensor if isinstance(step, Code | Context | Mixture | Labels) else None


def _tensor(tensor: Values | TableIndices) -> bytes:
    name = tensor.name.encode("ascii")
    kind = (0, tensor.decoder_latent) if isinstance(tensor, Values) else (1, 0)
    return struct.pack("<2B2HB", *kind, tensor.channels, tensor.stride, len(name)) + name


def _layer(layer: AnyLayer) -> bytes:
    if isinstance(layer, PixelShuffle):
        return struct.pack("<2BH", 2, layer.factor, layer.in_channels)
    if isinstance(layer, Crop):
        return struct.pack("<5BH", 3, layer.top, layer.left, layer.bottom, layer.right, layer.channels)
    out_channels, kernel, _, in_channels = layer.weight.shape
    shape = (layer.stride, layer.padding, layer.output_padding, layer.weight_bytes, in_channels, out_channels)
    head = struct.pack("<6B2H", int(layer.transposed), kernel, *shape)
    return (
        head + _array(layer.bias, "<i4") + _array(layer.weight, f"<i{layer.weight_bytes}") + _epilogue(layer.epilogue)
    )


def _epilogue(epilogue: Requantise | Index | ValueTable) -> bytes:
    if isinstance(epilogue, Requantise):
        return b"\0" + _requantise(epilogue)
    if isinstance(epilogue, Index):
        return struct.pack("<BH", 1, epilogue.thresholds.shape[1]) + _array(epilogue.thresholds, "<i4")
    return b"\2" + _requantise(epilogue.requantise) + _array(epilogue.entries, "<i2")


def _requantise(epilogue: Requantise) -> bytes:
    multipliers = _array(epilogue.multiplier_positive, "<i4") + _array(epilogue.multiplier_negative, "<i4")
    return multipliers + _array(epilogue.shift, "<u1") + struct.pack("<hh", epilogue.low, epilogue.high)


def _step(step: Step, numbers: dict[str, int]) -> bytes:
    """One step of the file. numbers: those of the tensors, by name."""
    if isinstance(step, Code):
        return struct.pack("<B3H", 0, numbers[step.tensor], step.table_set, _optional(step.indices, numbers))
    if isinstance(step, Affine):
        head = struct.pack("<B2HB", 1, numbers[step.destination], numbers[step.source], step.shift)
        return head + _array(step.offsets, "<i4") + struct.pack("<hh", step.low, step.high)
    if isinstance(step, Apply):
        return struct.pack("<B3H", 2, numbers[step.destination], numbers[step.source], step.net)
    if isinstance(step, Concat):
        sources = _list([numbers[source] for source in step.sources])
        return struct.pack("<BH", 3, numbers[step.destination]) + sources
    if isinstance(step, Add):
        ends = (numbers[step.destination], numbers[step.first], numbers[step.second])
        multipliers = (step.multiplier_first, step.multiplier_second)
        return struct.pack("<B3H2iB2h", 4, *ends, *multipliers, step.shift, step.low, step.high)
    if isinstance(step, Residual):
        coded = (numbers[step.tensor], step.table_set, numbers[step.indices])
        encoded = (numbers[step.target], step.first_channel, numbers[step.mean], step.fraction)
        return struct.pack("<B6HB", 5, *coded, *encoded)
    if isinstance(step, Context):
        return _context(step, numbers)
    if isinstance(step, Mixture):
        return _mixture(step, numbers)
    return struct.pack("<B2H", 8, numbers[step.tensor], step.classes)


def _context(step: Context, numbers: dict[str, int]) -> bytes:
    kinds, _, contexts, _ = step.tables.shape
    others = (_optional(step.limit, numbers), _optional(step.prefix_of, numbers), kinds - 1)
    head = struct.pack("<B2HhB2HB", 6, numbers[step.tensor], step.table_set, step.lowest, contexts - 1, *others)
    return head + _array(step.tables, "<u2")


def _mixture(step: Mixture, numbers: dict[str, int]) -> bytes:
    precision = (step.mean_fraction, step.scale_fraction, step.least_scale, step.reach, step.tail_fraction)
    return b"".join([
        struct.pack("<B2H2B", 7, numbers[step.tensor], step.net, step.delay, len(step.taps)),
        *(struct.pack("<Bb", up, across) for up, across in step.taps),
        struct.pack("<3BH2B", step.components, *precision),
        _list(step.tails),
        _list(step.weights),
    ])  # fmt: skip


def _optional(name: str | None, numbers: dict[str, int]) -> int:
    return NO_TENSOR if name is None else numbers[name]


def _list(values: Sequence[int]) -> bytes:
    """A count, then the values."""
    return struct.pack(f"<{1 + len(values)}H", len(values), *values)


def _array(values: IntArray, dtype: str) -> bytes:
    narrow = values.astype(dtype)
    if not np.array_equal(narrow, values):
        raise OverflowError(f"values from {values.min()} to {values.max()} do not fit {dtype}")
    return narrow.tobytes()
