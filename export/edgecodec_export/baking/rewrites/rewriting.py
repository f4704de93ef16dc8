"""Which rewrites an encoder and a decoder go through, in which order."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from edgecodec_export.baking.rewrites.fold import fold
from edgecodec_export.baking.rewrites.pack import pack
from edgecodec_export.baking.rewrites.reciprocal import reciprocal
from edgecodec_export.baking.rewrites.split import split

Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def rewritten_encoder(encoder: Network) -> Network:
    """The same function of pictures in another form."""
    rewritten = _copy(encoder)
    reciprocal(rewritten)
    fold(rewritten)
    return rewritten


@torch.no_grad()
def rewritten_decoder(decoder: Network, *, splits_doublings: bool) -> Network:
    """The same function of latents in another form. splits_doublings: as families have it."""
    rewritten = rewritten_encoder(decoder)
    pack(rewritten)
    if splits_doublings:
        split(rewritten)
    return rewritten


def _copy(network: Network) -> Network:
    """A copy whose tensors are those of `network`: they may be large, and rewrites replace what they change."""
    tensors = (*network.parameters(), *network.buffers())
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
