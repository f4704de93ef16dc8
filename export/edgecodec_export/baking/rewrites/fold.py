"""Fold: the mean over the channels that is subtracted behind a convolution becomes part of the convolution.

The mean over the outputs of a convolution is the output of its mean filter. With that filter subtracted from all, the
outputs have mean 0 at every position, borders too.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeGuard

from torch import Tensor, nn

from edgecodec_export.baking.rewrites.reciprocal import ReciprocalNorm
from edgecodec_export.layers.convolutions import Convolution, is_plain


def fold(network: nn.Module) -> None:
    """Centre every convolution in front of a channel norm, and let the norm take its input as centred.

    Goes behind `reciprocal`, whose norms it changes.
    """
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for (_, layer), (name, norm) in pairwise(list(sequence.named_children())):
            if isinstance(norm, ReciprocalNorm) and _has_mean_filter(layer):
                _centre(layer)
                setattr(sequence, name, CentredNorm(norm.norm))


class CentredNorm(ReciprocalNorm):
    """A channel norm behind a convolution whose outputs have mean 0."""

    def centred(self, x: Tensor) -> Tensor:
        return x


def _has_mean_filter(layer: nn.Module) -> TypeGuard[Convolution]:
    return isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and is_plain(layer)


def _centre(convolution: Convolution) -> None:
    """Give the convolution filters and biases whose mean is 0."""
    outputs = 1 if isinstance(convolution, nn.ConvTranspose2d) else 0
    convolution.weight = nn.Parameter(_without_mean(convolution.weight, outputs), requires_grad=False)
    if convolution.bias is not None:
        convolution.bias = nn.Parameter(_without_mean(convolution.bias, 0), requires_grad=False)


def _without_mean(values: Tensor, dimension: int) -> Tensor:
    """In double precision, because means of many filters cancel."""
    precise = values.double()
    return (precise - precise.mean(dimension, keepdim=True)).to(values.dtype)
