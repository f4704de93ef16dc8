"""Makes tests/data/tiny.bundle: a whole bundle small enough to commit, so that tests of the runtime need no torch.

    PYTHONPATH=tests python -m support.make_tiny_bundle [FOLDER]

The transforms are fitted to a few pictures for a moment, so that decoded pictures can be told apart; everything else is
random, scaled so that latents and scales vary as those of a trained codec do.
"""

from __future__ import annotations

import copy
import shutil
import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.baking.interpolation import Interpolation
from edgecodec_export.bundle.description import Source
from edgecodec_export.calibration import CalibrationPictures, Picture, to_tensor
from edgecodec_export.families.hific import Hific, Preset
from edgecodec_export.layers.gradients import round_straight_through
from edgecodec_export.layers.normalisation import ChannelNorm
from edgecodec_export.originals import Original
from edgecodec_export.pipeline import write_bundle
from edgecodec_export.report import ExportReport
from edgecodec_train.stages.settling import settle_medians
from support.paths import TINY

PRESET = Preset((4, 8, 8, 16, 16), 8, 8, 1)
ALPHAS = (0.0, 0.5, 1.0)


def tiny_pictures(count: int = 4, height: int = 128, width: int = 192) -> list[Picture]:
    """Smooth colour fields with some grain and a few hard edges: (height, width, 3) bytes."""
    generator = np.random.default_rng(7)
    rows, columns = np.mgrid[0:height, 0:width] / 64
    pictures = []
    for _ in range(count):
        field = np.zeros((height, width, 3))
        for _ in range(6):
            (down, across), phases = generator.uniform(-4, 4, 2), generator.uniform(0, 6.28, 3)
            field += np.sin((down * rows + across * columns)[..., None] + phases) * generator.uniform(10, 30)
        field += np.where((rows * generator.uniform(-1, 1) + columns > generator.uniform(0, 3))[..., None], 40, -20)
        field += generator.normal(0, 4, field.shape)
        pictures.append(np.clip(field + 128, 0, 255).astype(np.uint8))
    return pictures


@cache
@torch.no_grad()
def tiny_model(seed: int = 1) -> Hific:
    """A HiFiC of a few thousand weights whose latents are a few units wide and whose scales span tenths to tens.

    One object for all callers: copy it before changing it.
    """
    torch.manual_seed(seed)
    model = Hific(PRESET).eval()
    for module in model.modules():
        if isinstance(module, ChannelNorm):
            module.gamma.uniform_(0.5, 1.5)
            module.beta.normal_(0, 0.3)
    images = torch.cat([to_tensor(picture) for picture in tiny_pictures()])
    y = model.analysis(images)
    _set_statistics(last_convolution(model.analysis), y, torch.zeros(y.shape[1]), torch.logspace(-1, 1.2, y.shape[1]))
    _fit_transforms(model, images[:, :, ::2, ::2])
    y = model.analysis(images)
    z = model.hyper_analysis(y)
    z_means, z_spreads = torch.linspace(-3, 3, z.shape[1]), torch.linspace(1, 6, z.shape[1])
    _set_statistics(last_convolution(model.hyper_analysis), z, z_means, z_spreads)
    settle_medians(model)
    z = model.hyper_analysis(y)
    average, spread = y.mean((0, 2, 3)), y.std((0, 2, 3))
    mean, scale = last_convolution(model.hyper_synthesis_mean), last_convolution(model.hyper_synthesis_scale)
    _set_statistics(mean, model.mean(z), average, 0.2 * spread)
    _set_statistics(scale, model.hyper_synthesis_scale(z), spread, 0.4 * spread)
    return model.requires_grad_(False)


def last_convolution(transform: nn.Module) -> nn.Conv2d:
    """The last layer of a transform that is a chain of layers."""
    *_, last = transform.modules()
    assert isinstance(last, nn.Conv2d)
    return last


@torch.enable_grad()
def _fit_transforms(model: Hific, images: Tensor, steps: int = 300) -> None:
    optimiser = torch.optim.Adam([*model.analysis.parameters(), *model.synthesis.parameters()], lr=4e-3)
    for _ in range(steps):
        loss = F.mse_loss(model.synthesis(round_straight_through(model.analysis(images))), images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _set_statistics(last: nn.Conv2d, outputs: Tensor, mean: Tensor, spread: Tensor) -> None:
    """Change the last convolution so that channel c of its outputs (B, C, h, w) has mean[c] and deviation spread[c]."""
    assert last.bias is not None
    factor = spread / outputs.std((0, 2, 3))
    last.weight.mul_(factor.reshape(-1, 1, 1, 1))
    last.bias.copy_(mean - factor * (outputs.mean((0, 2, 3)) - last.bias))


@torch.no_grad()
def second_decoder(model: Hific, seed: int = 2) -> Hific:
    """The same encoder and entropy model with a decoder of other weights."""
    torch.manual_seed(seed)
    other = copy.deepcopy(model)
    for parameter in other.synthesis.parameters():
        parameter.mul_(1 + 0.15 * torch.randn_like(parameter))
    return other


def tiny_halves() -> CalibrationPictures:
    """The tiny pictures, half to calibrate with and half to measure with."""
    pictures = tiny_pictures()
    return CalibrationPictures(pictures[:2], pictures[2:])


def make_tiny_bundle(output: Path) -> ExportReport:
    """Write the bundle to `output`, which must not exist."""
    main = tiny_model()
    mse = second_decoder(main)
    baking = Interpolation(main, {"alpha": ALPHAS}, mse)
    return write_bundle(output, [lambda: Original(Source("hific", "tiny"), baking, tiny_halves())])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TINY
    shutil.rmtree(target, ignore_errors=True)
    make_tiny_bundle(target)
