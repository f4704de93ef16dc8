"""The knobs of a bundle: what its family says of them, and the values at which its graphs were baked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgecodec import description
from edgecodec.description import BakedGraph, Knobs, RateFit, Side
from edgecodec_export.baking import Knob

_SIDES: tuple[Side, Side] = ("encode", "decode")


def describe_knobs(
    declared: Sequence[Knob], graphs: Sequence[BakedGraph], defaults: Knobs, rate_fits: Mapping[str, RateFit]
) -> tuple[description.Knob, ...]:
    """The knobs of these graphs: first those of encoders, in the order in which the family declares them.

    defaults: of knobs that are baked. rate_fits: of knobs that stay inputs.
    """
    return tuple(knob for side in _SIDES for knob in _of_side(side, declared, graphs, defaults, rate_fits))


def _of_side(
    side: Side,
    declared: Sequence[Knob],
    graphs: Sequence[BakedGraph],
    defaults: Knobs,
    rate_fits: Mapping[str, RateFit],
) -> Iterator[description.Knob]:
    sides_graphs = [graph for graph in graphs if graph.side == side]
    inputs = {port.of for graph in sides_graphs for port in graph.inputs if port.role == "knob"}
    for knob in declared:
        values = tuple(sorted({graph.knobs[knob.name] for graph in sides_graphs if knob.name in graph.knobs}))
        if values:
            default = defaults[knob.name]
            yield description.Knob(knob.name, side, knob.help, values, values[0], values[-1], default)
        elif knob.name in inputs and knob.range is not None:
            low, high, default = knob.range.low, knob.range.high, knob.range.default
            yield description.Knob(knob.name, side, knob.help, (), low, high, default, rate_fits.get(knob.name))
