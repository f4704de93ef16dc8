"""Two decoders may give one picture each way and none between: export says so before anybody has to see it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from edgecodec_export import export_bundle
from edgecodec_export.baking.interpolation import Interpolation
from edgecodec_export.calibration import to_tensor
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.families import Hyperprior, hyperprior
from edgecodec_export.options import ExportOptions
from edgecodec_export.report import summary
from support.paths import LARGER_PHOTO

PRESET = hyperprior.Preset(16, 24)


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    return to_tensor(np.asarray(Image.open(LARGER_PHOTO).convert("RGB"))[:256, :256].copy())


@pytest.fixture(scope="module")
def model(photograph: Tensor) -> Hyperprior:
    """A transform codec, so that its pictures show something."""
    torch.manual_seed(3)
    model = Hyperprior(PRESET)
    model.initialise(photograph.unfold(2, 64, 64).unfold(3, 64, 64).permute(0, 2, 3, 1, 4, 5).reshape(16, 3, 64, 64))
    return model.eval().requires_grad_(False)


@torch.no_grad()
def with_signs_turned(model: Hyperprior) -> Hyperprior:
    """The same decoder in other weights: what the first layer negates, the second one negates again.

    In between is a norm without a sign of its own.
    """
    other = copy.deepcopy(model)
    for name in ("0.weight", "0.bias", "2.weight"):
        other.synthesis.get_parameter(name).neg_()
    return other


@torch.no_grad()
def nearby(model: Hyperprior) -> Hyperprior:
    other = copy.deepcopy(model)
    for parameter in other.synthesis.parameters():
        parameter.mul_(1.02)
    return other


def test_a_mixture_that_is_worse_than_both_is_named(model: Hyperprior, photograph: Tensor) -> None:
    other = with_signs_turned(model)
    latents = model.encode(photograph)
    assert torch.allclose(model.decode(*latents), other.decode(*latents), atol=1e-4), "the same pictures"
    baking = Interpolation(model, {"alpha": (0.0, 0.5, 1.0)}, other)
    (line,) = baking.doubts([photograph])
    assert line.startswith("alpha 0.5 is ") and "worse than both decoders" in line and "--alpha" in line


def test_decoders_that_mix_well_are_no_matter(model: Hyperprior, photograph: Tensor) -> None:
    assert Interpolation(model, {"alpha": (0.0, 0.25, 0.5, 1.0)}, nearby(model)).doubts([photograph]) == []
    assert Interpolation(model, {"alpha": (0.0, 1.0)}, with_signs_turned(model)).doubts([photograph]) == []
    assert Interpolation(model).doubts([photograph]) == []


def test_an_export_says_so(model: Hyperprior, tmp_path: Path) -> None:
    files = []
    for name, each in (("main", model), ("mse", with_signs_turned(model))):
        files.append(tmp_path / f"{name}.safetensors")
        save_checkpoint(files[-1], each, "hyperprior", "tiny", {})
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Hyperprior.PRESETS, "tiny", PRESET)
        options = ExportOptions(files[:1], tmp_path / "bundle", mse_checkpoints=files[1:], precision=("fp32",))
        report = export_bundle(options, lines.append)
    (line,) = report.doubts
    assert line.startswith("alpha 0.5 is ") and line in lines
    assert f"warning: {line}" in summary(report)
