"""Weights for CRDR's released layout, drawn from nothing but the tensors' names; the same on every machine.

A number is the splitmix64 hash of (SHA-256 of the name, index), of which 24 bits become an odd multiple of 2^-24 in
(-1, 1). Scaling uses additions, multiplications and square roots only, so the result does not depend on how a library
rounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from support.portable_random import uniform

FloatArray = npt.NDArray[np.float32]

# First match wins. "uniform": between two values. "kernel", "transposed": gain on the range that keeps the variance
# through a rectifier, the latter also the stride. "skewed": most values near the lower end.
_RULES: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    (r"^entropy_model_y\..*bound$", "uniform", (0.11, 0.11)),
    (r"_matrix4$", "uniform", (-0.5, 0.3)),
    (r"_matrix\d$", "uniform", (-1.9, -0.8)),
    (r"_(bias|factor)\d$", "uniform", (-0.5, 0.5)),
    (r"quantiles$", "quantiles", ()),
    (r"interp_ca_list\.\d\.weight$", "uniform", (0.1, 1.0)),
    (r"interp_ca_list\.\d\.bias$", "uniform", (-0.15, 0.15)),
    (r"^encoder\.conv4\.weight$", "kernel", (0.12,)),
    (r"^decoder\.conv4\.weight$", "transposed", (0.012, 2)),
    (r"^decoder\.conv\d\.weight$", "transposed", (0.7, 2)),
    (r"(conv\.4|\.c3|proj_\d)\.weight$", "kernel", (0.4,)),
    (r"^hyperencoder\.conv3\.weight$", "kernel", (0.8,)),
    (r"^hyperdecoder\..*conv3\.weight$", "transposed", (1.0, 1)),
    (r"^hyperdecoder\..*weight$", "transposed", (1.0, 2)),
    (r"mean_slice.*\.4\.weight$", "kernel", (0.8,)),
    (r"scale_slice.*\.4\.weight$", "kernel", (0.25,)),
    (r"lrp_slice.*\.4\.weight$", "kernel", (0.5,)),
    (r"scale_slice.*\.4\.bias$", "skewed", (0.05, 20.0)),
    (r"mean_slice.*\.4\.bias$", "uniform", (-1.0, 1.0)),
    (r"bias$", "uniform", (-0.1, 0.1)),
    (r"weight$", "kernel", (1.0,)),
)
_WITHOUT_VALUES = re.compile(r"^entropy_model_[yz]\.(_offset|_quantized_cdf|_cdf_length|scale_table|target|likelihood)")


def released_tensors(layout: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """All tensors of a released file, from its names and shapes. Stored tables, targets and likelihood bounds are zero,
    because an import must not depend on them.
    """
    return {
        name: torch.zeros(*shape) if _WITHOUT_VALUES.match(name) else torch.from_numpy(drawn(name, shape))
        for name, shape in layout.items()
    }


def drawn(name: str, shape: Sequence[int]) -> FloatArray:
    """The values of the tensor `name`."""
    unit = uniform(name, (math.prod(shape),))
    kind, values = next((kind, values) for pattern, kind, values in _RULES if re.search(pattern, name))
    if kind == "quantiles":
        centre, below, above = (
            _scaled(column, *at) for column, at in zip(unit.reshape(-1, 3).T, _QUANTILES, strict=True)
        )
        result = np.stack([centre - below, centre, centre + above], 1)
    elif kind == "skewed":
        low, high = values
        share = (unit.astype(np.float64) + 1) * 0.5
        result = (low + (high - low) * (share * share * share)).astype(np.float32)
    elif kind == "uniform":
        low, high = values
        result = _scaled(unit, 0.5 * (low + high), 0.5 * (high - low))
    elif kind == "kernel":
        result = _scaled(unit, 0.0, values[0] * math.sqrt(6.0 / math.prod(shape[1:])))
    else:
        gain, stride = values
        result = _scaled(unit, 0.0, gain * math.sqrt(6.0 * stride**2 / (shape[0] * math.prod(shape[2:]))))
    return np.ascontiguousarray(result.reshape(shape))


_QUANTILES = ((0.0, 0.9), (10.0, 4.0), (10.0, 4.0))  # middle and half width: median, and its distances to both tails


def _scaled(unit: FloatArray, middle: float, half_width: float) -> FloatArray:
    scaled: FloatArray = unit * np.float32(half_width) + np.float32(middle)
    return scaled
