"""Which decoders of a bundle are fused, and what the files are called."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from edgecodec.description import BakedGraph, Description, Knobs
from edgecodec.errors import KnobUnavailable
from edgecodec.knobs import QUALITY, decimal, describe
from edgecodec_export.fused.graph import QUALITY_STEPS
from edgecodec_export.text import suffix

#: Values by knob; a decoder is chosen where each of these knobs has one of its values.
Wanted = Mapping[str, Sequence[float]]


def choose(info: Description, wanted: Wanted, precision: str | None) -> list[int]:
    """Numbers of the decoders that are wanted, all of them for no knobs. precision: None for every one.

    Raises KnobUnavailable for a knob or a value that no decoder has, and where no decoder has all of them.
    """
    decoders = [graph for graph in info.graphs if graph.side == "decode"]
    for knob, values in wanted.items():
        _check(decoders, knob, values)
    precisions = sorted({graph.precision for graph in decoders})
    if precision is not None and precision not in precisions:
        raise KnobUnavailable(f"nothing was exported in {precision}", hint=f"the bundle has {', '.join(precisions)}")
    chosen = [
        number
        for number, graph in enumerate(info.graphs)
        if graph.side == "decode" and precision in (None, graph.precision) and _matches(graph.knobs, wanted)
    ]
    if not chosen:
        raise KnobUnavailable("no decoder has all of these values", hint=f"the bundle has {_points(decoders)}")
    return chosen


def file_name(info: Description, number: int) -> str:
    """Of a decoder's fused graph."""
    return f"decode{point_name(info, number)}.onnx"


def point_name(info: Description, number: int) -> str:
    """What tells a decoder from the others: its knobs, and the model and the precision where the bundle has several."""
    decoders = [graph for graph in info.graphs if graph.side == "decode"]
    graph = info.graphs[number]
    model = f"-{info.models[graph.model].id}" if len(info.models) > 1 else ""
    several = len({each.precision for each in decoders}) > 1
    # A bundle may call a precision as it likes.
    precision = "-" + re.sub(r"[^\w.+-]", "_", graph.precision, flags=re.ASCII) if several else ""
    return f"{model}{suffix(graph.knobs)}{precision}"


def _check(decoders: Sequence[BakedGraph], knob: str, values: Sequence[float]) -> None:
    baked = sorted({graph.knobs[knob] for graph in decoders if knob in graph.knobs})
    if not baked:
        raise KnobUnavailable(f"decode takes no {knob}", hint=f"the bundle has {_points(decoders)}")
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


def _points(decoders: Sequence[BakedGraph]) -> str:
    return ", ".join(sorted({describe(graph.knobs) for graph in decoders}))
