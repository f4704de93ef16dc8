"""A start for HiFiC that already is a transform codec: a hierarchical Karhunen-Loeve transform in its weights.

From a random start the channel norms of a small HiFiC take hours to let brightness and contrast through. Here every
stage starts as the best linear map of 2x2 blocks of the stage before it, measured on photographs, by three steps:

* A rectified stage can be linear when channels come in pairs (v, -v): relu(v) - relu(-v) = v (Balduzzi et al. 2017).
* A channel norm is nearly linear while one pair of channels holds a constant, the *anchor*, that outweighs the signal;
  gamma then undoes its division.
* The synthesis of an orthonormal transform is its transpose, and a 3x3 stride-2 convolution that uses four of its nine
  taps sees each 2x2 block once, as does the transposed convolution.

The remaining channels start random and small, the residual blocks start as identities.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecodec_export.families.hific import Hific
from edgecodec_train.starts.transform import SPARE, principal_blocks

ANCHOR = 8.0  # squared anchor over the mean squared norm of the signal: 16 : 1 for the pair
LATENT_GAIN = 3.0  # near the gain at which a rounding step of 1 is optimal for 0.2 to 0.3 bits per pixel


@torch.no_grad()
def initialise_hific(model: Hific, photographs: Tensor) -> None:
    """Write the transform measured on `photographs` (n, 3, H, W), values in [0, 1], into the weights of `model`."""
    convolutions = [layer for layer in model.analysis if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in model.analysis if not isinstance(layer, (nn.Conv2d, nn.ReLU))]
    stem, *stages, latent = convolutions
    features = photographs - 0.5
    bases: list[Tensor] = []

    half = stem.out_channels // 2
    linear = torch.zeros(half, 3, 7, 7)
    linear[:3, :, 3, 3] = torch.eye(3)
    linear[3:-1] = torch.randn_like(linear[3:-1]) * SPARE / linear[0].numel() ** 0.5
    _set_paired(stem, norms[0], linear, features, offset=-0.5 * linear.sum((1, 2, 3)), paired_input=False)

    for stage, norm in zip(stages, norms[1:], strict=True):
        basis = principal_blocks(features, stage.out_channels // 2 - 1)
        features = nn.functional.conv2d(features, basis, stride=2)
        bases.append(basis)
        _set_paired(stage, norm, _widen(basis, stage.out_channels // 2, stage.in_channels // 2), features)

    kept = features.shape[1]
    nn.init.normal_(latent.weight, std=SPARE / latent.weight[0].numel() ** 0.5)
    latent.weight[:kept] = 0
    inputs = latent.in_channels // 2
    diagonal = torch.arange(kept)
    latent.weight[diagonal, diagonal, 1, 1] = LATENT_GAIN
    latent.weight[diagonal, inputs + diagonal, 1, 1] = -LATENT_GAIN
    energy = (features * LATENT_GAIN).square().sum(1).mean()
    anchor = (ANCHOR * energy).sqrt()
    latent.weight[-2:] = 0
    latent.bias.zero_()
    latent.bias[-2:] = torch.stack([anchor, -anchor])
    final_mean = model.hyper_synthesis_mean[-1]
    final_mean.weight.mul_(SPARE)
    final_mean.bias.copy_(latent.bias)

    _set_synthesis(model, bases, energy, anchor)


def _set_synthesis(model: Hific, bases: list[Tensor], energy: Tensor, anchor: Tensor) -> None:
    norm, convolution, head_norm = model.synthesis.head
    norm.gamma.fill_(((2 * ANCHOR + 1) * energy / (model.latent_channels - 1)).sqrt())
    kept, half = bases[-1].shape[0], convolution.out_channels // 2
    # The anchors are a pair, so their sum tells what the norm subtracted as the mean: minus half of it puts it back.
    restore = torch.zeros(half, model.latent_channels)
    diagonal = torch.arange(kept)
    restore[diagonal, diagonal] = 1 / LATENT_GAIN
    restore[:kept, -2:] -= 0.5 / LATENT_GAIN
    linear = torch.zeros(half, model.latent_channels, 3, 3)
    linear[:, :, 1, 1] = restore
    energy = energy / LATENT_GAIN**2
    _set_norm(convolution, head_norm, energy * 2)
    convolution.weight.copy_(torch.cat([linear, -linear]))
    for block in model.synthesis.residual_blocks:
        block.body[-1].gamma.zero_()
    layers = list(model.synthesis.doublings)
    scale = 0.25  # two pairs average to one feature, and the long skip doubles it
    for doubling, doubling_norm, basis in zip(layers[0::3], layers[1::3], reversed(bases), strict=True):
        inputs, outputs = doubling.in_channels // 2, doubling.out_channels // 2
        wide = _widen(basis, inputs, outputs)
        if outputs > basis.shape[1]:
            wide[:, basis.shape[1] : -1] += torch.randn_like(wide[:, basis.shape[1] : -1]) * SPARE / (4 * inputs) ** 0.5
        wide = wide * scale
        doubling.weight.copy_(torch.cat([torch.cat([wide, -wide], 1), torch.cat([-wide, wide], 1)], 0))
        energy = energy / 4
        _set_norm(doubling, doubling_norm, energy * 2)
        scale = 1.0
    image = model.synthesis.image
    nn.init.normal_(image.weight, std=SPARE * 0.1 / image.weight[0].numel() ** 0.5)
    colours, half = torch.arange(3), image.in_channels // 2
    image.weight[colours, colours, 3, 3] += 1
    image.weight[colours, half + colours, 3, 3] -= 1
    image.bias.fill_(0.5)


def _widen(basis: Tensor, outputs: int, inputs: int) -> Tensor:
    """The block filters as 3x3 filters of `outputs` x `inputs` channels, unused rows random and small."""
    rows, columns = basis.shape[:2]
    wide = torch.zeros(outputs, inputs, 3, 3)
    wide[rows:-1] = torch.randn(max(outputs - 1 - rows, 0), inputs, 3, 3) * SPARE / (9 * inputs) ** 0.5
    wide[:rows, :columns, 1:, 1:] = basis
    return wide


def _set_paired(
    layer: nn.Conv2d,
    norm: nn.Module,
    linear: Tensor,
    features: Tensor,
    offset: Tensor | None = None,
    paired_input: bool = True,
) -> None:
    """Give `layer` the pairs (linear, -linear); `features` are what its used outputs will be, for the energy."""
    block = torch.cat([linear, -linear], 1) if paired_input else linear
    layer.weight.copy_(torch.cat([block, -block]))
    _set_norm(layer, norm, features.square().sum(1).mean() * 2)
    if offset is not None:
        layer.bias += torch.cat([offset, -offset])


def _set_norm(layer: nn.Conv2d | nn.ConvTranspose2d, norm: nn.Module, energy: Tensor) -> None:
    """Anchor the last channel of each half against a signal of mean squared norm `energy`, and undo the division."""
    anchor = (ANCHOR * energy).sqrt()
    layer.bias.zero_()
    layer.bias[layer.out_channels // 2 - 1] = anchor
    layer.bias[-1] = -anchor
    norm.gamma.fill_(((2 * ANCHOR + 1) * energy / (layer.out_channels - 1)).sqrt())
