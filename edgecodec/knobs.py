"""Which baked graph belongs to which knobs. Most knobs are folded into weights: only exported values exist."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Literal, TypeVar

from edgecodec.container import quantised
from edgecodec.errors import InvalidArgument, KnobUnavailable
from edgecodec.manifest import AnalysisGraph, BundleInfo, Knobs, Scalar, SynthesisGraph

Baked = TypeVar("Baked", AnalysisGraph, SynthesisGraph)
Verb = Literal["encode", "decode"]

#: The one knob that a coded picture carries, because encoder and decoder must agree on it.
QUALITY = "quality"


def asked(knobs: Mapping[str, float | None] | None, shorthands: Mapping[str, float | None]) -> dict[str, float]:
    """The values of both, without those that are None, which stands for the bundle's default.

    Raises InvalidArgument for a knob that is in both, for a name that is no text and for a value that is no number.
    """
    knobs = {} if knobs is None else knobs
    if not isinstance(knobs, Mapping) or not all(isinstance(name, str) for name in knobs):
        raise InvalidArgument(f"knobs is {knobs!r}", hint='give values by name, like {"alpha": 0.5}')
    if twice := sorted(knobs.keys() & shorthands.keys()):
        raise InvalidArgument(f"{' and '.join(twice)} given twice", where="knobs", hint="give each knob once")
    values = {name: value for name, value in {**knobs, **shorthands}.items() if value is not None}
    for name, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise InvalidArgument(f"{name} is {value!r}", hint="give a number, if this is the name of a knob")
    try:
        return {name: float(value) for name, value in values.items()}
    except OverflowError as error:
        raise InvalidArgument("a knob has a value too large for a float", hint="give a smaller number") from error


def check_known(info: BundleInfo, verb: Verb, asked: Knobs) -> None:
    """Raise KnobUnavailable, with a list of the knobs, for a knob that no graph for `verb` has."""
    offers = {"encode": _offers(info.analysis), "decode": _offers(info.synthesis)}
    offers["decode"].pop(QUALITY, None)  # the file carries it, so a decoder cannot be asked for another
    unknown = [name if name.isidentifier() else repr(name) for name in sorted(asked.keys() - offers[verb].keys())]
    if unknown:
        sides = [f"{_words(offer)} to {each}" for each, offer in offers.items() if offer]
        hint = f"the knobs are {', '.join(sides)}" if sides else "the bundle has no knobs"
        raise KnobUnavailable(f"{verb} takes no {' and no '.join(unknown)}", hint=hint)


def choose(graphs: Sequence[Baked], asked: Knobs, defaults: Knobs) -> Baked:
    """The first graph baked at the `asked` values, and at the defaults for every other knob. Raises KnobUnavailable."""
    matching = matches(graphs, asked, defaults)
    if not matching:
        raise KnobUnavailable(
            f"nothing was exported for {describe(asked)}", hint=f"the bundle has {_exported(graphs, asked)}"
        )
    return matching[0]


def matches(graphs: Sequence[Baked], asked: Knobs, defaults: Knobs) -> list[Baked]:
    """Every graph that `choose` could return, in the order of the manifest."""
    return [graph for graph in graphs if _fits(graph, asked, defaults)]


def values(graphs: Sequence[Baked], knob: str) -> list[float]:
    """The values that a knob was baked at, ascending."""
    return sorted({graph.knobs[knob] for graph in graphs if knob in graph.knobs})


def scalars(inputs: Mapping[str, Scalar], asked: Knobs) -> dict[str, float]:
    """Values for a graph's scalar inputs: those asked for, or the defaults. Raises KnobUnavailable."""
    chosen = {name: asked.get(name, scalar.default) for name, scalar in inputs.items()}
    for name, value in chosen.items():
        if not inputs[name].low <= value <= inputs[name].high:
            raise KnobUnavailable(
                f"{name}={decimal(value)} is out of range", hint=f"the bundle takes {_range(inputs[name])}"
            )
    return chosen


def with_precision(graphs: Sequence[SynthesisGraph], precision: str | None) -> list[SynthesisGraph]:
    """The graphs of one precision, or all of them for None. Raises KnobUnavailable."""
    found = [graph for graph in graphs if precision in (None, graph.precision)]
    if not found:
        available = ", ".join(sorted({graph.precision for graph in graphs}))
        raise KnobUnavailable(f"nothing was exported in {precision}", hint=f"the bundle has {available}")
    return found


def describe(knobs: Knobs) -> str:
    """For messages: "alpha=0.5 beta=3.84", or "no knobs"."""
    return " ".join(f"{name}={decimal(value)}" for name, value in sorted(knobs.items())) or "no knobs"


def decimal(value: float) -> str:
    """The shortest decimal that reads back as this very value: "2", "1.296875"."""
    return repr(float(value)).removesuffix(".0")


def _offers(graphs: Sequence[Baked]) -> dict[str, str]:
    """Values that graphs take, by knob in alphabetical order: {"n": "-2 to 2", "quality": "0, 1.5, 4"}."""
    baked = {name for graph in graphs for name in graph.knobs}
    offers = {name: _list(graphs, name) for name in baked}
    for graph in graphs:
        offers |= {name: _range(scalar) for name, scalar in _inputs(graph).items()}
    return dict(sorted(offers.items()))


def _words(offer: Mapping[str, str]) -> str:
    return " and ".join(f"{name} ({taken})" for name, taken in offer.items())


def _exported(graphs: Sequence[Baked], asked: Knobs) -> str:
    """For a hint: the values of the first knob whose value was not exported, or else all exported points."""
    for name, value in sorted(asked.items()):
        baked = values(graphs, name)
        if baked and not any(_same(name, value, each) for each in baked):
            return f"{name} {_list(graphs, name)}"
    return ", ".join(sorted({describe(graph.knobs) for graph in graphs}))


def _list(graphs: Sequence[Baked], knob: str) -> str:
    return ", ".join(map(decimal, values(graphs, knob)))


def _range(scalar: Scalar) -> str:
    return f"{decimal(scalar.low)} to {decimal(scalar.high)}"


def _inputs(graph: AnalysisGraph | SynthesisGraph) -> Mapping[str, Scalar]:
    """The knobs that are not baked."""
    return graph.scalars if isinstance(graph, AnalysisGraph) else {}


def _fits(graph: AnalysisGraph | SynthesisGraph, asked: Knobs, defaults: Knobs) -> bool:
    if not asked.keys() <= graph.knobs.keys() | _inputs(graph).keys():
        return False
    return all(_same(name, value, asked.get(name, defaults.get(name, value))) for name, value in graph.knobs.items())


def _same(knob: str, one: float, other: float) -> bool:
    """Values travel through JSON and command lines as decimals, and quality through files in steps of its own."""
    if knob == QUALITY:
        return quantised(one) == quantised(other)
    return math.isclose(one, other, abs_tol=1e-9)
