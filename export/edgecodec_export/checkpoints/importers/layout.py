"""Converting a foreign state dict: names, the sizes that shapes tell, and strictness. What all importers share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.configuration import LARGEST
from edgecodec_export.checkpoints.importers.state_dicts import StateDict
from edgecodec_export.checkpoints.tensor_mismatches import Shape, mismatches, unusable


def count_of(value: Any) -> str:
    """A number of iterations or steps as a note; "unknown" if it is not an integer."""
    return str(value) if type(value) is int else "unknown"


def foreign_names(names: Iterable[str], modules: Mapping[str, str]) -> dict[str, str]:
    """The origin's name of each of the family's tensors. modules: the origin's path of each of the family's modules.

    Tensors of modules that are not listed do not appear.
    """
    split = {name: name.rpartition(".") for name in names}
    return {name: f"{modules[module]}.{leaf}" for name, (module, _, leaf) in split.items() if module in modules}


def widths_along(entries: Mapping[str, Any], axes: Mapping[str, int]) -> list[int]:
    """Lengths of the named tensors, each along the one axis that `axes` gives for it.

    Skips tensors that are absent, cannot be weights, or are longer than any codec's.
    """
    found = [(entries.get(name), axis) for name, axis in axes.items()]
    lengths = [each.shape[axis] for each, axis in found if isinstance(each, Tensor) and _has_axis(each, axis)]
    return [length for length in lengths if 0 < length <= LARGEST]


def _has_axis(tensor: Tensor, axis: int) -> bool:
    return not unusable(tensor) and tensor.ndim > axis


def width(entries: Mapping[str, Any], axes: Mapping[str, int], otherwise: int) -> int:
    """The most common of `widths_along`, the first of equally common ones: a single wrong tensor is then listed alone.

    `otherwise` where there is none; the comparison of layouts that follows lists the missing tensors.
    """
    return next((length for length, _ in Counter(widths_along(entries, axes)).most_common(1)), otherwise)


def repetitions(entries: Iterable[str], pattern: str) -> int:
    """How many numbered modules there are: 1 + the largest number that the pattern's group finds in a name.

    No codec numbers its modules in three digits; such names are ignored here and then listed as unused.
    """
    found = (re.match(pattern, name) for name in entries)
    return max((int(match[1]) + 1 for match in found if match and len(match[1]) < 3), default=0)


def require_layout(
    origin: str,
    stored: StateDict,
    shapes: Mapping[str, Shape],
    *,
    others: Sequence[str] = (),
    hint: str | None = None,
) -> None:
    """Raise CheckpointRejected, with the list in the file's own keys, for entries that do not have these shapes.

    Without an error all entries are weights, and the file holds no others.

    others: lines about other parts of the file that do not fit.
    """
    entries = {stored.key(name): entry for name, entry in stored.entries.items()}
    expected = {stored.key(name): shape for name, shape in shapes.items()}
    problems = [*others, *mismatches(entries | dict.fromkeys(stored.unused), expected)]
    if problems:
        raise CheckpointRejected(f"does not fit the layout of {origin}:\n  " + "\n  ".join(problems), hint=hint)


def checkpoint(
    stored: StateDict,
    family: str,
    preset: str,
    notes: Mapping[str, str],
    names: Mapping[str, str],
    tensors: dict[str, Tensor],
    configuration: Any = None,
) -> Checkpoint:
    """The checkpoint that `tensors` are of. names: the origin's name of each tensor that the file has as such."""
    keys = {name: stored.key(foreign) for name, foreign in names.items()}
    return Checkpoint(
        family, preset, {**notes, **stored.notes}, tensors, configuration, left_out=stored.left_out, keys=keys
    )
