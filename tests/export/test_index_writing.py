"""The index holds what the description says, byte for byte as docs/format.md has it, and nothing that is forbidden."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

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
from edgecodec.errors import InvalidArgument
from edgecodec.manifest import description_values
from edgecodec_export.bundle.index import index_bytes
from support.descriptions import descriptions
from support.index_description import described
from support.paths import TINY

FILE = BundleFile(3, "ab" * 32)
ENCODER = BakedGraph(
    "a.onnx",
    "encode",
    0,
    "fp32",
    {"quality": 1.5},
    (Port("image", "image"), Port("n", "knob", "n")),
    (Port("y", "latent", "y"),),
    Tiling((2, 1)),
)
DECODER = BakedGraph(
    "s.onnx",
    "decode",
    0,
    "fp32",
    {},
    (Port("l", "latent", "labels"), Port("y", "latent", "y"), Port("noise", "noise")),
    (Port("picture", "image"),),
    Tiling(None, "it looks at whole maps"),
    1,
    bytes_per_pixel=8.0,
)
MODEL = Model(
    "0000beef",
    "entropy.bin",
    0.0,
    64,
    Padding(32, "reflect", 1),
    NoiseSpec(2, 16),
    (LatentSpec("labels", 1, 1), LatentSpec("mask", 1, 8), LatentSpec("y", 3, 16)),
    (LatentSpec("labels", 1, 1), LatentSpec("y", 3, 16)),
    {"labels": SideInput("labels", ("sky", "road")), "mask": SideInput("mask")},
)
QUALITY = Knob("quality", "encode", "quality is for encoders.", (0.0, 1.5), 0.0, 1.5, 1.5)
FREE = Knob("n", "encode", "n too.", (), -1.0, 2.0, 0.5, RateFit(-1.0, 1.0, (-3.0, 0.25), 1.0))
WHOLE = Description(
    "test",
    "tiny",
    (MODEL,),
    (QUALITY, FREE),
    (ENCODER, DECODER),
    {name: FILE for name in ("entropy.bin", "a.onnx", "s.onnx")},
)


@given(description=descriptions())
@settings(max_examples=50)
def test_an_independent_reader_finds_the_whole_description(description: Description) -> None:
    assert described(index_bytes(description)) == description


def test_the_layout_is_that_of_the_format() -> None:
    """Written out by hand from docs/format.md, section 6."""
    file = (3).to_bytes(8, "little") + bytes.fromhex("ab" * 32)
    f64 = {
        -3.0: "00000000000008c0",
        -1.0: "000000000000f0bf",
        0.0: "0000000000000000",
        0.25: "000000000000d03f",
        0.5: "000000000000e03f",
        1.0: "000000000000f03f",
        1.5: "000000000000f83f",
        2.0: "0000000000000040",
        8.0: "0000000000002040",
    }

    def text(value: str) -> bytes:
        return len(value).to_bytes(2, "little") + value.encode()

    def number(*values: float) -> bytes:
        return b"".join(bytes.fromhex(f64[value]) for value in values)

    def hexadecimal(value: str) -> bytes:
        return bytes.fromhex(value)

    expected = [
        *(b"ECBI", hexadecimal("0200"), text("test"), text("tiny")),
        *(hexadecimal("0300"), text("entropy.bin"), file, text("a.onnx"), file, text("s.onnx"), file),
        *(hexadecimal("01 efbe0000 0000"), number(0.0), hexadecimal("4000 2000 0100 00 0200 1000")),
        *(hexadecimal("03"), text("labels"), hexadecimal("0100 0100 01 0200"), text("sky"), text("road")),
        *(text("mask"), hexadecimal("0100 0800 02"), text("y"), hexadecimal("0300 1000 00")),
        *(hexadecimal("02"), text("labels"), hexadecimal("0100 0100"), text("y"), hexadecimal("0300 1000")),
        *(hexadecimal("02"), text("quality"), hexadecimal("01"), text("quality is for encoders.")),
        *(hexadecimal("0200"), number(0.0, 1.5, 1.5), hexadecimal("00")),
        *(text("n"), hexadecimal("01"), text("n too."), hexadecimal("0000"), number(-1.0, 2.0, 0.5)),
        *(hexadecimal("02"), number(-3.0, 0.25, -1.0, 1.0, 1.0)),
        *(hexadecimal("0200 01 00 0100"), text("fp32"), hexadecimal("01 00"), number(1.5)),
        *(hexadecimal("02"), text("image"), hexadecimal("00 00"), text("n"), hexadecimal("02 01")),
        *(hexadecimal("01"), text("y"), hexadecimal("01 02 00"), number(0.0), hexadecimal("01 0200 0100"), number(0.0)),
        *(hexadecimal("02 00 0200"), text("fp32"), hexadecimal("00")),
        *(hexadecimal("03"), text("l"), hexadecimal("01 00"), text("y"), hexadecimal("01 01")),
        *(text("noise"), hexadecimal("04 00"), hexadecimal("01"), text("picture"), hexadecimal("00 00 01")),
        *(number(0.0), hexadecimal("00"), text("it looks at whole maps"), number(8.0)),
    ]
    assert index_bytes(WHOLE) == b"".join(expected)


def test_the_order_in_which_knobs_were_baked_changes_nothing() -> None:
    knobs = (QUALITY, FREE, Knob("beta", "encode", "", (2.0,), 2.0, 2.0, 2.0))
    one, other = {"beta": 2.0, "quality": 1.5}, {"quality": 1.5, "beta": 2.0}
    data = [index_bytes(replace(with_encoder(knobs=baked), knobs=knobs)) for baked in (one, other)]
    assert data[0] == data[1]


# ---- what is refused ------------------------------------------------------------------------------------------------


def with_model(**changes: Any) -> Description:
    return replace(WHOLE, models=(replace(MODEL, **changes),))


def with_knob(knob: Knob, **changes: Any) -> Description:
    return replace(WHOLE, knobs=tuple(replace(each, **changes) if each is knob else each for each in WHOLE.knobs))


def with_encoder(**changes: Any) -> Description:
    return replace(WHOLE, graphs=(replace(ENCODER, **changes), DECODER))


def with_decoder(**changes: Any) -> Description:
    return replace(WHOLE, graphs=(ENCODER, replace(DECODER, **changes)))


def with_file(name: str, file: BundleFile = FILE) -> Description:
    return replace(WHOLE, files={**WHOLE.files, name: file})


SPEC = {latent.name: latent for latent in MODEL.encoder_latents}
FIT = RateFit(-1.0, 1.0, (1.0,), 0.0)
IMAGE = Port("image", "image")

FORBIDDEN: dict[str, tuple[Description, str, str]] = {
    # what: the description, where the error is, and what it says
    "long family": (replace(WHOLE, family="é" * 2049), "index.bin", "family"),
    "zero in a text": (replace(WHOLE, preset="a\0"), "index.bin", "preset"),
    "half a pair": (replace(WHOLE, preset="\ud800"), "index.bin", "not text"),
    "no model": (replace(WHOLE, models=(), graphs=()), "index.bin", "number of models is 0"),
    "no graph": (replace(WHOLE, graphs=()), "model 0", "has no decoder"),
    "no file": (replace(WHOLE, files={}), "model 0", "'entropy.bin' is not among the files"),
    **{
        f"file {name!r}": (with_file(name), f"file {name!r}", "not a path inside the bundle")
        for name in ("", "a//b", "/a", "a/", "../a", "a/..", "./a", "a\\b", "c:a", "a\nb", "\x7f", "\x85")
    },
    "long file": (with_file("a" * 256), "index.bin", "not 1 to 255 bytes"),
    "large file": (with_file("b", BundleFile((1 << 48) + 1, "00" * 32)), "file 'b'", "bytes, not 0 to"),
    "short hash": (with_file("b", BundleFile(1, "00")), "file 'b'", "SHA-256"),
    "two models of one id": (replace(WHOLE, models=(MODEL, MODEL)), "models", "the id '0000beef' occurs twice"),
    "short id": (with_model(id="beef"), "model 0", "id 'beef'"),
    "rate": (with_model(rate=float("inf")), "model 0", "rate is inf"),
    "wide alignment": (with_model(alignment=65536), "model 0", "alignment is 65536"),
    "padding": (with_model(padding=Padding(48, "reflect", 1)), "model 0", "does not divide the alignment"),
    "no padding": (with_model(padding=Padding(0, "reflect", 1)), "model 0", "does not divide the alignment"),
    "smallest side": (with_model(padding=Padding(32, "reflect", 0)), "model 0", "smallest side is 0"),
    "stride of noise": (with_model(noise=NoiseSpec(2, 24)), "model 0", "noise of stride 24"),
    "channels of noise": (with_model(noise=NoiseSpec(0, 16)), "model 0", "channels of noise is 0"),
    "grey without a size": (with_model(padding=Padding(32, "grey", 1)), "graph 'a.onnx'", "picture's size"),
    "latents of one name": (with_model(decoder_latents=(SPEC["y"], SPEC["y"])), "model 0, latents", "occurs twice"),
    "no channels": (with_model(decoder_latents=(SPEC["labels"], LatentSpec("y", 0, 16))), "model 0", "channels"),
    "no decoder latents": (with_model(decoder_latents=()), "graph 's.onnx'", "role latent"),
    "two masks": (
        with_model(side_inputs={"labels": SideInput("mask"), "mask": SideInput("mask")}),
        "model 0",
        "labels or a mask twice",
    ),
    "wide labels": (
        with_model(encoder_latents=(LatentSpec("labels", 1, 2), *MODEL.encoder_latents[1:])),
        "model 0",
        "labels 'labels' with 1 channels, stride 2",
    ),
    "side input of nothing": (with_model(side_inputs={"x": SideInput("mask")}), "model 0", "no encoder latent"),
    "no classes": (with_model(side_inputs={"labels": SideInput("labels")}), "model 0", "has 0 classes"),
    "classes of a mask": (
        with_model(side_inputs={"mask": SideInput("mask", ("a",))}),
        "model 0",
        "classes for the mask",
    ),
    "knobs of one name": (with_knob(FREE, name="quality"), "knobs to encode", "the name 'quality' occurs twice"),
    **{
        f"knob {name!r}": (with_knob(FREE, name=name), f"knob {name!r} to encode", "cannot have this name")
        for name in ("", "N", "1n", "_n", "n-m", "é")
    },
    "long name": (with_knob(FREE, name="n" * 256), "graph 'a.onnx'", "the knob 'n'"),
    "descending values": (with_knob(QUALITY, values=(1.5, 0.0)), "knob 'quality' to encode", "1.5, 0"),
    "equal values": (with_knob(QUALITY, values=(1.5, 1.5)), "knob 'quality' to encode", "1.5, 1.5"),
    "default not baked": (with_knob(QUALITY, default=1.0), "knob 'quality' to encode", "1 by default, not one of"),
    "default too low": (with_knob(FREE, default=-1.5), "knob 'n' to encode", "is -1.5 by default"),
    "no default": (with_knob(FREE, default=float("nan")), "knob 'n' to encode", "is nan by default"),
    "other ends": (with_knob(QUALITY, high=2.0), "knob 'quality' to encode", "goes from 0 to 2"),
    "fine quality": (
        with_knob(QUALITY, values=(0.0, 1.5, 1.51), high=1.51),
        "knob 'quality' to encode",
        "has the values 0, 1.5, 1.51",
    ),
    "negative quality": (
        with_knob(QUALITY, values=(-1.0, 1.5), low=-1.0),
        "knob 'quality' to encode",
        "has the values -1, 1.5",
    ),
    "fit of a baked knob": (with_knob(QUALITY, rate_fit=FIT), "knob 'quality' to encode", "is baked"),
    "no coefficients": (
        with_knob(FREE, rate_fit=replace(FIT, coefficients=())),
        "knob 'n' to encode",
        "0 coefficients",
    ),
    "nine coefficients": (
        with_knob(FREE, rate_fit=replace(FIT, coefficients=(1.0,) * 9)),
        "knob 'n' to encode",
        "9 coe",
    ),
    "fit of a point": (with_knob(FREE, rate_fit=replace(FIT, low=1.0)), "knob 'n' to encode", "from 1 to 1"),
    "residual": (with_knob(FREE, rate_fit=replace(FIT, residual_percent=-1.0)), "knob 'n' to encode", "residual -1"),
    "model of a graph": (with_encoder(model=1), "graph 'a.onnx'", "is of model 1, and there are 1"),
    "file of a graph": (with_encoder(file="b.onnx"), "graph 'b.onnx'", "not among the files"),
    "no precision": (with_encoder(precision=""), "graph 'a.onnx'", "precision"),
    "value of a knob": (with_encoder(knobs={"quality": 1.0}), "graph 'a.onnx'", "is baked at quality 1"),
    "value of an input": (with_encoder(knobs={"n": 0.5}), "graph 'a.onnx'", "is baked at n 0.5"),
    "knob of the other side": (
        with_decoder(knobs={"quality": 1.5}),
        "graph 's.onnx'",
        "not a value of a knob to decode",
    ),
    "unknown knob": (with_encoder(knobs={"beta": 1.5}), "graph 'a.onnx'", "is baked at beta 1.5"),
    "levels": (with_decoder(tolerance_levels=256), "graph 's.onnx'", "tolerance in levels is 256"),
    "decibels": (with_decoder(tolerance_db=200.5), "graph 's.onnx'", "200.5 dB"),
    "memory": (with_decoder(bytes_per_pixel=0.0), "graph 's.onnx'", "0 bytes a pixel"),
    "halo": (with_decoder(tiling=Tiling((65536, 0))), "graph 's.onnx'", "halo before is 65536"),
    "long reason": (with_decoder(tiling=Tiling(None, "a" * 4097)), "graph 's.onnx'", "reason not to tile"),
    "no image": (with_encoder(inputs=(Port("n", "knob", "n"),)), "graph 'a.onnx'", "0 inputs of the role image"),
    "inputs of one name": (with_encoder(inputs=(IMAGE, Port("image", "size"))), "graph 'a.onnx'", "input name 'image'"),
    "two sizes": (
        with_encoder(inputs=(IMAGE, Port("a", "size"), Port("b", "size"))),
        "graph 'a.onnx'",
        "2 inputs of the role size",
    ),
    "baked knob as input": (
        with_encoder(inputs=(IMAGE, Port("q", "knob", "quality"))),
        "graph 'a.onnx'",
        "a port for the knob 'quality'",
    ),
    "knob twice": (
        with_encoder(inputs=(IMAGE, Port("n", "knob", "n"), Port("m", "knob", "n"))),
        "graph 'a.onnx'",
        "the knob 'n' occurs twice",
    ),
    "noise for an encoder": (
        with_encoder(inputs=(IMAGE, Port("noise", "noise"))),
        "graph 'a.onnx'",
        "1 inputs of the role noise, not 0",
    ),
    "name for an image": (with_encoder(inputs=(Port("image", "image", "y"),)), "graph 'a.onnx'", "for 'y'"),
    "no latent": (with_encoder(outputs=()), "graph 'a.onnx'", "0 outputs of the role latent, not 1"),
    "labels from a graph": (
        with_encoder(outputs=(Port("y", "latent", "y"), Port("l", "latent", "labels"))),
        "graph 'a.onnx'",
        "2 outputs of the role latent, not 1",
    ),
    "noise of none": (with_model(noise=None), "graph 's.onnx'", "1 inputs of the role noise, not 0"),
    "latent of the other side": (
        with_decoder(inputs=(Port("m", "latent", "mask"), Port("y", "latent", "y"))),
        "graph 's.onnx'",
        "a port for the latent 'mask', which there is not",
    ),
    "latent left out": (
        with_decoder(inputs=(Port("y", "latent", "y"),)),
        "graph 's.onnx'",
        "1 inputs of the role latent",
    ),
    "latent twice": (
        with_decoder(inputs=(Port("a", "latent", "y"), Port("b", "latent", "y"))),
        "graph 's.onnx'",
        "the latent 'y' occurs twice",
    ),
    "large index": (
        replace(WHOLE, graphs=(ENCODER, *(replace(DECODER, tiling=Tiling(None, "a" * 4096)),) * 1024)),
        "index.bin",
        "bytes, not up to 4194304",
    ),
    "no picture": (with_decoder(outputs=()), "graph 's.onnx'", "0 outputs of the role image"),
    "two pictures": (
        with_decoder(outputs=(IMAGE, Port("b", "image"))),
        "graph 's.onnx'",
        "2 outputs of the role image",
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_the_format_forbids_is_refused_with_what_to_change(what: str) -> None:
    description, where, message = FORBIDDEN[what]
    with pytest.raises(InvalidArgument, match=message) as caught:
        index_bytes(description)
    assert caught.value.where == where


# ---- whole bundles --------------------------------------------------------------------------------------------------


def test_the_index_of_the_tiny_bundle_is_that_of_its_manifest() -> None:
    check_bundle(TINY)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["agustsson-sc", "crdr", "fidelity", "hific", "hific-reflect", "hyperprior", "tunable"]
)
def test_the_index_of_every_family_is_that_of_its_manifest(name: str, family_bundle: Callable[[str], Path]) -> None:
    check_bundle(family_bundle(name))


def check_bundle(folder: Path) -> None:
    """Index and manifest say the same, and the index lists what a runtime may open."""
    description = described((folder / "index.bin").read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    values = description_values(description)
    assert {name: manifest[name] for name in values} == values
    files = {name: BundleFile(**file) for name, file in manifest["files"].items()}
    assert files.keys() == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {
        "manifest.json"
    }
    assert description.files == {name: file for name, file in files.items() if name not in ("README.md", "index.bin")}
