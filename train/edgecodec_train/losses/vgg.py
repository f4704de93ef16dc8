"""Distances of pictures in the features of VGG19 (Simonyan and Zisserman 2015), trained on ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from edgecodec_evaluate.metrics.pretrained import PretrainedDistance, normalised

# Mean and standard deviation of ImageNet, for pictures in [0, 1].
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

_CONVOLUTIONS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels and number, between max poolings


class _Vgg19Loss(PretrainedDistance):
    """The layers are numbered as in torchvision, where a ReLU counts."""

    CONTENT = "the state dict of torchvision's vgg19"
    SMALLEST_SIDE = 16
    LAYERS: int  # how many are needed

    def __init__(self) -> None:
        super().__init__()
        self.features = _features(self.LAYERS)


class Vgg19Conv54(_Vgg19Loss):
    """L1 distance at conv5_4 before its ReLU, as Iwai et al. 2020 train: pictures in [-1, 1], and not normalised."""

    LAYERS = 35

    def forward(self, rebuilt: Tensor, image: Tensor) -> Tensor:
        with torch.no_grad():
            expected = self.features(2 * image - 1)
        return l1_loss(self.features(2 * rebuilt - 1).float(), expected.float())


class Vgg19Pix2pixHD(_Vgg19Loss):
    """Weighted sum of L1 distances at relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 (Wang et al. 2018).

    Pictures in [0, 1] are normalised by ImageNet's mean and deviation, as VGG19 was trained. The authors' code feeds
    pictures in [-1, 1] as they are.
    """

    LAYERS = 30
    WEIGHTS = ((1, 1 / 32), (6, 1 / 16), (11, 1 / 8), (20, 1 / 4), (29, 1.0))  # by the number of the ReLU

    def forward(self, rebuilt: Tensor, image: Tensor) -> Tensor:
        with torch.no_grad():
            expected = self._relus(image)
        pairs = zip(self.WEIGHTS, self._relus(rebuilt), expected, strict=True)
        return torch.stack([weight * l1_loss(ours, theirs) for (_, weight), ours, theirs in pairs]).sum()

    def _relus(self, image: Tensor) -> list[Tensor]:
        x = normalised(image, _MEAN, _DEVIATION)
        outputs: list[Tensor] = []
        for layer in self.features:
            x = layer(x)
            outputs.append(x)
        return [outputs[i].float() for i, _ in self.WEIGHTS]


def _features(count: int) -> nn.Sequential:
    """The first layers of VGG19."""
    layers: list[nn.Module] = []
    channels = 3
    for width, number in _CONVOLUTIONS:
        for _ in range(number):
            layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:count])
