"""Batch norm behind a convolution becomes part of the convolution."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Network = TypeVar("Network", bound=nn.Module)


def fold_batch_norm(model: Network) -> Network:
    """A copy in evaluation mode whose batch norms, all behind a convolution, have become part of its weights and bias.

    Exact up to rounding, borders too, because nothing moves forward past a border.
    """
    folded = copy.deepcopy(model).eval()
    for sequence in [module for module in folded.modules() if isinstance(module, nn.Sequential)]:
        for i in range(1, len(sequence)):
            norm, convolution = sequence[i], sequence[i - 1]
            if not isinstance(norm, nn.BatchNorm2d):
                continue
            assert isinstance(convolution, (nn.Conv2d, nn.ConvTranspose2d))
            assert norm.running_mean is not None and norm.running_var is not None
            convolution.weight, convolution.bias = fuse_conv_bn_weights(
                convolution.weight,
                convolution.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
                transpose=isinstance(convolution, nn.ConvTranspose2d),
            )
            sequence[i] = nn.Identity()
    return folded
