"""LPIPS, version 0.1, in AlexNet: a distance of pictures that was fitted to what people see (Zhang et al. 2018)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from edgecodec_evaluate.metrics.pretrained import PretrainedDistance, normalised, numbered

# Mean and standard deviation of ImageNet, for pictures in [-1, 1].
_MEAN = (-0.030, -0.088, -0.188)
_DEVIATION = (0.458, 0.448, 0.450)

_CHANNELS = (64, 192, 384, 256, 256)  # of the five ReLUs
_EPSILON = 1e-10


class LpipsAlexNet(PretrainedDistance):
    """Sum over the five ReLUs of AlexNet of a weighted squared difference (equation 1 of the paper).

    Features are divided by their length over channels first, and the differences are averaged over positions. The
    modules have the names of the authors' package.
    """

    CONTENT = 'the state dict of lpips.LPIPS(net="alex")'
    SMALLEST_SIDE = 31

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth, fifth = _CHANNELS
        self.net = nn.Sequential(
            OrderedDict(
                slice1=numbered(0, nn.Conv2d(3, first, 11, 4, 2), nn.ReLU()),
                slice2=numbered(2, nn.MaxPool2d(3, 2), nn.Conv2d(first, second, 5, 1, 2), nn.ReLU()),
                slice3=numbered(5, nn.MaxPool2d(3, 2), nn.Conv2d(second, third, 3, 1, 1), nn.ReLU()),
                slice4=numbered(8, nn.Conv2d(third, fourth, 3, 1, 1), nn.ReLU()),
                slice5=numbered(10, nn.Conv2d(fourth, fifth, 3, 1, 1), nn.ReLU()),
            )
        )
        for i, channels in enumerate(_CHANNELS):
            head = numbered(1, nn.Conv2d(channels, 1, 1, bias=False))
            self.add_module(f"lin{i}", nn.Sequential(OrderedDict(model=head)))

    def forward(self, rebuilt: Tensor, image: Tensor) -> Tensor:
        """As in `PretrainedDistance`. A slice of the network at a time sees both pictures, so that without gradients
        no more than its features take memory.
        """
        ours, theirs = (normalised(2 * each - 1, _MEAN, _DEVIATION) for each in (rebuilt, image.detach()))
        distances = []
        for i, layers in enumerate(self.net):
            ours = layers(ours)
            with torch.no_grad():
                theirs = layers(theirs)
                expected = _of_length_1(theirs)
            with torch.autocast(image.device.type, enabled=False):  # small squares are 0 in half precision
                difference = (_of_length_1(ours) - expected).square()
                distances.append(self.get_submodule(f"lin{i}")(difference).mean())
        return torch.stack(distances).sum()


def _of_length_1(features: Tensor) -> Tensor:
    """Divided by their length over channels, in float32: in half precision the epsilon is 0."""
    wide = features.float()
    return wide / (torch.linalg.vector_norm(wide, dim=1, keepdim=True) + _EPSILON)
