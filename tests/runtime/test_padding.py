"""What lies beyond a picture's edge: mirrored or grey for the encoder, gone in the decoded picture, on any grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgecodec
from edgecodec import container
from edgecodec.codec import Codec
from edgecodec.errors import EngineFailed, OutOfRange
from edgecodec_engines.onnxruntime import OnnxRuntime
from support.index_file import GREY, REFLECT
from support.make_bundles import BLOCK, Recipe, analysis, block_means, colour_model, plain, synthesis, synthesised

SIZES = [(1, 1), (3, 17), (8, 8), (15, 9), (16, 31), (33, 70)]


def _codec(recipe: Recipe, folder: Path, name: str = "test") -> Codec:
    return edgecodec.open_bundle(recipe.write(folder / f"{name}.bundle"), "onnxruntime", threads=1)


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def _reflected(position: int, side: int) -> int:
    """Where a sample beyond the edge comes from, one step at a time."""
    here, step = 0, 1
    for _ in range(position):
        if side == 1:
            return 0
        if not 0 <= here + step < side:
            step = -step
        here += step
    return here


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_encoder_sees_the_mirrored_picture(tmp_path: Path, height: int, width: int) -> None:
    source = _noise(height, width)
    codec = _codec(plain(), tmp_path)
    encoded = codec.encode(source)
    rows = [_reflected(row, height) for row in range(-(-height // BLOCK) * BLOCK)]
    columns = [_reflected(column, width) for column in range(-(-width // BLOCK) * BLOCK)]
    means = block_means(source[np.ix_(rows, columns)])
    np.testing.assert_array_equal(encoded.latents["y"], np.rint(means))
    np.testing.assert_array_equal(codec.decode(encoded.data).pixels, synthesised(np.rint(means))[:height, :width])


@pytest.mark.usefixtures("python_backend")
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_graph_is_told_where_grey_begins(
    tmp_path: Path, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the runtime puts there: here it is white."""
    run = OnnxRuntime.run

    def in_white(engine: OnnxRuntime, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if "size" not in inputs:
            return run(engine, inputs)
        rows, columns = inputs["size"]
        image = np.full_like(inputs["image"], 255)
        image[:rows, :columns] = inputs["image"][:rows, :columns]
        assert (inputs["image"][rows:] == 128).all() and (inputs["image"][:, columns:] == 128).all()
        return run(engine, {**inputs, "image": image})

    monkeypatch.setattr(OnnxRuntime, "run", in_white)
    recipe = replace(plain(), analysis=[analysis(grey=True)], padding=(BLOCK, 1, GREY))
    codec = _codec(recipe, tmp_path)
    source = _noise(height, width)
    grey = np.full((-(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK, 3), 128, np.uint8)
    grey[:height, :width] = source
    latents = codec.encode(source).latents
    np.testing.assert_array_equal(latents["y"], np.rint(block_means(grey)))
    np.testing.assert_array_equal(codec.decode(codec.encode(source).data).pixels.shape, source.shape)


# ---- two grids -----------------------------------------------------------------------------------------------------

GRID = 4 * BLOCK  # of the entropy model, where pictures are padded to BLOCK


def _two_grids(smallest_side: int = 1) -> Recipe:
    padding = BLOCK, smallest_side, REFLECT
    return Recipe(colour_model(GRID), [analysis(grown_to=4)], [synthesis()], padding=padding)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_graph_grows_latents_to_a_coarser_grid(tmp_path: Path, height: int, width: int) -> None:
    codec = _codec(_two_grids(), tmp_path)
    source = _noise(height, width)
    encoded = codec.encode(source)
    rows, columns = -(-height // GRID) * 4, -(-width // GRID) * 4
    assert encoded.latents["y"].shape == (3, rows, columns)
    fine = _codec(plain(), tmp_path, "fine").encode(source).latents["y"]
    np.testing.assert_array_equal(encoded.latents["y"][:, : fine.shape[1], : fine.shape[2]], fine)
    np.testing.assert_array_equal(codec.decode(encoded.data).pixels, synthesised(fine)[:height, :width])


def test_a_graph_that_does_not_grow_them(tmp_path: Path) -> None:
    codec = _codec(replace(_two_grids(), analysis=[analysis()]), tmp_path)
    with pytest.raises(EngineFailed, match="for 'y'"):
        codec.encode(_noise(8, 8))
    assert codec.encode(_noise(GRID, GRID))


# ---- smallest sides ------------------------------------------------------------------------------------------------


def test_small_pictures_are_grown_as_far_as_the_grid_allows(tmp_path: Path) -> None:
    """To 16 pixels, on a grid of 32: the encoder sees 2 x 2 blocks of a picture of one pixel."""
    codec = _codec(_two_grids(smallest_side=2 * BLOCK), tmp_path)
    source = np.full((1, 1, 3), 200, np.uint8)
    np.testing.assert_array_equal(codec.decode(codec.encode(source).data).pixels, source)


@pytest.mark.parametrize(("alignment", "smallest_side", "least"), [(BLOCK, 1, 1), (BLOCK, 16, 9), (GRID, 33, 33)])
def test_pictures_too_small_for_the_networks(tmp_path: Path, alignment: int, smallest_side: int, least: int) -> None:
    recipe = plain() if alignment == BLOCK else _two_grids()
    codec = _codec(replace(recipe, padding=(BLOCK, smallest_side, REFLECT)), tmp_path)
    data = codec.encode(_noise(least, least + 40)).data
    assert codec.decode(data).pixels.shape == (least, least + 40, 3)
    if least > 1:
        with pytest.raises(OutOfRange, match=f"smallest picture has {least} pixels a side") as caught:
            codec.encode(_noise(least - 1, least + 40))
        assert caught.value.exit_status == 5


@pytest.mark.usefixtures("python_backend")
def test_files_too_small_for_the_networks_never_reach_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = _codec(replace(plain(), padding=(BLOCK, 16, REFLECT)), tmp_path)
    file = container.parse(codec.encode(_noise(9, 9)).data)
    claimed = container.write(file.payload, width=9, height=8, lanes=file.info.lanes, model_id=file.info.model_id)
    monkeypatch.setattr("edgecodec_engines.onnxruntime.OnnxRuntime.run", lambda *arguments: pytest.fail("was run"))
    with pytest.raises(OutOfRange, match="9x8 is too small"):
        codec.decode(claimed)
