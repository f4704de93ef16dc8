"""Which plans are to be built for a bundle, and their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import edgecodec
from edgecodec.bundle import Bundle
from edgecodec.description import BakedGraph, Description, Side
from edgecodec.engine import Graph
from edgecodec.graph_choice import Wanted, choose
from edgecodec_engines.tensorrt_plans.plan_key import BuildOptions, PlanKey, Target, TensorRT, graph_sha256
from edgecodec_engines.tensorrt_plans.profiles import PictureSizes, Size, profile_of, smallest_side

#: What graphs are taken in where nothing else is said, as the runtime takes them on a GPU: encoders in full, because
#: another precision makes other files.
_PREFERRED: dict[Side, tuple[str, ...]] = {"decode": ("fp16", "fp32"), "encode": ("fp32",)}


@dataclass(frozen=True)
class PlanWish:
    """knobs: graphs that have one of these values of each, by name. precision: None for the runtime's choice."""

    sizes: PictureSizes
    sides: Sequence[Side] = ("decode",)
    knobs: Wanted = field(default_factory=dict)
    precision: str | None = None
    options: BuildOptions = field(default_factory=BuildOptions)


def wanted_graphs(info: Description, wish: PlanWish) -> list[int]:
    """Numbers of the graphs to build plans of. Raises KnobUnavailable, InvalidArgument for the sizes."""
    numbers = choose(info, wish.sides, wish.knobs, wish.precision)
    if wish.precision is None:
        # Among graphs that differ in precision alone, the preferred one.
        best: dict[object, int] = {}
        for number in sorted(numbers, key=lambda number: -_rank(info.graphs[number])):
            graph = info.graphs[number]
            best[graph.side, graph.model, tuple(sorted(graph.knobs.items()))] = number
        numbers = sorted(best.values())
    for number in numbers:
        graph = info.graphs[number]
        profile_of(graph, info.models[graph.model], wish.sizes)
    return numbers


def _rank(graph: BakedGraph) -> int:
    """Lower is better."""
    preferred = _PREFERRED[graph.side]
    return preferred.index(graph.precision) if graph.precision in preferred else len(preferred)


def plan_key(bundle: Bundle, number: int, graph: Graph, wish: PlanWish, tensorrt: TensorRT, target: Target) -> PlanKey:
    """Of the plan for the graph of this number, `graph` as engines take it."""
    baked = bundle.info.graphs[number]
    profile = profile_of(baked, bundle.info.models[baked.model], wish.sizes)
    return PlanKey(graph_sha256(graph), baked.precision, profile, tensorrt, target, wish.options)


def about(info: Description, number: int, wish: PlanWish) -> dict[str, Any]:
    """What people want to know of the plan of a graph."""
    graph, sizes = info.graphs[number], wish.sizes
    side = smallest_side(info.models[graph.model])
    return {
        "bundle": f"{info.family} {info.preset}",
        "model": info.models[graph.model].id,
        "graph": graph.file,
        "knobs": dict(graph.knobs),
        "sizes": " ".join(map(str, (sizes.smallest or Size(side, side), sizes.typical, sizes.largest))),
        "edgecodec": edgecodec.__version__,
    }
