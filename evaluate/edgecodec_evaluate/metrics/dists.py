"""DISTS: structure and texture in VGG16, weighted as people judge (Ding, Ma, Wang, Simoncelli 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from edgecodec_evaluate.metrics.pretrained import PretrainedDistance, normalised, numbered

# Mean and standard deviation of ImageNet, for pictures in [0, 1].
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

_CONVOLUTIONS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and number, of each stage
_WEIGHTS = 3 + sum(channels for channels, _ in _CONVOLUTIONS)  # the picture itself is a stage too
_C = 1e-6  # c1 and c2 of equations 2 and 3
_EPSILON = 1e-12

_STRIP = 1 << 19  # positions of a map that are computed at once
# Rows beyond a strip, an even number: three convolutions lose three, and pooling takes one.
_HALO = 4


class DistsVgg16(PretrainedDistance):
    """1 minus a weighted sum of similarities over all channels of six stages (equations 1 to 4 of the paper).

    The stages are the picture itself and relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3 of VGG16, between which L2
    pooling takes the place of maxima. The modules have the names of the authors' package, DISTS_pytorch, in which a
    pooling counts as a layer. Pictures are compared at their own size.
    """

    CONTENT = "the state dict of DISTS_pytorch.DISTS()"
    SMALLEST_SIDE = 1

    def __init__(self) -> None:
        super().__init__()
        start, before = 0, 3
        for i, (channels, number) in enumerate(_CONVOLUTIONS, 1):
            layers: list[nn.Module] = []
            for _ in range(number):
                layers += [nn.Conv2d(before, channels, 3, 1, 1), nn.ReLU()]
                before = channels
            self.add_module(f"stage{i}", numbered(start, *layers))
            start += len(layers) + 1
        self.alpha = nn.Parameter(torch.empty(1, _WEIGHTS, 1, 1))
        self.beta = nn.Parameter(torch.empty(1, _WEIGHTS, 1, 1))

    def forward(self, rebuilt: Tensor, image: Tensor) -> Tensor:
        """As in `PretrainedDistance`. Maps of the first stages are as large as the picture and many, so only the pooled
        ones are kept whole: features are computed in strips.
        """
        pictures = rebuilt, image.detach()
        moments = [_moments(*pictures)]
        ours, theirs = (normalised(each, _MEAN, _DEVIATION) for each in pictures)
        for i in range(1, len(_CONVOLUTIONS) + 1):
            ours, theirs, found = _in_strips(self.get_submodule(f"stage{i}"), ours, theirs)
            moments.append(found)
        channels = (torch.cat(each, 1) for each in zip(*(each.statistics for each in moments), strict=True))
        mean_x, mean_y, variance_x, variance_y, covariance = channels
        structure = (2 * mean_x * mean_y + _C) / (mean_x.square() + mean_y.square() + _C)
        texture = (2 * covariance + _C) / (variance_x + variance_y + _C)
        alpha, beta = self.alpha.double().view(1, -1), self.beta.double().view(1, -1)
        # 1 - similarity, because the weights sum to 1; so equal pictures are at a distance of exactly 0.
        weighted = alpha * (1 - structure) + beta * (1 - texture)
        return weighted.sum(1).mean() / (alpha.sum() + beta.sum())


@dataclass(frozen=True)
class _Moments:
    """Of both pictures over some positions of a map, for each channel: double (B, channels)."""

    positions: int
    mean_x: Tensor
    mean_y: Tensor
    variance_x: Tensor
    variance_y: Tensor
    covariance: Tensor

    @property
    def statistics(self) -> tuple[Tensor, ...]:
        return self.mean_x, self.mean_y, self.variance_x, self.variance_y, self.covariance


def _moments(x: Tensor, y: Tensor) -> _Moments:
    """Around the means, as variances that are differences of large numbers would lose their digits."""
    mean_x, mean_y = (each.mean((2, 3), keepdim=True) for each in (x, y))
    x, y = x - mean_x, y - mean_y
    found = mean_x, mean_y, *((one * other).mean((2, 3)) for one, other in ((x, x), (y, y), (x, y)))
    return _Moments(x.shape[2] * x.shape[3], *(each.flatten(1).double() for each in found))


def _together(strips: Sequence[_Moments]) -> _Moments:
    """The moments over all strips: each deviates around its own mean, and the means around the mean of all."""
    positions = sum(strip.positions for strip in strips)
    share = strips[0].mean_x.new_tensor([strip.positions / positions for strip in strips]).view(-1, 1, 1)
    mean_x, mean_y, variance_x, variance_y, covariance = (
        torch.stack(each) for each in zip(*(strip.statistics for strip in strips), strict=True)
    )
    x, y = mean_x - (share * mean_x).sum(0), mean_y - (share * mean_y).sum(0)
    return _Moments(
        positions,
        *(
            (share * each).sum(0)
            for each in (mean_x, mean_y, variance_x + x * x, variance_y + y * y, covariance + x * y)
        ),
    )


def _in_strips(stage: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, _Moments]:
    """The features of a stage, pooled for the next one, and their moments. x, y: its input maps (B, channels, H, W)."""
    height, width = x.shape[2:]
    rows = max(_STRIP // width // 2 * 2, 2)  # an even number, so that windows of the pooling lie as in the whole map
    pooled: tuple[list[Tensor], list[Tensor]] = ([], [])
    moments = []
    for top in range(0, height, rows):
        start, bottom = max(top - _HALO, 0), min(top + rows, height)
        features = [stage(each[:, :, start : bottom + _HALO]) for each in (x, y)]
        moments.append(_moments(*(each[:, :, top - start : bottom - start] for each in features)))
        for strips, each in zip(pooled, features, strict=True):
            strips.append(_pooled(each)[:, :, (top - start) // 2 : (bottom - start + 1) // 2])
    ours, theirs = (torch.cat(strips, 2) for strips in pooled)
    return ours, theirs, _together(moments)


def _pooled(features: Tensor) -> Tensor:
    """The root of the mean square under a Hanning window of 5, whose two ends are 0, at every other position."""
    row = torch.hann_window(5, periodic=False, dtype=features.dtype, device=features.device)[1:-1]
    channels = features.shape[1]
    window = (row.outer(row) / row.sum().square()).expand(channels, 1, -1, -1)
    return (conv2d(features.square(), window, stride=2, padding=1, groups=channels) + _EPSILON).sqrt()
