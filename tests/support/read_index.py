"""An independent reader of index.bin, after docs/format.md, section 6. It checks only that all bytes are used."""

from __future__ import annotations

import struct
from typing import Any

from edgecodec.description import (
    BakedGraph,
    BundleFile,
    Description,
    Knob,
    LatentSpec,
    Model,
    NoiseSpec,
    Padding,
    Port,
    RateFit,
    SideInput,
    Tiling,
)


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, form: str) -> Any:
        (value,) = struct.unpack_from(f"<{form}", self.data, self.position)
        self.position += struct.calcsize(f"<{form}")
        return value

    def text(self) -> str:
        return str(self.take(f"{self.take('H')}s").decode())


def read_index(data: bytes) -> Description:
    source = _Bytes(data)
    assert (source.take("4s"), source.take("H")) == (b"ECBI", 2)
    family, preset = source.text(), source.text()
    files = {}
    for _ in range(source.take("H")):
        name = source.text()
        files[name] = BundleFile(source.take("Q"), source.take("32s").hex())
    models = tuple(_model(source, list(files)) for _ in range(source.take("B")))
    knobs = tuple(_knob(source) for _ in range(source.take("B")))
    graphs = tuple(_graph(source, list(files), models, knobs) for _ in range(source.take("H")))
    assert source.position == len(data)
    return Description(family, preset, models, knobs, graphs, files)


def _model(source: _Bytes, files: list[str]) -> Model:
    number, file, rate, alignment = source.take("I"), source.take("H"), source.take("d"), source.take("H")
    padding_alignment, smallest, rule = source.take("H"), source.take("H"), source.take("B")
    noise = (source.take("H"), source.take("H"))
    side_inputs, encoder_latents = {}, []
    for _ in range(source.take("B")):
        latent = LatentSpec(source.text(), source.take("H"), source.take("H"))
        encoder_latents.append(latent)
        kind = source.take("B")
        if kind == 1:
            side_inputs[latent.name] = SideInput("labels", tuple(source.text() for _ in range(source.take("H"))))
        elif kind == 2:
            side_inputs[latent.name] = SideInput("mask")
        else:
            assert kind == 0
    decoder_latents = [LatentSpec(source.text(), source.take("H"), source.take("H")) for _ in range(source.take("B"))]
    return Model(
        f"{number:08x}",
        files[file],
        rate,
        alignment,
        Padding(padding_alignment, "grey" if rule else "reflect", smallest),
        NoiseSpec(*noise) if noise[0] else None,
        tuple(encoder_latents),
        tuple(decoder_latents),
        side_inputs,
    )


def _knob(source: _Bytes) -> Knob:
    name, side, line = source.text(), source.take("B"), source.text()
    values = tuple(source.take("d") for _ in range(source.take("H")))
    low, high = (values[0], values[-1]) if values else (source.take("d"), source.take("d"))
    default = source.take("d")
    fit, coefficients = None, tuple(source.take("d") for _ in range(source.take("B")))
    if coefficients:
        fit = RateFit(source.take("d"), source.take("d"), coefficients, source.take("d"))
    return Knob(name, "encode" if side == 1 else "decode", line, values, low, high, default, fit)


def _graph(source: _Bytes, files: list[str], models: tuple[Model, ...], knobs: tuple[Knob, ...]) -> BakedGraph:
    side, model, file, precision = source.take("B"), source.take("B"), source.take("H"), source.text()
    baked = {}
    for _ in range(source.take("B")):
        name = knobs[source.take("B")].name
        baked[name] = source.take("d")
    latents = models[model].encoder_latents if side == 1 else models[model].decoder_latents
    carried = {1: [latent.name for latent in latents], 2: [knob.name for knob in knobs]}

    def port() -> Port:
        name, role, number = source.text(), source.take("B"), source.take("B")
        of = carried[role][number] if role in carried else ""
        return Port(name, ("image", "latent", "knob", "size", "noise")[role], of)

    inputs = tuple(port() for _ in range(source.take("B")))
    outputs = tuple(port() for _ in range(source.take("B")))
    levels, decibels = source.take("B"), source.take("d")
    tiled = source.take("B")
    tiling = Tiling((source.take("H"), source.take("H"))) if tiled else Tiling(None, source.text())
    memory = source.take("d")
    return BakedGraph(
        files[file],
        "encode" if side == 1 else "decode",
        model,
        precision,
        baked,
        inputs,
        outputs,
        tiling,
        levels,
        decibels,
        memory or None,
    )
