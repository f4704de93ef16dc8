"""Random weights in files as the packages of LPIPS and DISTS save theirs."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

State = dict[str, Tensor]

#: Input and output channels and the side of each convolution of AlexNet, by the name that lpips gives it.
ALEXNET = {"slice1.0": (3, 64, 11), "slice2.3": (64, 192, 5), "slice3.6": (192, 384, 3), "slice4.8": (384, 256, 3)}
ALEXNET["slice5.10"] = (256, 256, 3)

#: Input and output channels of each convolution of VGG16, by its number, in the stages of DISTS.
VGG16 = (
    {0: (3, 64), 2: (64, 64)},
    {5: (64, 128), 7: (128, 128)},
    {10: (128, 256), 12: (256, 256), 14: (256, 256)},
    {17: (256, 512), 19: (512, 512), 21: (512, 512)},
    {24: (512, 512), 26: (512, 512), 28: (512, 512)},
)


def convolution(random: np.random.Generator, inputs: int, outputs: int, side: int) -> tuple[Tensor, Tensor]:
    """Weights and biases with which features keep their size."""
    weight = random.standard_normal((outputs, inputs, side, side), np.float32) / math.sqrt(inputs * side**2 / 2)
    return torch.from_numpy(weight), torch.from_numpy(random.standard_normal(outputs, np.float32) / 10)


@cache
def lpips_state() -> State:
    """As lpips.LPIPS(net="alex").state_dict() has it, with the entries that it has twice or computes with."""
    random = np.random.default_rng(0)
    state = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1), "scaling_layer.scale": torch.ones(1, 3, 1, 1)}
    for name, shape in ALEXNET.items():
        state[f"net.{name}.weight"], state[f"net.{name}.bias"] = convolution(random, *shape)
    for i, (_, channels, _) in enumerate(ALEXNET.values()):
        head = torch.from_numpy(random.random((1, channels, 1, 1), np.float32))
        state[f"lin{i}.model.1.weight"] = state[f"lins.{i}.model.1.weight"] = head
    return state


def save_lpips(path: Path) -> Path:
    torch.save(lpips_state(), path)
    return path


def save_dists(path: Path) -> Path:
    """As DISTS_pytorch.DISTS().state_dict() is saved, with the windows of its poolings."""
    random = np.random.default_rng(1)
    state = {"mean": torch.zeros(1, 3, 1, 1), "std": torch.ones(1, 3, 1, 1)}
    for stage, layers in enumerate(VGG16, 1):
        for i, (inputs, outputs) in layers.items():
            name = f"stage{stage}.{i}"
            state[f"{name}.weight"], state[f"{name}.bias"] = convolution(random, inputs, outputs, 3)
        if stage > 1:
            state[f"stage{stage}.{min(layers) - 1}.filter"] = torch.zeros(inputs, 1, 3, 3)
    for name in ("alpha", "beta"):
        state[name] = torch.from_numpy(random.random((1, 1475, 1, 1), np.float32))
    torch.save(state, path)
    return path
