"""LPIPS, version 0.1, in AlexNet: a distance of pictures that was fitted to what people see (Zhang et al. 2018)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from edgecodec_train.losses.pretrained import PretrainedLoss, normalised

# Mean and standard deviation of ImageNet, for pictures in [-1, 1].
_MEAN = (-0.030, -0.088, -0.188)
_DEVIATION = (0.458, 0.448, 0.450)

_CHANNELS = (64, 192, 384, 256, 256)  # of the five ReLUs
_EPSILON = 1e-10


class LpipsAlexNet(PretrainedLoss):
    """Sum over the five ReLUs of AlexNet of a weighted squared difference (equation 1 of the paper).

    Features are divided by their length over channels first, and the differences are averaged over positions. The
    modules have the names of the authors' package. Pictures have sides of 31 or more.
    """

    CONTENT = 'the state dict of lpips.LPIPS(net="alex")'

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth, fifth = _CHANNELS
        self.net = nn.Sequential(
            OrderedDict(
                slice1=_numbered(0, nn.Conv2d(3, first, 11, 4, 2), nn.ReLU()),
                slice2=_numbered(2, nn.MaxPool2d(3, 2), nn.Conv2d(first, second, 5, 1, 2), nn.ReLU()),
                slice3=_numbered(5, nn.MaxPool2d(3, 2), nn.Conv2d(second, third, 3, 1, 1), nn.ReLU()),
                slice4=_numbered(8, nn.Conv2d(third, fourth, 3, 1, 1), nn.ReLU()),
                slice5=_numbered(10, nn.Conv2d(fourth, fifth, 3, 1, 1), nn.ReLU()),
            )
        )
        for i, channels in enumerate(_CHANNELS):
            head = _numbered(1, nn.Conv2d(channels, 1, 1, bias=False))
            self.add_module(f"lin{i}", nn.Sequential(OrderedDict(model=head)))

    def forward(self, rebuilt: Tensor, image: Tensor) -> Tensor:
        with torch.no_grad():
            expected = self._features(image)
        pairs = zip(self._features(rebuilt), expected, strict=True)
        with torch.autocast(image.device.type, enabled=False):  # small squares are 0 in half precision
            distances = [
                self.get_submodule(f"lin{i}")((ours - theirs).square()).mean() for i, (ours, theirs) in enumerate(pairs)
            ]
        return torch.stack(distances).sum()

    def _features(self, image: Tensor) -> list[Tensor]:
        """The features of each ReLU, of length 1 over channels, in float32: in half precision the epsilon is 0."""
        x = normalised(2 * image - 1, _MEAN, _DEVIATION)
        features: list[Tensor] = []
        for layers in self.net:
            x = layers(x)
            wide = x.float()
            features.append(wide / (torch.linalg.vector_norm(wide, dim=1, keepdim=True) + _EPSILON))
        return features


def _numbered(start: int, *layers: nn.Module) -> nn.Sequential:
    """Layers with their numbers in a longer sequence as names."""
    return nn.Sequential(OrderedDict((str(i), layer) for i, layer in enumerate(layers, start)))
