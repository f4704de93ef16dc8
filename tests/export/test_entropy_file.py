"""entropy.bin as written: field by field what docs/format.md, section 3 says, and what the native library opens."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from functools import cache
from typing import Any, get_args

import numpy as np
import pytest

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import BadModel
from edgecodec_export.calibration import to_tensor
from edgecodec_export.entropy.coding_tables import coded_bits
from edgecodec_export.entropy.entropy_file import Affine, EntropyFile, model_id, table_set_bytes
from edgecodec_export.entropy.freezers.scale_hyperprior import Observation, ScaleHyperpriorFreezer, fixed_point
from edgecodec_export.entropy.integer_net import Index, IntegerLayer, Requantise, sum_bounds
from support import reference_entropy_model, reference_integer_net
from support.export_counterpart import counterpart, net_counterpart
from support.make_tiny_bundle import tiny_halves, tiny_model
from support.random_models import ALIGNMENT, CAUSAL_3X5, CAUSAL_3X5_DELAY, Builder
from support.reference_entropy_model import Model, Step
from support.reference_integer_net import Layer


@cache
def observations() -> list[Observation]:
    freezer = ScaleHyperpriorFreezer(tiny_model())
    return [freezer.observe(to_tensor(picture)) for picture in tiny_halves().calibrating]


@cache
def tiny_entropy() -> EntropyFile:
    return ScaleHyperpriorFreezer(tiny_model()).freeze(observations())


class Reader:
    """Takes fields off the front."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, fields: str) -> tuple[Any, ...]:
        size = struct.calcsize("<" + fields)
        head, self.rest = self.rest[:size], self.rest[size:]
        return struct.unpack("<" + fields, head)

    def array(self, dtype: str, *shape: int) -> np.ndarray[Any, Any]:
        count = int(np.prod(shape))
        size = np.dtype(dtype).itemsize * count
        head, self.rest = self.rest[:size], self.rest[size:]
        return np.frombuffer(head, dtype).reshape(shape)


def test_every_field_is_where_the_format_says() -> None:
    model = tiny_entropy()
    reader = Reader(model.to_bytes())
    assert reader.take("4sHHI") == (b"ECEM", 1, 0, 64)
    assert reader.take("4H") == (4, 2, 1, 4)

    tensors = []
    for _ in range(4):
        kind, latent, channels, stride, length = reader.take("BBHHB")
        tensors.append((kind, latent, channels, stride, reader.take(f"{length}s")[0]))
    assert tensors == [
        (0, 1, 8, 64, b"z"),
        (0, 0, 8, 64, b"z_fixed"),
        (1, 0, 8, 16, b"r_table"),
        (0, 1, 8, 16, b"r"),
    ]

    for tables in model.table_sets:
        assert reader.take("H") == (len(tables),)
        for table in tables:
            ranks = len(table.frequencies)
            assert reader.take("BBbBh") == (ranks, table.raw_bits, table.sign, 0, table.mode)
            assert reader.take(f"{ranks}H") == table.frequencies

    (net,) = model.nets
    assert reader.take("hhH") == (net.low, net.high, 3)
    for layer, kind, kernel in zip(net.layers, (1, 1, 0), (5, 5, 3), strict=True):
        assert isinstance(layer, IntegerLayer)
        stride, output_padding = (2, 1) if kind else (1, 0)
        padding = kernel // 2
        expected = (kind, kernel, stride, padding, output_padding, layer.weight_bytes, 8, 8)
        assert reader.take("6B2H") == expected
        np.testing.assert_array_equal(reader.array("<i4", 8), layer.bias)
        weight = reader.array(f"<i{layer.weight_bytes}", 8, kernel, kernel, 8)
        np.testing.assert_array_equal(weight, layer.weight)
        (epilogue,) = reader.take("B")
        if isinstance(layer.epilogue, Requantise):
            assert epilogue == 0
            np.testing.assert_array_equal(reader.array("<i4", 8), layer.epilogue.multiplier_positive)
            np.testing.assert_array_equal(reader.array("<i4", 8), layer.epilogue.multiplier_negative)
            np.testing.assert_array_equal(reader.array("u1", 8), layer.epilogue.shift)
            assert reader.take("hh") == (layer.epilogue.low, layer.epilogue.high)
        else:
            assert isinstance(layer.epilogue, Index)
            assert (epilogue, *reader.take("H")) == (1, 63)
            np.testing.assert_array_equal(reader.array("<i4", 8, 63), layer.epilogue.thresholds)

    affine = model.steps[1]
    assert isinstance(affine, Affine)
    assert reader.take("B3H") == (0, 0, 0, 65535)
    assert reader.take("B2HB") == (1, 1, 0, affine.shift)
    np.testing.assert_array_equal(reader.array("<i4", 8), affine.offsets)
    assert reader.take("hh") == (affine.low, affine.high)
    assert reader.take("B3H") == (2, 2, 1, 0)
    assert reader.take("B3H") == (0, 3, 1, 2)
    assert reader.rest == b""


def test_weights_lie_as_output_row_column_input() -> None:
    model: Any = tiny_model()
    (net,) = tiny_entropy().nets
    first, _, last = net.layers
    transposed, plain = model.hyper_synthesis_scale[0].weight, model.hyper_synthesis_scale[4].weight
    for layer, weight in ((first, transposed.permute(1, 2, 3, 0)), (last, plain.permute(0, 2, 3, 1))):
        assert isinstance(layer, IntegerLayer)
        expected = weight.double().numpy()
        units = np.abs(expected).max((1, 2, 3), keepdims=True) / np.abs(layer.weight).max((1, 2, 3), keepdims=True)
        assert (np.abs(layer.weight * units - expected) <= 1.01 * units).all()


def test_the_native_library_opens_it_and_names_the_same_latents_and_id() -> None:
    data = tiny_entropy().to_bytes()
    native = EntropyModel(data)
    assert native.model_id == model_id(data) == f"{zlib.crc32(data):08x}"
    assert native.alignment == 64
    for latents in (native.encoder_latents, native.decoder_latents):
        assert [(each.name, each.channels, each.stride) for each in latents] == [("z", 8, 64), ("r", 8, 16)]


def test_the_native_coder_takes_the_ideal_number_of_bits_of_the_tables_that_export_means() -> None:
    entropy = tiny_entropy()
    native = EntropyModel(entropy.to_bytes())
    affine = entropy.steps[1]
    assert isinstance(affine, Affine)
    for picture in observations():
        height, width = (16 * side for side in picture.r.shape[2:])
        values = {"z": picture.z[0].astype(np.int16), "r": picture.r[0].astype(np.int16)}
        channels = np.broadcast_to(np.arange(8).reshape(1, 8, 1, 1), picture.z.shape)
        ideal = coded_bits(entropy.table_sets[0], channels, picture.z)
        ideal += coded_bits(entropy.table_sets[1], entropy.nets[0].run(fixed_point(affine, picture.z)), picture.r)
        assert native.bits(values, width=width, height=height) == pytest.approx(ideal, abs=1)
        payload, lanes = native.encode(values, width=width, height=height)
        assert ideal - 8 <= 8 * len(payload) <= 1.002 * ideal + 8 * (8 + 2 * lanes)


def test_a_number_too_large_for_its_field_is_an_error_and_not_a_wrong_file() -> None:
    entropy = tiny_entropy()
    (net,) = entropy.nets
    first = net.layers[0]
    assert isinstance(first, IntegerLayer)
    wide = replace(first, weight=first.weight + 1000)
    with pytest.raises(OverflowError):
        replace(entropy, nets=(replace(net, layers=(wide, *net.layers[1:])),)).to_bytes()


def test_the_native_library_refuses_a_net_whose_sums_could_overflow() -> None:
    entropy = tiny_entropy()
    (net,) = entropy.nets
    first = net.layers[0]
    assert isinstance(first, IntegerLayer)
    heavy = replace(first, weight=np.full_like(first.weight, 32767), weight_bytes=2)
    with pytest.raises(BadModel):
        EntropyModel(replace(entropy, nets=(replace(net, layers=(heavy, *net.layers[1:])),)).to_bytes())


def test_a_table_set_is_its_count_and_its_tables() -> None:
    tables = tiny_entropy().table_sets[0]
    assert len(table_set_bytes(tables)) == 2 + sum(6 + 2 * len(table.frequencies) for table in tables)


def reference_model(seed: int) -> Model:
    """Every kind of step, and of layers and epilogues most."""
    generator = np.random.default_rng(seed)
    builder = Builder(generator)
    builder.labels(1, ALIGNMENT, 9)
    builder.channel_slices(2)
    sliced = builder.values[-1]
    for shape in ("crop", "shuffle", "up", "down", "same"):
        builder.apply(sliced, shape, 2)
    builder.prefix(3, ALIGNMENT, limit=builder.mask(ALIGNMENT, 1).tensor, ends=True)
    builder.mixture(2, ALIGNMENT, CAUSAL_3X5, CAUSAL_3X5_DELAY, 3)
    builder.sum(builder.values[-1], builder.values[-1])
    builder.code_by_index(builder.indices(builder.values[-1], 2, 5), 6)
    return builder.model()


@pytest.mark.parametrize("seed", range(8))
def test_bytes_and_latents_are_those_of_the_reference(seed: int) -> None:
    model = reference_model(seed)
    assert {type(step) for step in model.steps} == set(get_args(Step))
    written = counterpart(model)
    assert written.to_bytes() == reference_entropy_model.model_bytes(model)
    assert [each.name for each in written.encoder_latents] == reference_entropy_model.encoder_latents(model)
    assert [each.name for each in written.decoder_latents] == reference_entropy_model.decoder_latents(model)
    native = EntropyModel(written.to_bytes())
    for ours, theirs in (
        (written.encoder_latents, native.encoder_latents),
        (written.decoder_latents, native.decoder_latents),
    ):
        assert [(each.name, each.channels, each.stride) for each in ours] == [
            (each.name, each.channels, each.stride) for each in theirs
        ]


@pytest.mark.parametrize("seed", range(8))
def test_nets_run_as_in_the_reference(seed: int) -> None:
    """All layers and epilogues, among them pixels shuffled, edges cropped and values looked up; a batch of two."""
    generator = np.random.default_rng(seed)
    model = reference_model(seed)
    for net in model.nets:
        first = next(layer for layer in net.layers if isinstance(layer, Layer))
        values = generator.integers(net.low, net.high + 1, (2, first.weight.shape[3], 6, 5))
        found = net_counterpart(net).run(values)
        for ours, each in zip(found, values, strict=True):
            np.testing.assert_array_equal(ours, reference_integer_net.run(net, each))


def test_bounds_are_those_of_the_reference() -> None:
    for net in reference_model(1).nets:
        low, high = net.low, net.high
        for layer in net.layers:
            if isinstance(layer, Layer):
                least, most = reference_integer_net.accumulator_bounds(layer, low, high)
                found = sum_bounds(layer.weight, layer.bias, low, high)
                # Export counts a bias as if it came last, too, and so is never the narrower one.
                assert (found[0] <= least).all() and (most <= found[1]).all()
            low, high = reference_integer_net.output_bounds(layer, low, high)
