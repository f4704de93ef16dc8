"""Which baked graph belongs to which knobs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edgecodec.description import BakedGraph, Description, Knob, Knobs, Side
from edgecodec.errors import KnobUnavailable

#: The one knob that a coded picture carries, because encoder and decoder must agree on it.
QUALITY = "quality"


def check_known(description: Description, side: Side, asked: Knobs) -> None:
    """Raise KnobUnavailable, with a list of the knobs, for a knob that no graph of this side has."""
    offers = {"encode": _offers(description, "encode"), "decode": _offers(description, "decode")}
    offers["decode"].pop(QUALITY, None)  # the file carries it, so a decoder cannot be asked for another
    unknown = [name if name.isidentifier() else repr(name) for name in sorted(asked.keys() - offers[side].keys())]
    if unknown:
        sides = [f"{_words(offer)} to {each}" for each, offer in offers.items() if offer]
        hint = f"the knobs are {', '.join(sides)}" if sides else "the bundle has no knobs"
        raise KnobUnavailable(f"{side} takes no {' and no '.join(unknown)}", hint=hint)


def graphs_of(description: Description, side: Side, model: int, precision: str | None) -> list[BakedGraph]:
    """The graphs of one side, model and precision, None for all. Raises KnobUnavailable."""
    graphs = [graph for graph in description.graphs if graph.side == side and graph.model == model]
    found = [graph for graph in graphs if precision in (None, graph.precision)]
    if graphs and not found:
        available = ", ".join(sorted({graph.precision for graph in graphs}))
        raise KnobUnavailable(f"nothing was exported in {precision}", hint=f"the bundle has {available}")
    return found


def choose(description: Description, graphs: Sequence[BakedGraph], asked: Knobs, any_default: bool) -> BakedGraph:
    """The first graph baked at the `asked` values, and at the defaults for every other knob, or at any of these."""
    for graph in graphs:
        defaults = {knob.name: knob.default for knob in description.knobs if knob.side == graph.side}
        if _fits(description, graph, asked, {} if any_default else defaults):
            return graph
    raise KnobUnavailable(
        f"nothing was exported for {describe(asked)}", hint=f"the bundle has {_exported(graphs, asked)}"
    )


def values(graphs: Sequence[BakedGraph], knob: str) -> list[float]:
    """The values that a knob was baked at, ascending."""
    return sorted({graph.knobs[knob] for graph in graphs if knob in graph.knobs})


def input_value(knob: Knob, asked: Knobs) -> float:
    """The value of an input: that asked for, or the default. Raises KnobUnavailable."""
    value = asked.get(knob.name, knob.default)
    if not knob.low <= value <= knob.high:
        raise KnobUnavailable(f"{knob.name}={decimal(value)} is out of range", hint=f"the bundle takes {_range(knob)}")
    return value


def describe(knobs: Knobs) -> str:
    """For messages: "alpha=0.5 beta=3.84", or "no knobs"."""
    return " ".join(f"{name}={decimal(value)}" for name, value in sorted(knobs.items())) or "no knobs"


def decimal(value: float) -> str:
    """The shortest decimal that reads back as this very value: "2", "1.296875"."""
    return repr(float(value)).removesuffix(".0")


def quantised(quality: float) -> float:
    """The nearest multiple of 1/64, halves to even. What is not finite stays as it is."""
    scaled = quality * 64
    return round(scaled) / 64 if math.isfinite(scaled) else scaled


def _offers(description: Description, side: Side) -> dict[str, str]:
    """Values that graphs take, by knob in alphabetical order: {"n": "-2 to 2", "quality": "0, 1.5, 4"}."""
    graphs = [graph for graph in description.graphs if graph.side == side]
    baked = {name for graph in graphs for name in graph.knobs}
    offers = {name: _list(graphs, name) for name in baked}
    for graph in graphs:
        offers |= {knob.name: _range(knob) for knob in _inputs(description, graph)}
    return dict(sorted(offers.items()))


def _words(offer: Mapping[str, str]) -> str:
    return " and ".join(f"{name} ({taken})" for name, taken in offer.items())


def _exported(graphs: Sequence[BakedGraph], asked: Knobs) -> str:
    """For a hint: the values of the first knob whose value was not exported, or else all exported points."""
    for name, value in sorted(asked.items()):
        baked = values(graphs, name)
        if baked and not any(_same(name, value, each) for each in baked):
            return f"{name} {_list(graphs, name)}"
    return ", ".join(sorted({describe(graph.knobs) for graph in graphs}))


def _list(graphs: Sequence[BakedGraph], knob: str) -> str:
    return ", ".join(map(decimal, values(graphs, knob)))


def _range(knob: Knob) -> str:
    return f"{decimal(knob.low)} to {decimal(knob.high)}"


def _inputs(description: Description, graph: BakedGraph) -> list[Knob]:
    """The knobs that are not baked."""
    names = {port.of for port in graph.inputs if port.role == "knob"}
    return [knob for knob in description.knobs if knob.side == graph.side and knob.name in names]


def _fits(description: Description, graph: BakedGraph, asked: Knobs, defaults: Knobs) -> bool:
    if not asked.keys() <= graph.knobs.keys() | {knob.name for knob in _inputs(description, graph)}:
        return False
    return all(_same(name, value, asked.get(name, defaults.get(name, value))) for name, value in graph.knobs.items())


def _same(knob: str, one: float, other: float) -> bool:
    """Values travel through texts and command lines as decimals, and quality through files in steps of its own."""
    if knob == QUALITY:
        return quantised(one) == quantised(other)
    return math.isclose(one, other, abs_tol=1e-9)
