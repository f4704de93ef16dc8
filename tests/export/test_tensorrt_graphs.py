"""TensorRT builds what export writes, without a warning. The graphs of all families go through `scripts/campaign`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecodec.engine import Graph
from edgecodec_engines.tensorrt_plans.building import build
from edgecodec_engines.tensorrt_plans.plan_cache import PlanCache
from edgecodec_engines.tensorrt_plans.plan_key import PlanKey, graph_sha256
from edgecodec_engines.tensorrt_plans.profiles import ShapeRange
from edgecodec_engines.tensorrt_plans.tensorrt_module import find_tensorrt, target_of
from edgecodec_export.graphs.onnx_export import export_analysis
from support.dimension_names import input_shapes
from support.plans import needs_tensorrt
from support.tiny_codecs import tiny_codec

pytestmark = pytest.mark.slow


# The encoder of one takes the picture's size, that of the other a knob.
@needs_tensorrt
@pytest.mark.parametrize("family", ["fidelity", "tunable"])
def test_an_exported_graph_becomes_a_plan_without_warnings(family: str, tmp_path: Path) -> None:
    model = tiny_codec(family)
    path = tmp_path / "analysis.onnx"
    export_analysis(model, model.baking().encoder({}), path)
    shapes = [input_shapes(path, side, side) for side in (64, 128, 192)]
    profile = {name: ShapeRange(*(each[name] for each in shapes)) for name in shapes[0]}
    graph = Graph(path, path.read_bytes(), (), ())
    tensorrt, _ = find_tensorrt("tensorrt_rtx")
    key = PlanKey(graph_sha256(graph), "fp32", profile, tensorrt, target_of(tensorrt, None))
    assert build(PlanCache(tmp_path / "plans"), key, graph, {}).warnings == ()
