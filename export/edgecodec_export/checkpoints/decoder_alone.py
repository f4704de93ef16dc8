"""Checkpoints that hold a decoder alone: the second of a pair, whose encoder and entropy model the first one has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.families import LearnedCodec

HINT = "give it as --ckpt-mse, beside the checkpoint as --ckpt whose encoder it was trained with"


def decoder_of(family: type[LearnedCodec], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that a pair does not have in common, by name."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith(family.DECODER_PREFIXES)}


def rest_hash(family: type[LearnedCodec], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, in hexadecimal digits, of the names, shapes and values in float32 of all other tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors.keys() - decoder_of(family, tensors).keys()):
        tensor = tensors[name].detach().float().contiguous()
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def completed(decoder: Checkpoint, family: type[LearnedCodec], other: Checkpoint) -> Checkpoint:
    """A decoder alone with the rest of `other`, a checkpoint of `family`.

    Raises CheckpointRejected where that is not the rest which the decoder was trained with.
    """
    if decoder.family != other.family or decoder.rest != rest_hash(family, other.tensors):
        raise CheckpointRejected(
            f"holds a decoder alone, which was trained with another encoder than {other.where} has",
            where=decoder.where,
            hint="give the two of one training",
        )
    rest = {name: tensor for name, tensor in other.tensors.items() if name not in decoder_of(family, other.tensors)}
    return replace(decoder, tensors={**rest, **decoder.tensors}, rest=None)
