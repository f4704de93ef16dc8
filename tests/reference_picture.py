"""Slow, plain way from latents to a picture's payload, and from entropy.bin to a model, written from docs/format.md.

With the other reference_*.py it is everything that the native library does, and shares nothing with it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import reference_coder
import reference_entropy_model
from reference_coder import Table
from reference_entropy_model import Add, Affine, Apply, Code, Concat, Model, Step, Tensor
from reference_integer_net import AnyLayer, Crop, Epilogue, Index, Integers, Layer, Net, PixelShuffle, Requantise
from reference_integer_net import Table as ValueTable

CHANNEL_BLOCK = 32


def encode(model: Model, latents: Mapping[str, Integers], lanes: int, ramp: bool = True) -> tuple[bytes, int]:
    """The payload of the coded tensors, which are in the order of the steps, and its lanes; `lanes` 0 chooses.

    Without `ramp` it is that of a simpler writer, which codes everything on all lanes: tail8 = tail2 = 0.
    """
    known = reference_entropy_model.run(model, latents)
    first_table = np.cumsum([0, *map(len, model.table_sets)]).tolist()
    steps = [
        (
            [first_table[step.table_set] + table for table in coding_order(step, tables_of(step, known))],
            coding_order(step, known[step.tensor]),
        )
        for step in code_steps(model)
    ]
    if not ramp:
        steps.append(([], []))  # The ramp goes over the last step only, and here there is nothing to go over.
    tables = [table for table_set in model.table_sets for table in table_set]
    digest = reference_coder.latents_digest([latent.ravel().tolist() for latent in latents.values()])
    return reference_coder.encode(tables, steps, lanes, digest)


def code_steps(model: Model) -> list[Code]:
    return [step for step in model.steps if isinstance(step, Code)]


def tables_of(step: Code, known: Mapping[str, Integers]) -> Integers:
    """The table of every value of a coded tensor, in its shape."""
    if step.indices is not None:
        return known[step.indices]
    shape = known[step.tensor].shape
    return np.broadcast_to(np.arange(shape[0])[:, None, None], shape)


def coding_order(step: Code, values: Integers) -> list[int]:
    """Values, or tables, of a coded tensor in the order of its symbols."""
    if step.indices is not None:
        return values.ravel().tolist()
    blocks = np.split(values, range(CHANNEL_BLOCK, len(values), CHANNEL_BLOCK))
    return [value for block in blocks for value in block.transpose(1, 2, 0).ravel().tolist()]


class _Fields:
    """Takes fields off the front of a file."""

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
    assert fields.bytes(8) == b"ECEM\0\0\0\0"
    alignment = fields.number("I")
    tensor_count, set_count, net_count, step_count = fields.numbers("4H")
    tensors = [_tensor(fields) for _ in range(tensor_count)]
    table_sets = [[_table(fields) for _ in range(fields.number("H"))] for _ in range(set_count)]
    nets = [_net(fields) for _ in range(net_count)]
    steps = [_step(fields, tensors) for _ in range(step_count)]
    assert not fields.rest
    return Model(alignment, tensors, table_sets, nets, steps)


def _tensor(fields: _Fields) -> Tensor:
    indices, channels, stride, length = fields.numbers("BHHB")
    return Tensor(fields.bytes(length).decode("ascii"), channels, stride, bool(indices))


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
    def name() -> str:
        return tensors[fields.number("H")].name

    kind = fields.number("B")
    if kind == 0:
        tensor, table_set, indices = fields.numbers("3H")
        by_channel = indices == reference_entropy_model.TABLE_PER_CHANNEL
        return Code(tensors[tensor].name, table_set, None if by_channel else tensors[indices].name)
    destination = name()
    if kind == 1:
        source = fields.number("H")
        shift = fields.number("B")
        offsets = fields.array("<i4", tensors[source].channels)
        return Affine(destination, tensors[source].name, shift, offsets, *fields.numbers("hh"))
    if kind == 2:
        return Apply(destination, name(), fields.number("H"))
    if kind == 3:
        return Concat(destination, [name() for _ in range(fields.number("H"))])
    return Add(destination, name(), name(), *fields.numbers("iiBhh"))
