"""The layout of a state dict, names and shapes, and strictness about it: what all importers share."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints.configuration import LARGEST
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.messages import first_few

Shape = tuple[int, ...]

#: What weights come in. The integers of a quantised file mean something only with what lies beside them.
WEIGHTS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_DATA_PARALLEL = "module."  # what PyTorch's DataParallel puts ahead of the name of every tensor


def state_dict_in(content: Mapping[str, Any], key: str | None) -> Mapping[Any, Any]:
    """The state dict that a file holds under a key, or is itself where it has no such key."""
    found = content.get(key, content)
    return found if isinstance(found, Mapping) else {}


def state_dict_keys(content: Any) -> set[str]:
    """The keys of what may be a state dict, without the prefix of data-parallel training, for recognition.

    Taken off each name alone: a file in which only some have it should be refused by `entries_of` and its list.
    """
    return {str(key).removeprefix(_DATA_PARALLEL) for key in content} if isinstance(content, Mapping) else set()


def entries_of(state_dict: Mapping[Any, Any]) -> dict[str, Any]:
    """Its entries, tensors or not; the prefix of data-parallel training is taken off where all names have it.

    Raises CheckpointRejected, with the list, for keys that are not printable text.
    """
    others = [
        f"{key!r}: of type {type(key).__name__}"
        for key in state_dict
        if not isinstance(key, str) or not key.isprintable()
    ]
    if others:
        raise CheckpointRejected("holds keys that are not names:\n  " + "\n  ".join(first_few(others, "of them")))
    prefix = _DATA_PARALLEL if all(name.startswith(_DATA_PARALLEL) for name in state_dict) else ""
    return {name.removeprefix(prefix): entry for name, entry in state_dict.items()}


def left_beside(content: Mapping[str, Any], *used: str) -> dict[str, str]:
    """A note on each tensor, and each mapping as of an optimiser, that a file holds beside what is `used`."""
    others = [key for key, each in content.items() if key not in used and isinstance(each, Mapping | Tensor)]
    names = sorted(str(key) if str(key).isprintable() else ascii(key) for key in others)
    return {f"left out {name}": "beside the weights" for name in names}


def count_of(value: Any) -> str:
    """Iterations or steps, for a note."""
    return str(value) if type(value) is int else "unknown"


def shapes_of(model: nn.Module) -> dict[str, Shape]:
    """Shape of every tensor of a model, by name."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def state_shapes(family: type[LearnedCodec], preset: Any) -> dict[str, Shape]:
    """Shape of every tensor of a family's model, by name. Allocates nothing.

    Raises CheckpointRejected for a preset that no model can have.
    """
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tensors without values, which are refused
            shapes = shapes_of(family(preset))
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AssertionError) as error:
        raise CheckpointRejected(f"no {family.FAMILY} can be of {preset}") from error
    if not all(map(all, shapes.values())):
        raise CheckpointRejected(f"no {family.FAMILY} can be of {preset}: it would have tensors without values")
    return shapes


def foreign_names(names: Iterable[str], modules: Mapping[str, str]) -> dict[str, str]:
    """Foreign name of each of the family's tensors. modules: foreign path of each of the family's modules.

    Tensors of modules that are not listed are left out.
    """
    split = {name: name.rpartition(".") for name in names}
    return {name: f"{modules[module]}.{leaf}" for name, (module, _, leaf) in split.items() if module in modules}


def widths_along(entries: Mapping[str, Any], axes: Mapping[str, int]) -> list[int]:
    """Lengths along one axis each, of those of the named tensors that are there and may be weights of a codec."""
    given = [(entries.get(name), axis) for name, axis in axes.items()]
    lengths = [each.shape[axis] for each, axis in given if not unusable(each) and each.ndim > axis]
    return [length for length in lengths if 0 < length <= LARGEST]


def width(entries: Mapping[str, Any], axes: Mapping[str, int], otherwise: int) -> int:
    """The most common of `widths_along`, and of equals the first, so that one tensor that is off is alone in its list.

    Where none is there this is `otherwise`: whoever compares the layouts next will list them.
    """
    return next((length for length, _ in Counter(widths_along(entries, axes)).most_common(1)), otherwise)


def repetitions(entries: Iterable[str], pattern: str) -> int:
    """How many alike modules there are, after the highest of their numbers, which the pattern has as its group.

    Numbers of three digits and more are no one's, and come out as unused.
    """
    found = (re.match(pattern, name) for name in entries)
    return max((int(match[1]) + 1 for match in found if match and len(match[1]) < 3), default=0)


def unusable(entry: Any) -> str | None:
    """Why an entry cannot be weights, whatever its shape. None if it can."""
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
    """A line for each entry that is unused, each that is missing, and each that is no weights of the shape."""
    misfits = {name: _misfit(entries[name], shapes[name]) for name in sorted(shapes.keys() & entries.keys())}
    return [
        *first_few([f"{name}: unused" for name in sorted(entries.keys() - shapes.keys())], "unused"),
        *first_few([f"{name}: missing" for name in sorted(shapes.keys() - entries.keys())], "missing"),
        *first_few([f"{name}: {misfit}" for name, misfit in misfits.items() if misfit], "that do not fit"),
    ]


def require_layout(
    origin: str,
    entries: Mapping[str, Any],
    shapes: Mapping[str, Shape],
    *,
    others: Sequence[str] = (),
    hint: str | None = None,
) -> None:
    """Raise CheckpointRejected, with the list, for `mismatches`. Afterwards all entries are known to be weights.

    others: lines about what else of the file does not fit.
    """
    problems = [*others, *mismatches(entries, shapes)]
    if problems:
        raise CheckpointRejected(f"does not fit the layout of {origin}:\n  " + "\n  ".join(problems), hint=hint)


def _misfit(entry: Any, shape: Shape) -> str | None:
    given = () if unusable(entry) else tuple(entry.shape)
    return unusable(entry) or (None if given == shape else f"has shape {given}, should have {shape}")
