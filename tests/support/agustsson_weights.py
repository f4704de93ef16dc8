"""A released GC checkpoint of Justin-Tan/generative-compression with random weights: names, shapes and values.

A value depends on the variable's name and its place alone: SHA-256 of the name gives the state of a SplitMix64
generator, whose top 24 bits are spread evenly over an interval. Everything after that is exact float32 arithmetic.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from support.portable_random import uniform

WIDTHS = (60, 120, 240, 480, 960)
RESIDUAL_BLOCKS = 9


def released_shapes(channels: int = 8) -> dict[str, tuple[int, ...]]:
    """Every variable of the released layout with its shape; kernels are (height, width, in, out), as in TensorFlow."""
    encoder = [(7, 7, 3, WIDTHS[0]), *((3, 3, WIDTHS[i], WIDTHS[i + 1]) for i in range(4)), (3, 3, WIDTHS[4], channels)]
    decoder = [(3, 3, channels, WIDTHS[4])] + [(3, 3, WIDTHS[4], WIDTHS[4])] * (2 * RESIDUAL_BLOCKS)
    doublings = [(3, 3, WIDTHS[i - 1], WIDTHS[i]) for i in (4, 3, 2, 1)]
    norms = {
        "generator/encoder_image/InstanceNorm": [kernel[3] for kernel in encoder],
        "generator/decoder/InstanceNorm": [kernel[3] for kernel in decoder] + [kernel[2] for kernel in doublings],
    }
    kernels = {
        "generator/encoder_image/conv2d": (encoder, 3),
        "generator/decoder/conv2d": ([*decoder, (7, 7, WIDTHS[0], 3)], 3),
        "generator/decoder/conv2d_transpose": (doublings, 2),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for prefix, (layers, output_axis) in kernels.items():
        for i, kernel in enumerate(layers):
            shapes[f"{_numbered(prefix, i)}/kernel"] = kernel
            shapes[f"{_numbered(prefix, i)}/bias"] = (kernel[output_axis],)
    for prefix, sizes in norms.items():
        for i, size in enumerate(sizes):
            shapes |= {f"{_numbered(prefix, i)}/{kind}": (size,) for kind in ("gamma", "beta")}
    return shapes


def blank(channels: int = 8) -> dict[str, Tensor]:
    """The released layout, filled with zeros that take no memory."""
    return {name: torch.zeros(1).expand(shape) for name, shape in released_shapes(channels).items()}


def drawn(prefix: str) -> dict[str, Tensor]:
    """Random weights for the variables whose names start with `prefix`."""
    return {
        name: torch.from_numpy(_draw(name, shape, *_interval(name, shape)))
        for name, shape in released_shapes().items()
        if name.startswith(prefix)
    }


def _numbered(prefix: str, i: int) -> str:
    return f"{prefix}_{i}" if i else prefix


def _interval(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Centre and half width of the interval that weights are drawn from.

    Chosen so that activations keep about unit variance from layer to layer, and symbols vary.
    """
    layer, kind = name.split("/")[-2:]
    if kind == "gamma":
        return (1.5, 0.5) if name.startswith("generator/encoder_image/InstanceNorm_5/") else (1.0, 0.3)
    if kind == "beta":
        return 0.0, 0.2
    if kind == "bias":
        return 0.0, 0.1
    if layer.startswith("conv2d_transpose"):
        return 0.0, math.sqrt(24 / (shape[0] * shape[1] * shape[3]))
    gain = 0.5 if name == "generator/decoder/conv2d_19/kernel" else 1.0
    return 0.0, gain * math.sqrt(6 / math.prod(shape[:3]))


def _draw(name: str, shape: tuple[int, ...], middle: float, half: float) -> np.ndarray:
    return uniform(name, shape) * np.float32(half) + np.float32(middle)
