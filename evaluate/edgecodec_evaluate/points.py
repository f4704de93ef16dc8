"""What a bundle can be asked for: the points of its encoders, and of its decoders for each of them.

Knobs are taken as the bundle describes them. A knob that encoder and decoder both have is carried by the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from edgecodec.description import BakedGraph, Description, Knob, Side
from edgecodec.errors import KnobUnavailable
from edgecodec.knobs import decimal, describe
from edgecodec_evaluate.names import one_line

#: Values of a knob without baked ones, from one end of its range to the other; its default comes on top.
SAMPLES = 5
#: From which ratio of the ends on they are at equal ratios, and not at equal distances.
_DECADES = 100.0

Values = dict[str, float]


@dataclass(frozen=True)
class EncoderPoint:
    """knobs: of the encoder. decoders: the knobs of each decoder of its files. default: whether all are defaults."""

    knobs: Values
    decoders: tuple[Values, ...]
    default: bool

    @property
    def name(self) -> str:
        return label(self.knobs)


def label(knobs: Mapping[str, float]) -> str:
    """ "quality=2", or "" for no knobs."""
    return describe(knobs) if knobs else ""


def points(bundle: Description, chosen: Mapping[str, Sequence[float]] | None = None) -> list[EncoderPoint]:
    """Every point of a bundle, or those with the values that `chosen` has for some of its knobs.

    Raises KnobUnavailable for knobs and values that the bundle does not have.
    """
    chosen = chosen or {}
    _check(bundle, chosen)
    carried = {knob.name for knob in bundle.knobs if knob.side == "encode"}
    defaults = {knob.name: knob.default for knob in bundle.knobs if knob.side == "encode"}
    found = []
    for graph, knobs in _of_side(bundle, "encode", chosen):
        decoders = [
            {name: value for name, value in others.items() if name not in carried}
            for decoder, others in _of_side(bundle, "decode", chosen)
            if decoder.model == graph.model and all(knobs.get(name, value) == value for name, value in others.items())
        ]
        if decoders:
            found.append(EncoderPoint(knobs, tuple(_each_once(decoders)), knobs.items() <= defaults.items()))
    if not found:
        raise KnobUnavailable(
            "no encoder and decoder of the bundle have these values together", where=bundle_name(bundle), hint=_HINT
        )
    return found


def bundle_name(bundle: Description) -> str:
    return one_line(" ".join(filter(None, (bundle.family, bundle.preset))))


_HINT = "edgecodec inspect shows which it has"


def _of_side(
    bundle: Description, side: Side, chosen: Mapping[str, Sequence[float]]
) -> Iterator[tuple[BakedGraph, Values]]:
    """A graph for each set of baked values, with each set of values of the knobs that are its inputs."""
    seen: list[tuple[int, Mapping[str, float]]] = []
    scalars = [knob for knob in bundle.knobs if knob.side == side and not knob.values]
    for graph in bundle.graphs:
        wanted = all(value in chosen.get(name, (value,)) for name, value in graph.knobs.items())
        if graph.side != side or not wanted or (graph.model, graph.knobs) in seen:
            continue  # graphs of one point differ in precision
        seen.append((graph.model, graph.knobs))
        taken = [knob for knob in scalars if any(port.of == knob.name for port in graph.inputs)]
        for values in product(*(chosen.get(knob.name) or _samples(knob) for knob in taken)):
            yield graph, {**graph.knobs, **{knob.name: value for knob, value in zip(taken, values, strict=True)}}


def _samples(knob: Knob) -> tuple[float, ...]:
    """Values over the whole range of a knob, and its default.

    At equal distances; or at equal ratios where the range spans decades, and from the default on where it begins at 0,
    which then comes on top. Raises KnobUnavailable for a range without an end.
    """
    low, high = knob.low, knob.high
    if not (math.isfinite(low) and math.isfinite(high)):
        raise KnobUnavailable(
            f"{knob.name} goes from {decimal(low)} to {decimal(high)}, and no values of it say all",
            hint=f"choose some, as by --knob {knob.name}={decimal(knob.default)}",
        )
    first = low if low != 0 else min(max(knob.default, 0.0), high)
    parts = [i / (SAMPLES - 1) for i in range(1, SAMPLES - 1)]
    if first > 0 and high / first >= _DECADES:
        between, same = [first ** (1 - part) * high**part for part in parts], 0.0
    else:
        between, same = [low * (1 - part) + high * part for part in parts], 1e-6 * max(abs(low), abs(high))
    shown = (float(f"{value:.12g}") for value in between)  # 0.1, where sums give 0.09999999999999999
    apart = (
        value
        for value in shown
        if low < value < high and not math.isclose(value, knob.default, rel_tol=1e-6, abs_tol=same)
    )
    return tuple(sorted({low, *apart, knob.default, high}))


def _each_once(all_knobs: Iterable[Values]) -> list[Values]:
    return list({label(knobs): knobs for knobs in all_knobs}.values())


def _check(bundle: Description, chosen: Mapping[str, Sequence[float]]) -> None:
    for name, values in chosen.items():
        knobs = [knob for knob in bundle.knobs if knob.name == name]
        if not knobs:
            there = ", ".join(dict.fromkeys(knob.name for knob in bundle.knobs)) or "none"
            raise KnobUnavailable(f"the bundle has no knob {name}", where=bundle_name(bundle), hint=f"it has {there}")
        for value in values:
            if not any(value in knob.values if knob.values else knob.low <= value <= knob.high for knob in knobs):
                raise KnobUnavailable(
                    f"{name} has no value {decimal(value)}", where=bundle_name(bundle), hint=_range(knobs[0])
                )


def _range(knob: Knob) -> str:
    if knob.values:
        return f"it has {', '.join(map(decimal, knob.values))}"
    return f"it goes from {decimal(knob.low)} to {decimal(knob.high)}"
