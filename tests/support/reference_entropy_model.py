"""A slow, plain implementation of the steps of entropy.bin, except coding, written from docs/format.md, section 3.

It computes in NumPy int64. It shares nothing with the native library and is what the library is compared with. Tensors
are (channels, rows, columns) and are known by name.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from support import reference_coder, reference_integer_net
from support.reference_integer_net import Integers, Net

ABSENT = 65535

#: Tensors by name.
Tensors = dict[str, Integers]


# ---- models --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tensor:
    name: str
    channels: int
    stride: int
    indices: bool = False
    decoder_latent: bool = False


@dataclass(frozen=True)
class Code:
    """Codes a tensor with the tables that `indices` names; without it, channel c takes table c."""

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


@dataclass(frozen=True)
class Residual:
    """Codes channels of `target`, from `first_channel` on, less `mean`."""

    tensor: str
    table_set: int
    indices: str
    target: str
    first_channel: int
    mean: str
    fraction: int


@dataclass(frozen=True)
class Context:
    """Codes a finite alphabet of S symbols with tables chosen by the left and the upper neighbour.

    tables: table numbers (1 + ends, channels, S + 1, S + 1), the last two axes for the left and the upper symbol.
    """

    tensor: str
    table_set: int
    lowest: int
    tables: Integers
    limit: str | None = None
    prefix_of: str | None = None

    @property
    def symbols(self) -> int:
        return self.tables.shape[2] - 1

    @property
    def ends(self) -> bool:
        return self.tables.shape[0] == 2


@dataclass(frozen=True)
class Mixture:
    """Codes a tensor under mixtures whose parameters a net computes from neighbours.

    taps: the neighbours, as rows up and columns to the right. Fractions are numbers of bits.
    """

    tensor: str
    net: int
    delay: int
    taps: Sequence[tuple[int, int]]
    components: int
    mean_fraction: int
    scale_fraction: int
    least_scale: int
    reach: int
    tail_fraction: int
    tails: Sequence[int]
    weights: Sequence[int]


@dataclass(frozen=True)
class Labels:
    """Codes label maps, one in every channel, with labels from 0 to classes - 1."""

    tensor: str
    classes: int


Step = Code | Affine | Apply | Concat | Add | Residual | Context | Mixture | Labels
Coding = Code | Residual | Context | Mixture | Labels


@dataclass(frozen=True)
class Model:
    alignment: int
    tensors: Sequence[Tensor]
    table_sets: Sequence[Sequence[reference_coder.Table]]
    nets: Sequence[Net]
    steps: Sequence[Step]

    def tensor(self, name: str) -> Tensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def shape(self, name: str, width: int, height: int) -> tuple[int, int, int]:
        """Shape (channels, rows, columns) of a tensor for a picture of this size in pixels."""
        tensor = self.tensor(name)
        rows, columns = (-(-side // self.alignment) * self.alignment // tensor.stride for side in (height, width))
        return (tensor.channels, rows, columns)


def encoder_latents(model: Model) -> list[str]:
    """Names of the tensors that an encoder takes."""
    names = []
    for step in model.steps:
        if isinstance(step, Residual):
            names.append(step.target)
        elif isinstance(step, Coding) and not (isinstance(step, Context) and step.prefix_of is not None):
            names.append(step.tensor)
    return list(dict.fromkeys(names))


def coding_steps(model: Model) -> list[Coding]:
    """The steps that have symbols."""
    return [step for step in model.steps if isinstance(step, Coding)]


def decoder_latents(model: Model) -> list[str]:
    """Names of the tensors that a decoder returns."""
    return [tensor.name for tensor in model.tensors if tensor.decoder_latent]


# ---- files ---------------------------------------------------------------------------------------------------------


def model_bytes(model: Model) -> bytes:
    """The model as stored in entropy.bin."""
    numbers = {tensor.name: i for i, tensor in enumerate(model.tensors)}
    counts = (len(model.tensors), len(model.table_sets), len(model.nets), len(model.steps))
    return b"".join(
        [
            struct.pack("<4sHHI4H", b"ECEM", 1, 0, model.alignment, *counts),
            *map(_tensor_bytes, model.tensors),
            *map(reference_coder.table_set_bytes, model.table_sets),
            *map(reference_integer_net.net_bytes, model.nets),
            *(_step_bytes(step, numbers) for step in model.steps),
        ]
    )


def _tensor_bytes(tensor: Tensor) -> bytes:
    name = tensor.name.encode("ascii")
    kind = (tensor.indices, tensor.decoder_latent)
    return struct.pack("<2B2HB", *kind, tensor.channels, tensor.stride, len(name)) + name


def _step_bytes(step: Step, numbers: Mapping[str, int]) -> bytes:
    def number(name: str | None) -> int:
        return ABSENT if name is None else numbers[name]

    if isinstance(step, Code):
        return struct.pack("<B3H", 0, number(step.tensor), step.table_set, number(step.indices))
    if isinstance(step, Affine):
        head = struct.pack("<B2HB", 1, number(step.destination), number(step.source), step.shift)
        return head + step.offsets.astype("<i4").tobytes() + struct.pack("<hh", step.low, step.high)
    if isinstance(step, Apply):
        return struct.pack("<B3H", 2, number(step.destination), number(step.source), step.net)
    if isinstance(step, Concat):
        sources = [number(source) for source in step.sources]
        return struct.pack(f"<B2H{len(sources)}H", 3, number(step.destination), len(sources), *sources)
    if isinstance(step, Add):
        ends = (number(step.destination), number(step.first), number(step.second))
        multipliers = (step.first_multiplier, step.second_multiplier)
        return struct.pack("<B3HiiBhh", 4, *ends, *multipliers, step.shift, step.low, step.high)
    if isinstance(step, Residual):
        coded = (number(step.tensor), step.table_set, number(step.indices))
        return struct.pack(
            "<B6HB", 5, *coded, number(step.target), step.first_channel, number(step.mean), step.fraction
        )
    if isinstance(step, Context):
        alphabet = (step.lowest, step.symbols)
        others = (number(step.limit), number(step.prefix_of), step.ends)
        head = struct.pack("<B2HhB2HB", 6, number(step.tensor), step.table_set, *alphabet, *others)
        return head + step.tables.astype("<u2").tobytes()
    if isinstance(step, Mixture):
        precision = (step.components, step.mean_fraction, step.scale_fraction, step.least_scale, step.reach)
        return b"".join(
            [
                struct.pack("<B2H2B", 7, number(step.tensor), step.net, step.delay, len(step.taps)),
                *(struct.pack("<Bb", up, across) for up, across in step.taps),
                struct.pack("<3BHB", *precision),
                struct.pack(f"<BH{len(step.tails)}H", step.tail_fraction, len(step.tails), *step.tails),
                struct.pack(f"<H{len(step.weights)}H", len(step.weights), *step.weights),
            ]
        )
    return struct.pack("<B2H", 8, number(step.tensor), step.classes)


# ---- steps that compute --------------------------------------------------------------------------------------------


def run(model: Model, latents: Mapping[str, Integers]) -> Tensors:
    """Compute all tensors that steps define from the encoder latents."""
    known: Tensors = {}
    for step in model.steps:
        if isinstance(step, Residual):
            known[step.tensor] = _residual(step, latents[step.target], known[step.mean])
        elif isinstance(step, Context):
            known[step.tensor] = _within_limit(step, latents, known)
        elif isinstance(step, Coding):
            known[step.tensor] = latents[step.tensor].astype(np.int64)
        else:
            known[step.destination] = computed(model, step, known)
    return known


def encoder_input(model: Model, known: Mapping[str, Integers]) -> Tensors:
    """Encoder latents for which `run` returns these tensors, unless a target exceeds 16 bits."""
    latents: Tensors = {}
    for name in encoder_latents(model):
        if name in known:
            latents[name] = known[name]
    for step in model.steps:
        if isinstance(step, Residual):
            symbols = known[step.tensor]
            target = latents.setdefault(
                step.target, np.zeros((model.tensor(step.target).channels, *symbols.shape[1:]), np.int64)
            )
            values = (symbols << step.fraction) + known[step.mean]
            target[step.first_channel : step.first_channel + len(symbols)] = np.clip(values, -32768, 32767)
    return {name: latents[name] for name in encoder_latents(model)}


def _residual(step: Residual, target: Integers, mean: Integers) -> Integers:
    channels = target[step.first_channel : step.first_channel + len(mean)].astype(np.int64)
    half = (1 << step.fraction) >> 1
    return np.clip((channels - mean + half) >> step.fraction, -32768, 32767)


def _within_limit(step: Context, latents: Mapping[str, Integers], known: Tensors) -> Integers:
    """The values that the step codes, and 0 where it codes nothing."""
    values = _prefix_lengths(latents[step.prefix_of]) if step.prefix_of is not None else latents[step.tensor]
    if step.limit is None:
        return values.astype(np.int64)
    return np.where(np.arange(len(values))[:, None, None] < known[step.limit], values, 0).astype(np.int64)


def _prefix_lengths(values: Integers) -> Integers:
    """The number of channels up to the last one that is not 0: (1, rows, columns)."""
    lengths = np.arange(1, len(values) + 1)[:, None, None] * (values != 0)
    return lengths.max(0, keepdims=True)


def computed(model: Model, step: Affine | Apply | Concat | Add, known: Tensors) -> Integers:
    """Compute the destination of a step without symbols."""
    if isinstance(step, Affine):
        return np.clip((known[step.source] << step.shift) + step.offsets[:, None, None], step.low, step.high)
    if isinstance(step, Apply):
        return reference_integer_net.run(model.nets[step.net], known[step.source])
    if isinstance(step, Concat):
        return np.concatenate([known[source] for source in step.sources])
    total = known[step.first] * step.first_multiplier + known[step.second] * step.second_multiplier
    return np.clip((total + (1 << (step.shift - 1))) >> step.shift, step.low, step.high)
