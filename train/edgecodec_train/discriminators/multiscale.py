"""The discriminator of pix2pixHD at several scales (Wang et al. 2018, section 3.2).

Agustsson et al. 2019 and Iwai et al. 2020 train with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgecodec.errors import InvalidArgument
from edgecodec_train.discriminators.base import Conditions, Discriminator, Inputs, Judgement, Judgements, required
from edgecodec_train.discriminators.layers import SLOPE, judge, one_hot_labels
from edgecodec_train.discriminators.options import one_of, positive

_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,
    "none": lambda channels: nn.Identity(),
}
_MOST_CHANNELS = 512


class MultiscaleDiscriminator(Discriminator):
    """The same layers, with weights of their own, for the picture and for each halving of it.

    4x4 convolutions with padding 2, `layers` of them of stride 2, then one of stride 1, then one to the logits. All
    have a bias, as in the authors' code. The first has `width` channels, each further one twice as many, up to 512.
    norm: behind all but the first and the last. labels: whether the one-hot label map comes in beside the picture, as
    in the modes GC(D+) and SC of Agustsson et al. 2019.
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        scales: int = 3,
        layers: int = 3,
        width: int = 64,
        norm: str = "batch",
        labels: bool = False,
    ) -> None:
        super().__init__()
        if labels and not inputs.classes:
            raise InvalidArgument("labels is set, and the codec has no label maps", hint="leave labels out")
        self.classes = inputs.classes if labels else 0
        norm_of = _NORMS[one_of("norm", norm, tuple(_NORMS))]
        shape = (3 + self.classes, positive("layers", layers), positive("width", width))
        self.scales = nn.ModuleList(_patch_layers(*shape, norm_of) for _ in range(positive("scales", scales)))

    def forward(self, image: Tensor, conditions: Conditions) -> Judgements:
        x = 2 * image - 1
        if self.classes:
            x = torch.cat([x, one_hot_labels(required(conditions.labels, "labels"), self.classes)], 1)
        judgements: list[Judgement] = []
        for i, layers in enumerate(self.scales):
            if i:
                x = nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
            judgements.append(judge(layers.children(), x))
        return tuple(judgements)


def _patch_layers(inputs: int, layers: int, width: int, norm: Callable[[int], nn.Module]) -> nn.Sequential:
    stack: list[nn.Module] = [nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 2), nn.LeakyReLU(SLOPE))]
    for stride in (*(layers - 1) * (2,), 1):
        inputs, width = width, min(2 * width, _MOST_CHANNELS)
        stack.append(nn.Sequential(nn.Conv2d(inputs, width, 4, stride, 2), norm(width), nn.LeakyReLU(SLOPE)))
    return nn.Sequential(*stack, nn.Conv2d(width, 1, 4, 1, 2))
