"""Networks that were trained elsewhere: their weights come from a file and are never trained here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from edgecodec.errors import CannotRead, CheckpointRejected, EdgecodecError
from edgecodec_export.checkpoints.foreign import read_foreign
from edgecodec_export.checkpoints.tensor_mismatches import mismatches

Network = TypeVar("Network", bound="PretrainedLoss")


class PretrainedLoss(nn.Module, ABC):
    """A distance of pictures in a network whose parameters have the names that they have in the file."""

    CONTENT: str  # what the file has to hold, for messages

    @classmethod
    def load(cls: type[Network], path: Path) -> Network:
        """Read a PyTorch file or safetensors, without running anything that it contains.

        Entries that the network does not have are ignored. Raises CannotRead if the file is missing or cannot be
        opened, and CheckpointRejected for other files, naming the tensors that are missing or have another shape.
        """
        with torch.device("meta"):  # no time and no random numbers for weights that the file replaces
            network = cls()
        shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        try:
            entries = {name: entry for name, entry in read_foreign(path).items() if name in shapes}
            problems = mismatches(entries, shapes)
            if problems:
                listed = "".join(f"\n  {problem}" for problem in problems)
                raise CheckpointRejected(f"its tensors do not fit:{listed}", hint=f"give {cls.CONTENT}")
        except EdgecodecError as error:
            error.locate(str(path))
            raise
        except OSError as error:
            raise CannotRead(error.strerror or str(error), where=str(path)) from error
        network.load_state_dict({name: entry.float() for name, entry in entries.items()}, assign=True)
        network.requires_grad_(False)
        return network.eval()

    def train(self: Network, mode: bool = True) -> Network:
        """Stays as it is when the module around it goes into training."""
        return super().train(False)

    @abstractmethod
    def forward(self, rebuilt: Tensor, image: Tensor) -> Tensor:
        """Distance of pictures (B, 3, H, W) in [0, 1], a scalar: the mean over the batch. `image` gets no gradient."""


def normalised(image: Tensor, mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> Tensor:
    """(image - mean) / deviation for each of the three channels of pictures (B, 3, H, W)."""
    shift, scale = (image.new_tensor(values).view(1, 3, 1, 1) for values in (mean, deviation))
    return (image - shift) / scale
