"""The tutorial runs as it is written: from the files of a training run to a page of comparisons."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from support import released_layouts
from support.command_line import run_command
from support.paths import PHOTOS, ROOT
from support.stand_in_weights import MBT2018_MEAN, stand_in

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    edgecodec (.*)$", PAGE, re.MULTILINE)
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.slow


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a training run leaves, a photograph, and a folder of two."""
    for name, channels, gain in (("low", (8, 12), 0.5), ("mid", (8, 12), 1.5), ("high", (12, 16), 4.0)):
        state = stand_in(released_layouts.compressai(*channels, predicts_means=True), MBT2018_MEAN)
        state["g_a.6.weight"] = state["g_a.6.weight"] * gain
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))]).state_dict()
        training = {"epoch": 99, "state_dict": state, "loss": 1.0, "optimizer": optimizer, "aux_optimizer": optimizer}
        torch.save(training, tmp_path / f"{name}.pth.tar")
    (tmp_path / "pictures").mkdir()
    for number, photo in enumerate(PHOTOS[:2]):
        with Image.open(photo) as image:
            image.convert("RGB").resize((192, 176)).save(tmp_path / "pictures" / f"{number}.png")
    with Image.open(PHOTOS[0]) as image:
        image.convert("RGB").save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_does_what_the_page_says(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for command in COMMANDS:
        outcome = run_command(*shlex.split(command))
        assert outcome.status == 0, f"{command}: {outcome.talk}"
        said[command] = outcome.output.decode() + outcome.talk
    assert [line.split()[0] for line in COMMANDS] == [
        "export", "inspect", "verify", "encode", "encode", "decode", "inspect", "eval", "compare"
    ]  # fmt: skip
    assert all(f"quality {number}" in said["inspect photos.bundle"] for number in range(3))
    with Image.open("photo.png") as photo, Image.open("decoded.png") as decoded:
        assert photo.size == decoded.size
        limit = 0.4 * photo.width * photo.height / 8
    sizes = [(workplace / name).stat().st_size for name in ("small.edgc", "photo.edgc")]
    assert sizes[0] <= limit < sizes[1]
    measured = {path.name for path in (workplace / "measured").iterdir()}
    assert {"measurements.csv", "summary.json", "rate_distortion.png"} <= measured
    assert "photo.edgc" in (workplace / "photo.html").read_text(encoding="utf-8")

    names: dict[str, Any] = {}
    for block in PYTHON:
        exec(compile(block, "docs/tutorial.md", "exec"), names)
    assert repr(names["encoded"]).startswith("<Encoded") and capsys.readouterr().out.strip()
