"""Tensors of PyTorch are coded as the arrays that they hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from edgecodec.codec import Codec


def test_tensors_are_coded_as_arrays_are(codec: Codec, coded: bytes, pixels: npt.NDArray[np.uint8]) -> None:
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    assert codec.encode(tensor).data == coded
    assert codec.encode((tensor / 255).requires_grad_()).data == coded
    grey = torch.full((1, 32, 40), 0.5, dtype=torch.bfloat16)
    assert codec.encode(grey).data == codec.encode(np.full((32, 40), 128, np.uint8)).data
