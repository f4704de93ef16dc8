"""Converts entropy models of the plain reference to the classes that export writes, field by field."""

from __future__ import annotations

from functools import singledispatch

from edgecodec_export.entropy import entropy_file, integer_net
from edgecodec_export.entropy.coding_tables import CodingTable
from support import reference_coder
from support import reference_entropy_model as reference
from support import reference_integer_net as reference_net


def counterpart(model: reference.Model) -> entropy_file.EntropyFile:
    return entropy_file.EntropyFile(
        model.alignment,
        tuple(map(_tensor, model.tensors)),
        tuple(tuple(map(_table, tables)) for tables in model.table_sets),
        tuple(map(net_counterpart, model.nets)),
        tuple(map(_step, model.steps)),
    )


def net_counterpart(net: reference_net.Net) -> integer_net.IntegerNet:
    return integer_net.IntegerNet(net.low, net.high, tuple(map(_layer, net.layers)))


def _tensor(tensor: reference.Tensor) -> entropy_file.Values | entropy_file.TableIndices:
    shape = (tensor.name, tensor.channels, tensor.stride)
    return entropy_file.TableIndices(*shape) if tensor.indices else entropy_file.Values(*shape, tensor.decoder_latent)


def _table(table: reference_coder.Table) -> CodingTable:
    return CodingTable(table.frequencies, table.raw_bits, table.mode, table.sign)


def _layer(layer: reference_net.AnyLayer) -> integer_net.AnyLayer:
    if isinstance(layer, reference_net.PixelShuffle):
        return integer_net.PixelShuffle(layer.factor, layer.channels)
    if isinstance(layer, reference_net.Crop):
        return integer_net.Crop(layer.top, layer.left, layer.bottom, layer.right, layer.channels)
    geometry = (layer.transposed, layer.stride, layer.padding, layer.output_padding, layer.weight_bytes)
    return integer_net.IntegerLayer(*geometry, layer.weight, layer.bias, _epilogue(layer.epilogue))


def _epilogue(
    epilogue: reference_net.Epilogue,
) -> integer_net.Requantise | integer_net.Index | integer_net.ValueTable:
    if isinstance(epilogue, reference_net.Index):
        return integer_net.Index(epilogue.thresholds)
    if isinstance(epilogue, reference_net.Table):
        return integer_net.ValueTable(_requantise(epilogue.requantise), epilogue.entries)
    return _requantise(epilogue)


def _requantise(epilogue: reference_net.Requantise) -> integer_net.Requantise:
    multipliers = (epilogue.multiplier_positive, epilogue.multiplier_negative)
    return integer_net.Requantise(*multipliers, epilogue.shift, epilogue.low, epilogue.high)


@singledispatch
def _step(step: reference.Step) -> entropy_file.Step:
    raise TypeError(type(step))


@_step.register
def _(step: reference.Code) -> entropy_file.Step:
    return entropy_file.Code(step.tensor, step.table_set, step.indices)


@_step.register
def _(step: reference.Affine) -> entropy_file.Step:
    return entropy_file.Affine(step.destination, step.source, step.shift, step.offsets, step.low, step.high)


@_step.register
def _(step: reference.Apply) -> entropy_file.Step:
    return entropy_file.Apply(step.destination, step.source, step.net)


@_step.register
def _(step: reference.Concat) -> entropy_file.Step:
    return entropy_file.Concat(step.destination, tuple(step.sources))


@_step.register
def _(step: reference.Add) -> entropy_file.Step:
    multipliers = (step.first_multiplier, step.second_multiplier)
    return entropy_file.Add(step.destination, step.first, step.second, *multipliers, step.shift, step.low, step.high)


@_step.register
def _(step: reference.Residual) -> entropy_file.Step:
    encoded = (step.target, step.first_channel, step.mean, step.fraction)
    return entropy_file.Residual(step.tensor, step.table_set, step.indices, *encoded)


@_step.register
def _(step: reference.Context) -> entropy_file.Step:
    return entropy_file.Context(step.tensor, step.table_set, step.lowest, step.tables, step.limit, step.prefix_of)


@_step.register
def _(step: reference.Mixture) -> entropy_file.Step:
    precision = (step.mean_fraction, step.scale_fraction, step.least_scale, step.reach, step.tail_fraction)
    curves = (tuple(step.tails), tuple(step.weights))
    return entropy_file.Mixture(
        step.tensor, step.net, step.delay, tuple(step.taps), step.components, *precision, *curves
    )


@_step.register
def _(step: reference.Labels) -> entropy_file.Step:
    return entropy_file.Labels(step.tensor, step.classes)
