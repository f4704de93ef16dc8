"""Which baked graph answers to alpha, beta and precision. Knobs are folded into weights: only exported values exist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from edgecodec.bundle import AnalysisGraph, Knobs, SynthesisGraph
from edgecodec.errors import KnobUnavailable

Baked = TypeVar("Baked", AnalysisGraph, SynthesisGraph)


def choose(graphs: Sequence[Baked], asked: Knobs, defaults: Knobs) -> Baked:
    """The first graph baked at the `asked` values, and at the defaults for every other knob. Raises KnobUnavailable."""
    matching = matches(graphs, asked, defaults)
    if not matching:
        points = ", ".join(sorted({describe(graph.knobs) for graph in graphs}))
        raise KnobUnavailable(f"nothing was exported for {describe(asked)}", hint=f"the bundle has {points}")
    return matching[0]


def matches(graphs: Sequence[Baked], asked: Knobs, defaults: Knobs) -> list[Baked]:
    """Every graph that `choose` could return, in the order of the manifest."""
    return [graph for graph in graphs if _fits(graph.knobs, asked, defaults)]


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


def _fits(baked: Knobs, asked: Knobs, defaults: Knobs) -> bool:
    if not asked.keys() <= baked.keys():
        return False
    # Values travel through JSON and command lines as decimals.
    return all(
        math.isclose(value, asked.get(name, defaults.get(name, value)), abs_tol=1e-9) for name, value in baked.items()
    )
