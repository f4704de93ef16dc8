"""index.bin from a bundle's description (docs/format.md, section 6)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sized
from pathlib import Path

from edgecodec.description import (
    INDEX,
    SCHEMA,
    BakedGraph,
    Description,
    Knob,
    LatentSpec,
    Model,
    PaddingRule,
    Port,
    Role,
    Side,
    SideInput,
)
from edgecodec_export.bundle.index_rules import (
    check_description,
    latents_of,
    place_of_graph,
    place_of_knob,
    place_of_model,
    refuse,
)

MAGIC = b"ECBI"
LARGEST_INDEX = 1 << 22  # bytes
LONGEST_TEXT, LONGEST_NAME = 4096, 255  # bytes of UTF-8

_SIDES: dict[Side, int] = {"encode": 1, "decode": 2}
_PADDINGS: dict[PaddingRule, int] = {"reflect": 0, "grey": 1}
_ROLES: dict[Role, int] = {"image": 0, "latent": 1, "knob": 2, "size": 3, "noise": 4}
_SOURCES = {"labels": 1, "mask": 2}  # of an encoder's latent; 0 is a graph


def write_index(folder: Path, description: Description) -> None:
    """Write the index of the bundle in `folder`. Raises as `index_bytes` does."""
    (folder / INDEX).write_bytes(index_bytes(description))


def index_bytes(description: Description) -> bytes:
    """The index as bytes. Raises InvalidArgument, with the part and what to change, for what the format forbids."""
    check_description(description)
    out = _Writer()
    out.data += MAGIC
    out.u16(SCHEMA, "schema")
    out.text(description.family, "family")
    out.text(description.preset, "preset")
    out.count(out.u16, description.files, "files", least=1)
    for name, file in description.files.items():
        out.name(name, "file")
        out.u64(file.size, "size")
        out.data += bytes.fromhex(file.sha256)
    files = {name: number for number, name in enumerate(description.files)}
    out.count(out.u8, description.models, "models", least=1)
    for number, model in enumerate(description.models):
        out.where = place_of_model(number)
        _write_model(out, model, files)
    out.where = INDEX
    out.count(out.u8, description.knobs, "knobs")
    for knob in description.knobs:
        out.where = place_of_knob(knob)
        _write_knob(out, knob)
    out.where = INDEX
    out.count(out.u16, description.graphs, "graphs", least=1)
    for graph in description.graphs:
        out.where = place_of_graph(graph)
        _write_graph(out, graph, description, files)
    if len(out.data) > LARGEST_INDEX:
        refuse(INDEX, f"would have {len(out.data)} bytes, not up to {LARGEST_INDEX}", "bake fewer graphs")
    return bytes(out.data)


class _Writer:
    """Fields one after the other. Refuses values that a field cannot hold, by the name of the field, at `where`."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.where = INDEX

    def u8(self, value: int, field: str, least: int = 0) -> None:
        self._integer(1, value, field, least)

    def u16(self, value: int, field: str, least: int = 0) -> None:
        self._integer(2, value, field, least)

    def u64(self, value: int, field: str) -> None:
        self._integer(8, value, field, 0)

    def f64(self, value: float, field: str) -> None:
        if not math.isfinite(value):
            refuse(self.where, f"{field} is {value}", "give a finite number")
        self.data += struct.pack("<d", value)

    def text(self, value: str, field: str, least: int = 0, most: int = LONGEST_TEXT) -> None:
        try:
            data = value.encode()
        except UnicodeEncodeError:
            refuse(self.where, f"{field} {value!r} is not text", "half of a surrogate pair has no UTF-8")
        if not least <= len(data) <= most or b"\0" in data:
            refuse(self.where, f"{field} {value[:40]!r} is not {least} to {most} bytes of text", "choose another")
        self.u16(len(data), field)
        self.data += data

    def name(self, value: str, field: str) -> None:
        self.text(value, field, least=1, most=LONGEST_NAME)

    def count(self, number: Callable[[int, str, int], None], items: Sized, field: str, least: int = 0) -> None:
        """How many items follow, as such a number."""
        number(len(items), f"the number of {field}", least)

    def _integer(self, size: int, value: int, field: str, least: int) -> None:
        most = (1 << 8 * size) - 1
        if not least <= value <= most:
            refuse(self.where, f"{field} is {value}, not between {least} and {most}")
        self.data += value.to_bytes(size, "little")


def _write_model(out: _Writer, model: Model, files: dict[str, int]) -> None:
    out.data += int(model.id, 16).to_bytes(4, "little")
    out.u16(files[model.entropy], "entropy")
    out.f64(model.rate, "rate")
    out.u16(model.alignment, "alignment", least=1)
    out.u16(model.padding.alignment, "padding alignment", least=1)
    out.u16(model.padding.smallest_side, "smallest side", least=1)
    out.u8(_PADDINGS[model.padding.rule], "padding")
    out.u16(0 if model.noise is None else model.noise.channels, "channels of noise", least=int(model.noise is not None))
    out.u16(0 if model.noise is None else model.noise.stride, "stride of noise", least=int(model.noise is not None))
    out.count(out.u8, model.encoder_latents, "encoder latents", least=1)
    for latent in model.encoder_latents:
        _write_latent(out, latent)
        _write_source(out, model.side_inputs.get(latent.name))
    out.count(out.u8, model.decoder_latents, "decoder latents", least=1)
    for latent in model.decoder_latents:
        _write_latent(out, latent)


def _write_latent(out: _Writer, latent: LatentSpec) -> None:
    out.name(latent.name, "latent")
    out.u16(latent.channels, f"channels of {latent.name}", least=1)
    out.u16(latent.stride, f"stride of {latent.name}", least=1)


def _write_source(out: _Writer, side_input: SideInput | None) -> None:
    if side_input is None:
        out.u8(0, "source")
        return
    out.u8(_SOURCES[side_input.kind], "source")
    if side_input.kind == "labels":
        out.count(out.u16, side_input.classes, "classes", least=1)
        for name in side_input.classes:
            out.text(name, "class")


def _write_knob(out: _Writer, knob: Knob) -> None:
    out.name(knob.name, "name")
    out.u8(_SIDES[knob.side], "side")
    out.text(knob.help, "help")
    out.count(out.u16, knob.values, "values")
    for value in knob.values or (knob.low, knob.high):
        out.f64(value, "value")
    out.f64(knob.default, "default")
    fit = knob.rate_fit
    out.count(out.u8, () if fit is None else fit.coefficients, "coefficients")
    if fit is not None:
        for value in (*fit.coefficients, fit.low, fit.high, fit.residual_percent):
            out.f64(value, "fitted rate")


def _write_graph(out: _Writer, graph: BakedGraph, description: Description, files: dict[str, int]) -> None:
    knobs = {knob.name: number for number, knob in enumerate(description.knobs) if knob.side == graph.side}
    latents = latents_of(description.models[graph.model], graph.side)
    numbers = {"knob": knobs, "latent": {latent.name: number for number, latent in enumerate(latents)}}
    out.u8(_SIDES[graph.side], "side")
    out.u8(graph.model, "model")
    out.u16(files[graph.file], "file")
    out.name(graph.precision, "precision")
    out.count(out.u8, graph.knobs, "knobs")
    for name, value in sorted(graph.knobs.items()):
        out.u8(knobs[name], name)
        out.f64(value, name)
    out.count(out.u8, graph.inputs, "inputs", least=1)
    for port in graph.inputs:
        _write_port(out, port, numbers)
    out.count(out.u8, graph.outputs, "outputs", least=1)
    for port in graph.outputs:
        _write_port(out, port, numbers)
    out.u8(graph.tolerance_levels, "tolerance in levels")
    out.f64(graph.tolerance_db, "tolerance in dB")
    halo = graph.tiling.halo
    out.u8(int(halo is not None), "tiling")
    if halo is None:
        out.text(graph.tiling.reason, "reason not to tile")
    else:
        out.u16(halo[0], "halo before")
        out.u16(halo[1], "halo after")
    out.f64(graph.bytes_per_pixel or 0.0, "bytes a pixel")


def _write_port(out: _Writer, port: Port, numbers: dict[str, dict[str, int]]) -> None:
    out.name(port.name, "port")
    out.u8(_ROLES[port.role], f"role of {port.name}")
    out.u8(numbers[port.role][port.of] if port.role in numbers else 0, f"number of {port.name}")
