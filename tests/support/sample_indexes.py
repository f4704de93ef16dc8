"""Valid indexes for tests: one that has a bit of everything, random ones, and damaged ones."""

from __future__ import annotations

import copy
import random
import struct
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from hypothesis import strategies as st

from support.index_file import (
    DECODER,
    ENCODER,
    GRAPH,
    GREY,
    IMAGE,
    KNOB,
    LABELS,
    LATENT,
    MASK,
    NOISE,
    REFLECT,
    SIZE,
    File,
    Fit,
    Graph,
    Index,
    Knob,
    Latent,
    Model,
    Port,
    encode,
)


def rich_index() -> Index:
    """Two models, side inputs, noise, knobs of all kinds, and a graph of each kind for both models."""
    files = [File(name, 1 << 12 * i, bytes([i] * 32)) for i, name in enumerate(("a.bin", "net/é.onnx", "b.bin"))]
    side_inputs = [Latent("labels", 1, 1, LABELS, ["", "sky", "Bäume"]), Latent("mask", 1, 16, MASK)]
    first = Model(
        0xDEADBEEF, 0, 0.5, 64, 16, 33, GREY, 8, 16, [Latent("y", 192, 16), *side_inputs, Latent("z", 3, 64)],
        [Latent("y", 192, 16), Latent("w", 2, 8)],
    )  # fmt: skip
    second = Model(7, 2, -1.5, 16, 16, 1, REFLECT, 0, 0, [Latent("y", 12, 16)], [Latent("y", 12, 16)])
    knobs = [
        Knob("alpha", DECODER, "realism", [0.0, 0.5, 2.5], 0.0, 2.5, 0.5),
        Knob("quality", ENCODER, "", [0.015625, 3.0], 0.015625, 3.0, 3.0),
        Knob("n", ENCODER, "steps", [], 1.0, 3.5, 2.0, Fit([1.5, -0.25, 1e-3], 1.0, 3.0, 2.25)),
        Knob("m_2", ENCODER, "", [], -2.0, -2.0, -2.0),
    ]
    graphs = [
        Graph(ENCODER, 0, 1, "fp32", [(1, 3.0)],
              [Port("n", KNOB, 2), Port("x", IMAGE), Port("size", SIZE), Port("m", KNOB, 3)],
              [Port("z", LATENT, 3), Port("y", LATENT, 0)], 0, 0.0, (3, 4), 1234.5),
        Graph(DECODER, 0, 1, "fp16", [(0, 2.5)], [Port("w", LATENT, 1), Port("e", NOISE), Port("y", LATENT, 0)],
              [Port("x", IMAGE)], 255, 49.5, "looks everywhere", 0.0),
        Graph(DECODER, 1, 1, "fp32", [], [Port("y", LATENT, 0)], [Port("x", IMAGE)], 2, 0.0, (0, 65535), 2.0**48),
        Graph(ENCODER, 1, 1, "fp32", [], [Port("x", IMAGE)], [Port("y", LATENT, 0)], 2, 0.0, "", 1.0),
    ]  # fmt: skip
    return Index("hific", "low", files, [first, second], knobs, graphs)


# ---- random valid ones -----------------------------------------------------------------------------------------------

_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_NAMES = _TEXTS.filter(bool)
_KNOB_NAMES = st.from_regex("[a-z][a-z0-9_]{0,6}", fullmatch=True)
_PARTS = st.text(st.characters(exclude_characters="\\:/", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5)
_FILE_NAMES = st.lists(_PARTS.filter(lambda part: part not in (".", "..")), min_size=1, max_size=3).map("/".join)
_SIDES = st.integers(1, 65535)


@st.composite
def _latents(draw: st.DrawFn, sources: bool) -> list[Latent]:
    names = draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    latents = [Latent(name, draw(_SIDES), draw(_SIDES)) for name in names]
    if sources and len(latents) > 1 and draw(st.booleans()):
        latents[-1] = Latent(names[-1], 1, 1, LABELS, draw(st.lists(_TEXTS, min_size=1, max_size=3)))
    if sources and len(latents) > 2 and draw(st.booleans()):
        latents[-2] = Latent(names[-2], 1, draw(_SIDES), MASK)
    return draw(st.permutations(latents))


@st.composite
def _models(draw: st.DrawFn, number: int, file_count: int) -> Model:
    alignment, divisor, other = draw(st.sampled_from([(64, 16, 64), (1, 1, 1), (65535, 255, 3), (96, 96, 32)]))
    noise = draw(st.booleans())
    return Model(
        number * 0x01000193,
        draw(st.integers(0, file_count - 1)),
        draw(_FLOATS),
        alignment,
        divisor,
        draw(_SIDES),
        draw(st.sampled_from([REFLECT, GREY])),
        draw(_SIDES) if noise else 0,
        other if noise else 0,
        draw(_latents(True)),
        draw(_latents(False)),
    )


@st.composite
def _knobs(draw: st.DrawFn, name: str) -> Knob:
    side, line = draw(st.sampled_from([ENCODER, DECODER])), draw(_TEXTS)
    finite: st.SearchStrategy[float] = _FLOATS
    if name == "quality":
        finite = st.integers(0, 640).map(lambda steps: steps / 64)
    if draw(st.booleans()):
        values = sorted(draw(st.sets(finite, min_size=1, max_size=4)))
        return Knob(name, side, line, values, values[0], values[-1], draw(st.sampled_from(values)))
    low, default, high = sorted(draw(st.tuples(_FLOATS, _FLOATS, _FLOATS)))
    fit = None
    if draw(st.booleans()):
        ends = sorted(draw(st.sets(_FLOATS, min_size=2, max_size=2)))
        coefficients = draw(st.lists(_FLOATS, min_size=1, max_size=8))
        fit = Fit(coefficients, ends[0], ends[1], draw(st.floats(0, 1e300)))
    return Knob(name, side, line, [], low, high, default, fit)


@st.composite
def _graphs(draw: st.DrawFn, side: int, number: int, index: Index) -> Graph:
    model = index.models[number]
    mine = [(i, knob) for i, knob in enumerate(index.knobs) if knob.side == side]
    baked = [(i, draw(st.sampled_from(knob.values))) for i, knob in mine if len(knob.values) and draw(st.booleans())]
    carried: list[tuple[int, int]] = [(IMAGE, 0)]
    outputs = [(IMAGE, 0)]
    if side == ENCODER:
        outputs = [(LATENT, i) for i, latent in enumerate(model.encoder_latents) if latent.source == GRAPH]
        if model.padding == GREY or draw(st.booleans()):
            carried.append((SIZE, 0))
        carried += [(KNOB, i) for i, knob in mine if not knob.values and draw(st.booleans())]
    else:
        carried = [(LATENT, i) for i in range(len(model.decoder_latents))]
        if model.noise_channels and draw(st.booleans()):
            carried.append((NOISE, 0))

    def ports(what: list[tuple[int, int]]) -> list[Port]:
        names = draw(st.lists(_NAMES, min_size=len(what), max_size=len(what), unique=True))
        return [Port(name, *each) for name, each in zip(names, draw(st.permutations(what)), strict=True)]

    halo: Any = draw(st.one_of(_TEXTS, st.tuples(st.integers(0, 65535), st.integers(0, 65535))))
    return Graph(
        side,
        number,
        draw(st.integers(0, len(index.files) - 1)),
        draw(_NAMES),
        draw(st.permutations(baked)),
        ports(carried),
        ports(outputs),
        draw(st.integers(0, 255)),
        draw(st.floats(0, 200)),
        halo,
        draw(st.floats(0, 2.0**48)),
    )


@st.composite
def indexes(draw: st.DrawFn) -> Index:
    """Any valid index, in small."""
    names = draw(st.lists(_FILE_NAMES, min_size=1, max_size=3, unique=True))
    files = [File(name, draw(st.integers(0, 1 << 48)), draw(st.binary(min_size=32, max_size=32))) for name in names]
    models = [draw(_models(i, len(files))) for i in range(draw(st.integers(1, 2)))]
    knob_names = draw(st.lists(st.one_of(_KNOB_NAMES, st.just("quality")), max_size=4, unique=True))
    index = Index(draw(_TEXTS), draw(_TEXTS), files, models, [draw(_knobs(name)) for name in knob_names], [])
    for number in range(len(models)):
        sides = draw(st.lists(st.sampled_from([ENCODER, DECODER]), max_size=2))
        index.graphs += [draw(_graphs(side, number, index)) for side in (*sides, DECODER)]
    return index


# ---- damage ----------------------------------------------------------------------------------------------------------

_ODD_TEXTS = ["", "y", "q\0", "../x", "a//b", "C:", "a\x7f", "a\x85", "\ud800", "n" * 256, "n" * 4097, "\U0010ffff"]
_ODD_FLOATS = [float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 0.01, 0.5, 3.0, 1e300, -1e300, 2.0**48 + 1, 200.5]
_ODD_INTEGERS = [0, 1, 2, 3, 4, 5, 255, 256, 65535, 1 << 32, (1 << 48) + 1]


def _odd_values(value: Any) -> list[Any]:
    """Other values of a field: at the ends of what it may be, and beyond."""
    if isinstance(value, str):
        return [text for text in _ODD_TEXTS if text != value]
    if isinstance(value, float):
        return [*_ODD_FLOATS, value + 1, value - 1]
    if isinstance(value, int):
        return [*_ODD_INTEGERS, value + 1, value - 1]
    if isinstance(value, list):
        return [value[:-1], value[1:], value[::-1], [*value, *value[:1]], []]
    if isinstance(value, tuple):
        return [tuple(odd if k == i else each for k, each in enumerate(value)) for i in range(len(value))
                for odd in _odd_values(value[i])]  # fmt: skip
    return [None] if isinstance(value, Fit) else []


def _owners(record: Any) -> Iterator[Any]:
    """All records in a record."""
    yield record
    for each in fields(record):
        value = getattr(record, each.name)
        for inner in value if isinstance(value, list) else [value]:
            if is_dataclass(inner):
                yield from _owners(inner)


def every_change(index: Index) -> Iterator[tuple[str, bytes]]:
    """The index with one field changed: the field's name, and the bytes. What has no bytes is left out."""
    index = copy.deepcopy(index)
    for owner in list(_owners(index)):
        for each in fields(owner):
            value = getattr(owner, each.name)
            for odd in _odd_values(value):
                setattr(owner, each.name, odd)
                try:
                    yield f"{type(owner).__name__}.{each.name} = {odd!r:.40}", encode(index)
                except struct.error:
                    continue
                finally:
                    setattr(owner, each.name, value)


def damaged(data: bytes, others: list[bytes], source: random.Random) -> bytes:
    """One to four random changes of bytes: flips, other values, cuts, repeats, and parts of other files."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 3, 4))):
        at = source.randrange(len(changed) + 1)
        kind = source.randrange(7)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << source.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = source.choice((0, 1, 2, 3, 4, 127, 128, 254, 255))
        elif kind == 2:
            del changed[at : at + source.choice((1, 2, 4, 8, 32))]
        elif kind == 3:
            changed[at:at] = changed[at : at + source.choice((1, 2, 8, 40))]
        elif kind == 4:
            changed[at : at + 8] = struct.pack("<d", source.choice(_ODD_FLOATS))
        elif kind == 5:
            changed[at : at + 2] = struct.pack("<H", source.choice((0, 1, 2, 255, 256, 65535)))
        else:
            other = source.choice(others)
            start = source.randrange(len(other))
            length = source.randrange(1, 64)
            changed[at : at + length] = other[start : start + length]
    return bytes(changed)
