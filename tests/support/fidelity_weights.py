"""Checkpoints like the released ones of the fidelity-controllable codec: same names and shapes, random weights.

Every value comes from the SHA-256 of its tensor's name and a counter, through splitmix64 and exact arithmetic, so it is
the same on every machine; the arrays in tests/data/vectors/fidelity.npz are for these weights and this picture.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from support.portable_random import centred, top_bits

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

CHANNELS, LATENT_CHANNELS, COMPONENTS = 192, 32, 3


def shapes() -> dict[str, Shape]:
    """Names and shapes of the 202 tensors of `comp_model`."""
    n, c = CHANNELS, LATENT_CHANNELS
    found: dict[str, Shape] = {}

    def convolution(name: str, outputs: int, inputs: int, *kernel: int) -> None:
        found[f"{name}.weight"] = (outputs, inputs, *kernel)
        found[f"{name}.bias"] = (outputs,)

    def gdn(name: str) -> None:
        found[f"{name}.beta"], found[f"{name}.gamma"] = (n,), (n, n)

    def block(name: str, inputs: int = n) -> None:
        convolution(f"{name}.conv1", n, inputs, 3, 3)
        convolution(f"{name}.conv2", n, n, 3, 3)

    def attention(name: str) -> None:
        for branch in ("blocks_mask", "blocks_main"):
            for i in range(3):
                block(f"{name}.{branch}.{i}")
        convolution(f"{name}.conv_mask", n, n, 1, 1)

    for i in range(1, 7):
        block(f"encoder.block{i}", 3 if i == 1 else n)
        gdn(f"encoder.block{i}.actv2")
    for i in (1, 3, 5):
        convolution(f"encoder.block{i}.shortcut", n, 3 if i == 1 else n, 1, 1)
    convolution("encoder.conv1.0", n, n, 3, 3)
    convolution("encoder.conv2", c, n, 3, 3)
    convolution("decoder.conv1.0", n, c, 3, 3)
    for i in range(1, 5):
        block(f"decoder.block{i}")
    for i in range(1, 4):
        convolution(f"decoder.up{i}.c1.0", 4 * n, n, 3, 3)
        convolution(f"decoder.up{i}.c1.3", n, n, 3, 3)
        gdn(f"decoder.up{i}.c1.4")
        convolution(f"decoder.up{i}.shortcut.0", 4 * n, n, 1, 1)
    convolution("decoder.up4.0", 12, n, 3, 3)
    for half in ("encoder", "decoder"):
        attention(f"{half}.nlam1")
        attention(f"{half}.nlam2")
    convolution("contextmodel.mask_conv1.conv", 384, c, 3, 5)
    convolution("contextmodel.c1", 640, 384, 1, 1)
    convolution("contextmodel.c2", 640, 640, 1, 1)
    convolution("contextmodel.c3", 3 * COMPONENTS * c, 640, 1, 1)
    return found


def content(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The contents of a checkpoint file with these tensors, as the original training code saves it."""
    optimiser = {"state": {}, "param_groups": [{"lr": 2e-5, "betas": (0, 0.999), "params": []}]}
    schedule = {"milestones": Counter({150_000: 1, 300_000: 1}), "gamma": 0.5, "last_epoch": 300_000}
    return {"iter": 300_000, "comp_model": tensors, "optimizer": optimiser, "scheduler": schedule}


@cache
def weights(decoder: str) -> dict[str, torch.Tensor]:
    """Random tensors, which the caller must not change. `decoder` is "mse" or "gan"; they share all but the decoder."""
    drawn = {name: torch.from_numpy(_tensor(name, shape, decoder)) for name, shape in shapes().items()}
    if decoder == "gan":
        drawn |= {name: tensor for name, tensor in weights("mse").items() if "decoder" not in name}
    return drawn


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 over names, shapes, types and values."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        array = tensor.numpy()
        total.update(f"{name} {array.shape} {array.dtype.str}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _uniform(name: str, shape: Shape, decoder: str) -> npt.NDArray[np.float32]:
    """Odd multiples of 2^-24 between -1 and 1. About three in ten differ in the "gan" decoder."""
    count = math.prod(shape)
    bits = top_bits(name, count)
    if decoder == "gan" and "decoder" in name:
        anew = top_bits(name + "@sel", count) < 5033165
        bits = np.where(anew, top_bits(name + "@gan", count), bits)
    return centred(bits).reshape(shape)


_GAINS = (
    (r"contextmodel\.c3\.weight", 0.5),
    (r"encoder\.conv2\.weight", 1.0),
    (r"decoder\.up4\.0\.weight", 0.09),
    (r"decoder\.conv1\.0\.weight", 0.3),
    (r".*\.c1\.[03]\.weight", 0.4),
    (r".*shortcut(\.0)?\.weight", 0.7),
    (r".*(block\d|\.\d)\.conv2\.weight", 0.4),
    (r".*\.weight", 1.0),
)


def _tensor(name: str, shape: Shape, decoder: str) -> Array:
    drawn = _uniform(name, shape, decoder)
    if name.endswith(".beta"):
        return _between(drawn, 0.7, 1.3)
    if name.endswith(".gamma"):  # some lie below the bound of what GDN stores
        return _spread(drawn, 0.012, 0.018) + np.eye(*shape, dtype=np.float32) * np.float32(0.3)
    if name == "contextmodel.c3.bias":
        means, deviations, logits = _between(drawn, -2, 2), _heavy(drawn, 0.05, 20), _between(drawn, -1, 1)
        role = np.arange(shape[0]) // LATENT_CHANNELS % 3
        return np.choose(role, [means, deviations, logits])
    if name.endswith(".bias"):
        return _between(drawn, -0.1, 0.1)
    gain = next(gain for pattern, gain in _GAINS if re.fullmatch(pattern, name))
    weight = _spread(drawn, 0.0, gain * math.sqrt(6 / math.prod(shape[1:])))
    if "mask_conv1" in name:
        weight[:, :, 2, 2:] = 0
    return weight


def _spread(drawn: Array, middle: float, half: float) -> Array:
    return drawn * np.float32(half) + np.float32(middle)


def _between(drawn: Array, low: float, high: float) -> Array:
    return _spread(drawn, (low + high) / 2, (high - low) / 2)


def _heavy(drawn: Array, low: float, high: float) -> Array:
    rank = (drawn.astype(np.float64) + 1) / 2
    return (low + (high - low) * (rank * rank * rank)).astype(np.float32)
