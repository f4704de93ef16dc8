"""DISTS: structure and texture in VGG16, weighted as people judge (Ding, Ma, Wang, Simoncelli 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from edgecodec_evaluate.metrics.pretrained import PretrainedDistance, normalised, numbered

# Mean and standard deviation of ImageNet, for pictures in [0, 1].
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

_CONVOLUTIONS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and number, of each stage
_WEIGHTS = 3 + sum(channels for channels, _ in _CONVOLUTIONS)  # the picture itself is a stage too
_C = 1e-6  # c1 and c2 of the paper
_EPSILON = 1e-12

_STRIP = 1 << 24  # features that are computed at once
# Rows beyond a strip, an even number: three convolutions lose three, and pooling takes one.
_HALO = 4


class DistsVgg16(PretrainedDistance):
    """1 minus a weighted sum of similarities over all channels of six stages (section 3 of the paper).

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
        for i, (channels, _) in enumerate(_CONVOLUTIONS, 1):
            ours, theirs, found = _in_strips(self.get_submodule(f"stage{i}"), channels, ours, theirs)
            moments.append(found)
        mean_x, mean_y, variance_x, variance_y, covariance = torch.cat(moments, 2)
        texture = (2 * mean_x * mean_y + _C) / (mean_x.square() + mean_y.square() + _C)
        structure = (2 * covariance + _C) / (variance_x + variance_y + _C)
        alpha, beta = self.alpha.double().view(1, -1), self.beta.double().view(1, -1)
        # 1 - similarity, because the weights sum to 1; so equal pictures are at a distance of exactly 0.
        weighted = alpha * (1 - texture) + beta * (1 - structure)
        return weighted.sum(1).mean() / (alpha.sum() + beta.sum())


def _moments(x: Tensor, y: Tensor) -> Tensor:
    """Means of x and y, their variances and their covariance over all positions: double (5, B, channels).

    They are taken around the means, as differences of large numbers would lose their digits.
    """
    mean_x, mean_y = (each.mean((2, 3), keepdim=True) for each in (x, y))
    x, y = x - mean_x, y - mean_y
    around = ((one * other).mean((2, 3)) for one, other in ((x, x), (y, y), (x, y)))
    return torch.stack((mean_x.flatten(1), mean_y.flatten(1), *around)).double()


def _together(strips: Sequence[Tensor], rows: Sequence[int]) -> Tensor:
    """The moments over all strips, of so many rows each: to what is around the mean of each strip comes how far these
    means are from the mean of all.
    """
    each = torch.stack(tuple(strips))
    share = each.new_tensor(rows).view(-1, 1, 1, 1) / sum(rows)
    x, y = (each - (share * each).sum(0))[:, :2].unbind(1)
    between = torch.stack((torch.zeros_like(x), torch.zeros_like(y), x * x, y * y, x * y), 1)
    return (share * (each + between)).sum(0)


def _in_strips(stage: nn.Module, channels: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The features of a stage, pooled for the next one: (B, channels, ceil(H / 2), ceil(W / 2)); and their moments.

    x, y: its input maps (B, any, H, W).
    """
    height, width = x.shape[2:]
    # An even number of rows, so that the windows of the pooling lie as in the whole map.
    rows = max(_STRIP // (channels * width) // 2 * 2, 2)
    pooled = [each.new_empty(len(each), channels, (height + 1) // 2, (width + 1) // 2) for each in (x, y)]
    moments, counts = [], []
    for top in range(0, height, rows):
        start, bottom = max(top - _HALO, 0), min(top + rows, height)
        features = [stage(each[:, :, start : bottom + _HALO]) for each in (x, y)]
        moments.append(_moments(*(each[:, :, top - start : bottom - start] for each in features)))
        counts.append(bottom - top)
        for whole, each in zip(pooled, features, strict=True):
            inside = _pooled(each)[:, :, (top - start) // 2 : (bottom - start + 1) // 2]
            whole[:, :, top // 2 : (bottom + 1) // 2] = inside
    ours, theirs = pooled
    return ours, theirs, _together(moments, counts)


def _pooled(features: Tensor) -> Tensor:
    """The root of the mean square under a Hanning window of 5, whose two ends are 0, at every other position."""
    row = torch.hann_window(5, periodic=False, dtype=features.dtype, device=features.device)[1:-1]
    channels = features.shape[1]
    window = (row.outer(row) / row.sum().square()).expand(channels, 1, -1, -1)
    return (conv2d(features.square(), window, stride=2, padding=1, groups=channels) + _EPSILON).sqrt()
