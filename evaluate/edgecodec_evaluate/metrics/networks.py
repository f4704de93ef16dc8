"""Scores of networks whose weights the user gives, by the names of their columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec.picture import Pixels
from edgecodec_evaluate.metrics.dists import DistsVgg16
from edgecodec_evaluate.metrics.lpips import LpipsAlexNet
from edgecodec_evaluate.metrics.pretrained import PretrainedDistance

NETWORKS: Mapping[str, type[PretrainedDistance]] = {"lpips": LpipsAlexNet, "dists": DistsVgg16}

#: Those of NETWORKS whose weights were given.
Networks = Mapping[str, PretrainedDistance]


def load_networks(weights: Mapping[str, Path]) -> Networks:
    """weights: files by names of NETWORKS. Raises what `PretrainedDistance.load` raises."""
    return {name: network.load(weights[name]) for name, network in NETWORKS.items() if name in weights}


def distance(network: PretrainedDistance, original: Pixels, rebuilt: Pixels) -> float | None:
    """Of uint8 (height, width, 3): 0 for equal pictures; None where a side is below the network's smallest.

    Raises CheckpointRejected for weights with which it is no number.
    """
    if not takes(network, *original.shape[:2]):
        return None
    with torch.inference_mode():
        found = float(network(_tensor(rebuilt), _tensor(original)))
    if not math.isfinite(found):
        raise CheckpointRejected("these weights give no finite number", hint=f"give {network.CONTENT}")
    return found


def takes(network: PretrainedDistance, height: int, width: int) -> bool:
    """Whether pictures of this size in pixels have a score."""
    return min(height, width) >= network.SMALLEST_SIDE


def _tensor(pixels: Pixels) -> Tensor:
    """(1, 3, height, width) in [0, 1]"""
    return torch.from_numpy(np.moveaxis(pixels, 2, 0)[None] / np.float32(255))
