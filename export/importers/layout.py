"""The layout of a state dict, names and shapes, and strictness about it: what all importers share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgecodec.errors import CheckpointRejected
from edgecodec.export.families.codec import LearnedCodec

Shape = tuple[int, ...]

_DATA_PARALLEL = "module."  # what PyTorch's DataParallel puts ahead of the name of every tensor


def state_dict_keys(content: Any) -> set[str]:
    """The keys of what may be a state dict, without the prefix of data-parallel training, for recognition.

    Taken off each name alone: a file in which only some have it should be refused by `entries_of` and its list.
    """
    return {str(key).removeprefix(_DATA_PARALLEL) for key in content} if isinstance(content, Mapping) else set()


def entries_of(state_dict: Mapping[Any, Any]) -> dict[str, Any]:
    """Its entries, tensors or not; the prefix of data-parallel training is taken off where all names have it.

    Raises CheckpointRejected, with the list, for keys that are not text.
    """
    others = [f"{key!r}: of type {type(key).__name__}" for key in state_dict if not isinstance(key, str)]
    if others:
        raise CheckpointRejected("holds keys that are not names:\n  " + "\n  ".join(others))
    prefix = _DATA_PARALLEL if all(name.startswith(_DATA_PARALLEL) for name in state_dict) else ""
    return {name.removeprefix(prefix): entry for name, entry in state_dict.items()}


def shapes_of(model: nn.Module) -> dict[str, Shape]:
    """Shape of every tensor of a model, by name."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def state_shapes(family: type[LearnedCodec], preset: Any) -> dict[str, Shape]:
    """Shape of every tensor of a family's model, by name. Allocates nothing."""
    with torch.device("meta"):
        return shapes_of(family(preset))


def foreign_names(names: Iterable[str], modules: Mapping[str, str]) -> dict[str, str]:
    """Foreign name of each of the family's tensors. modules: foreign path of each of the family's modules.

    Tensors of modules that are not listed are left out.
    """
    split = {name: name.rpartition(".") for name in names}
    return {name: f"{modules[module]}.{leaf}" for name, (module, _, leaf) in split.items() if module in modules}


def width(entries: Mapping[str, Any], name: str, otherwise: int) -> int:
    """Length of a tensor. Where there is none this is `otherwise`: whoever compares the layouts next will list it."""
    entry = entries.get(name)
    return entry.shape[0] if isinstance(entry, Tensor) and entry.ndim else otherwise


def mismatches(entries: Mapping[str, Any], shapes: Mapping[str, Shape]) -> list[str]:
    """A line for each entry that is unused, each that is missing, and each that is no tensor of the shape."""
    problems = [f"{name}: unused" for name in sorted(entries.keys() - shapes.keys())]
    problems += [f"{name}: missing" for name in sorted(shapes.keys() - entries.keys())]
    for name in sorted(shapes.keys() & entries.keys()):
        entry = entries[name]
        given = tuple(entry.shape) if isinstance(entry, Tensor) else type(entry).__name__
        if given != shapes[name]:
            problems.append(f"{name}: has shape {given}, should have {shapes[name]}")
    return problems


def require_layout(
    origin: str, entries: Mapping[str, Any], shapes: Mapping[str, Shape], hint: str | None = None
) -> None:
    """Raise CheckpointRejected, with the list, for `mismatches`. Afterwards all entries are known to be tensors."""
    problems = mismatches(entries, shapes)
    if problems:
        raise CheckpointRejected(f"does not fit the layout of {origin}:\n  " + "\n  ".join(problems), hint=hint)
