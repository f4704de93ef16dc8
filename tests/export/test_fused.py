"""Fused graphs of every family give the pixels of the runtime, and `export --fused` puts them into the bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from PIL import Image

import edgecodec
from edgecodec.errors import KnobUnavailable
from edgecodec.verify import verify
from edgecodec_export import FusedGraph, FuseOptions, export_bundle, fuse_bundle
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.options import ExportOptions
from edgecodec_export.report import summary
from support.command_line import run_command
from support.fused_sessions import decode_fused, open_fused, three_channels
from support.make_tiny_bundle import tiny_model, tiny_pictures

pytestmark = pytest.mark.slow

FAMILIES = ("agustsson", "agustsson-sc", "crdr", "fidelity", "hific", "hific-reflect", "hyperprior", "tunable")
SIZES = [(64, 64), (71, 85), (33, 130)]  # pixels, height and width
Bundles = Callable[[str], Path]
Pixels = npt.NDArray[np.uint8]


def picture(height: int, width: int) -> Pixels:
    return np.ascontiguousarray(np.pad(tiny_pictures()[1], ((0, 64), (0, 64), (0, 0)), mode="reflect")[:height, :width])


def given(name: str, pixels: Pixels) -> dict[str, Any]:
    """What an encoder takes beside the picture."""
    if name != "agustsson-sc":
        return {}
    keep = np.zeros(pixels.shape[:2], np.uint8)
    keep[10:40, 10:50] = 1
    return {
        "labels": (pixels.reshape(*keep.shape, -1)[:, :, 0] // 52).astype(np.uint8),
        "keep": keep,
        "seed": 2**40 + 7,
    }


def pictures(sizes: Sequence[tuple[int, int]]) -> list[Pixels]:
    """In colour, and the last one in grey too."""
    all_of_them = [picture(*size) for size in sizes]
    return [*all_of_them, np.ascontiguousarray(all_of_them[-1][:, :, 1])]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_pixels_are_those_of_the_runtime(family_bundle: Bundles, tmp_path: Path, name: str) -> None:
    bundle = family_bundle(name)
    graphs = fuse_bundle(FuseOptions(bundle, tmp_path))
    assert len(graphs) == (2 if name == "crdr" else 1)
    for graph in graphs:
        session = open_fused(tmp_path / graph.file)
        quality: dict[str, Any] = {name: value for name, value in graph.knobs.items() if name == "quality"}
        with edgecodec.open_bundle(bundle, "onnxruntime", threads=1, tile="off") as codec:
            for pixels in pictures(SIZES):
                data = codec.encode(pixels, **given(name, pixels), **quality).data
                expected = codec.decode(data).pixels
                assert expected.std() > 1
                np.testing.assert_array_equal(decode_fused(session, data), three_channels(expected))


def test_noise_changes_the_picture_as_in_the_runtime(family_bundle: Bundles, tmp_path: Path) -> None:
    bundle = family_bundle("agustsson-sc")
    (graph,) = fuse_bundle(FuseOptions(bundle, tmp_path))
    session = open_fused(tmp_path / graph.file)
    pixels = picture(71, 85)
    with edgecodec.open_bundle(bundle, "onnxruntime", threads=1) as codec:
        files = [codec.encode(pixels, **{**given("agustsson-sc", pixels), "seed": seed}).data for seed in (0, 1, 2)]
        images = [decode_fused(session, data) for data in files]
        for data, image in zip(files, images, strict=True):
            np.testing.assert_array_equal(image, codec.decode(data).pixels)
    assert not np.array_equal(images[0], images[1]) and not np.array_equal(images[1], images[2])


def test_weights_that_graphs_share_are_inside_each(family_bundle: Bundles, tmp_path: Path) -> None:
    for graph in fuse_bundle(FuseOptions(family_bundle("crdr"), tmp_path)):
        model = onnx.load(tmp_path / graph.file, load_external_data=False)
        assert not any(tensor.external_data for tensor in model.graph.initializer)
        assert graph.size == (tmp_path / graph.file).stat().st_size
    assert all(path.suffix == ".onnx" for path in tmp_path.iterdir())


def test_a_knob_that_is_not_there(family_bundle: Bundles, tmp_path: Path) -> None:
    with pytest.raises(KnobUnavailable, match="nothing was exported for quality=2") as caught:
        fuse_bundle(FuseOptions(family_bundle("crdr"), tmp_path, {"quality": (0, 2)}))
    assert caught.value.hint == "the bundle has quality 0, 3"


# ---- in a bundle ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint beside a folder of photographs."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder / "main.safetensors", tiny_model(), "hific", "tiny", {})
    (folder / "photos").mkdir()
    for i, pixels in enumerate(tiny_pictures()):
        Image.fromarray(pixels).save(folder / "photos" / f"{i}.png")
    return folder / "main.safetensors"


def test_export_puts_them_into_the_bundle(checkpoint: Path, tmp_path: Path) -> None:
    options = ExportOptions(
        [checkpoint], tmp_path / "b", calibration=checkpoint.parent / "photos", fused=True, precision=("fp32",)
    )
    said: list[str] = []
    report = export_bundle(options, said.append)
    (graph,) = report.fused
    assert graph == FusedGraph("decode.onnx", report.models[0].id, {}, "fp32", graph.size)
    assert "fused graph 1 of 1: decode.onnx" in said and any(
        line.startswith("  fused/decode.onnx  ") for line in summary(report)
    )

    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    data = (tmp_path / "b" / "fused" / "decode.onnx").read_bytes()
    assert manifest["files"]["fused/decode.onnx"] == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert "`decode.onnx`" in (tmp_path / "b" / "README.md").read_text()
    assert "fused/decode.onnx" not in edgecodec.inspect(tmp_path / "b").files  # type: ignore[union-attr]
    checks = list(verify(tmp_path / "b", "onnxruntime", threads=1))
    assert all(check.passed for check in checks)
    assert "fused/decode.onnx" in {check.subject for check in checks}

    (golden,) = manifest["golden"]
    with Image.open(tmp_path / "b" / golden["pictures"][0]["file"]) as expected:
        image = decode_fused(
            open_fused(tmp_path / "b" / "fused" / "decode.onnx"), (tmp_path / "b" / golden["file"]).read_bytes()
        )
        np.testing.assert_array_equal(image, np.asarray(expected))

    outcome = run_command("fuse", tmp_path / "b", "-o", tmp_path / "again")
    assert outcome.status == 0 and (tmp_path / "again" / "decode.onnx").read_bytes() == data


def test_without_the_option_there_are_none(family_bundle: Bundles) -> None:
    for bundle in map(family_bundle, ("hific", "crdr")):
        assert not (bundle / "fused").exists()
        assert "fused" not in (bundle / "README.md").read_text()
