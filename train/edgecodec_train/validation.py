"""Scores of a model on held-out pictures, and pictures of them to look at."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pytorch_msssim import ms_ssim
from torch import Tensor, nn

from edgecodec.noise import normal_noise
from edgecodec_evaluate.points import label
from edgecodec_evaluate.sheet import Cell
from edgecodec_export.families import LearnedCodec
from edgecodec_train.batches import Batch, Batches
from edgecodec_train.data.crops import as_bytes
from edgecodec_train.data.photographs import Photo
from edgecodec_train.device import Device
from edgecodec_train.losses.grid import GRID_WINDOW, grid_energy
from edgecodec_train.losses.ms_ssim import MS_SSIM_SIDE
from edgecodec_train.recipe import Validation

SHEET_SIDE = 256  # pixels of a picture on a sheet
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Validated:
    """scores: columns of the curve. sheet: rows of pictures to look at."""

    scores: Mapping[str, float]
    sheet: Sequence[Sequence[Cell]] = ()


@torch.no_grad()
def validate(model: LearnedCodec, batches: Batches, settings: Validation, device: Device) -> Validated:
    """Mean scores over the held-out pictures at each of the settings' knobs, computed in float32.

        bits_per_pixel   under the entropy model in floats, of rounded latents; for families without one, tunable and
                         agustsson, of a static code for each channel of the picture, and files differ
        psnr_db          mean of the pictures' PSNR
        ms_ssim          where pictures are large enough
        grid             RMS in levels of 255 of the pattern that `losses.grid` looks for
        detail           energy of what 2x2 means leave out of the luma, relative to the original's: 1 is as much
        psnr_kept_db, psnr_synthesised_db   of all pixels that a mask keeps, and of all others, where there are any

    A suffix names the knobs: "psnr_db_beta_0".
    """
    model.eval()
    scores: dict[str, float] = {}
    columns: list[list[Cell]] = []
    for knobs in settings.knobs:
        gathered: dict[str, list[float]] = defaultdict(list)
        masked = [[0.0, 0.0], [0.0, 0.0]]
        column: list[Cell] = []
        for batch in batches.validation(model):
            moved = batch.to(device)
            picture, bits = _coded(model, moved, knobs)
            here = _scores(picture, moved.image) | {"bits_per_pixel": bits / batch.image[:, 0].numel()}
            for name, score in here.items():
                gathered[name].append(score)
            _add_masked(masked, picture, moved)
            if len(column) < settings.sheet:
                numbers = f"{here['bits_per_pixel']:.3f} bpp, {here['psnr_db']:.2f} dB"
                column.append(Cell(label(knobs), numbers, _middle(picture)))
        suffix = "".join(f"_{name}_{value:g}" for name, value in knobs.items())
        scores |= {f"{name}{suffix}": _mean(name, values) for name, values in gathered.items()}
        scores |= _masked_scores(masked, suffix)
        columns.append(column)
    originals = [Cell("original", "", _middle(batch.image)) for batch in batches.validation(model)][: settings.sheet]
    return Validated(scores, list(zip(originals, *columns, strict=True)))


def _coded(model: LearnedCodec, batch: Batch, knobs: Mapping[str, float]) -> tuple[Tensor, float]:
    side = batch.side(model)
    noise = model.noise()
    if noise is not None:  # that of a file that names no seed
        _, _, height, width = batch.image.shape
        values = normal_noise(0, noise.channels, height // noise.stride, width // noise.stride)
        side[noise.name] = torch.from_numpy(values)[None].to(batch.image)
    passed = model(batch.image, **side, **knobs)
    return passed.picture.clamp(0, 1), float(passed.rounded)


def _scores(picture: Tensor, image: Tensor) -> dict[str, float]:
    scores = {"psnr_db": _decibels(float(nn.functional.mse_loss(picture, image)))}
    if min(image.shape[2:]) >= MS_SSIM_SIDE:
        scores["ms_ssim"] = float(ms_ssim(picture, image, data_range=1.0))
    if min(image.shape[2:]) >= GRID_WINDOW:
        scores["grid"] = float(grid_energy(picture - image))
    scores["detail"] = detail(picture) / max(detail(image), 1e-12)
    return scores


def detail(picture: Tensor) -> float:
    """Energy of what 2x2 means leave out of the luma of (1, 3, H, W) in [0, 1]."""
    luma = (picture * picture.new_tensor(LUMA).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    means = nn.functional.interpolate(nn.functional.avg_pool2d(luma, 2), scale_factor=2)
    return float((luma[..., : means.shape[2], : means.shape[3]] - means).square().mean())


def _mean(name: str, values: list[float]) -> float:
    mean = sum(values) / len(values)
    return 255 * math.sqrt(mean) if name == "grid" else mean


def _add_masked(sums: list[list[float]], picture: Tensor, batch: Batch) -> None:
    """Add squared errors and pixels where the mask keeps details, and where it does not."""
    kept = batch.kept()
    if kept is not None:
        error = (picture - batch.image).square().mean(1, keepdim=True)
        for sum_of, where in zip(sums, (kept, 1 - kept), strict=True):
            sum_of[0] += float((error * where).sum())
            sum_of[1] += float(where.sum())


def _masked_scores(sums: list[list[float]], suffix: str) -> dict[str, float]:
    names = (f"psnr_kept_db{suffix}", f"psnr_synthesised_db{suffix}")
    return {name: _decibels(error / pixels) for name, (error, pixels) in zip(names, sums, strict=True) if pixels}


def _decibels(error: float) -> float:
    return -10 * math.log10(max(error, 1e-10))


def _middle(picture: Tensor) -> Photo:
    """The middle of (1, 3, H, W) in [0, 1] as bytes, SHEET_SIDE pixels a side or less."""
    pixels = as_bytes(picture)
    top, left = (max(0, (side - SHEET_SIDE) // 2) for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + SHEET_SIDE, left : left + SHEET_SIDE])
