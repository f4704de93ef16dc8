"""Scores of pictures are those that other programs compute."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageChops, ImageStat
from scipy import ndimage, signal

import edgecodec_train.stages  # noqa: F401  # before what it needs, which needs it
from edgecodec.errors import InvalidArgument
from edgecodec.picture import Pixels
from edgecodec_evaluate.metrics.detail import detail
from edgecodec_evaluate.metrics.ms_ssim import SMALLEST_SIDE, ms_ssim
from edgecodec_evaluate.metrics.psnr import psnr
from edgecodec_evaluate.scores import scores
from edgecodec_train.validation import detail as detail_in_training
from support.paths import LARGER_PHOTO, PHOTOS

Plane = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def photo() -> Pixels:
    """uint8 (176, 208, 3), which can be halved four times"""
    return np.asarray(Image.open(LARGER_PHOTO))[100:276, 200:408]


@pytest.fixture(scope="module")
def noisy(photo: Pixels) -> Pixels:
    blurred = ndimage.gaussian_filter(photo.astype(float), (1, 1, 0))
    return np.clip(blurred + np.random.default_rng(0).normal(0, 6, photo.shape), 0, 255).astype(np.uint8)


def test_psnr_is_that_of_pillows_statistics(photo: Pixels, noisy: Pixels) -> None:
    differences = ImageStat.Stat(ImageChops.difference(Image.fromarray(photo), Image.fromarray(noisy)))
    error = sum(channel**2 for channel in differences.rms) / 3
    assert psnr(photo, noisy) == pytest.approx(20 * math.log10(255 / math.sqrt(error)), abs=1e-9)


def test_psnr_of_equal_pictures_and_of_one_level() -> None:
    black = np.zeros((2, 2, 3), np.uint8)
    assert psnr(black, black) == math.inf
    assert psnr(black, black + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(black, black + np.uint8(255)) == 0  # bytes that wrapped around would be 48 dB


def test_ms_ssim_is_that_of_the_paper(photo: Pixels, noisy: Pixels) -> None:
    expected = np.mean([_ms_ssim(*(each[..., i].astype(float) for each in (photo, noisy))) for i in range(3)])
    assert ms_ssim(photo, noisy) == pytest.approx(float(expected), abs=3e-6)  # the package rounds its window to float32
    assert ms_ssim(photo, photo) == pytest.approx(1, abs=1e-12)


def test_small_pictures_have_no_ms_ssim() -> None:
    small = np.zeros((SMALLEST_SIDE - 1, 300, 3), np.uint8)
    assert ms_ssim(small, small) is None
    assert scores(small, small).ms_ssim is None
    assert ms_ssim(np.zeros((SMALLEST_SIDE, 300, 3), np.uint8), np.zeros((SMALLEST_SIDE, 300, 3), np.uint8)) is not None


def test_detail_is_the_one_that_training_reports(photo: Pixels, noisy: Pixels) -> None:
    for rebuilt in (noisy, photo[:, ::-1]):
        expected = detail_in_training(_tensor(rebuilt)) / detail_in_training(_tensor(photo))
        assert detail(photo, rebuilt) == pytest.approx(expected, rel=1e-5)
    assert detail(photo, photo) == 1


def test_an_odd_row_and_a_flat_picture() -> None:
    odd = np.asarray(Image.open(PHOTOS[0]))[:-1, :-1]
    assert detail(odd, odd) == 1
    flat = np.full((8, 8, 3), 77, np.uint8)
    assert detail(flat, odd[:8, :8]) is None and detail(odd[:8, :8], flat) == pytest.approx(0, abs=1e-20)
    assert scores(odd[:1, :1], odd[:1, :1]).detail is None


def test_greyscale_counts_as_three_equal_channels(photo: Pixels, noisy: Pixels) -> None:
    grey, noisy_grey = photo[..., 0], noisy[..., 0]
    assert scores(grey, noisy_grey) == scores(np.dstack([grey] * 3), np.dstack([noisy_grey] * 3))
    assert scores(grey, np.dstack([noisy_grey] * 3)) == scores(grey, noisy_grey)


def test_a_picture_of_another_size_has_no_scores(photo: Pixels) -> None:
    with pytest.raises(InvalidArgument, match="208x176 pixels came back as 207x176"):
        scores(photo, photo[:, 1:])


def _tensor(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None] / 255


def _ms_ssim(first: Plane, second: Plane) -> float:
    """Wang, Simoncelli, Bovik 2003, with the weights of their section 3.2 and SSIM's usual constants."""
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    steps = np.arange(11) - 5
    row = np.exp(-(steps**2) / (2 * 1.5**2))
    window = np.outer(row, row) / row.sum() ** 2

    def mean(plane: Plane) -> Plane:
        return np.asarray(signal.fftconvolve(plane, window, mode="valid"))

    product = 1.0
    for scale, weight in enumerate(weights):
        one, other = mean(first), mean(second)
        variances = mean(first**2) - one**2 + mean(second**2) - other**2
        contrast = (2 * (mean(first * second) - one * other) + (0.03 * 255) ** 2) / (variances + (0.03 * 255) ** 2)
        luminance = (2 * one * other + (0.01 * 255) ** 2) / (one**2 + other**2 + (0.01 * 255) ** 2)
        product *= float((contrast * luminance if scale == len(weights) - 1 else contrast).mean()) ** weight
        first, second = (
            each[: each.shape[0] // 2 * 2, : each.shape[1] // 2 * 2]
            .reshape(each.shape[0] // 2, 2, each.shape[1] // 2, 2)
            .mean((1, 3))
            for each in (first, second)
        )
    return product
