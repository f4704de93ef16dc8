"""docs/commands.md has every option that the help has, under its command, and no other."""

from __future__ import annotations

import re

import pytest

from support.command_line import run_command
from support.paths import ROOT

GUIDE = ROOT / "docs" / "commands.md"
COMMANDS = ["export", "fuse", "triton", "build", "encode", "decode", "inspect", "verify", "bench", "eval", "compare"]
COMMANDS += ["doctor", "train"]


def _documented(guide: str, command: str) -> set[str]:
    """Options in the first column of the tables under headings of this command, or of every command."""
    found: set[str] = set()
    for section in guide.split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        if heading == "Every command" or f"`{command}`" in heading:
            cells = re.findall(r"^\| (.*?) \| ", body, re.MULTILINE)
            found.update(option for cell in cells for option in re.findall(r"`(--?[a-z][a-z-]*)", cell))
    return found


def _offered(*command: str) -> set[str]:
    lines = run_command(*command, "--help-all" if command else "--help").output.decode().splitlines()
    names = [re.match(r"  (-[^ ,]+)(?:, (-[^ ]+))?", line) for line in lines]
    return {option for each in names if each for option in each.groups() if option}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented_and_no_other(command: str) -> None:
    assert _documented(GUIDE.read_text(encoding="utf-8"), command) == _offered(command)


def test_the_options_before_a_command_are_documented() -> None:
    common = {"--json", "--quiet", "-q", "--verbose", "-v", "--help-all"}
    assert _documented(GUIDE.read_text(encoding="utf-8"), "edgecodec") - common == _offered()


def test_an_option_that_is_left_out_is_missed() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    for option, command in (("--seed", "encode"), ("--max-memory", "decode"), ("--calibration", "export")):
        assert option in _offered(command)
        assert option not in _documented(guide.replace(option, "--other"), command)


def test_every_command_is_documented() -> None:
    assert set(re.findall(r"^  (\w+)  ", run_command("--help").output.decode(), re.MULTILINE)) == set(COMMANDS)
