"""The size of a model, and the work that each part of it takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from edgecodec_export.entropy.entropy_file import Apply, EntropyFile, Mixture
from edgecodec_export.entropy.integer_net import Crop, IntegerNet, PixelShuffle
from edgecodec_export.families.codec import LearnedCodec

COUNTED_SIDE = 256  # pixels; work for a pixel does not depend on it


@dataclass(frozen=True)
class Work:
    """parameters: how many there are. The others are multiplications for a pixel of the picture.

    analysis, synthesis: of the first encoder and the first decoder that are baked, before their rewrites. entropy: of
    the integer networks, which both sides run.
    """

    parameters: int
    analysis: float
    entropy: float
    synthesis: float


@torch.no_grad()
def work_of(model: LearnedCodec) -> Work:
    """Count the work of a model. Its weights do not matter, nor does the picture."""
    baking = model.baking()
    freezer = model.freezer()
    image = torch.rand(1, 3, COUNTED_SIDE, COUNTED_SIDE)
    frozen = freezer.freeze([freezer.observe(image)])
    encoder, decoder = baking.baked_encoder(baking.encoder_knobs()[0]), baking.baked_decoder(baking.decoder_knobs()[0])
    latents = [
        torch.zeros(1, latent.channels, COUNTED_SIDE // latent.stride, COUNTED_SIDE // latent.stride)
        for latent in (*model.decoder_latents(), *filter(None, [model.noise()]))
    ]
    scalars = [torch.tensor(scalar.default) for scalar in encoder.scalars.values()]
    return Work(
        parameters=sum(each.numel() for each in model.parameters()),
        analysis=_multiplications(encoder.module, image, *scalars),
        entropy=_integer_multiplications(frozen),
        synthesis=_multiplications(decoder.module, *latents),
    )


def _multiplications(module: torch.nn.Module, *inputs: torch.Tensor) -> float:
    """For a pixel, of convolutions and matrices."""
    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops() / 2 / COUNTED_SIDE**2


def _integer_multiplications(frozen: EntropyFile) -> float:
    """For a pixel, of all integer networks."""
    strides = {tensor.name: float(tensor.stride) for tensor in frozen.tensors}
    nets = [(step.net, strides[step.source]) for step in frozen.steps if isinstance(step, Apply)]
    nets += [(step.net, strides[step.tensor]) for step in frozen.steps if isinstance(step, Mixture)]
    return sum(_of_net(frozen.nets[net], stride) for net, stride in nets)


def _of_net(net: IntegerNet, stride: float) -> float:
    total = 0.0
    for layer in net.layers:
        if isinstance(layer, Crop):
            continue
        if isinstance(layer, PixelShuffle):
            stride /= layer.factor
        elif layer.transposed:
            total += layer.weight.size / stride**2
            stride /= layer.stride
        else:
            stride *= layer.stride
            total += layer.weight.size / stride**2
    return total
