"""A start for Wu's codec that already is a transform codec: a hierarchical Karhunen-Loeve transform in its weights.

From a random start the symbols say next to nothing for thousands of steps. Here the branch at full size and the
synthesis start linear: channels come in pairs (v, -v), whose rectified difference is v again. Each stage is the best
linear map of 2x2 blocks of the stage before it, its mirror image the transpose. Residual blocks start as the identity,
the smaller branches nearly silent, and batch norms as the identity on photographs, which is why they need no statistics
of batches.

What the symbols mean, from the first channel on, 0 where it is masked always being a good guess:

* Channel 1, which is always kept: in which quarter of its range the strongest component, brightness, lies.
* Channels 2 and 3, a rectified pair: how far from the middle of that quarter. Quarters are read to and fro, as in a
  reflected code, so that an encoder of rectified lines can do it, and symbols stay close where quarters meet.
* The rest: rectified pairs of the next components, the strongest over areas first: colours, then edges. What is alike
  over an area is missed most where it is masked.

The importance map is the rank of a position among all by how much is in those pairs. Training leaves it like that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecodec_export.families.blocks import nearest_level
from edgecodec_export.families.tunable import LEVELS, LOWEST, Masker, Pyramid, ResidualBlock, Tunable
from edgecodec_train.starts.transform import SPARE, at_centre, principal_blocks, set_pairs

FINE = 3  # channels of the strongest component
AREA = 4  # positions on a side of an area
REACH = 3.2  # standard deviations of another component that the highest symbol stands for
# Standard deviation of the importance map over a picture. n is subtracted from the map before it is divided by that, so
# for n in [-2, 2] positions keep from nearly all channels to one or two.
SPREAD = 0.8
RANKS = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 0.95])
# The inverse of tanh in lines: from which value on, and by how much the slope grows there.
BENDS = (0.0, 0.6, 0.85)
SLOPES = (1.155, 1.1, 4.7)


@torch.no_grad()
def initialise_tunable(model: Tunable, photographs: Tensor) -> None:
    """Write the transform measured on `photographs` (n, 3, H, W), values in [0, 1], into the weights of `model`."""
    stages, *smaller = map(_layers, model.analysis.branches)
    blocks = [block for block in model.modules() if isinstance(block, ResidualBlock)]
    for block in blocks:
        block.body[-1].weight.zero_()
    for *_, last in smaller:
        last[1].weight *= SPARE

    components = 1 + (model.preset.latent_channels - FINE + 1) // 2
    features = x = 2 * photographs - 1
    bases: list[Tensor] = []
    for stage in stages:
        basis = principal_blocks(features, stage[0].out_channels // 2)
        if stage is stages[-1]:
            areas = nn.functional.avg_pool2d(nn.functional.conv2d(features, basis[:components], stride=2), AREA)
            basis[:components] = basis[areas.std((0, 2, 3)).argsort(descending=True)]
        features = nn.functional.conv2d(features, basis, stride=2)
        x = _set_linear(stage, basis, x, paired_input=bool(bases))
        bases.append(basis)

    eighth = features[:, 0].abs().max() / 4  # of the range of the strongest component: half a quarter
    gains = (LEVELS - 1) / (REACH * features[:, 1:components].std((0, 2, 3)))
    x = _set_symbols(model.analysis.omega, Pyramid.WEIGHTS[0] * x, eighth, gains)
    _set_importance(model.masker, x)

    narrow, wide, *doublings = _layers(model.synthesis)
    x = _set_components(narrow, wide, nearest_level(x, LOWEST, LEVELS), eighth, gains)
    bases[-1][-2:] = bases[-1][0]
    for doubling, basis in zip(doublings[:-1], bases[:0:-1], strict=True):
        x = _set_linear(doubling, basis, x)
    bends = torch.tensor(BENDS).repeat_interleave(3)
    _set_linear(doublings[-1], bases[0].repeat(1, len(BENDS), 1, 1), x, bias=-bends)
    image = model.synthesis[-1]
    colours = torch.arange(3)
    image.weight *= SPARE
    for i, slope in enumerate(SLOPES):
        image.weight[colours, 3 * i + colours, 1, 1] = slope
        image.weight[colours, image.in_channels // 2 + 3 * i + colours, 1, 1] = -slope
    image.bias.zero_()
    _measure_norms(model, [*blocks, *model.analysis.branches[1:]], photographs)


def _set_symbols(omega: nn.Sequential, x: Tensor, eighth: Tensor, gains: Tensor) -> Tensor:
    """omega, when x are the pairs of components times the weight of their branch."""
    narrow, latent = omega
    half = narrow[0].out_channels // 2
    # The last pair is the strongest component again, beyond two eighths on either side.
    filters = torch.eye(half, narrow[0].in_channels // 2)
    filters[-1] = filters[0]
    bias = torch.zeros(half)
    bias[-1] = -2 * eighth
    x = _set_linear(narrow, at_centre(filters / Pyramid.WEIGHTS[0]), x, bias=bias)

    # One more than there are, which is cut off in the end: the last pair has a channel only.
    matrix, bias = torch.zeros(latent[0].out_channels + 1, 2 * half), torch.zeros(latent[0].out_channels + 1)
    matrix[0, [0, half]] = torch.tensor([1.0, -1.0]) / (2 * eighth)
    bias[0] = (LEVELS - 1) / 2
    # Folded twice: the size of the component grows by one from the middle on, and falls beyond two eighths.
    fold = (LEVELS - 0.5) / eighth * torch.tensor([1.0, 1.0, -2.0, -2.0])
    matrix[1, [0, half, half - 1, -1]] = fold
    matrix[2] = -matrix[1]
    bias[1:3] = torch.tensor([0.5 - LEVELS, LEVELS - 0.5])
    for i, gain in enumerate(gains, 1):
        matrix[[2 * i + 1, 2 * i + 2], i] = torch.stack((gain, -gain))
        matrix[[2 * i + 1, 2 * i + 2], half + i] = torch.stack((-gain, gain))
    return _set(latent, at_centre(matrix[:-1]), bias[:-1], x)


def _set_importance(masker: Masker, omega: Tensor) -> None:
    """The rank of a position, in lines between RANKS."""
    first, last = masker.importance[0], masker.importance[-1]
    amount = torch.zeros(1, *first[0].weight.shape[1:])
    amount[:, FINE:] = 1 / 9
    y = nn.functional.conv2d(omega, amount, padding=1)
    bends = torch.quantile(y.flatten()[:: max(1, y.numel() // 100_000)], RANKS)
    slopes = RANKS.diff() / bends.diff().clamp_min(1e-3)
    weight = torch.randn_like(first[0].weight) * SPARE / first[0].weight[0].numel() ** 0.5
    weight[: len(slopes)] = amount
    bias = torch.zeros(len(weight))
    bias[: len(slopes)] = -bends[:-1]
    x = _set(first, weight, bias, omega)
    last.weight *= SPARE
    last.weight[0, : len(slopes)] = 0
    last.weight[0, : len(slopes), 1, 1] = slopes.diff(prepend=torch.zeros(1))
    last.weight *= SPREAD / last(x).std((2, 3)).mean()
    last.bias.zero_()


def _set_components(
    narrow: nn.Sequential, wide: nn.Sequential, symbols: Tensor, eighth: Tensor, gains: Tensor
) -> Tensor:
    """Pairs of components from symbols. The strongest is its quarter in the first, what is in it in the last two."""
    channels = symbols.shape[1]
    # Channel 1, and what tells whether it is odd; level at its values, so that no gradient mistakes it for more.
    bends = torch.tensor([k + side for k in range(LEVELS - 1) for side in (0.25, 0.75)])
    odd = 2 * torch.tensor([(-1.0) ** (k + side) for k in range(LEVELS - 1) for side in (0, 1)])
    first = 1 + len(bends)  # of the other symbols
    matrix, bias = torch.zeros(narrow[0].out_channels, channels), torch.zeros(narrow[0].out_channels)
    matrix[:first, 0] = 1
    bias[1:first] = -bends
    matrix[first : first + channels - 1, 1:] = torch.eye(channels - 1)
    x = _set(narrow, _spared(narrow, matrix), bias, symbols)

    half = wide[0].out_channels // 2
    matrix, bias = torch.zeros(2 * half, len(matrix)), torch.zeros(2 * half)
    matrix[0, 0], bias[half] = 2 * eighth, 3 * eighth
    above, below = first, first + 1  # the middle of the quarter, or the other way round in an odd one
    matrix[[half - 2, half - 1, -2, -1], [above, below, below, above]] = eighth / (LEVELS - 0.5)
    matrix[[half - 2, -2], 1:first] = -eighth * odd
    matrix[[half - 1, -1], 1:first] = eighth * odd
    bias[[half - 1, -1]] = -eighth
    for i, gain in enumerate(gains, 1):
        pair = matrix[:, first + 2 * i : min(first + 2 * i + 2, first + channels - 1)]
        pair[i] = torch.tensor([1, -1])[: pair.shape[1]] / gain
        pair[half + i] = -pair[i]
    return _set(wide, _spared(wide, matrix), bias, x)


def _layers(network: nn.Sequential) -> list[nn.Sequential]:
    """Those of a convolution, batch norm and ReLU."""
    return [each for each in network if isinstance(each, nn.Sequential)]


def _spared(layer: nn.Sequential, matrix: Tensor) -> Tensor:
    """The layer's filters: `matrix` (outputs, inputs) at the centre, rows without anything random and small."""
    weight = torch.randn_like(layer[0].weight) * SPARE / layer[0].weight[0].numel() ** 0.5
    used = matrix.any(1)
    weight[used] = 0
    weight[used, :, 1, 1] = matrix[used]
    return weight


def _set_linear(
    layer: nn.Sequential, filters: Tensor, x: Tensor, *, bias: Tensor | None = None, paired_input: bool = True
) -> Tensor:
    """What the layer makes of `x` when it maps pairs by `filters`. bias: of both of a pair, for the first pairs."""
    weight = torch.empty_like(layer[0].weight)
    set_pairs(weight, filters, paired_input=paired_input)
    both = torch.zeros(2, layer[0].out_channels // 2)
    if bias is not None:
        both[:, : len(bias)] = bias
    return _set(layer, weight, both.flatten(), x)


def _set(layer: nn.Sequential, weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """What the layer (convolution, batch norm, ReLU) makes of `x`, when the batch norm only adds `bias`.

    weight: its filters, or what is at their centre.
    """
    convolution, norm = layer[:2]
    convolution.weight.zero_()
    first = (convolution.weight.shape[2] - weight.shape[2]) // 2
    taps = slice(first, first + weight.shape[2])
    convolution.weight[:, :, taps, taps] = weight
    convolution.bias.zero_()
    y = convolution(x)
    norm.running_mean.copy_(y.mean((0, 2, 3)))
    norm.running_var.copy_(y.var((0, 2, 3), unbiased=False))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(norm.running_mean + bias)
    return torch.relu(y + bias[:, None, None])


def _measure_norms(model: Tunable, modules: list[nn.Module], photographs: Tensor) -> None:
    """Store the statistics of `photographs` in the batch norms of `modules`."""
    norms = [norm for module in modules for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    model(photographs)
    model.train()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
