"""Every graph of every family and preset, with drawn weights: TensorRT takes it whole, and builds it three times alike.

TensorRT-RTX builds without a GPU, and has the parser and the types of TensorRT. It orders some numbers inside a plan by
addresses in memory, so that about one build in five differs from the others in a dozen bytes; here, where the system
gives every process the same addresses, there must be no difference at all.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

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
ADDRESSES_AS_THEY_COME = 0x0040000  # ADDR_NO_RANDOMIZE of Linux
SUPPORTED = "Graph is fully supported by TensorRT"


def checks() -> Iterator[Check]:
    """Small graphs first."""
    if ctypes.CDLL(None).personality(ADDRESSES_AS_THEY_COME) == -1:  # which processes that are started inherit
        raise OSError("the system does not let addresses be the same in every process")
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
        built = [build(PlanCache(Path(folder, f"plans{number}")), key, graph, {}) for number in range(BUILDS)]
    if warnings := built[0].warnings:
        raise ValueError(f"TensorRT warns: {warnings}")
    if len({each.plan.sha256 for each in built}) != 1:
        raise ValueError(f"{BUILDS} builds differ")
    plan = built[0].plan
    return f"{built[0].layers} layers, {plan.size / 1e6:.1f} MB, {min(each.seconds for each in built):.1f} s"


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
