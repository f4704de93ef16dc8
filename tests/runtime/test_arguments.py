"""Mistakes in a command line are answered by what to type instead, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import run_command
from support.paths import PHOTOS, TINY


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["encode", PHOTOS[0], "-b", TINY, "-o", ""], "'--output'"),
        (["encode", PHOTOS[0], "-b", TINY, "--output="], "'--output'"),
        (["encode", PHOTOS[0], "-b", ""], "'--bundle'"),
        (["decode", "--list", "", "-b", TINY], "'--list'"),
        (["eval", TINY, PHOTOS[0].parent, "-o", ""], "'--output'"),
        (["eval", "", PHOTOS[0].parent, "-o", "out"], "'BUNDLE'"),
        (["compare", PHOTOS[0], PHOTOS[0], "-o", ""], "'--output'"),
        (["export", "--ckpt", "", "-o", "out"], "'--ckpt'"),
        (["export", "--ckpt", "model.pt", "-o", ""], "'--output'"),
        (["fuse", TINY, "-o", ""], "'--output'"),
        (["triton", TINY, "-o", ""], "'--output'"),
        (["train", "hific-tiny", "--data", PHOTOS[0].parent, "-o", ""], "'--output'"),
    ],
)
def test_an_empty_value_is_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object], option: str
) -> None:
    """An empty path would be the folder at hand."""
    monkeypatch.chdir(tmp_path)
    outcome = run_command(*arguments)
    assert outcome.status == 2 and option in outcome.talk and "it is empty" in outcome.talk
    assert not list(tmp_path.iterdir())


def test_an_empty_input_is_named_by_the_command() -> None:
    assert "the name of an input is empty" in run_command("encode", "", "-b", TINY).talk


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encode", PHOTOS[0], "-b", TINY, "--alpha", 1], "--alpha. It is a knob of decoding: give it to decode."),
        (["encode", PHOTOS[0], "-b", TINY, "--alpha=1"], "--alpha-channel"),  # which may have been meant
        (["encode", PHOTOS[0], "-b", TINY, "--beta", 1], "--beta. It is a knob of decoding"),
        (["encode", PHOTOS[0], "-b", TINY, "--knob", "alpha=1"], "alpha (0, 0.5, 1) to decode"),
        (["decode", "a.edgc", "-b", TINY, "--quality", 1], "--quality. It is a knob of encoding"),
        (["decode", "a.edgc", "-b", TINY, "--n", 1], "--n. It is a knob of encoding"),
        (["compare", "a.png", "a.edgc", "-b", TINY, "--n", 1], "--n. It is a knob of encoding"),
        (["bench", TINY, PHOTOS[0], "--alpha", 1], "--knob alpha=VALUE"),
        (["eval", TINY, "photos", "-o", "out", "--n", "1,2"], "--knob n=VALUE"),
    ],
)
def test_a_knob_of_the_other_side_is_told_its_side(arguments: list[object], said: str) -> None:
    outcome = run_command(*arguments)
    assert outcome.status in (2, 4) and said in outcome.talk


def test_other_options_that_are_not_there_are_as_before() -> None:
    talk = run_command("verify", TINY, "--alpha", 1).talk + run_command("decode", "a", "-b", TINY, "--alhpa", 1).talk
    assert "knob" not in talk and "--alpha" in talk
