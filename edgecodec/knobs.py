"""Which baked graph answers to which knobs. Most are folded into weights: only exported values exist."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from edgecodec.errors import KnobUnavailable
from edgecodec.manifest import AnalysisGraph, Knobs, Scalar, SynthesisGraph

Baked = TypeVar("Baked", AnalysisGraph, SynthesisGraph)

#: The one knob that a coded picture carries, because encoder and decoder must agree on it.
QUALITY = "quality"


def given(**values: float | None) -> dict[str, float]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def choose(graphs: Sequence[Baked], asked: Knobs, defaults: Knobs) -> Baked:
    """The first graph baked at the `asked` values, and at the defaults for every other knob. Raises KnobUnavailable."""
    matching = matches(graphs, asked, defaults)
    if not matching:
        raise KnobUnavailable(
            f"nothing was exported for {describe(asked)}", hint=f"the bundle has {_offer(graphs, asked)}"
        )
    return matching[0]


def matches(graphs: Sequence[Baked], asked: Knobs, defaults: Knobs) -> list[Baked]:
    """Every graph that `choose` could return, in the order of the manifest."""
    return [graph for graph in graphs if _fits(graph.knobs, asked, defaults)]


def values(graphs: Sequence[Baked], knob: str) -> list[float]:
    """Where a knob was baked, ascending."""
    return sorted({graph.knobs[knob] for graph in graphs if knob in graph.knobs})


def scalars(inputs: Mapping[str, Scalar], asked: Knobs) -> dict[str, float]:
    """What a graph's scalar inputs get: the values asked for, or their defaults. Raises KnobUnavailable."""
    chosen = {name: asked.get(name, scalar.default) for name, scalar in inputs.items()}
    for name, value in chosen.items():
        if not inputs[name].low <= value <= inputs[name].high:
            raise KnobUnavailable(
                f"{name}={value:g} is out of range",
                hint=f"the bundle takes {inputs[name].low:g} to {inputs[name].high:g}",
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
    return " ".join(f"{name}={value:g}" for name, value in sorted(knobs.items())) or "no knobs"


def _offer(graphs: Sequence[Baked], asked: Knobs) -> str:
    """What could have been asked for: the values of a knob that was asked for in vain, or else all points."""
    for name, value in sorted(asked.items()):
        baked = values(graphs, name)
        if baked and not any(_same(value, each) for each in baked):
            return f"{name} {', '.join(f'{each:g}' for each in baked)}"
    return ", ".join(sorted({describe(graph.knobs) for graph in graphs}))


def _fits(baked: Knobs, asked: Knobs, defaults: Knobs) -> bool:
    if not asked.keys() <= baked.keys():
        return False
    return all(_same(value, asked.get(name, defaults.get(name, value))) for name, value in baked.items())


def _same(one: float, other: float) -> bool:
    """Values travel through JSON and command lines as decimals."""
    return math.isclose(one, other, abs_tol=1e-9)
