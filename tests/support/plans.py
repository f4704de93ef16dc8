"""Keys of plans, caches of them, and builders that misbehave."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from edgecodec.bundle import Bundle
from edgecodec.engine import Graph
from edgecodec.loading import graph_of
from edgecodec_engines.tensorrt_plans.plan_cache import Plan, PlanCache
from edgecodec_engines.tensorrt_plans.plan_key import PlanKey, Target, TensorRT
from edgecodec_engines.tensorrt_plans.profiles import ShapeRange
from support.paths import TINY

needs_tensorrt = pytest.mark.skipif(
    find_spec("tensorrt_rtx") is None or find_spec("polygraphy") is None,
    reason="plans are built with tensorrt_rtx and polygraphy, which are not installed",
)

RTX = TensorRT("tensorrt_rtx", "1.7.1.116")
KEY = PlanKey("ab" * 32, "fp32", {"y": ShapeRange((1, 8, 1, 1), (1, 8, 4, 4), (1, 8, 9, 9))}, RTX, Target("any"))


def store(cache: PlanCache, key: PlanKey = KEY, data: bytes = b"a plan") -> Plan:
    """Keep `data` as the plan with this key."""
    with cache.work_folder() as work:
        (work / "plan").write_bytes(data)
        return cache.store(key, work / "plan", {"graph": "synthesis.onnx"})


def tiny_graph() -> Graph:
    """A decoder of the tiny bundle."""
    bundle = Bundle(TINY)
    return graph_of(bundle, next(n for n, graph in enumerate(bundle.info.graphs) if graph.side == "decode"))


def fake_polygraphy(folder: Path, code: str) -> Path:
    """A folder for the front of the path of modules, in which importing polygraphy runs `code`."""
    (folder / "polygraphy").mkdir(parents=True)
    (folder / "polygraphy" / "__init__.py").write_text(code, encoding="utf-8")
    return folder
