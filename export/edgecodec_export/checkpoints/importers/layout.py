"""Reading a foreign state dict: its names, the sizes its shapes tell, and strictness. What all importers share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints.configuration import LARGEST
from edgecodec_export.checkpoints.tensor_mismatches import Shape, mismatches, unusable
from edgecodec_export.text import first_few

_DATA_PARALLEL = "module."  # PyTorch's DataParallel puts this before the name of every tensor


def state_dict_in(content: Mapping[str, Any], key: str | None) -> Mapping[Any, Any]:
    """The state dict that a file holds under `key`. Without such a key the file itself is the state dict."""
    found = content if key is None else content.get(key, content)
    return found if isinstance(found, Mapping) else {}


def state_dict_keys(content: Any) -> set[str]:
    """The keys of what may be a state dict, without the prefix of data-parallel training, for recognition.

    The prefix is removed from each name on its own: `entries_of` is to refuse a file in which only some names have it,
    and list them.
    """
    return {str(key).removeprefix(_DATA_PARALLEL) for key in content} if isinstance(content, Mapping) else set()


def entries_of(state_dict: Mapping[Any, Any]) -> dict[str, Any]:
    """Its entries, tensors or not; the prefix of data-parallel training is removed if all names have it.

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
    """`Checkpoint.left_out` of a file that holds more than what is `used`: other tensors, and mappings such as the
    state of an optimiser.
    """
    others = [key for key, each in content.items() if key not in used and isinstance(each, Mapping | Tensor)]
    names = sorted(str(key) if str(key).isprintable() else ascii(key) for key in others)
    return dict.fromkeys(names, "beside the weights")


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
    entries: Mapping[str, Any],
    shapes: Mapping[str, Shape],
    *,
    others: Sequence[str] = (),
    hint: str | None = None,
) -> None:
    """Raise CheckpointRejected, with the list, for `mismatches`. Without an error all entries are weights.

    others: lines about other parts of the file that do not fit.
    """
    problems = [*others, *mismatches(entries, shapes)]
    if problems:
        raise CheckpointRejected(f"does not fit the layout of {origin}:\n  " + "\n  ".join(problems), hint=hint)
