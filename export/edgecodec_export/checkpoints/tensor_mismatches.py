"""The tensors that a family's model expects, by name and shape, and what a checkpoint has instead."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.text import first_few

Shape = tuple[int, ...]

#: Element types of weights. The integers of a quantised file mean nothing without the scales stored beside them.
WEIGHTS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def state_shapes(family: type[LearnedCodec], preset: Any) -> dict[str, Shape]:
    """Shape of every tensor of a family's model, by name. Allocates no weights.

    Raises CheckpointRejected for a preset that no model can have.
    """
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns about empty tensors, which are refused below
            shapes = {name: tuple(tensor.shape) for name, tensor in family(preset).state_dict().items()}
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AssertionError) as error:
        raise CheckpointRejected(f"{family.FAMILY} cannot be built with {preset}") from error
    if not all(map(all, shapes.values())):
        raise CheckpointRejected(f"{family.FAMILY} with {preset} would have empty tensors")
    return shapes


def unusable(entry: Any) -> str | None:
    """Why an entry of a state dict cannot be weights, whatever its shape. None if it can."""
    if not isinstance(entry, Tensor):
        return f"is of type {type(entry).__name__}, should be a tensor"
    if entry.device.type != "cpu":
        return f"has no values (saved on the device {entry.device.type!r})"
    if entry.layout != torch.strided or entry.is_nested:
        return "is sparse or nested, should be dense"
    if entry.dtype not in WEIGHTS:
        return f"holds {str(entry.dtype).removeprefix('torch.')}, should hold floating-point numbers"
    return None


def mismatches(entries: Mapping[str, Any], shapes: Mapping[str, Shape]) -> list[str]:
    """A line for each entry that is unused, is missing, is not weights, or has another shape than expected."""
    misfits = {name: _misfit(entries[name], shapes[name]) for name in sorted(shapes.keys() & entries.keys())}
    return [
        *first_few([f"{name}: unused" for name in sorted(entries.keys() - shapes.keys())], "unused"),
        *first_few([f"{name}: missing" for name in sorted(shapes.keys() - entries.keys())], "missing"),
        *first_few([f"{name}: {misfit}" for name, misfit in misfits.items() if misfit], "that do not fit"),
    ]


def _misfit(entry: Any, shape: Shape) -> str | None:
    problem = unusable(entry)
    if problem is None and tuple(entry.shape) != shape:
        problem = f"has shape {tuple(entry.shape)}, should have {shape}"
    return problem
