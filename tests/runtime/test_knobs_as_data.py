"""Knobs come from the bundle: any name can be given as a keyword, in a mapping, or with --knob; none is built in."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

import edgecodec
from edgecodec import cli
from edgecodec.codec import Codec
from edgecodec.errors import InvalidArgument, KnobUnavailable
from edgecodec.knob_names import RESERVED, check_name
from support.command_line import run_command as run
from support.make_bundles import with_qualities
from support.paths import TINY


def test_a_keyword_and_a_mapping_mean_the_same(codec: Codec, coded: bytes) -> None:
    by_keyword = codec.decode(coded, alpha=0.5).pixels
    np.testing.assert_array_equal(by_keyword, codec.decode(coded, knobs={"alpha": 0.5}).pixels)
    with edgecodec.open_bundle(TINY, "onnxruntime", threads=1, knobs={"alpha": 0.5}) as other:
        np.testing.assert_array_equal(by_keyword, other.decode(coded).pixels)
        (again,) = other.decode_many([coded], alpha=0)
    np.testing.assert_array_equal(again.pixels, codec.decode(coded, alpha=0).pixels)
    assert np.abs(by_keyword.astype(int) - again.pixels).max() > 1


def test_the_command_line_takes_any_knob(coded: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.edgc").write_bytes(coded)
    for name, option in (("short", ("--alpha", 0.5)), ("general", ("--knob", "alpha=0.5"))):
        to = ("-b", TINY, "--engine", "onnxruntime", "-o", tmp_path / f"{name}.png")
        assert run("decode", tmp_path / "a.edgc", *to, *option).status == 0
    assert (tmp_path / "short.png").read_bytes() == (tmp_path / "general.png").read_bytes()


def test_an_unknown_knob_is_told_which_there_are(codec: Codec, coded: bytes) -> None:
    with pytest.raises(KnobUnavailable, match=r"decode takes no warmth .*alpha \(0, 0.5, 1\) to decode"):
        codec.decode(coded, warmth=1.0)
    with pytest.raises(KnobUnavailable, match="encode takes no warmth"):
        codec.encode(np.zeros((64, 64, 3), np.uint8), knobs={"warmth": 1.0})


@pytest.mark.parametrize("value", ["0.5", True, [0.5], 1j])
def test_a_value_that_is_no_number(codec: Codec, coded: bytes, value: object) -> None:
    with pytest.raises(InvalidArgument, match="give a number, if"):
        codec.decode(coded, knobs={"alpha": value})  # type: ignore[dict-item]


def test_a_knob_is_given_once(codec: Codec, coded: bytes) -> None:
    with pytest.raises(InvalidArgument, match="alpha given twice"):
        codec.decode(coded, knobs={"alpha": 0}, alpha=0)
    assert codec.decode(coded, knobs={"alpha": None}).pixels.shape == (64, 96, 3), "None is the bundle's default"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--knob", "alpha"), "is not NAME=VALUE"),
        (("--knob", "=1"), "is not NAME=VALUE"),
        (("--knob", "alpha=much"), "--knob alpha: 'much' is not a number"),
        (("--knob", "alpha=0", "--knob", "alpha=1"), "alpha is given twice"),
        (("--knob", "alpha=0", "--alpha", "1"), "alpha given twice"),
    ],
)
def test_what_is_no_choice_of_a_knob(options: tuple[str, ...], problem: str, tmp_path: Path) -> None:
    outcome = run("decode", tmp_path / "absent.edgc", "-b", TINY, *options)
    assert outcome.status == 2 and problem in outcome.talk


def _arguments() -> Iterator[str]:
    """Names that an argument of the library or an option of the command line has, knobs apart."""
    for function in (edgecodec.open_bundle, Codec.encode, Codec.decode, Codec.decode_many, Codec.check_encoding):
        parameters = inspect.signature(function).parameters.values()
        yield from (each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD)
    yield from ("help", "version")
    shorthands = {"alpha", "beta", "quality", "n"}
    for command in typer.main.get_command(cli.app).commands.values():  # type: ignore[attr-defined]
        for parameter in command.params:
            names = {option.lstrip("-").replace("-", "_") for option in parameter.opts if option.startswith("--")}
            yield from (names | {parameter.name} if not names & shorthands else ())


def test_exactly_the_names_of_other_arguments_are_reserved() -> None:
    """Fields of ExportOptions whose option is called otherwise are no names that a user meets."""
    inner = {"checkpoints", "mse_checkpoints", "picture_format"}
    assert {*_arguments()} - inner == RESERVED


@pytest.mark.parametrize("name", ["seed", "", "Alpha", "two words", "a-b", "1st", "knöpfe", "self"])
def test_what_no_knob_can_be_called(name: str) -> None:
    with pytest.raises(InvalidArgument, match="a knob cannot be called"):
        check_name(name)


@pytest.mark.parametrize("knobs", ["alpha", [("alpha", 0.5)], {1: 2}, {None: 1}, {"alpha": 10**400}])
def test_what_is_no_mapping_of_numbers_by_name(codec: Codec, coded: bytes, knobs: Any) -> None:
    with pytest.raises(InvalidArgument):
        codec.decode(coded, knobs=knobs)


def test_an_odd_name_is_shown_escaped(codec: Codec, coded: bytes) -> None:
    with pytest.raises(KnobUnavailable) as caught:
        codec.decode(coded, knobs={"\x1b[31m": 1, "": 1})
    assert "takes no '' and no '\\x1b[31m'" in str(caught.value)


def test_a_decoder_cannot_be_asked_for_another_quality_than_the_files(tmp_path: Path) -> None:
    bundle = with_qualities({0.0: 0.125, 4.0: 1.0}).write(tmp_path / "test.bundle")
    with edgecodec.open_bundle(bundle, "onnxruntime", threads=1) as codec:
        file = codec.encode(np.zeros((16, 16, 3), np.uint8), quality=4).data
        assert codec.decode(file).info.quality == 4
        with pytest.raises(KnobUnavailable, match="decode takes no quality"):
            codec.decode(file, quality=0)
    with pytest.raises(KnobUnavailable, match="decode takes no quality"):
        edgecodec.open_bundle(bundle, "onnxruntime", quality=0)
