"""Which graphs of a bundle are meant by values of knobs, for commands that work on several at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgecodec.container import QUALITY_STEPS
from edgecodec.description import BakedGraph, Description, Knobs, Side
from edgecodec.errors import KnobUnavailable
from edgecodec.knobs import QUALITY, decimal, describe

#: Values by knob; a graph is chosen where each of these knobs that its side has, has one of its values.
Wanted = Mapping[str, Sequence[float]]

_NOUNS = {"decode": "decoder", "encode": "encoder"}


def choose(info: Description, sides: Sequence[Side], wanted: Wanted, precision: str | None) -> list[int]:
    """Numbers of the graphs of these sides that are wanted, all of them for no knobs. precision: None for every one.

    Where a quality chooses among models, it chooses the decoders of a model too.

    Raises KnobUnavailable for a knob or a value that no such graph has, and where none has all of them.
    """
    graphs = [replace(graph, knobs=info.knobs_of(graph)) for graph in info.graphs]
    sides_graphs = [graph for graph in graphs if graph.side in sides]
    for knob, values in wanted.items():
        _check(sides_graphs, sides, knob, values)
    precisions = sorted({graph.precision for graph in sides_graphs})
    if precision is not None and precision not in precisions:
        raise KnobUnavailable(f"nothing was exported in {precision}", hint=f"the bundle has {', '.join(precisions)}")
    known = {side: {knob for graph in graphs if graph.side == side for knob in graph.knobs} for side in sides}
    chosen = [
        number
        for number, graph in enumerate(graphs)
        if graph.side in sides
        and precision in (None, graph.precision)
        and _matches(graph.knobs, {knob: values for knob, values in wanted.items() if knob in known[graph.side]})
    ]
    for side in sides:
        if not any(graphs[number].side == side for number in chosen):
            raise KnobUnavailable(
                f"no {_NOUNS[side]} has all of these values",
                hint=f"the bundle has {_points([graph for graph in graphs if graph.side == side])}",
            )
    return chosen


def _check(graphs: Sequence[BakedGraph], sides: Sequence[Side], knob: str, values: Sequence[float]) -> None:
    baked = sorted({graph.knobs[knob] for graph in graphs if knob in graph.knobs})
    if not baked:
        raise KnobUnavailable(f"{' and '.join(sides)} takes no {knob}", hint=f"the bundle has {_points(graphs)}")
    for value in values:
        if not any(_same(knob, value, each) for each in baked):
            raise KnobUnavailable(
                f"nothing was exported for {describe({knob: value})}",
                hint=f"the bundle has {knob} {', '.join(map(decimal, baked))}",
            )


def _matches(knobs: Knobs, wanted: Wanted) -> bool:
    return all(
        knob in knobs and any(_same(knob, value, knobs[knob]) for value in values) for knob, values in wanted.items()
    )


def _same(knob: str, one: float, other: float) -> bool:
    """As the runtime compares them: values travel as decimals, and quality through files in steps of its own."""
    if knob == QUALITY and math.isfinite(one):
        return round(one * QUALITY_STEPS) == round(other * QUALITY_STEPS)
    return math.isclose(one, other, abs_tol=1e-9)


def _points(graphs: Sequence[BakedGraph]) -> str:
    return ", ".join(sorted({describe(graph.knobs) for graph in graphs}))
