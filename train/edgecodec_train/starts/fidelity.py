"""A start for the fidelity-controllable codec that already is a transform codec, with its distributions.

From a random start three thousand steps bring no colours. Here every strided stage starts as the best linear map of
2x2 blocks of the stage before it, measured on photographs, and every doubling as the transpose:

* The shortcut of a strided block sees one pixel of four, so it is the body that carries the blocks, as pairs (v, -v):
  their rectified difference is v again, but for a factor. A GDN is nearly the identity while gamma is small.
* The shortcut of a doubling sees all that it needs and is linear.
* All other bodies start silent, and attention as a constant factor.

The mixture starts around the best linear prediction from the neighbours, which the context network carries as pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecodec_export.families.blocks import GDN
from edgecodec_export.families.fidelity import (
    SLOPE,
    Attention,
    ContextModel,
    Fidelity,
    ResidualBlock,
    ResidualUpsampling,
)
from edgecodec_train.starts.transform import ATTENTION, INVERSE_TANH, SPARE, principal_blocks, silence

RIDGE = 1.0  # of that prediction, in squared rounding steps: few photographs measure many neighbours
LATENT_GAIN = 1.5  # of an orthonormal transform, for pictures in [-1, 1] and a rounding step of 1
# Each stage is half of an orthonormal map: brightness keeps its size, and norms see no large values.
HALF = 0.5


@torch.no_grad()
def initialise_fidelity(model: Fidelity, photographs: Tensor) -> None:
    """Write the transform measured on `photographs` (n, 3, H, W), values in [0, 1], into the weights of `model`."""
    for module in model.modules():
        if isinstance(module, (ResidualBlock, ResidualUpsampling)):
            silence(module.second)
        elif isinstance(module, Attention):
            silence(module.mask_projection)
        elif isinstance(module, GDN):
            module.gamma *= SPARE

    analysis, synthesis, latent_channels = model.analysis, model.synthesis, model.latent_channels
    *blocks, last_stage = analysis[0], analysis[2], analysis[5], analysis[7]
    features = 2 * photographs - 1
    bases: list[Tensor] = []
    for convolution in (*(block.first for block in blocks), last_stage):
        basis = principal_blocks(features, convolution.out_channels // 2)
        features = HALF * nn.functional.conv2d(features, basis, stride=2)
        _set_linear(convolution, HALF * _paired(basis))
        bases.append(basis)
    for block, basis in zip(blocks, bases, strict=False):
        _set_linear(block.second, _unpaired(torch.eye(len(basis))))
        _set_linear(block.shortcut, torch.zeros(len(basis), basis.shape[1], 1, 1))
    gain = LATENT_GAIN / HALF ** len(bases)
    _set_linear(analysis[-1], _unpaired(gain * torch.eye(latent_channels, len(bases[-1]))))

    _set_linear(synthesis[0], _paired(torch.eye(latent_channels)[:, :, None, None] / gain))
    *doublings, image = reversed([_transposed(basis) / HALF for basis in bases])
    ups = [layer.shortcut for layer in synthesis if isinstance(layer, ResidualUpsampling)]
    _set_linear(ups[0], _unpaired(doublings[0][:, :latent_channels]))
    for up, doubling in zip(ups[1:], doublings[1:], strict=True):
        _set_linear(up, doubling[:, :, None, None])
    _set_linear(synthesis[-3], INVERSE_TANH * image[:, :, None, None])

    for after_attention in (analysis[5].first, analysis[-1], ups[0], ups[2]):
        after_attention.weight /= ATTENTION

    _set_mixture(model.context, analysis(2 * photographs - 1))


def _set_mixture(context: ContextModel, y: Tensor) -> None:
    """Every component around the best linear prediction from the neighbours in y (B, C, h, w), each of another width.

    One is as wide as the prediction's error, the others half and twice as wide.
    """
    channels = y.shape[1]
    noisy = torch.round(y)
    neighbours, wanted = (part.transpose(0, 1).flatten(1) for part in (context.gather(noisy), noisy))
    neighbours = torch.cat((neighbours, torch.ones_like(neighbours[:1])))
    prediction = torch.linalg.solve(
        neighbours @ neighbours.T + RIDGE * neighbours.shape[1] * torch.eye(len(neighbours)), neighbours @ wanted.T
    ).T
    errors = (wanted - prediction @ neighbours).std(1)

    first, *middle, last = (layer for layer in context.network if isinstance(layer, nn.Conv2d))
    identity = _unpaired(torch.eye(channels))
    _set_linear(first, _paired(prediction[:, :-1, None, None]))
    for layer in middle:
        _set_linear(layer, _paired(identity))
    last.weight *= SPARE
    means, _, _ = last.weight.view(context.components, 3, channels, -1).unbind(1)
    means.zero_()
    means[..., : 2 * channels] = identity[:, :, 0, 0]
    means, deviations, logits = last.bias.view(context.components, 3, channels).unbind(1)
    means.copy_(prediction[:, -1])
    deviations.copy_(errors * 2.0 ** (torch.arange(context.components)[:, None] - (context.components - 1) / 2))
    logits.zero_()


def _paired(filters: Tensor) -> Tensor:
    """What makes the pairs (v, -v) of the outputs v of filters (k, c, height, width)."""
    return torch.cat((filters, -filters))


def _unpaired(matrix: Tensor) -> Tensor:
    """(k, c) as filters (k, 2 c, 1, 1) of the rectified pairs of c values."""
    return torch.cat((matrix, -matrix), 1)[:, :, None, None] / (1 + SLOPE)


def _transposed(basis: Tensor) -> Tensor:
    """Orthonormal block filters (k, c, 2, 2) as the matrix (4 c, k) before a pixel shuffle that undoes them."""
    return basis.permute(1, 2, 3, 0).flatten(0, 2)


def _set_linear(convolution: nn.Conv2d, filters: Tensor) -> None:
    """The filters (rows, columns, 1 or 2, 1 or 2) in the layer's first outputs; the others start random and small."""
    rows, columns, size, _ = filters.shape
    first = (convolution.kernel_size[0] - size + 1) // 2
    taps = slice(first, first + size)
    convolution.weight *= SPARE
    convolution.weight[:rows] = 0
    convolution.weight[:rows, :columns, taps, taps] = filters
    convolution.bias.zero_()
