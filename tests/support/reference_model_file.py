"""Reads entropy.bin into a model of reference_entropy_model, written from docs/format.md, section 3."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

from support.reference_coder import Table
from support.reference_entropy_model import (
    ABSENT,
    Add,
    Affine,
    Apply,
    Code,
    Concat,
    Context,
    Labels,
    Mixture,
    Model,
    Residual,
    Step,
    Tensor,
)
from support.reference_integer_net import (
    AnyLayer,
    Crop,
    Epilogue,
    Index,
    Integers,
    Layer,
    Net,
    PixelShuffle,
    Requantise,
)
from support.reference_integer_net import Table as ValueTable


class _Fields:
    """Reads fields one after another."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def bytes(self, size: int) -> bytes:
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def numbers(self, fields: str) -> tuple[int, ...]:
        return struct.unpack("<" + fields, self.bytes(struct.calcsize("<" + fields)))

    def number(self, field: str) -> int:
        return self.numbers(field)[0]

    def array(self, dtype: str, *shape: int) -> Integers:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.frombuffer(self.bytes(size), dtype).reshape(shape).astype(np.int64)


def parse_model(data: bytes) -> Model:
    """The model of a valid entropy.bin."""
    fields = _Fields(data)
    assert fields.bytes(8) == b"ECEM\1\0\0\0"
    alignment = fields.number("I")
    tensor_count, set_count, net_count, step_count = fields.numbers("4H")
    tensors = [_tensor(fields) for _ in range(tensor_count)]
    table_sets = [[_table(fields) for _ in range(fields.number("H"))] for _ in range(set_count)]
    nets = [_net(fields) for _ in range(net_count)]
    steps = [_step(fields, tensors) for _ in range(step_count)]
    assert not fields.rest
    return Model(alignment, tensors, table_sets, nets, steps)


def _tensor(fields: _Fields) -> Tensor:
    indices, decoder_latent, channels, stride, length = fields.numbers("2B2HB")
    return Tensor(fields.bytes(length).decode("ascii"), channels, stride, bool(indices), bool(decoder_latent))


def _table(fields: _Fields) -> Table:
    ranks, raw_bits, sign, _, mode = fields.numbers("BBbBh")
    return Table(fields.numbers(f"{ranks}H"), mode, sign, raw_bits)


def _net(fields: _Fields) -> Net:
    low, high, layers = fields.numbers("hhH")
    return Net(low, high, [_layer(fields) for _ in range(layers)])


def _layer(fields: _Fields) -> AnyLayer:
    kind = fields.number("B")
    if kind == 2:
        return PixelShuffle(*fields.numbers("BH"))
    if kind == 3:
        return Crop(*fields.numbers("4BH"))
    kernel, stride, padding, output_padding, weight_bytes, inputs, outputs = fields.numbers("5B2H")
    bias = fields.array("<i4", outputs)
    weight = fields.array(f"<i{weight_bytes}", outputs, kernel, kernel, inputs)
    return Layer(kind == 1, stride, padding, output_padding, weight_bytes, bias, weight, _epilogue(fields, outputs))


def _epilogue(fields: _Fields, outputs: int) -> Epilogue:
    kind = fields.number("B")
    if kind == 1:
        thresholds = fields.number("H")
        return Index(fields.array("<i4", outputs, thresholds))
    positive, negative = fields.array("<i4", outputs), fields.array("<i4", outputs)
    requantise = Requantise(positive, negative, fields.array("u1", outputs), *fields.numbers("hh"))
    if kind == 0:
        return requantise
    return ValueTable(requantise, fields.array("<i2", requantise.high - requantise.low + 1))


def _step(fields: _Fields, tensors: Sequence[Tensor]) -> Step:
    def tensor() -> Tensor:
        return tensors[fields.number("H")]

    def name() -> str:
        return tensor().name

    def name_or_none() -> str | None:
        number = fields.number("H")
        return None if number == ABSENT else tensors[number].name

    kind = fields.number("B")
    if kind == 0:
        return Code(name(), fields.number("H"), name_or_none())
    if kind == 1:
        destination, source = name(), tensor()
        shift = fields.number("B")
        return Affine(destination, source.name, shift, fields.array("<i4", source.channels), *fields.numbers("hh"))
    if kind == 2:
        return Apply(name(), name(), fields.number("H"))
    if kind == 3:
        return Concat(name(), [name() for _ in range(fields.number("H"))])
    if kind == 4:
        return Add(name(), name(), name(), *fields.numbers("iiBhh"))
    if kind == 5:
        return Residual(name(), fields.number("H"), name(), name(), fields.number("H"), name(), fields.number("B"))
    if kind == 6:
        return _context(fields, tensor(), name_or_none)
    if kind == 7:
        return _mixture(fields, name())
    assert kind == 8
    return Labels(name(), fields.number("H"))


def _context(fields: _Fields, tensor: Tensor, name_or_none: Callable[[], str | None]) -> Context:
    table_set, lowest, symbols = fields.numbers("HhB")
    limit, prefix_of = name_or_none(), name_or_none()
    tables = fields.array("<u2", 1 + fields.number("B"), tensor.channels, symbols + 1, symbols + 1)
    return Context(tensor.name, table_set, lowest, tables, limit, prefix_of)


def _mixture(fields: _Fields, tensor: str) -> Mixture:
    net, delay, tap_count = fields.numbers("H2B")
    taps = [(fields.number("B"), fields.number("b")) for _ in range(tap_count)]
    components, mean_fraction, scale_fraction = fields.numbers("3B")
    least_scale, reach, tail_fraction = fields.numbers("HBB")
    return Mixture(
        tensor,
        net,
        delay,
        taps,
        components,
        mean_fraction,
        scale_fraction,
        least_scale,
        reach,
        tail_fraction,
        tails=fields.numbers(f"{fields.number('H')}H"),
        weights=fields.numbers(f"{fields.number('H')}H"),
    )
