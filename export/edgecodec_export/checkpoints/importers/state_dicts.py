"""Finding a codec's weights in what a file holds, whatever they are wrapped in.

Training code wraps models: PyTorch's DataParallel, torch.compile and Lightning put a prefix before every name, and
training states hold the weights beside optimisers, options, running averages (EMA) and the networks of the losses. No
wrapper around a whole model is known here by its name: the beginnings of a layout's names are looked for behind every
prefix and in every nested mapping, and where what is found is the layout, the prefix is taken off. People also save a
state dictionary for each network; where nothing else is a layout, these are joined.
"""

from __future__ import annotations

import re
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints.nesting import Path, enclosing, joined, nested_mappings
from edgecodec_export.text import first_few

_MOST_PARTS = 24  # of a key, between dots: layouts have up to eight, and each wrapper adds one

# Wrappers of single layers. They stand in the middle of names, and no layout has layers of these names.
_WRAPPERS = frozenset(("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))

# The networks of losses and metrics, by a part of their keys.
_METRIC = re.compile(r"(?i:lpips|vgg|discriminator|perceptual|criterion)|^(?i:disc|netd|loss(_fn|es)?|metrics?)$")

# Running averages of the weights: "ema", "model_ema", "netEMA", "swa".
_AVERAGED = re.compile(r"(?<![A-Za-z])(?:ema|swa|averaged?)(?![A-Za-z])|EMA|SWA")

#: The topics of notes about where the weights were in the file.
WRAPPING = ("taken from", "prefix", "wrappers", "networks")

_COPY = "another copy of the weights"
_BESIDE = "beside the weights"


class Layout(Protocol):
    """What the search needs of an importer, which documents these."""

    @property
    def STATE(self) -> str | None: ...

    @property
    def ROOTS(self) -> tuple[str, ...]: ...

    @property
    def OPTIONS(self) -> tuple[str, ...]: ...

    def has_layout(self, names: AbstractSet[str]) -> bool: ...


AnyLayout = TypeVar("AnyLayout", bound=Layout)


@dataclass(frozen=True)
class StateDict:
    """A codec's weights in a file.

    entries: tensors, or what is in their place, by the names that the origin gives them. keys: the file's own keys of
    the entries. prefix: what was taken off the keys. unused: other keys in the same mapping, which nothing explains.
    around: what else the file holds, by key: the mapping of the weights itself before those around it. notes, left_out:
    as in `Checkpoint`.
    """

    entries: Mapping[str, Any]
    keys: Mapping[str, str]
    prefix: str
    unused: tuple[str, ...]
    around: Mapping[Any, Any]
    notes: Mapping[str, str]
    left_out: Mapping[str, str]

    def key(self, name: str) -> str:
        """The file's own key of an entry, there or missing, by its name at the origin."""
        return self.keys.get(name, self.prefix + name)


@dataclass(frozen=True)
class _Copy:
    """A place where names of a layout are: behind a prefix in the mapping at a path.

    names: by the origin's name, the file's key.
    """

    path: Path
    mapping: Mapping[Any, Any]
    prefix: str
    names: Mapping[str, str]

    @property
    def place(self) -> str:
        return ".".join((*self.path, self.prefix) if self.prefix else self.path)


def recognised(content: Mapping[Any, Any], layouts: Sequence[AnyLayout]) -> tuple[AnyLayout, StateDict] | None:
    """The first of the layouts that the file has, and the weights; None if it has none of them.

    A layout that is there as it is comes before one of joined dictionaries. Of several copies the weights themselves
    come before running averages, and then the copy where the origin has its weights. Raises CheckpointRejected if that
    leaves more than one.
    """
    for joins in (False, True):
        for layout in layouts:
            searched = joined(content, layout.ROOTS) if joins else content
            copies = [copy for copy in _places(searched, layout) if layout.has_layout(copy.names.keys())]
            if copies:
                return layout, _state_dict(searched, layout, _main(copies, layout), copies, joins=joins)
    return None


def closest(content: Mapping[Any, Any], layouts: Sequence[AnyLayout]) -> tuple[AnyLayout, StateDict]:
    """The layout that most of the file's names fit, and where they are, so that what does not fit can be listed.

    There must be at least one layout.
    """
    searched = [(layout, content, False) for layout in layouts]
    searched += [(layout, joined(content, layout.ROOTS), True) for layout in layouts]
    places = [
        (layout, each, copy, joins)
        for layout, each, joins in searched
        for copy in (*_places(each, layout), _usual(each, layout))
    ]
    layout, each, copy, joins = max(places, key=lambda place: len(place[2].names))
    return layout, _state_dict(each, layout, copy, [copy], joins=joins)


def _places(content: Mapping[Any, Any], layout: Layout) -> Iterator[_Copy]:
    for path, mapping in nested_mappings(content):
        groups: dict[str, dict[str, str]] = {}
        for key in filter(lambda each: isinstance(each, str), mapping):
            for start in _starts(key):
                if key.startswith(layout.ROOTS, start):
                    groups.setdefault(key[:start], {})[key[start:]] = key
        for prefix, names in groups.items():
            yield _Copy(path, mapping, prefix, _without_wrappers(names))


def _starts(key: str) -> Iterator[int]:
    """Where the origin's name may start: at the beginning, and behind a dot or slash."""
    yield 0
    for match, _ in zip(re.finditer(r"[./]", key), range(_MOST_PARTS), strict=False):
        yield match.end()


def _usual(content: Mapping[Any, Any], layout: Layout) -> _Copy:
    """The place where the origin has its weights, without any names of the layout."""
    inner = content.get(layout.STATE)
    return _Copy((), content, "", {}) if not isinstance(inner, Mapping) else _Copy((str(layout.STATE),), inner, "", {})


def _without_wrappers(names: Mapping[str, str]) -> dict[str, str]:
    """The names without the wrappers of single layers: parts with a wrapper's name that are all that a layer holds."""
    split = {name: name.split(".") if name.count(".") < _MOST_PARTS else [name] for name in names}
    held: dict[tuple[str, ...], set[str]] = {}
    for parts in split.values():
        for i in range(1, len(parts)):
            held.setdefault(tuple(parts[:i]), set()).add(parts[i])
    wrapped = {layer for layer, inside in held.items() if len(inside) == 1 and inside <= _WRAPPERS}
    if not wrapped:
        return dict(names)
    return {
        ".".join(part for i, part in enumerate(parts) if tuple(parts[:i]) not in wrapped): names[name]
        for name, parts in split.items()
    }


def _main(copies: Sequence[_Copy], layout: Layout) -> _Copy:
    def rank(copy: _Copy) -> tuple[bool, bool]:
        usual = not copy.prefix and copy.path in ((), (layout.STATE,))
        return _AVERAGED.search(copy.place) is not None, not usual

    best = min(map(rank, copies))
    first, *others = [copy for copy in copies if rank(copy) == best]
    if others:
        places = " and ".join(_printable(copy.place) for copy in (first, *others))
        raise CheckpointRejected(
            f"holds the weights more than once: under {places}", hint="save those to export in a file of their own"
        )
    return first


def _state_dict(
    content: Mapping[Any, Any], layout: Layout, main: _Copy, copies: Sequence[_Copy], *, joins: bool
) -> StateDict:
    copied = tuple(copy.prefix for copy in copies if copy.mapping is main.mapping and copy is not main)
    own: dict[str, str] = {}
    beside: dict[str, Any] = {}
    unused: list[str] = []
    left_out: Counter[str] = Counter()
    for key in _names(main.mapping):
        name = key.removeprefix(main.prefix) if key.startswith(main.prefix) else None
        of_layout = name is not None and name.startswith(layout.ROOTS)
        network = _metric_network(key)
        if key.startswith(copied):
            left_out[next(filter(key.startswith, copied))] += 1
        elif network is not None and not of_layout:
            left_out[f"{network}."] += 1
        elif isinstance(main.mapping[key], Mapping) or (not isinstance(main.mapping[key], Tensor) and not of_layout):
            beside[key] = main.mapping[key]
        elif name is None:
            unused.append(key)
        else:
            own[name] = key
    keys = _without_wrappers(own)
    levels = [*enclosing(content, main.path), beside]
    reasons = {f"{part}*": _COPY if part in copied else f"{n} tensors: training only" for part, n in left_out.items()}
    return StateDict(
        entries={name: main.mapping[key] for name, key in keys.items()},
        keys=keys,
        prefix=main.prefix,
        unused=tuple(unused),
        around=ChainMap(*map(dict, reversed(levels))),
        notes=_notes(main, layout, chosen=len(copies) > 1, unwrapped=keys.keys() != own.keys(), joins=joins),
        left_out=reasons | _left_around(levels, main.path, layout.OPTIONS, {copy.path for copy in copies}),
    )


def _names(mapping: Mapping[Any, Any]) -> list[str]:
    """Its keys. Raises CheckpointRejected, with the list, for keys that are not printable text."""
    others = [
        f"{key!r}: of type {type(key).__name__}" for key in mapping if not isinstance(key, str) or not key.isprintable()
    ]
    if others:
        raise CheckpointRejected("holds keys that are not names:\n  " + "\n  ".join(first_few(others, "of them")))
    return list(mapping)


def _metric_network(key: str) -> str | None:
    """The network of a loss or metric that a key is of, as the beginning of the key."""
    parts = (part for part in re.finditer(r"[^./]+", key) if _METRIC.search(part[0]))
    return next((key[: part.end()] for part in parts), None)


def _left_around(
    levels: Sequence[Mapping[Any, Any]], path: Path, options: tuple[str, ...], copies: AbstractSet[Path]
) -> dict[str, str]:
    """`Checkpoint.left_out` for tensors and mappings, such as the state of an optimiser, at each level of the file."""
    left_out = {}
    for depth, level in enumerate(levels):
        for key, each in level.items():
            at = (*path[:depth], key)
            if isinstance(each, Mapping | Tensor) and key not in options and at != path[: depth + 1]:
                copied = any(copy[: depth + 1] == at for copy in copies)
                left_out[_printable(".".join(map(str, at)))] = _COPY if copied else _BESIDE
    return left_out


def _notes(main: _Copy, layout: Layout, *, chosen: bool, unwrapped: bool, joins: bool) -> dict[str, str]:
    notes = {"prefix": f"{main.prefix!r} taken off"} if main.prefix else {}
    if main.path and (chosen or main.path != (layout.STATE,)):
        notes["taken from"] = _printable(".".join(main.path))
    if unwrapped:
        notes["wrappers"] = "those of single layers taken off"
    if joins:
        notes["networks"] = "joined from a dictionary for each"
    return notes


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)
