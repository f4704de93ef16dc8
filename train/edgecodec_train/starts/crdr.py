"""A start for CRDR that already is a transform codec, of every rate: a hierarchical Karhunen-Loeve transform.

From a random start the latents round to zero for thousands of steps. CRDR makes a better one easy: but for its residual
units and attention, which can start as an identity and as a constant factor, its transforms are linear. Each stage
starts as the best linear map of 2x2 blocks of the stage before it, measured on photographs, and each doubling as the
transpose. Channel attention next to the latent starts as the gain of each rate.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from edgecodec_export.checkpoints import Checkpoint
from edgecodec_export.families import build
from edgecodec_export.families.crdr import (
    BETA_FREQUENCIES,
    LARGEST_BETA,
    AttentionBlock,
    Crdr,
    InterpolatedChannelAttention,
    Knobs,
    RealismResidualUnit,
    ResidualUnit,
)
from edgecodec_train.starts.transform import ATTENTION, SPARE, principal_blocks, silence

LATENT_GAIN = 1.5  # of the middle rate, for pictures in [-1, 1]: near the best for a rounding step of 1
WITHOUT_REALISM = "-multirate"  # how presets without beta are named after those with it
BLOCK = slice(2, 4)  # the taps of a 5x5 kernel that lie on the 2x2 block of a pixel at half the resolution


@torch.no_grad()
def initialise_crdr(model: Crdr, photographs: Tensor) -> None:
    """Write the transform measured on `photographs` (n, 3, H, W), values in [0, 1], into the weights of `model`."""
    for module in model.modules():
        if isinstance(module, ResidualUnit):
            silence(module.leave)
            if hasattr(module, "left"):
                silence(module.left)
        elif isinstance(module, AttentionBlock):
            silence(module.mask[-1])

    analysis, synthesis = model.analysis, model.synthesis
    downs = (analysis.down1, analysis.down2, analysis.down3, analysis.down4)
    ups = (synthesis.up4, synthesis.up3, synthesis.up2, synthesis.up1)
    features = 2 * photographs - 1
    for down, up in zip(downs, ups, strict=True):
        basis = principal_blocks(features, down.out_channels)
        features = nn.functional.conv2d(features, basis, stride=2)
        _set_block(down, basis)
        _set_block(up, basis)
    for after_attention in (analysis.down3, synthesis.up1, synthesis.up3):
        after_attention.weight /= ATTENTION
    for level, ratio in enumerate(model.DISTORTION_RATIOS):
        gain = LATENT_GAIN * ratio**0.5
        _set_gain(analysis.attention4_rate, level, gain / ATTENTION)
        _set_gain(synthesis.attention1_rate, level, 1 / gain)

    y = analysis(2 * photographs - 1, Knobs((model.levels - 1) / 2))
    for mean, scale, part in zip(model.context.mean, model.context.scale, y.chunk(model.slices, 1), strict=True):
        mean[-1].bias.copy_(part.mean((0, 2, 3)))
        scale[-1].bias.copy_(part.std((0, 2, 3)))


@torch.no_grad()
def add_realism(checkpoint: Checkpoint) -> Checkpoint:
    """A CRDR checkpoint of many rates in the preset with beta, where every beta gives the picture it gave before.

    The embedding starts as a curve from zero, at beta 0, to length 1 at the other end: beta 0 is left alone by what
    other betas teach. Neighbours learn alike, because each frequency of beta is heard the less the higher it is. Any
    other checkpoint is returned as it is.
    """
    if checkpoint.family != Crdr.FAMILY or not checkpoint.preset.endswith(WITHOUT_REALISM):
        return checkpoint
    preset = checkpoint.preset.removesuffix(WITHOUT_REALISM)
    model = build(Crdr.FAMILY, preset)
    for module in model.modules():
        if isinstance(module, RealismResidualUnit):
            for projection in (module.entered, module.within, module.left):
                silence(projection)
    enter, _, leave = model.realism.layers
    slower = 0.25 ** torch.arange(BETA_FREQUENCIES)
    enter.weight *= torch.cat([slower, slower])  # sines, then cosines
    leave.bias -= model.realism(0.0).flatten()
    size = model.realism(LARGEST_BETA).norm()
    leave.weight /= size
    leave.bias /= size
    tensors = model.state_dict() | checkpoint.tensors
    return replace(checkpoint, preset=preset, configuration=model.preset, tensors=tensors)


def _set_block(convolution: nn.Conv2d | nn.ConvTranspose2d, basis: Tensor) -> None:
    """The block filters (k, c, 2, 2) in the layer's first channels; all others start random and small."""
    rows, columns = basis.shape[:2]
    convolution.weight *= SPARE
    convolution.weight[:rows, :columns] = 0
    convolution.weight[:rows, :columns, BLOCK, BLOCK] = basis
    convolution.bias.zero_()


def _set_gain(attention: InterpolatedChannelAttention, level: int, gain: float) -> None:
    attention.weight[level] = torch.tensor(gain).expm1().log()  # softplus undoes this
