"""Models from checkpoints: every tensor must fit the family's model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints import decoder_alone
from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.configuration import counts_above
from edgecodec_export.checkpoints.tensor_mismatches import mismatches, state_shapes, unusable
from edgecodec_export.families import FAMILIES, LearnedCodec
from edgecodec_export.text import first_few

#: Label maps are bytes, at the runtime too.
MOST_CLASSES = 256


def load_models(checkpoint: Checkpoint, second: Checkpoint | None = None) -> tuple[LearnedCodec, LearnedCodec | None]:
    """The model of a checkpoint and that of the second one of a pair, which may be a decoder alone.

    Raises what `load_model` raises, and CheckpointRejected for a decoder that was trained with another encoder.
    """
    model = load_model(checkpoint)
    if second is None:
        return model, None
    if second.rest is not None:
        second = decoder_alone.completed(second, type(model), checkpoint)
    return model, load_model(second)


def load_model(checkpoint: Checkpoint) -> LearnedCodec:
    """The model of a checkpoint, in evaluation mode.

    Raises CheckpointRejected for an unknown family or preset; and, with the list, for tensors that are unused, missing,
    not weights, not finite, or of another shape than the preset's, and for a decoder alone.
    """
    try:
        family = _family(checkpoint)
        if checkpoint.rest is not None:
            raise CheckpointRejected("holds a decoder alone", hint=decoder_alone.HINT)
        preset = _preset(checkpoint, family)
        problems = mismatches(checkpoint.tensors, state_shapes(family, preset)) + _not_finite(checkpoint)
        if problems:
            listed = "\n  ".join(problems)
            raise CheckpointRejected(f"does not fit {checkpoint.family} {checkpoint.preset}:\n  {listed}")
    except CheckpointRejected as error:
        error.locate(checkpoint.where)
        raise
    model = family(preset)
    model.load_state_dict(checkpoint.tensors)
    model.checkpoint_file, model.checkpoint_keys = checkpoint.where, checkpoint.keys
    return model.eval()


def class_names(checkpoint: Checkpoint, model: LearnedCodec) -> tuple[str, ...]:
    """Names of the labels that `model` takes: the checkpoint's, or the numbers if it names none.

    Raises CheckpointRejected for more labels than a file of a label map holds, and for another number of names.
    """
    if model.classes() > MOST_CLASSES:
        raise CheckpointRejected(
            f"its labels have {model.classes()} values; label maps have at most {MOST_CLASSES}", where=checkpoint.where
        )
    numbers = tuple(map(str, range(model.classes())))
    names = checkpoint.classes or numbers
    if len(names) != len(numbers):
        raise CheckpointRejected(
            f"its notes name {len(names)} classes, its labels have {len(numbers)} values", where=checkpoint.where
        )
    return names


def _family(checkpoint: Checkpoint) -> type[LearnedCodec]:
    family = FAMILIES.get(checkpoint.family)
    if family is None:
        raise CheckpointRejected(f"unknown family {checkpoint.family!r}", hint=f"known: {', '.join(FAMILIES)}")
    return family


def _preset(checkpoint: Checkpoint, family: type[LearnedCodec]) -> Any:
    """The family's preset that the checkpoint holds or names; with a name, the weights tell the number of classes."""
    configuration = checkpoint.configuration
    if configuration is None:
        if checkpoint.preset not in family.PRESETS:
            raise CheckpointRejected(
                f"unknown preset {checkpoint.preset!r} of {checkpoint.family}",
                hint=f"known: {', '.join(family.PRESETS)}",
            )
        preset, classes = family.PRESETS[checkpoint.preset], family.classes_of(checkpoint.tensors)
        return family.preset_with_classes(preset, classes) if classes else preset
    too_large = counts_above(configuration, _largest_count(checkpoint.tensors))
    if too_large:
        listed = "\n  ".join(too_large)
        raise CheckpointRejected(f"its configuration has counts that its tensors do not reach:\n  {listed}")
    return configuration


def _largest_count(tensors: Mapping[str, Tensor]) -> int:
    """The largest count of channels or layers that a configuration of these tensors can have.

    A count of channels is a side of some tensor, and every layer has a tensor. Checked before the model is laid out,
    which takes time and memory in proportion to the count.
    """
    sides = (side for tensor in tensors.values() if tensor.numel() for side in tensor.shape)
    return max((len(tensors), *sides))


def _not_finite(checkpoint: Checkpoint) -> list[str]:
    """A line for each tensor with infinities or NaN."""
    lines = [
        f"{checkpoint.keys.get(name, name)}: holds values that are not finite"
        for name, tensor in sorted(checkpoint.tensors.items())
        if not unusable(tensor) and not torch.isfinite(tensor).all()
    ]
    return first_few(lines, "that are not finite")
