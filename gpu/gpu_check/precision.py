"""A decoder's module as PyTorch runs it fastest without compiling: on the device, channels last, in one precision."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from edgecodec_export.graphs.onnx_export import SynthesisModule


class _In(nn.Module):
    """Float32 latents through a decoder in another precision, to float32."""

    def __init__(self, decoder: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.decoder, self.dtype = decoder, dtype

    def forward(self, *latents: Tensor) -> Tensor:
        picture: Tensor = self.decoder(*(latent.to(self.dtype) for latent in latents))
        return picture.float()


def on_device(decoder: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Float32 latents (1, C, h, w) to uint8 (H, W, 3). The decoder itself stays as it is."""
    inner = copy.deepcopy(decoder).eval().requires_grad_(False).to(device, dtype)
    for parameter in inner.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return SynthesisModule(_In(inner, dtype)).eval()
