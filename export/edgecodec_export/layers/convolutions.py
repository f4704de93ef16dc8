"""Convolutions as transform codecs have them."""

from __future__ import annotations

from torch import Tensor, nn

Convolution = nn.Conv2d | nn.ConvTranspose2d


def down5(inputs: int, outputs: int) -> nn.Conv2d:
    """5x5 convolution that halves each side."""
    return nn.Conv2d(inputs, outputs, 5, stride=2, padding=2)


def up5(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """5x5 transposed convolution that doubles each side."""
    return nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)


def is_plain(layer: Convolution) -> bool:
    """Whether every output is one filter, without holes, of all inputs."""
    return layer.groups == 1 and set(layer.dilation) == {1}


def bias_of(convolution: Convolution) -> Tensor:
    """The bias of a convolution that has one."""
    assert convolution.bias is not None
    return convolution.bias
