"""Codecs of many rates learn one of them a batch, drawn at random, each with its own weight of the distortion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from edgecodec_export.families import Crdr, LearnedCodec, Tunable
from edgecodec_export.families.tunable import LARGEST_N, SMALLEST_N


def draw_quality(model: Crdr) -> tuple[int, float]:
    """One of the qualities the model was made for, and the original's ratio of weights."""
    level = int(torch.randint(model.levels, ()))
    return level, model.DISTORTION_RATIOS[level]


def draw_n(model: Tunable) -> tuple[float, float]:
    """n, uniform in its range (Wu et al. 2020); one more halves the weight, about as it doubles the error."""
    n = float(torch.empty(()).uniform_(SMALLEST_N, LARGEST_N))
    return n, 2.0**-n


# What draws a rate: the second argument of the model, and its weight relative to that of the middle.
DRAWN_RATES: dict[type[LearnedCodec], Callable[[Any], tuple[float, float]]] = {Crdr: draw_quality, Tunable: draw_n}
