"""Writer of entropy.bin, the frozen entropy model (docs/format.md, section 3)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecodec.export.coding_tables import CodingTable
from edgecodec.export.integer_net import IntArray, IntegerLayer, IntegerNet, Requantise

MAGIC = b"ECEM"
LAYOUT_VERSION = 0
TABLE_PER_CHANNEL = 65535


@dataclass(frozen=True)
class Values:
    """A tensor of int16 values, on the grid of `stride` pixels."""

    name: str
    channels: int
    stride: int


@dataclass(frozen=True)
class TableIndices:
    """A tensor of uint8 table indices, on the grid of `stride` pixels."""

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
class EntropyModel:
    """Everything entropy.bin holds. Steps name tensors; table sets and nets are numbered from 0."""

    alignment: int
    tensors: tuple[Values | TableIndices, ...]
    table_sets: tuple[tuple[CodingTable, ...], ...]
    nets: tuple[IntegerNet, ...]
    steps: tuple[Code | Affine | Apply, ...]

    @property
    def coded(self) -> list[Values | TableIndices]:
        """The tensors that are in the file, in the order of the steps."""
        by_name = {tensor.name: tensor for tensor in self.tensors}
        return [by_name[step.tensor] for step in self.steps if isinstance(step, Code)]

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


def _tensor(tensor: Values | TableIndices) -> bytes:
    name = tensor.name.encode("ascii")
    kind = int(isinstance(tensor, TableIndices))
    return struct.pack("<BHHB", kind, tensor.channels, tensor.stride, len(name)) + name


def _layer(layer: IntegerLayer) -> bytes:
    out_channels, kernel, _, in_channels = layer.weight.shape
    shape = (layer.stride, layer.padding, layer.output_padding, layer.weight_bytes, in_channels, out_channels)
    parts = [
        struct.pack("<6B2H", int(layer.transposed), kernel, *shape),
        _array(layer.bias, "<i4"),
        _array(layer.weight, f"<i{layer.weight_bytes}"),
    ]
    epilogue = layer.epilogue
    if isinstance(epilogue, Requantise):
        parts += [
            struct.pack("<B", 0),
            _array(epilogue.multiplier_positive, "<i4"),
            _array(epilogue.multiplier_negative, "<i4"),
            _array(epilogue.shift, "<u1"),
            struct.pack("<hh", epilogue.low, epilogue.high),
        ]
    else:
        parts += [struct.pack("<BH", 1, epilogue.thresholds.shape[1]), _array(epilogue.thresholds, "<i4")]
    return b"".join(parts)


def _step(step: Code | Affine | Apply, numbers: dict[str, int]) -> bytes:
    if isinstance(step, Code):
        indices = TABLE_PER_CHANNEL if step.indices is None else numbers[step.indices]
        return struct.pack("<B3H", 0, numbers[step.tensor], step.table_set, indices)
    ends = (numbers[step.destination], numbers[step.source])
    if isinstance(step, Apply):
        return struct.pack("<B3H", 2, *ends, step.net)
    bounds = struct.pack("<hh", step.low, step.high)
    return struct.pack("<B2HB", 1, *ends, step.shift) + _array(step.offsets, "<i4") + bounds


def _array(values: IntArray, dtype: str) -> bytes:
    narrow = values.astype(dtype)
    if not np.array_equal(narrow, values):
        raise OverflowError(f"values from {values.min()} to {values.max()} do not fit {dtype}")
    return narrow.tobytes()
