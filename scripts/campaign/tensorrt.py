"""Every graph of every family and preset, with drawn weights: TensorRT takes it whole, and builds it without a warning.

TensorRT-RTX builds without a GPU, and has the parser and the types of TensorRT. Three builds of a graph have the same
size, but not always the same bytes: with or without Polygraphy, it numbers sides that are not fixed in an order that
changes from process to process. How many bytes differ is told.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from edgecodec.engine import Graph
from edgecodec_engines.tensorrt_plans.building import build
from edgecodec_engines.tensorrt_plans.plan_cache import PlanCache
from edgecodec_engines.tensorrt_plans.plan_key import PlanKey, graph_sha256
from edgecodec_engines.tensorrt_plans.profiles import Profile, ShapeRange
from edgecodec_engines.tensorrt_plans.tensorrt_module import find_tensorrt, target_of
from edgecodec_export import families
from edgecodec_export.families import LearnedCodec
from edgecodec_export.graphs.onnx_export import export_analysis, export_synthesis
from scripts.campaign.check import Check
from support.dimension_names import input_shapes

BUILDS = 3
SIZES = ((128, 128), (512, 768), (1088, 1920))  # height and width
POLYGRAPHY = "import polygraphy.tools; polygraphy.tools.main()"
MOST_DIFFERENT = 0.001  # of a plan's bytes
SUPPORTED = "Graph is fully supported by TensorRT"


def checks() -> Iterator[Check]:
    """Small graphs first."""
    presets = [(family, preset) for family, codec in families.FAMILIES.items() for preset in codec.PRESETS]
    for family, preset in sorted(presets, key=lambda each: not each[1].startswith("compact")):
        for name, export in {"analysis": _export_analysis, "synthesis": _export_synthesis}.items():
            yield Check(f"{family} {preset} {name}", partial(_check, family, preset, export))


def _export_analysis(model: LearnedCodec, path: Path) -> None:
    baking = model.baking()
    export_analysis(model, baking.encoder(baking.encoder_knobs()[0]), path)


def _export_synthesis(model: LearnedCodec, path: Path) -> None:
    baking = model.baking()
    export_synthesis(model, baking.decoder(baking.decoder_knobs()[0]), path)


def _check(family: str, preset: str, export: Callable[[LearnedCodec, Path], None]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "graph.onnx")
        with torch.no_grad():
            torch.manual_seed(1)
            export(families.build(family, preset).eval().requires_grad_(False), path)
        _require_support(path)
        weights = {str(each.relative_to(folder)): each.read_bytes() for each in Path(folder, "weights").glob("*")}
        graph = Graph(path, path.read_bytes(), (), (), weights=weights)
        tensorrt, _ = find_tensorrt("tensorrt_rtx")
        key = PlanKey(graph_sha256(graph), "fp32", _profile(path), tensorrt, target_of(tensorrt, None))
        caches = [PlanCache(Path(folder, f"plans{number}")) for number in range(BUILDS)]
        built = [build(cache, key, graph, {}) for cache in caches]
        plans = [np.frombuffer(cache.load(each.plan), np.uint8) for cache, each in zip(caches, built, strict=True)]
    if warnings := built[0].warnings:
        raise ValueError(f"TensorRT warns: {warnings}")
    if len({each.size for each in plans}) != 1:
        raise ValueError(f"{BUILDS} builds differ in size")
    different = max(int((each != plans[0]).sum()) for each in plans)
    if different > MOST_DIFFERENT * plans[0].size:
        raise ValueError(f"{BUILDS} builds differ in {different} bytes")
    plan = built[0].plan
    seconds = min(each.seconds for each in built)
    return f"{built[0].layers} layers, {plan.size / 1e6:.1f} MB, {seconds:.1f} s, {different} bytes differ"


def _profile(path: Path) -> Profile:
    shapes = [input_shapes(path, height, width) for height, width in SIZES]
    return {name: ShapeRange(*(each[name] for each in shapes)) for name in shapes[0]}


def _require_support(path: Path) -> None:
    """Ask Polygraphy, which lists operators that TensorRT does not know, with reasons."""
    environment = {**os.environ, "POLYGRAPHY_USE_TENSORRT_RTX": "1", "POLYGRAPHY_AUTOINSTALL_DEPS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", POLYGRAPHY, "inspect", "capability", path.name],
        cwd=path.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or SUPPORTED not in done.stdout:
        raise ValueError(f"Polygraphy: {done.stdout[-2000:]} {done.stderr[-500:]}")
