"""A start for GC and SC that already is a transform codec: a hierarchical Karhunen-Loeve transform in the weights.

From a random start the symbols say next to nothing for thousands of steps. Here every stage starts linear: channels
come in pairs (v, -v), whose rectified difference is v again; each halving is the best linear map of 2x2 blocks of the
stage before it, each doubling the transpose. Residual blocks start as identities, the label branch as random.
Five levels are few for the two strongest components, brightness and one of colour: each has two channels, whose
thresholds interleave. With one, all colours but strong ones start grey.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecodec_export.families.agustsson import LOWEST, Agustsson, ResidualBlock, SelectiveSynthesis
from edgecodec_train.starts.transform import INVERSE_TANH, at_centre, principal_blocks, set_pairs

DOUBLED = 2  # components with two channels each
REACH = 1.6  # standard deviations of a component that the outermost symbols stand for


@torch.no_grad()
def initialise_agustsson(model: Agustsson, photographs: Tensor) -> None:
    """Write the transform measured on `photographs` (n, 3, H, W), values in [0, 1], into the weights of `model`.

    A model with instance norm everywhere stays as it is: what such norms remove is most of the transform.
    """
    if model.preset.instance_norm == "everywhere":
        return
    for module in model.modules():
        if isinstance(module, ResidualBlock):
            module.norm.gamma.zero_()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.bias.zero_()

    (stem, *halvings), projection = model.analysis
    features = 2 * photographs - 1
    bases: list[Tensor] = []
    set_pairs(stem.convolution.weight, at_centre(torch.eye(3)), paired_input=False)
    for halving in halvings:
        features = _halve(halving.convolution, features, bases)

    channels = torch.arange(model.preset.latent_channels)
    component = torch.cat((torch.arange(DOUBLED).repeat_interleave(2), channels[DOUBLED:-DOUBLED]))
    gain = (-LOWEST / (REACH * features.std((0, 2, 3))))[component]
    coded = torch.zeros(len(channels), int(component[-1]) + 1)
    coded[channels, component] = gain
    set_pairs(projection.weight, at_centre(coded), paired_output=False)
    projection.bias[: 2 * DOUBLED] = torch.tensor([-0.25, 0.25]).repeat(DOUBLED)
    decoded = torch.zeros_like(coded.T)
    decoded[component, channels] = 1 / (gain * component.bincount()[component])

    generator = model.synthesis
    if isinstance(generator, SelectiveSynthesis):
        narrow, halving = generator.expansion
        set_pairs(narrow.convolution.weight, at_centre(decoded), paired_input=False)
        features = _halve(halving.convolution, features[:, : len(decoded)], bases)
        # Without norms PyTorch's own start would leave next to nothing of the labels behind six layers.
        for layer in (*generator.label_analysis, generator.generator.head):
            nn.init.kaiming_normal_(layer.convolution.weight)
        generator = generator.generator
        head = generator.head.convolution.weight
        set_pairs(head[:, : halving.convolution.out_channels], at_centre(torch.eye(features.shape[1])))
    else:
        set_pairs(generator.head.convolution.weight, at_centre(decoded), paired_input=False)
    for doubling, basis in zip(generator.doublings, reversed(bases), strict=True):
        set_pairs(doubling.convolution.weight, basis)
    set_pairs(generator.image.weight, at_centre(INVERSE_TANH * torch.eye(3)), paired_output=False)


def _halve(convolution: nn.Conv2d, features: Tensor, bases: list[Tensor]) -> Tensor:
    """The principal components of 2x2 blocks of `features`, which `convolution` gives from now on."""
    basis = principal_blocks(features, convolution.out_channels // 2)
    bases.append(basis)
    set_pairs(convolution.weight, basis)
    return nn.functional.conv2d(features, basis, stride=2)
