"""Affine maps of the channels, moved backwards until convolutions absorb them.

Every layer of a transform lets a map scale * x + shift through from its output to its input:

* a convolution ends it: the map becomes part of its weights and bias;
* along a residual stream x + f(x), f starts and ends with 1x1 convolutions, which undo and redo the map around f. That
  needs scales other than zero.

Maps are only ever moved *backwards*. Forwards, a shift would enter a convolution padded with zeros, to which the shift
was never added: right inside the picture, wrong along its borders.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from edgecodec_export.layers.convolutions import Convolution, bias_of
from edgecodec_export.layers.residual import AttentionBlock, ResidualUnit


class AffineMap(nn.Module):
    """scale * x + shift, both (1, channels, 1, 1) or the same for all channels."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("shift", shift.detach().clone())

    @staticmethod
    def uniform(scale: float, shift: float) -> AffineMap:
        """The same for all channels, in double precision."""
        return AffineMap(torch.tensor(scale, dtype=torch.float64), torch.tensor(shift, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift

    def after(self, first: AffineMap) -> AffineMap:
        """This map applied to what `first` gives."""
        return AffineMap(self.scale * first.scale, self.scale * first.shift + self.shift)


def moved_to_front(layers: Iterable[nn.Module]) -> tuple[AffineMap, list[nn.Module]]:
    """The same function with its affine maps moved backwards until convolutions absorb them: the one map that is left
    for the input, and the other layers, changed in place.

    layers: affine maps, residual units, attention blocks and convolutions.
    """
    moving = AffineMap.uniform(1.0, 0.0)
    passed: list[nn.Module] = []
    for layer in reversed(list(layers)):
        if isinstance(layer, AffineMap):
            moving = moving.after(layer)
            continue
        if isinstance(layer, ResidualUnit):
            _pass_residual_unit(layer, moving)
        elif isinstance(layer, AttentionBlock):
            _pass_attention(layer, moving)
        else:
            assert isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
            _absorb(layer, moving)
            moving = AffineMap.uniform(1.0, 0.0)
        passed.append(layer)
    return moving, passed[::-1]


def _pass_residual_unit(unit: ResidualUnit, moving: AffineMap) -> None:
    """scale * (x + f(x)) + shift = u + scale * f((u - shift) / scale), where u = scale * x + shift."""
    _undo_in_front(unit.enter, moving)
    _absorb(unit.leave, AffineMap(moving.scale, torch.zeros_like(moving.shift)))


def _pass_attention(block: AttentionBlock, moving: AffineMap) -> None:
    """As a residual unit, where f is the trunk times the mask and the trunk is a residual stream of its own."""
    for unit in block.units():
        _pass_residual_unit(unit, moving)
    # The identity of the whole block already carries the shift.
    trunk_end = bias_of(block.last_unit.leave)
    trunk_end -= moving.shift.flatten()
    _undo_in_front(block.projection, moving)


def _absorb(convolution: Convolution, moving: AffineMap) -> None:
    """Let the convolution give what `moving` makes of its output."""
    outputs = 1 if isinstance(convolution, nn.ConvTranspose2d) else 0
    convolution.weight.transpose(0, outputs).mul_(moving.scale.reshape(-1, 1, 1, 1))
    bias_of(convolution).mul_(moving.scale.flatten()).add_(moving.shift.flatten())


def _undo_in_front(convolution: nn.Conv2d, moving: AffineMap) -> None:
    """Let a 1x1 convolution take moving(x) where it took x."""
    convolution.weight.div_(moving.scale)
    bias_of(convolution).sub_((convolution.weight * moving.shift).sum((1, 2, 3)))
