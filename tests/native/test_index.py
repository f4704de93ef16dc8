"""index.bin is read natively as docs/format.md says: as an independent reader reads it, or refused by both."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings

from support import native_index
from support.index_file import LARGEST, MASK, Index, Knob, Latent, Port, Refused, decode, encode
from support.native_index import Refusal
from support.sample_indexes import damaged, every_change, indexes, rich_index

VERSION, NOT_A_BUNDLE = 40, 43
RICH = encode(rich_index())


def accepted(data: bytes) -> bool:
    """Whether both readers take it. What the native one describes is then all that the bytes say, and nothing else."""
    try:
        expected = decode(data)
    except Refused as reason:
        with pytest.raises(Refusal) as caught:
            native_index.read(data)
            pytest.fail(f"accepted, against a rule: {reason}")
        refusal = caught.value
        assert refusal.status in (VERSION, NOT_A_BUNDLE)
        assert -1 <= refusal.offset <= len(data) and refusal.message and not refusal.where
        return False
    described = native_index.read(data)
    assert described == expected and encode(described) == data
    return True


def refused(data: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        native_index.read(data)
    return caught.value


def test_an_index_with_a_bit_of_everything() -> None:
    assert accepted(RICH)


@settings(max_examples=80)
@given(index=indexes())
def test_random_valid_indexes(index: Index) -> None:
    assert accepted(encode(index))


def test_every_prefix_is_refused() -> None:
    for size in range(len(RICH)):
        assert refused(RICH[:size]).status == NOT_A_BUNDLE


def test_nothing_may_follow() -> None:
    assert refused(RICH + b"\0").message == "has 1 bytes after its end"


def test_every_flipped_byte_is_refused_or_harmless() -> None:
    harmless = 0
    for at in range(len(RICH)):
        for flip in (1, 128, 255):
            harmless += accepted(RICH[:at] + bytes([RICH[at] ^ flip]) + RICH[at + 1 :])
    assert 0 < harmless < 3 * len(RICH)


def test_every_changed_field_is_refused_or_harmless() -> None:
    results = [accepted(data) for _, data in every_change(rich_index())]
    assert 300 < sum(results) < len(results) - 300


def test_random_damage_is_refused_or_harmless() -> None:
    source = random.Random(1)
    results = [accepted(damaged(RICH, [RICH], source)) for _ in range(3000)]
    assert 100 < sum(results) < 2900


@pytest.mark.parametrize(("schema", "hint"), [(0, "export it again"), (1, "export it again"), (3, "update edgecodec")])
def test_another_schema_is_another_version(schema: int, hint: str) -> None:
    """Whatever follows, of which this version knows nothing."""
    refusal = refused(b"ECBI" + struct.pack("<H", schema) + b"?")
    assert (refusal.status, refusal.hint) == (VERSION, hint)
    assert refusal.message == f"is of schema {schema}, this edgecodec reads 2"


@pytest.mark.parametrize("data", [b"", b"ECB", b"ECBX" + RICH[4:], b"{}", bytes(64)])
def test_what_is_no_index_is_said_to_be_none(data: bytes) -> None:
    refusal = refused(data)
    assert (refusal.status, refusal.message) == (NOT_A_BUNDLE, "is not the index of a bundle")


def test_size_is_bounded() -> None:
    index = rich_index()
    labels = index.models[0].encoder_latents[1]
    labels.classes = ["c" * 4096] * 256
    index.knobs += [Knob(f"k{i}", 1, "h" * 4096, [], 0.0, 1.0, 0.5) for i in range(251)]
    data = encode(index)
    assert LARGEST // 4 < len(data) < LARGEST and accepted(data)
    assert refused(RICH + bytes(LARGEST)).message == f"is larger than {LARGEST} bytes"


# ---- each rule -------------------------------------------------------------------------------------------------------

_LONG = "n" * 256

#: A field, a value that breaks a rule, and what is said about it.
RULES: list[tuple[str, Any, str]] = [
    ("family", "\0", "family: is not UTF-8 without U+0000"),
    ("family", "\ud800", "family: is not UTF-8 without U+0000"),
    ("preset", "p" * 4097, "preset: has 4097 bytes, more than 4096"),
    ("files", [], "files: is 0, not between 1 and 65535"),
    ("models", [], "models: is 0, not between 1 and 255"),
    ("graphs", [], "graphs: is 0, not between 1 and 65535"),
    ("files.2.name", "a.bin", "files[2]: name: is that of another file too"),
    ("files.0.name", "", "files[0]: name: has 0 bytes, not 1 to 255"),
    ("files.0.name", _LONG, "files[0]: name: has 256 bytes, not 1 to 255"),
    *(
        ("files.0.name", name, "files[0]: name: is not a path inside the bundle")
        for name in ("/a", "a/", "a//b", ".", "a/.", "..", "../a", "a/../b", "a\\b", "C:a", "a\n", "a\x7f", "a\x85")
    ),
    ("files.0.size", (1 << 48) + 1, f"files[0]: size: is {(1 << 48) + 1}, not between 0 and {1 << 48}"),
    ("models.1.id", 0xDEADBEEF, "models[1]: id: is that of another model too"),
    ("models.0.file", 3, "models[0]: file: is 3, but there are only 3"),
    ("models.0.rate", float("nan"), "models[0]: rate: is not a number"),
    ("models.0.alignment", 0, "models[0]: alignment: is 0, not between 1 and 65535"),
    ("models.0.padding_alignment", 0, "models[0]: padding alignment: is 0, not between 1 and 65535"),
    ("models.0.padding_alignment", 24,
     "models[0]: padding alignment: is 24, which does not divide the alignment 64"),
    ("models.0.smallest_side", 0, "models[0]: smallest side: is 0, not between 1 and 65535"),
    ("models.0.padding", 2, "models[0]: padding: is 2, not between 0 and 1"),
    ("models.0.noise_channels", 0, "models[0]: stride of noise: is 16, not between 0 and 0"),
    ("models.0.noise_stride", 0, "models[0]: stride of noise: is 0, not between 1 and 65535"),
    ("models.0.noise_stride", 128, "models[0]: stride of noise: is 128, which does not divide the alignment 64"),
    ("models.0.encoder_latents", [], "models[0]: encoder latents: is 0, not between 1 and 255"),
    ("models.0.decoder_latents", [], "models[0]: decoder latents: is 0, not between 1 and 255"),
    ("models.0.encoder_latents.3.name", "y", "models[0]: encoder latents[3]: name: is that of another latent too"),
    ("models.0.decoder_latents.1.name", "y", "models[0]: decoder latents[1]: name: is that of another latent too"),
    ("models.0.decoder_latents.1.channels", 0,
     "models[0]: decoder latents[1]: channels: is 0, not between 1 and 65535"),
    ("models.0.decoder_latents.1.stride", 0, "models[0]: decoder latents[1]: stride: is 0, not between 1 and 65535"),
    ("models.0.encoder_latents.0.source", 3, "models[0]: encoder latents[0]: source: is 3, not between 0 and 2"),
    ("models.0.encoder_latents.1.stride", 2,
     "models[0]: encoder latents[1]: source: cannot be labels: the latent has 1 channels, stride 2"),
    ("models.0.encoder_latents.1.channels", 2,
     "models[0]: encoder latents[1]: source: cannot be labels: the latent has 2 channels, stride 1"),
    ("models.0.encoder_latents.2.channels", 2,
     "models[0]: encoder latents[2]: source: cannot be a mask: the latent has 2 channels, stride 16"),
    ("models.0.encoder_latents.3", Latent("m", 1, 1, MASK),
     "models[0]: encoder latents[3]: source: is that of another latent too"),
    ("models.0.encoder_latents.1.classes", [], "models[0]: encoder latents[1]: classes: is 0, not between 1 and 256"),
    ("models.0.encoder_latents.1.classes", ["c"] * 257,
     "models[0]: encoder latents[1]: classes: is 257, not between 1 and 256"),
    ("models.0.encoder_latents.1.classes.2", "\0",
     "models[0]: encoder latents[1]: classes[2]: name: is not UTF-8 without U+0000"),
    *(
        ("knobs.0.name", name, "knobs[0]: name: is not made of a to z, digits and _, with a letter first")
        for name in ("Alpha", "1a", "_a", "a-b", "é", "a b")
    ),
    ("knobs.0.side", 0, "knobs[0]: side: is 0, not between 1 and 2"),
    ("knobs.0.side", 3, "knobs[0]: side: is 3, not between 1 and 2"),
    ("knobs.2.name", "quality", "knobs[2]: has the name of another knob too"),
    ("knobs.0.values.2", 0.5, "knobs[0]: values[2]: value: is not above the value before it"),
    ("knobs.0.values.1", float("inf"), "knobs[0]: values[1]: value: is not a number"),
    ("knobs.1.values.0", 0.01, "knobs[1]: values[0]: value: is 0.01, and coded pictures hold multiples of 1/64"),
    ("knobs.1.values.0", -1.0, "knobs[1]: values[0]: value: is -1, not between 0 and 6.71089e+07"),
    ("knobs.1.values.1", 2.0**26, "knobs[1]: values[1]: value: is 6.71089e+07, not between 0 and 6.71089e+07"),
    ("knobs.1.default", 4.0, "knobs[1]: default: is 4, not between 0.015625 and 3"),
    ("knobs.1.default", 1.0, "knobs[1]: default: is 1, which is not among the values of knob quality"),
    ("knobs.2.high", 0.5, "knobs[2]: high: is below low"),
    ("knobs.2.default", 3.6, "knobs[2]: default: is 3.6, not between 1 and 3.5"),
    ("knobs.2.default", 0.9, "knobs[2]: default: is 0.9, not between 1 and 3.5"),
    ("knobs.2.fit.coefficients", [0.0] * 9, "knobs[2]: coefficients of the rate: is 9, not between 0 and 8"),
    ("knobs.2.fit.coefficients.1", float("nan"), "knobs[2]: coefficients[1]: value: is not a number"),
    ("knobs.2.fit.high", 1.0, "knobs[2]: high of the rate: is not above low"),
    ("knobs.2.fit.residual", -0.5, "knobs[2]: residual: is -0.5, below 0"),
    ("knobs.2.values", [2.0], "knobs[2]: coefficients of the rate: is 3 for a knob that has values"),
    ("graphs.0.side", 3, "graphs[0]: side: is 3, not between 1 and 2"),
    ("graphs.0.model", 2, "graphs[0]: model: is 2, but there are only 2"),
    ("graphs.0.file", 3, "graphs[0]: file: is 3, but there are only 3"),
    ("graphs.0.precision", "", "graphs[0]: precision: has 0 bytes, not 1 to 255"),
    ("graphs.0.knobs", [(4, 1.0)], "graphs[0]: knobs[0]: knob: is 4, but there are only 4"),
    ("graphs.0.knobs", [(1, 3.0), (1, 3.0)], "graphs[0]: knobs[1]: knob: is named twice"),
    ("graphs.0.knobs", [(0, 0.5)], "graphs[0]: knobs[0]: knob: is a knob of the other side"),
    ("graphs.0.knobs", [(1, 2.0)],
     "graphs[0]: knobs[0]: value: is 2, which is not among the values of knob quality"),
    ("graphs.0.knobs", [(2, 2.0)], "graphs[0]: knobs[0]: value: is 2, which is not among the values of knob n"),
    ("graphs.0.inputs", [], "graphs[0]: inputs: is 0, not between 1 and 255"),
    ("graphs.0.outputs", [], "graphs[0]: outputs: is 0, not between 1 and 255"),
    ("graphs.0.inputs.1.name", "n", "graphs[0]: inputs[1]: name: is that of another one too"),
    ("graphs.0.outputs.1.name", "z", "graphs[0]: outputs[1]: name: is that of another one too"),
    ("graphs.0.inputs.1.role", 5, "graphs[0]: inputs[1]: role: is 5, not between 0 and 4"),
    ("graphs.0.inputs.1.role", 1, "graphs[0]: inputs[1]: role: is 1, which this graph does not take"),
    ("graphs.0.inputs.1.role", 4, "graphs[0]: inputs[1]: role: is 4, which this graph does not take"),
    ("graphs.1.inputs.1.role", 0, "graphs[1]: inputs[1]: role: is 0, which this graph does not take"),
    ("graphs.1.inputs.1.role", 2, "graphs[1]: inputs[1]: role: is 2, which this graph does not take"),
    ("graphs.1.inputs.1.role", 3, "graphs[1]: inputs[1]: role: is 3, which this graph does not take"),
    ("graphs.2.inputs", [Port("y", 1), Port("e", 4)],
     "graphs[2]: inputs[1]: role: is 4, which this graph does not take"),
    ("graphs.0.inputs.1.number", 1, "graphs[0]: inputs[1]: number: is 1, not between 0 and 0"),
    ("graphs.0.inputs.2.number", 1, "graphs[0]: inputs[2]: number: is 1, not between 0 and 0"),
    ("graphs.1.inputs.1.number", 1, "graphs[1]: inputs[1]: number: is 1, not between 0 and 0"),
    ("graphs.1.outputs.0.number", 1, "graphs[1]: outputs[0]: number: is 1, not between 0 and 0"),
    ("graphs.0.inputs.0.number", 4, "graphs[0]: inputs[0]: number: is 4, but there are only 4"),
    ("graphs.0.inputs.0.number", 0, "graphs[0]: inputs[0]: number: is a knob of the other side"),
    ("graphs.0.inputs.0.number", 1, "graphs[0]: inputs[0]: number: is a knob that has values"),
    ("graphs.0.inputs.3.number", 2, "graphs[0]: inputs[3]: number: is that of another one too"),
    ("graphs.0.inputs.0", Port("b", 0), "graphs[0]: inputs[1]: number: is that of another one too"),
    ("graphs.1.inputs.2.number", 1, "graphs[1]: inputs[2]: number: is that of another one too"),
    ("graphs.1.inputs.0.number", 2, "graphs[1]: inputs[0]: number: is 2, but there are only 2"),
    ("graphs.0.inputs", [Port("size", 3)], "graphs[0]: has no input for the image"),
    ("graphs.0.inputs", [Port("x", 0)],
     "graphs[0]: has no input for the size, and only the graph can pad with grey"),
    ("graphs.1.inputs", [Port("y", 1), Port("e", 4)],
     "graphs[1]: has no input for some of the decoder latents"),
    ("graphs.0.outputs.0.role", 0, "graphs[0]: outputs[0]: role: is 0, which this graph does not give"),
    ("graphs.1.outputs.0.role", 1, "graphs[1]: outputs[0]: role: is 1, which this graph does not give"),
    ("graphs.0.outputs.0.number", 4, "graphs[0]: outputs[0]: number: is 4, but there are only 4"),
    ("graphs.0.outputs.0.number", 1,
     "graphs[0]: outputs[0]: number: is a latent that does not come from a graph"),
    ("graphs.0.outputs.0.number", 0, "graphs[0]: outputs[1]: number: is that of another one too"),
    ("graphs.0.outputs", [Port("y", 1, 0)], "graphs[0]: has no output for some of the encoder latents"),
    ("graphs.1.outputs", [Port("x", 0), Port("y", 0)], "graphs[1]: outputs[1]: number: is that of another one too"),
    ("graphs.0.decibels", -0.5, "graphs[0]: tolerance in dB: is -0.5, not between 0 and 200"),
    ("graphs.0.decibels", 200.5, "graphs[0]: tolerance in dB: is 200.5, not between 0 and 200"),
    ("graphs.1.halo", "\0", "graphs[1]: reason: is not UTF-8 without U+0000"),
    ("graphs.0.bytes_per_pixel", -1.0, "graphs[0]: bytes a pixel: is -1, not between 0 and 2.81475e+14"),
    ("graphs.0.bytes_per_pixel", 3e14, "graphs[0]: bytes a pixel: is 3e+14, not between 0 and 2.81475e+14"),
]  # fmt: skip


def assign(record: Any, path: str, value: Any) -> None:
    """Set a field of a record by its path, such as "knobs.2.fit.high"."""
    *steps, last = path.split(".")
    for step in steps:
        record = record[int(step)] if step.isdigit() else getattr(record, step)
    if last.isdigit():
        record[int(last)] = value
    else:
        setattr(record, last, value)


@pytest.mark.parametrize(("path", "value", "message"), RULES)
def test_a_broken_rule_is_named_with_its_field(path: str, value: Any, message: str) -> None:
    index = rich_index()
    assign(index, path, value)
    data = encode(index)
    assert not accepted(data)
    refusal = refused(data)
    assert (refusal.status, refusal.message) == (NOT_A_BUNDLE, message)
    assert 4 < refusal.offset < len(data)


def test_a_model_without_a_decoder_is_refused() -> None:
    index = rich_index()
    del index.graphs[2]
    assert refused(encode(index)).message == "has no decoder for model 1"
    assert not accepted(encode(index))


def test_an_unknown_kind_of_tiling_is_refused() -> None:
    index = rich_index()
    index.graphs = index.graphs[1:3]
    index.graphs[1].halo = (0, 0)
    data = bytearray(encode(index))
    data[-13] = 2  # before two u16 and an f64
    assert refused(bytes(data)).message == "graphs[1]: tiling: is 2, not between 0 and 1"


def test_an_offset_is_where_the_field_starts() -> None:
    index = rich_index()
    whole = encode(index)
    index.knobs[2].default = 9.0
    data = encode(index)
    first_difference = next(i for i in range(len(data)) if data[i] != whole[i])
    assert first_difference - 8 < refused(data).offset <= first_difference
    cut = refused(whole[:-3])
    assert (cut.message, cut.offset) == ("graphs[3]: bytes a pixel: ends too early", len(whole) - 8)
