"""Distances of pictures in networks that were trained elsewhere, of which training uses some as losses.

Their weights come from a file and never change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from edgecodec.errors import CheckpointRejected
from edgecodec_evaluate.metrics.weights_file import read_weights

Network = TypeVar("Network", bound="PretrainedDistance")

_LISTED = 12  # of the tensors that do not fit, in a message


class PretrainedDistance(nn.Module, ABC):
    """A distance of pictures in a network whose parameters have the names that they have in the file."""

    CONTENT: str  # what the file has to hold, for messages
    SMALLEST_SIDE: int  # of pictures, in pixels

    @classmethod
    def load(cls: type[Network], path: Path) -> Network:
        """Read a PyTorch file or safetensors, without running anything that it contains.

        Entries that the network does not have are ignored. Raises CannotRead and CheckpointRejected as `read_weights`
        does, and CheckpointRejected naming the tensors that are missing, have another shape, or hold no finite numbers.
        """
        with torch.device("meta"):  # no time and no random numbers for weights that the file replaces
            network = cls()
        content = read_weights(path)
        expected = network.state_dict()
        problems = [f"{name}: {flaw}" for name, entry in expected.items() if (flaw := _flaw(content, name, entry))]
        if problems:
            more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
            listed = "".join(f"\n  {problem}" for problem in (*problems[:_LISTED], *more))
            raise CheckpointRejected(f"its tensors do not fit:{listed}", where=str(path), hint=f"give {cls.CONTENT}")
        network.load_state_dict({name: content[name].float() for name in expected}, assign=True)
        network.requires_grad_(False)
        return network.eval()

    def train(self: Network, mode: bool = True) -> Network:
        """Stays as it is when the module around it goes into training."""
        return super().train(False)

    @abstractmethod
    def forward(self, rebuilt: Tensor, image: Tensor) -> Tensor:
        """Distance of pictures (B, 3, H, W) in [0, 1], a scalar: the mean over the batch. `image` gets no gradient."""


def _flaw(content: Mapping[str, Any], name: str, expected: Tensor) -> str | None:
    """Why the entry of a file cannot be a tensor of the network. None if it can."""
    if name not in content:
        return "missing"
    entry = content[name]
    if not isinstance(entry, Tensor):
        return f"is of type {type(entry).__name__}, should be a tensor"
    if entry.device.type != "cpu" or entry.layout != torch.strided or entry.is_nested:
        return "is sparse, nested or without values, should be dense"
    if not entry.is_floating_point():
        return f"holds {str(entry.dtype).removeprefix('torch.')}, should hold floating-point numbers"
    if entry.shape != expected.shape:
        return f"has shape {tuple(entry.shape)}, should have {tuple(expected.shape)}"
    return None if entry.float().isfinite().all() else "holds numbers that are not finite"


def normalised(image: Tensor, mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> Tensor:
    """(image - mean) / deviation for each of the three channels of pictures (B, 3, H, W)."""
    shift, scale = (image.new_tensor(values).view(1, 3, 1, 1) for values in (mean, deviation))
    return (image - shift) / scale


def numbered(start: int, *layers: nn.Module) -> nn.Sequential:
    """Layers with their numbers in a longer sequence as names."""
    return nn.Sequential(OrderedDict((str(i), layer) for i, layer in enumerate(layers, start)))
