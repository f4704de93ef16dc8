"""A start for Wu's codec that already is a transform codec: a hierarchical Karhunen-Loeve transform in its weights.

From a random start the symbols say next to nothing for thousands of steps. Here the branch at full size, the two
convolutions after it and the synthesis start linear: channels come in pairs (v, -v), whose rectified difference is v
again. Each stage is the best linear map of 2x2 blocks of the stage before it, its mirror image the transpose. Batch
norms start as the identity on photographs, residual blocks everywhere, and the smaller branches nearly silent.

The latent's channels are the strongest components, each a rectified pair, so that 0 says nothing where it is masked.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecodec.export.families.blocks import nearest_level
from edgecodec.export.families.tunable import LEVELS, LOWEST, Pyramid, ResidualBlock, Tunable
from edgecodec.train.initialise import SPARE, at_centre, principal_blocks, set_pairs

REACH = 2.2  # standard deviations of a component that the highest symbol stands for
INVERSE_TANH = 1.2  # slope of the line that is nearest to it on photographs


@torch.no_grad()
def initialise_tunable(model: Tunable, photographs: Tensor) -> None:
    """Write the transform measured on `photographs` (n, 3, H, W), values in [0, 1], into the weights of `model`."""
    for block in model.modules():
        if isinstance(block, ResidualBlock):
            block.body[-1].weight.zero_()
    stages, *smaller = map(_layers, model.analysis.branches)
    for *_, last in smaller:
        last[1].weight *= SPARE

    features = x = 2 * photographs - 1
    bases: list[Tensor] = []
    for stage in stages:
        basis = principal_blocks(features, stage[0].out_channels // 2)
        features = nn.functional.conv2d(features, basis, stride=2)
        x = _set_linear(stage, basis, x, paired_input=bool(bases))
        bases.append(basis)

    narrow, latent = model.analysis.omega
    components = latent[0].out_channels // 2
    gain = (LEVELS - 1) / (REACH * features[:, :components].std((0, 2, 3)))
    # Of a component's two channels one follows the other: a prefix holds the strongest components.
    neighbours = torch.arange(2 * components).reshape(2, components).T.flatten()
    x = _set_linear(narrow, at_centre(torch.eye(len(bases[-1])) / Pyramid.WEIGHTS[0]), Pyramid.WEIGHTS[0] * x)
    x = _set_linear(latent, at_centre(gain.diag()), x)
    latent[0].weight.copy_(latent[0].weight[neighbours])
    for values in (latent[1].weight, latent[1].bias, latent[1].running_mean, latent[1].running_var):
        values.copy_(values[neighbours])

    narrow, wide, *doublings = _layers(model.synthesis)
    x = _set_linear(narrow, at_centre((1 / gain).diag()), nearest_level(x, LOWEST, LEVELS))
    narrow[0].weight.copy_(narrow[0].weight[:, neighbours])
    x = _set_linear(wide, at_centre(torch.eye(components)), x)
    for doubling, basis in zip(doublings, reversed(bases), strict=True):
        x = _set_linear(doubling, basis, x)
    image = model.synthesis[-1]
    colours = torch.arange(3)
    image.weight *= SPARE
    image.weight[colours, colours, 1, 1] += INVERSE_TANH
    image.weight[colours, image.in_channels // 2 + colours, 1, 1] -= INVERSE_TANH
    image.bias.zero_()


def _layers(network: nn.Sequential) -> list[nn.Sequential]:
    """Those of a convolution, batch norm and ReLU."""
    return [each for each in network if isinstance(each, nn.Sequential)]


def _set_linear(layer: nn.Sequential, filters: Tensor, x: Tensor, *, paired_input: bool = True) -> Tensor:
    """What the layer (convolution, batch norm, ReLU) makes of `x` when it maps pairs by `filters`."""
    convolution, norm, _ = layer
    set_pairs(convolution.weight, filters, paired_input=paired_input)
    convolution.bias.zero_()
    y = convolution(x)
    norm.running_mean.copy_(y.mean((0, 2, 3)))
    norm.running_var.copy_(y.var((0, 2, 3), unbiased=False))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(norm.running_mean)
    return torch.relu(y)
