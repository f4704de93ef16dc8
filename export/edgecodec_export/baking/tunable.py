"""The tunable codec: n stays an input, because it meets statistics of each picture; batch norm is folded."""

from __future__ import annotations

import copy
from typing import ClassVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from edgecodec.manifest import Scalar
from edgecodec_export.baking.base import Baking, Decoder, Encoder, Knobs, Point
from edgecodec_export.families.tunable import LARGEST_N, SMALLEST_N, Tunable


class ScalarRate(Baking):
    """The rate is an input of the one encoder; batch norm is folded."""

    INPUTS: ClassVar = {"n": Scalar(SMALLEST_N, LARGEST_N, 0.0)}
    model: Tunable

    def default_knobs(self) -> Knobs:
        return {name: scalar.default for name, scalar in self.INPUTS.items()}

    def settings(self) -> list[Knobs]:
        return [{"n": n} for n in (0.0, SMALLEST_N, LARGEST_N, SMALLEST_N / 2, LARGEST_N / 2)]

    def encoder(self, knobs: Knobs) -> Point:
        return Point(knobs, Encoder(fold_batch_norm(self.model)), Encoder(self.model), self.INPUTS)

    def decoder(self, knobs: Knobs) -> Point:
        return Point(knobs, Decoder(fold_batch_norm(self.model)), Decoder(self.model))


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose batch norms, all behind a convolution, have become part of its weights and bias.

    Exact up to rounding, borders too, because nothing moves forward past a border.
    """
    folded = copy.deepcopy(model).eval()
    for sequence in [module for module in folded.modules() if isinstance(module, nn.Sequential)]:
        for i in range(1, len(sequence)):
            norm, before = sequence[i], sequence[i - 1]
            if not isinstance(norm, nn.BatchNorm2d):
                continue
            before.weight, before.bias = fuse_conv_bn_weights(
                before.weight,
                before.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
                transpose=isinstance(before, nn.ConvTranspose2d),
            )
            sequence[i] = nn.Identity()
    return folded
