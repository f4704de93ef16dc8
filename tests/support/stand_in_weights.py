"""Weights with the same bits on every machine, in place of trained ones that may not be redistributed.

They are computed from tests/support/portable_random.py with additions, multiplications and square roots only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from support.portable_random import Floats, uniform

Shape = tuple[int, ...]
#: A pattern of tensor names, and how a tensor of that name and shape is made of numbers in (-1, 1).
Rule = tuple[str, Callable[[Floats], Floats]]


def between(low: float, high: float) -> Callable[[Floats], Floats]:
    """Uniform in an interval."""
    return lambda u: u * np.float32(0.5 * (high - low)) + np.float32(0.5 * (low + high))


def skewed(low: float, high: float) -> Callable[[Floats], Floats]:
    """Between low and high, mostly near low."""

    def make(u: Floats) -> Floats:
        unit = (u.astype(np.float64) + 1.0) * 0.5
        return (low + (high - low) * (unit * unit * unit)).astype(np.float32)

    return make


def convolution(gain: float) -> Callable[[Floats], Floats]:
    """He's uniform initialisation times a gain, for weights (out, in, kernel, kernel)."""
    return lambda u: u * np.float32(gain * math.sqrt(6.0 / math.prod(u.shape[1:])))


def transposed(gain: float, stride: int) -> Callable[[Floats], Floats]:
    """The same for weights (in, out, kernel, kernel) of a transposed convolution."""
    return lambda u: u * np.float32(gain * math.sqrt(6.0 * stride**2 / (u.shape[0] * math.prod(u.shape[2:]))))


def constant(*values: float) -> Callable[[Floats], Floats]:
    return lambda u: np.broadcast_to(np.asarray(values, np.float32), u.shape).copy()


def _quantiles(u: Floats) -> Floats:
    """Quantiles (C, 1, 3): a median that is no integer, and tails 6 to 14 away on both sides."""
    median, below, above = u[..., 0] * np.float32(0.9), between(6, 14)(u[..., 1]), between(6, 14)(u[..., 2])
    return np.stack([median - below, median, median + above], -1)


def _gdn_gamma(u: Floats) -> Floats:
    """Square roots of gamma; some off the diagonal lie below the bound of GDN."""
    return between(-0.006, 0.03)(u) + np.eye(len(u), dtype=np.float32) * np.float32(0.3)


def _scales_then_means(u: Floats) -> Floats:
    """Bias of a hyper-synthesis whose outputs are scales and means."""
    scales, means = np.split(u, 2)
    return np.concatenate([skewed(0.05, 20)(scales), means])


_NORM: Sequence[Rule] = [(r"gamma$", between(0.7, 1.3)), (r"beta$", between(-0.2, 0.2))]
_OTHERS: Sequence[Rule] = [
    (r"bias$", between(-0.1, 0.1)),
    (r"(weight|weight_orig)$", convolution(1.0)),
    (r"weight_[uv]$", between(-0.1, 0.1)),
]
_BOTTLENECK: Sequence[Rule] = [
    (r"_matrix4$", between(-0.5, 0.3)),
    (r"_matrix\d$", between(-1.9, -0.8)),
    (r"_(bias|factor)\d$", between(-0.5, 0.5)),
    (r"quantiles$", _quantiles),
    (r"\.target$", constant(-21.416413, 0.0, 21.416413)),
    (r"likelihood_lower_bound\.bound$", constant(1e-9)),
    (r"(scale_bound|lower_bound_scale\.bound)$", constant(0.11)),
]
_GDN: Sequence[Rule] = [
    (r"pedestal$", constant(2.0**-36)),
    (r"beta_reparam\.lower_bound\.bound$", constant(0.0010000072759311445)),
    (r"gamma_reparam\.lower_bound\.bound$", constant(2.0**-18)),
    (r"\.beta$", between(0.7, 1.3)),
    (r"\.gamma$", _gdn_gamma),
]
JUSTIN_TAN: Sequence[Rule] = [
    *_NORM,
    (r"\.H_3$", between(-0.5, 0.3)),
    (r"\.H_\d$", between(-1.9, -0.8)),
    (r"\.[ab]_\d$", between(-0.5, 0.5)),
    (r"^Encoder\.conv_block_out\.1\.weight$", convolution(2.0)),
    (r"synthesis_(mu|std)\.conv[12]\.weight$", transposed(1.0, 2)),
    (r"synthesis_mu\.conv3\.weight$", transposed(1.0, 1)),
    (r"synthesis_std\.conv3\.weight$", transposed(0.5, 1)),
    (r"synthesis_std\.conv3\.bias$", skewed(0.05, 20)),
    (r"upconv_block\d\.0\.weight$", transposed(1.0, 2)),
    (r"^Generator\.conv_block_out\.1\.weight$", convolution(0.4)),
    *_OTHERS,
]
NEURAL_COMPRESSION: Sequence[Rule] = [
    *_BOTTLENECK,
    *_NORM,
    (r"^encoder\.blocks\.5\.weight$", convolution(2.0)),
    (r"^hyper_synthesis_\w+\.[02]\.weight$", transposed(1.0, 2)),
    (r"^hyper_synthesis_scale\.4\.weight$", convolution(0.5)),
    (r"^hyper_synthesis_scale\.4\.bias$", skewed(0.05, 20)),
    (r"^decoder\.blocks\.[0-3]\.0\.weight$", transposed(1.0, 2)),
    (r"^decoder\.blocks\.4\.weight$", convolution(0.2)),
    (r"^decoder\.blocks\.4\.bias$", between(0.4, 0.6)),
    *_OTHERS,
]
_COMPRESSAI: Sequence[Rule] = [
    *_BOTTLENECK,
    *_GDN,
    (r"^g_s\.6\.weight$", transposed(0.45, 2)),
    (r"^g_s\.6\.bias$", between(0.4, 0.6)),
    (r"^g_s\.\d\.weight$", transposed(0.4, 2)),
    (r"^h_s\.[02]\.weight$", transposed(1.0, 2)),
    (r"^h_s\.4\.weight$", convolution(0.5)),
]
MBT2018_MEAN: Sequence[Rule] = [*_COMPRESSAI, (r"^h_s\.4\.bias$", _scales_then_means), *_OTHERS]
BMSHJ2018_HYPERPRIOR: Sequence[Rule] = [*_COMPRESSAI, (r"^h_s\.4\.bias$", skewed(0.05, 20)), *_OTHERS]


def stand_in(layout: Mapping[str, Shape], rules: Sequence[Rule]) -> dict[str, Tensor]:
    """A state dict of that layout; the first rule whose pattern matches makes a tensor."""
    state = {}
    for name, shape in layout.items():
        if math.prod(shape) == 0:
            state[name] = torch.zeros(shape, dtype=torch.float32 if name.endswith("scale_table") else torch.int32)
            continue
        make = next(make for pattern, make in rules if re.search(pattern, name))
        state[name] = torch.from_numpy(np.ascontiguousarray(make(uniform(name, shape))))
    return state


def as_input(image: npt.NDArray[Any], alignment: int) -> Tensor:
    """The image as a tensor (1, 3, H, W) in [0, 1], padded by reflection to multiples of `alignment`."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % alignment), (0, -width % alignment), (0, 0)), mode="reflect")
    return torch.from_numpy(padded).float().permute(2, 0, 1)[None] / 255
