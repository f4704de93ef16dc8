"""What importers of plain state dicts share: the family's names and shapes in a foreign layout, and strictness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec.export.families.codec import LearnedCodec

Shape = tuple[int, ...]


def state_dict_keys(content: Any) -> set[str]:
    """The keys of what may be a state dict, without the prefix that data-parallel training leaves."""
    return {str(key).removeprefix("module.") for key in content} if isinstance(content, Mapping) else set()


def tensors_of(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Its tensors; `module.` is taken off the names where all of them have it.

    Raises CheckpointRejected for entries that are not tensors.
    """
    others = [
        f"{name}: is a {type(value).__name__}" for name, value in state_dict.items() if not torch.is_tensor(value)
    ]
    if others:
        raise CheckpointRejected("holds what is not a tensor:\n  " + "\n  ".join(others))
    prefix = "module." if all(name.startswith("module.") for name in state_dict) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state_dict.items()}


def state_shapes(family: type[LearnedCodec], preset: Any) -> dict[str, Shape]:
    """Shape of every tensor of a family's model, by name. Allocates nothing."""
    with torch.device("meta"):
        model = family(preset)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def foreign_names(names: Iterable[str], modules: Mapping[str, str]) -> dict[str, str]:
    """Foreign name of each of the family's tensors. modules: foreign path of each of the family's modules.

    Tensors of modules that are not listed are left out.
    """
    split = {name: name.rpartition(".") for name in names}
    return {name: f"{modules[module]}.{leaf}" for name, (module, _, leaf) in split.items() if module in modules}


def width(tensors: Mapping[str, Tensor], name: str, otherwise: int) -> int:
    """Length of a tensor. A missing one gives `otherwise`: whoever compares the layouts next will list it."""
    tensor = tensors.get(name)
    return otherwise if tensor is None or tensor.ndim == 0 else tensor.shape[0]


def require_layout(origin: str, tensors: Mapping[str, Tensor], shapes: Mapping[str, Shape]) -> None:
    """Raise CheckpointRejected, with the list, for tensors that are unused, missing or of another shape."""
    problems = [f"{name}: unused" for name in sorted(tensors.keys() - shapes.keys())]
    problems += [f"{name}: missing" for name in sorted(shapes.keys() - tensors.keys())]
    for name in sorted(shapes.keys() & tensors.keys()):
        given = tuple(tensors[name].shape)
        if given != shapes[name]:
            problems.append(f"{name}: has shape {given}, should have {shapes[name]}")
    if problems:
        raise CheckpointRejected(f"does not fit the layout of {origin}:\n  " + "\n  ".join(problems))
