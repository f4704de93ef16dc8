"""Slow, plain implementation of the steps of entropy.bin but coding, written from docs/format.md, section 3.

NumPy int64 throughout. It shares nothing with the native library and is what the library is compared with. Tensors are
(channels, rows, columns), and have names.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import reference_coder
import reference_integer_net
from reference_integer_net import Integers, Net

TABLE_PER_CHANNEL = 65535


@dataclass(frozen=True)
class Tensor:
    name: str
    channels: int
    stride: int
    indices: bool = False


@dataclass(frozen=True)
class Code:
    """Table c for channel c where `indices` names no tensor."""

    tensor: str
    table_set: int
    indices: str | None = None


@dataclass(frozen=True)
class Affine:
    destination: str
    source: str
    shift: int
    offsets: Integers
    low: int
    high: int


@dataclass(frozen=True)
class Apply:
    destination: str
    source: str
    net: int


@dataclass(frozen=True)
class Concat:
    destination: str
    sources: Sequence[str]


@dataclass(frozen=True)
class Add:
    destination: str
    first: str
    second: str
    first_multiplier: int
    second_multiplier: int
    shift: int
    low: int
    high: int


Step = Code | Affine | Apply | Concat | Add


@dataclass(frozen=True)
class Model:
    alignment: int
    tensors: Sequence[Tensor]
    table_sets: Sequence[Sequence[reference_coder.Table]]
    nets: Sequence[Net]
    steps: Sequence[Step]


def model_bytes(model: Model) -> bytes:
    """The model as it is in entropy.bin."""
    numbers = {tensor.name: i for i, tensor in enumerate(model.tensors)}
    counts = (len(model.tensors), len(model.table_sets), len(model.nets), len(model.steps))
    return b"".join(
        [
            struct.pack("<4sHHI4H", b"ECEM", 0, 0, model.alignment, *counts),
            *map(_tensor_bytes, model.tensors),
            *map(reference_coder.table_set_bytes, model.table_sets),
            *map(reference_integer_net.net_bytes, model.nets),
            *(_step_bytes(step, numbers) for step in model.steps),
        ]
    )


def _tensor_bytes(tensor: Tensor) -> bytes:
    name = tensor.name.encode("ascii")
    return struct.pack("<BHHB", tensor.indices, tensor.channels, tensor.stride, len(name)) + name


def _step_bytes(step: Step, numbers: Mapping[str, int]) -> bytes:
    if isinstance(step, Code):
        indices = TABLE_PER_CHANNEL if step.indices is None else numbers[step.indices]
        return struct.pack("<B3H", 0, numbers[step.tensor], step.table_set, indices)
    destination = numbers[step.destination]
    if isinstance(step, Affine):
        head = struct.pack("<B2HB", 1, destination, numbers[step.source], step.shift)
        return head + step.offsets.astype("<i4").tobytes() + struct.pack("<hh", step.low, step.high)
    if isinstance(step, Apply):
        return struct.pack("<B3H", 2, destination, numbers[step.source], step.net)
    if isinstance(step, Concat):
        sources = [numbers[source] for source in step.sources]
        return struct.pack(f"<B2H{len(sources)}H", 3, destination, len(sources), *sources)
    ends = (destination, numbers[step.first], numbers[step.second])
    return struct.pack(
        "<B3HiiBhh", 4, *ends, step.first_multiplier, step.second_multiplier, step.shift, step.low, step.high
    )


def run(model: Model, coded: Mapping[str, Integers]) -> dict[str, Integers]:
    """All tensors, from those that are coded."""
    known: dict[str, Integers] = {}
    for step in model.steps:
        if isinstance(step, Code):
            known[step.tensor] = coded[step.tensor].astype(np.int64)
        else:
            known[step.destination] = _computed(model, step, known)
    return known


def _computed(model: Model, step: Affine | Apply | Concat | Add, known: Mapping[str, Integers]) -> Integers:
    if isinstance(step, Affine):
        return np.clip((known[step.source] << step.shift) + step.offsets[:, None, None], step.low, step.high)
    if isinstance(step, Apply):
        return reference_integer_net.run(model.nets[step.net], known[step.source])
    if isinstance(step, Concat):
        return np.concatenate([known[source] for source in step.sources])
    total = known[step.first] * step.first_multiplier + known[step.second] * step.second_multiplier
    return np.clip((total + (1 << (step.shift - 1))) >> step.shift, step.low, step.high)
