"""index.bin, written and read in plain Python after docs/format.md, section 6: the counterpart of the native reader.

The dataclasses are the records of the format with their fields in its order, and what refers to something is its
number. `encode` writes whatever they hold, so that tests can break every rule. `decode` accepts only valid files.
"""

from __future__ import annotations

import math
import re
import struct
import unicodedata
from dataclasses import dataclass, field
from typing import NoReturn

MAGIC = b"ECBI"
SCHEMA = 2
LARGEST = 1 << 22  # bytes

ENCODER, DECODER = 1, 2
REFLECT, GREY = 0, 1
GRAPH, LABELS, MASK = 0, 1, 2
IMAGE, LATENT, KNOB, SIZE, NOISE = range(5)


class Refused(Exception):
    """The bytes are not a valid index."""


@dataclass
class File:
    name: str
    size: int
    sha256: bytes


@dataclass
class Latent:
    name: str
    channels: int
    stride: int
    source: int = GRAPH
    classes: list[str] = field(default_factory=list)


@dataclass
class Model:
    id: int
    file: int
    rate: float
    alignment: int
    padding_alignment: int
    smallest_side: int
    padding: int
    noise_channels: int
    noise_stride: int
    encoder_latents: list[Latent]
    decoder_latents: list[Latent]


@dataclass
class Fit:
    coefficients: list[float]
    low: float
    high: float
    residual: float


@dataclass
class Knob:
    """low, high: without values only."""

    name: str
    side: int
    help: str
    values: list[float]
    low: float
    high: float
    default: float
    fit: Fit | None = None


@dataclass
class Port:
    name: str
    role: int
    number: int = 0


@dataclass
class Graph:
    """knobs: number and value. halo: before and after, or the reason why there is none."""

    side: int
    model: int
    file: int
    precision: str
    knobs: list[tuple[int, float]]
    inputs: list[Port]
    outputs: list[Port]
    levels: int
    decibels: float
    halo: tuple[int, int] | str
    bytes_per_pixel: float


@dataclass
class Index:
    family: str
    preset: str
    files: list[File]
    models: list[Model]
    knobs: list[Knob]
    graphs: list[Graph]


# ---- writing ---------------------------------------------------------------------------------------------------------


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return struct.pack("<H", len(data)) + data


def _latents(latents: list[Latent], sources: bool) -> bytes:
    data = struct.pack("<B", len(latents))
    for latent in latents:
        data += text(latent.name) + struct.pack("<HH", latent.channels, latent.stride)
        if sources:
            data += struct.pack("<B", latent.source)
        if sources and latent.source == LABELS:
            data += struct.pack("<H", len(latent.classes)) + b"".join(map(text, latent.classes))
    return data


def _model(model: Model) -> bytes:
    return (
        struct.pack(
            "<IHdHHH", model.id, model.file, model.rate, model.alignment, model.padding_alignment, model.smallest_side
        )
        + struct.pack("<BHH", model.padding, model.noise_channels, model.noise_stride)
        + _latents(model.encoder_latents, True)
        + _latents(model.decoder_latents, False)
    )


def _knob(knob: Knob) -> bytes:
    data = text(knob.name) + struct.pack("<B", knob.side) + text(knob.help) + struct.pack("<H", len(knob.values))
    values = knob.values or [knob.low, knob.high]
    data += struct.pack(f"<{len(values)}d", *values) + struct.pack("<d", knob.default)
    if knob.fit is None:
        return data + b"\0"
    count = len(knob.fit.coefficients)
    data += struct.pack(f"<B{count}d", count, *knob.fit.coefficients)
    return data + struct.pack("<3d", knob.fit.low, knob.fit.high, knob.fit.residual)


def _ports(ports: list[Port]) -> bytes:
    return struct.pack("<B", len(ports)) + b"".join(
        text(port.name) + struct.pack("<BB", port.role, port.number) for port in ports
    )


def _graph(graph: Graph) -> bytes:
    data = struct.pack("<BBH", graph.side, graph.model, graph.file) + text(graph.precision)
    data += struct.pack("<B", len(graph.knobs)) + b"".join(struct.pack("<Bd", *knob) for knob in graph.knobs)
    data += _ports(graph.inputs) + _ports(graph.outputs) + struct.pack("<Bd", graph.levels, graph.decibels)
    if isinstance(graph.halo, str):
        data += b"\0" + text(graph.halo)
    else:
        data += struct.pack("<BHH", 1, *graph.halo)
    return data + struct.pack("<d", graph.bytes_per_pixel)


def encode(index: Index) -> bytes:
    data = MAGIC + struct.pack("<H", SCHEMA) + text(index.family) + text(index.preset)
    data += struct.pack("<H", len(index.files))
    data += b"".join(text(file.name) + struct.pack("<Q", file.size) + file.sha256 for file in index.files)
    data += struct.pack("<B", len(index.models)) + b"".join(map(_model, index.models))
    data += struct.pack("<B", len(index.knobs)) + b"".join(map(_knob, index.knobs))
    return data + struct.pack("<H", len(index.graphs)) + b"".join(map(_graph, index.graphs))


# ---- reading ---------------------------------------------------------------------------------------------------------


def _refuse(problem: str) -> NoReturn:
    raise Refused(problem)


def _demand(holds: bool, rule: str) -> None:
    if not holds:
        _refuse(rule)


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        _demand(self._at + count <= len(self._data), "ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, code: str) -> int:
        (value,) = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))
        return int(value)

    def f64(self) -> float:
        (value,) = struct.unpack("<d", self.take(8))
        _demand(math.isfinite(value), "f64 is finite")
        return float(value)

    def text(self) -> str:
        data = self.take(self.number("H"))
        _demand(len(data) <= 4096, "text is at most 4096 bytes")
        try:
            value = data.decode("utf-8")
        except UnicodeDecodeError:
            _refuse("text is UTF-8")
        _demand("\0" not in value, "text has no U+0000")
        return value

    def name(self) -> str:
        value = self.text()
        _demand(1 <= len(value.encode()) <= 255, "a name is 1 to 255 bytes")
        return value

    def count(self, code: str, low: int) -> int:
        value = self.number(code)
        _demand(value >= low, f"{low} or more")
        return value

    def end(self) -> None:
        _demand(self._at == len(self._data), "nothing may follow")


def _read_file(data: _Bytes) -> File:
    return File(data.name(), data.number("Q"), data.take(32))


def _read_latents(data: _Bytes, sources: bool) -> list[Latent]:
    latents = []
    for _ in range(data.count("B", 1)):
        latent = Latent(data.name(), data.number("H"), data.number("H"))
        if sources:
            latent.source = data.number("B")
        if latent.source == LABELS:
            latent.classes = [data.text() for _ in range(data.number("H"))]
            _demand(1 <= len(latent.classes) <= 256, "1 to 256 classes")
        latents.append(latent)
    return latents


def _read_model(data: _Bytes) -> Model:
    head = data.number("I"), data.number("H"), data.f64()
    sides = data.number("H"), data.number("H"), data.number("H"), data.number("B")
    noise = data.number("H"), data.number("H")
    return Model(*head, *sides, *noise, _read_latents(data, True), _read_latents(data, False))


def _read_knob(data: _Bytes) -> Knob:
    name, side, line = data.name(), data.number("B"), data.text()
    values = [data.f64() for _ in range(data.number("H"))]
    low, high = (values[0], values[-1]) if values else (data.f64(), data.f64())
    knob = Knob(name, side, line, values, low, high, data.f64())
    coefficients = [data.f64() for _ in range(data.number("B"))]
    if coefficients:
        knob.fit = Fit(coefficients, data.f64(), data.f64(), data.f64())
    return knob


def _read_ports(data: _Bytes) -> list[Port]:
    return [Port(data.name(), data.number("B"), data.number("B")) for _ in range(data.count("B", 1))]


def _read_graph(data: _Bytes) -> Graph:
    head = data.number("B"), data.number("B"), data.number("H"), data.name()
    knobs = [(data.number("B"), data.f64()) for _ in range(data.number("B"))]
    inputs, outputs = _read_ports(data), _read_ports(data)
    levels, decibels, tiling = data.number("B"), data.f64(), data.number("B")
    _demand(tiling in (0, 1), "tiling is 0 or 1")
    halo = (data.number("H"), data.number("H")) if tiling else data.text()
    return Graph(*head, knobs, inputs, outputs, levels, decibels, halo, data.f64())


def decode(data: bytes) -> Index:
    """Raises Refused."""
    _demand(len(data) <= LARGEST, "at most 2^22 bytes")
    source = _Bytes(data)
    _demand(source.take(4) == MAGIC, "magic")
    _demand(source.number("H") == SCHEMA, "schema")
    index = Index(
        source.text(),
        source.text(),
        [_read_file(source) for _ in range(source.count("H", 1))],
        [_read_model(source) for _ in range(source.count("B", 1))],
        [_read_knob(source) for _ in range(source.number("B"))],
        [_read_graph(source) for _ in range(source.count("H", 1))],
    )
    source.end()
    _check_files(index)
    for model in index.models:
        _check_model(index, model)
    for knob in index.knobs:
        _check_knob(knob)
    for graph in index.graphs:
        _check_graph(index, graph)
    _demand(_distinct([model.id for model in index.models]), "models have different ids")
    _demand(_distinct([(knob.side, knob.name) for knob in index.knobs]), "knobs of one side have different names")
    decoded = {graph.model for graph in index.graphs if graph.side == DECODER}
    _demand(decoded == set(range(len(index.models))), "there is a decoder for each model")
    return index


# ---- rules -----------------------------------------------------------------------------------------------------------


def _distinct(values: list[int] | list[str] | list[tuple[int, str]] | list[tuple[int, int]]) -> bool:
    return len(set(values)) == len(values)


def _check_files(index: Index) -> None:
    _demand(_distinct([file.name for file in index.files]), "files have different names")
    for file in index.files:
        _demand(not {"", ".", ".."} & set(file.name.split("/")), "no part is empty, . or ..")
        _demand(not set("\\:") & set(file.name), "no backslash and colon")
        _demand("Cc" not in map(unicodedata.category, file.name), "no control characters")
        _demand(file.size <= 1 << 48, "sizes up to 2^48")


def _check_model(index: Index, model: Model) -> None:
    _demand(model.file < len(index.files), "the file is there")
    _demand(min(model.alignment, model.padding_alignment, model.smallest_side) >= 1, "sides are 1 or more")
    _demand(model.alignment % model.padding_alignment == 0, "the padding alignment divides the alignment")
    _demand(model.padding in (REFLECT, GREY), "padding is 0 or 1")
    _demand((model.noise_channels > 0) == (model.noise_stride > 0), "a stride of noise where there is noise")
    _demand(not model.noise_stride or model.alignment % model.noise_stride == 0, "so does the stride of noise")
    for latents in (model.encoder_latents, model.decoder_latents):
        _demand(_distinct([latent.name for latent in latents]), "latents of one side have different names")
        _demand(all(latent.channels and latent.stride for latent in latents), "channels and strides are 1 or more")
        _demand(all(latent.source in (GRAPH, LABELS, MASK) for latent in latents), "sources are 0 to 2")
    labels, masks = ([each for each in model.encoder_latents if each.source == kind] for kind in (LABELS, MASK))
    _demand(len(labels) <= 1 and len(masks) <= 1, "at most one latent of each")
    _demand(all(latent.channels == latent.stride == 1 for latent in labels), "labels have 1 channel and stride 1")
    _demand(all(latent.channels == 1 for latent in masks), "masks have 1 channel")


def _check_knob(knob: Knob) -> None:
    _demand(re.fullmatch("[a-z][a-z0-9_]*", knob.name) is not None, "names of knobs")
    _demand(knob.side in (ENCODER, DECODER), "a side is 1 or 2")
    _demand(all(a < b for a, b in zip(knob.values, knob.values[1:], strict=False)), "values ascend")
    _demand(knob.low <= knob.default <= knob.high, "low <= default <= high")
    if knob.values:
        _demand(knob.default in knob.values, "the default is one of the values")
    if knob.name == "quality":
        steps = [64 * value for value in knob.values]
        _demand(all(0 <= each < 1 << 32 and each == int(each) for each in steps), "values of quality")
    if knob.fit is not None:
        _demand(not knob.values and len(knob.fit.coefficients) <= 8, "coefficients")
        _demand(knob.fit.low < knob.fit.high and knob.fit.residual >= 0, "their range and residual")


def _check_graph(index: Index, graph: Graph) -> None:
    _demand(graph.side in (ENCODER, DECODER), "a side is 1 or 2")
    _demand(graph.model < len(index.models) and graph.file < len(index.files), "model and file are there")
    _demand(_distinct([number for number, _ in graph.knobs]), "each knob once")
    for number, value in graph.knobs:
        _demand(number < len(index.knobs), "the knob is there")
        _demand(index.knobs[number].side == graph.side, "knobs of its side")
        _demand(value in index.knobs[number].values, "a value of the knob")
    for ports in (graph.inputs, graph.outputs):
        _demand(_distinct([port.name for port in ports]), "different names")
        _demand(_distinct([(port.role, port.number) for port in ports]), "each once")
        _demand(all(port.number == 0 for port in ports if port.role in (IMAGE, SIZE, NOISE)), "number 0")
    _demand(0 <= graph.decibels <= 200, "decibels")
    _demand(0 <= graph.bytes_per_pixel <= 1 << 48, "bytes a pixel")
    model = index.models[graph.model]
    inputs, outputs = ({(port.role, port.number) for port in ports} for ports in (graph.inputs, graph.outputs))
    if graph.side == ENCODER:
        scalars = {(KNOB, i) for i, knob in enumerate(index.knobs) if knob.side == ENCODER and not knob.values}
        made = {(LATENT, i) for i, latent in enumerate(model.encoder_latents) if latent.source == GRAPH}
        needed = {(IMAGE, 0)} | ({(SIZE, 0)} if model.padding == GREY else set())
        _demand(needed <= inputs <= {(IMAGE, 0), (SIZE, 0)} | scalars, "inputs of an encoder")
        _demand(outputs == made, "outputs of an encoder")
    else:
        latents = {(LATENT, i) for i in range(len(model.decoder_latents))}
        noise = {(NOISE, 0)} if model.noise_channels else set()
        _demand(latents <= inputs <= latents | noise, "inputs of a decoder")
        _demand(outputs == {(IMAGE, 0)}, "outputs of a decoder")
