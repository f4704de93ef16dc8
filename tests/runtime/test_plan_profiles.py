"""A plan takes the shapes that the runtime gives a graph for the pictures it was built for, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgecodec
from edgecodec.bundle import Bundle
from edgecodec.errors import InvalidArgument
from edgecodec_engines.onnxruntime import OnnxRuntime
from edgecodec_engines.tensorrt_plans.profiles import (
    PictureSizes,
    ShapeRange,
    Size,
    covers,
    parse_size,
    profile_of,
    shapes_for,
)
from support import make_bundles
from support.dimension_names import evaluate, input_shapes
from support.index_file import GREY, REFLECT
from support.make_bundles import BLOCK
from support.paths import TINY

RECIPES = {
    "plain": make_bundles.plain,
    "grey": lambda: replace(
        make_bundles.plain(), analysis=[make_bundles.analysis(grey=True)], padding=(BLOCK, 1, GREY)
    ),
    "two grids": lambda: replace(
        make_bundles.plain(),
        model=make_bundles.colour_model(4 * BLOCK),
        analysis=[make_bundles.analysis(grown_to=4)],
        padding=(BLOCK, 2 * BLOCK, REFLECT),
    ),
    "labels": make_bundles.with_labels,
    "noise": make_bundles.with_noise,
    "knob": lambda: replace(make_bundles.plain(), analysis=[make_bundles.analysis(scalar_shape=[])]),
}
SIDES = st.integers(1, 5000)


@given(SIDES, SIDES, st.sampled_from([1, 8, 16]), st.sampled_from([8, 16, 64]))
def test_names_of_dimensions_are_formulas(height: int, width: int, ratio: int, alignment: int) -> None:
    assert evaluate("height", height=height, width=width) == height
    assert evaluate(f"{ratio}*ceil(width/{alignment})", height=height, width=width) == ratio * -(-width // alignment)
    assert evaluate(f"height/{alignment}", height=height * alignment) == height


@pytest.mark.parametrize("name", ["depth", "height/", "height/64", "__import__('os')", "max(height)", "1.5*height"])
def test_other_names_of_dimensions_are_refused(name: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        evaluate(name, height=65, width=65)


@given(SIDES, SIDES)
def test_shapes_are_those_that_the_graphs_name(height: int, width: int) -> None:
    bundle = Bundle(TINY)
    for graph in bundle.info.graphs:
        model = bundle.info.models[graph.model]
        step = model.padding.alignment
        padded = [-(-max(side, model.padding.smallest_side) // step) * step for side in (height, width)]
        expected = input_shapes(TINY / graph.file, *padded)
        assert shapes_for(graph, model, Size(width, height)) == expected


@pytest.mark.parametrize("recipe", [*RECIPES])
@pytest.mark.parametrize("size", [(37, 21), (7, 24), (64, 80)])
def test_shapes_are_those_that_an_engine_is_given(
    recipe: str,
    size: tuple[int, int],
    tmp_path: Path,
    python_backend: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    width, height = size
    given_shapes: list[dict[str, tuple[int, ...]]] = []
    run = OnnxRuntime.run

    def watched(self: OnnxRuntime, inputs: Any) -> Any:
        given_shapes.append({name: values.shape for name, values in inputs.items()})
        return run(self, inputs)

    monkeypatch.setattr(OnnxRuntime, "run", watched)
    with edgecodec.open_bundle(RECIPES[recipe]().write(tmp_path / "a.bundle"), "onnxruntime", threads=1) as codec:
        labels = np.zeros((height, width), np.uint8) if recipe == "labels" else None
        codec.decode(codec.encode(np.full((height, width, 3), 99, np.uint8), labels=labels).data)
        analysis, synthesis = codec.info.graphs
        expected = [shapes_for(graph, codec.info.models[0], Size(width, height)) for graph in (analysis, synthesis)]
    assert given_shapes == expected


def test_a_profile_takes_everything_between_its_sizes() -> None:
    bundle = Bundle(TINY)
    sizes = PictureSizes(Size(100, 70), Size(300, 200), Size(500, 400))
    for graph in bundle.info.graphs:
        model = bundle.info.models[graph.model]
        profile = profile_of(graph, model, sizes)
        for size, taken in {
            Size(100, 70): True,
            Size(65, 65): True,  # coded as 128x128, as 100x70 is
            Size(400, 350): True,
            Size(512, 448): True,  # coded as 500x400 is
            Size(64, 70): False,
            Size(513, 400): False,
            Size(500, 449): False,
            Size(400, 500): False,
        }.items():
            assert covers(profile, shapes_for(graph, model, size)) == taken, size


def test_a_profile_begins_with_the_smallest_picture_of_the_codec() -> None:
    bundle = Bundle(TINY)
    for graph in bundle.info.graphs:
        model = bundle.info.models[graph.model]
        profile = profile_of(graph, model, PictureSizes(None, Size(300, 200), Size(500, 400)))
        assert covers(profile, shapes_for(graph, model, Size(1, 1)))


def test_a_plan_takes_inputs_of_its_own_alone() -> None:
    profile = {"y": ShapeRange((1, 8, 1, 1), (1, 8, 4, 4), (1, 8, 9, 9))}
    assert covers(profile, {"y": (1, 8, 9, 1)})
    for other in ({"z": (1, 8, 9, 1)}, {}, {"y": (1, 8, 9)}, {"y": (1, 7, 9, 1)}, {"y": (1, 8, 9, 1), "z": (1,)}):
        assert not covers(profile, other)


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        (PictureSizes(Size(65, 65), Size(64, 64), Size(128, 128)), "65x65 of --min does not fit into 64x64 of --opt"),
        (PictureSizes(None, Size(64, 129), Size(128, 128)), "64x129 of --opt does not fit into 128x128 of --max"),
        (PictureSizes(None, Size(32, 32), Size(128, 128)), "64x64 of --min does not fit into 32x32 of --opt"),
    ],
)
def test_sizes_that_do_not_grow_are_refused(sizes: PictureSizes, complaint: str) -> None:
    bundle = Bundle(TINY)
    with pytest.raises(InvalidArgument, match=complaint):
        profile_of(bundle.info.graphs[0], bundle.info.models[0], sizes)


@given(st.integers(1, 999_999), st.integers(1, 999_999))
def test_sizes_are_width_by_height(width: int, height: int) -> None:
    assert parse_size(f"{width}x{height}", "--opt") == Size(width, height)
    assert parse_size(str(Size(width, height)), "--opt") == Size(width, height)


@pytest.mark.parametrize(
    "text", ["", "64", "64x", "x64", "0x64", "64x0", "-1x4", "64 x 64", "64X64", "1e3x64", "6٤x64"]
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument, match="like 768x512") as caught:
        parse_size(text, "--opt")
    assert caught.value.where == "--opt"
