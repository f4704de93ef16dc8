"""A made-up knob is declared in its family alone, and works from export to decode."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import edgecodec
from edgecodec.description import Knobs
from edgecodec.errors import InvalidArgument, KnobUnavailable
from edgecodec_export.baking import NOTHING, Asked, Baking, Decoder, Knob, Point
from edgecodec_export.baking.baking import distinct
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.families import FAMILIES, Hific, LearnedCodec
from support.command_line import run_command as run
from support.make_tiny_bundle import PRESET, tiny_model, tiny_pictures

RED = 0.2  # of the range of a picture, which warmth 1 adds


class Warm(Hific):
    """HiFiC whose receiver can ask for a warmer picture."""

    FAMILY = "warm"
    PRESETS: ClassVar = {"tiny": PRESET}
    KNOBS = (Knob("warmth", "larger values give a redder picture."),)

    def decode(self, *latents: Tensor, warmth: float = 0.0, **knobs: Any) -> Tensor:
        return super().decode(*latents, **knobs) + warmth * RED * torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)

    def baking(self, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> Baking:
        return WarmthBaking(self, asked, mse)


class WarmthBaking(Baking):
    def decoder_knobs(self) -> list[Knobs]:
        return [{"warmth": warmth} for warmth in distinct(self.asked.get("warmth", (0.0, 1.0)))]

    def default_knobs(self) -> Knobs:
        return {"warmth": 0.0}

    def baked_decoder(self, knobs: Knobs) -> Point:
        module = Decoder(self.model, knobs)
        return Point(knobs, module, module)


@pytest.fixture
def warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a checkpoint of that family, photographs to calibrate on, and one to code."""
    monkeypatch.setitem(FAMILIES, "warm", Warm)
    model = Warm(PRESET)
    model.load_state_dict(tiny_model().state_dict())
    save_checkpoint(tmp_path / "warm.safetensors", model, "warm", "tiny", {})
    (tmp_path / "photos").mkdir()
    for number, picture in enumerate(tiny_pictures()):
        Image.fromarray(picture).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path


def _exported(folder: Path, *options: str) -> tuple[int, str]:
    outcome = run(
        *("export", "--ckpt", folder / "warm.safetensors", "--calibration", folder / "photos"),
        *("--precision", "fp32"),
        *("-o", folder / "warm.bundle", *options),
    )
    return outcome.status, outcome.talk


def test_it_works_from_export_to_decode(warm: Path) -> None:
    assert _exported(warm, "--knob", "warmth=0,1")[0] == 0
    manifest: Mapping[str, Any] = json.loads((warm / "warm.bundle" / "manifest.json").read_text())
    assert [graph["knobs"] for graph in manifest["graphs"]] == [{}, {"warmth": 0.0}, {"warmth": 1.0}]
    (knob,) = manifest["knobs"]
    assert (knob["name"], knob["side"], knob["help"]) == ("warmth", "decode", Warm.KNOBS[0].help)
    assert "larger values give a redder picture" in (warm / "warm.bundle" / "README.md").read_text()
    assert "warmth" in run("inspect", warm / "warm.bundle").output.decode()

    engine = ("-b", warm / "warm.bundle", "--engine", "onnxruntime")
    assert run("encode", warm / "photos" / "0.png", *engine, "-o", warm / "a.edgc").status == 0
    assert run("decode", warm / "a.edgc", *engine, "-o", warm / "warm.png", "--knob", "warmth=1").status == 0
    assert run("decode", warm / "a.edgc", *engine, "-o", warm / "plain.png").status == 0
    warmer, plain = (np.asarray(Image.open(warm / name)).astype(int) for name in ("warm.png", "plain.png"))
    difference = np.clip(plain[..., 0] + 255 * RED, 0, 255) - warmer[..., 0]
    assert np.abs(difference).max() <= 1 and (warmer[..., 0] > plain[..., 0]).mean() > 0.9
    np.testing.assert_array_equal(warmer[..., 1:], plain[..., 1:])

    with edgecodec.open_bundle(warm / "warm.bundle", "onnxruntime", threads=1) as codec:
        np.testing.assert_array_equal(codec.decode(warm / "a.edgc", warmth=1).pixels, warmer)
        np.testing.assert_array_equal(codec.decode(warm / "a.edgc", knobs={"warmth": 0}).pixels, plain)
        with pytest.raises(KnobUnavailable, match="the bundle has warmth 0, 1"):
            codec.decode(warm / "a.edgc", warmth=0.5)


def test_a_knob_that_another_option_is_called_is_refused(warm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WarmthBaking, "decoder_knobs", lambda baking: [{"seed": 1.0}])
    status, talk = _exported(warm)
    assert status == 2 and "a knob cannot be called 'seed'" in talk
    assert not (warm / "warm.bundle").exists()


def test_a_value_for_a_knob_that_the_family_has_not(warm: Path) -> None:
    status, talk = _exported(warm, "--knob", "coldness=1")
    assert status == 2 and "warm has no coldness to bake. hint: its knobs: warmth." in talk
    with pytest.raises(InvalidArgument, match="there is no warmth to bake"):
        Warm(PRESET).baking({"warmth": ()})
