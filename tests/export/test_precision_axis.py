"""Bundles in two precisions: what is in them and what is verified; and precisions that miss their bounds."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto
from PIL import Image

from edgecodec.bundle import Bundle
from edgecodec.description import Side
from edgecodec.errors import InvalidArgument, KnobUnavailable, VerificationFailed
from edgecodec.manifest import read_manifest
from edgecodec.verify import verify
from edgecodec_export import export_bundle
from edgecodec_export.bundle.description import Source
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.graphs.export_graphs import export_graphs
from edgecodec_export.graphs.weights import remove_unused_weights
from edgecodec_export.options import ExportOptions
from edgecodec_export.originals import Original
from edgecodec_export.pipeline import write_bundle
from edgecodec_export.precisions import named
from edgecodec_export.precisions.half import Half
from edgecodec_export.report import ExportReport, summary
from support.bundle_editing import MANIFEST, reseal
from support.command_line import run_command
from support.make_tiny_bundle import tiny_halves
from support.tiny_codecs import tiny_codec

pytestmark = pytest.mark.slow


def write(output: Path, *, leave_out: bool = False) -> ExportReport:
    """A bundle of a family with norms in its decoder, in both precisions."""
    original = Original(Source("hyperprior", "tiny"), tiny_codec("hyperprior").baking(), tiny_halves())
    return write_bundle(output, [lambda: original], precisions=named(None), leave_out=leave_out)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    folder = tmp_path_factory.mktemp("precisions") / "b"
    return folder, write(folder)


@pytest.fixture
def copy(exported: tuple[Path, ExportReport], tmp_path: Path) -> Path:
    shutil.copytree(exported[0], tmp_path / "b")
    return tmp_path / "b"


def graph_of(path: Path) -> tuple[onnx.GraphProto, dict[str, int]]:
    """The graph, and the element type of every tensor in it."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    types = {each.name: each.type.tensor_type.elem_type for each in values}
    types |= {each.name: each.data_type for each in model.graph.initializer}
    return model.graph, types


def inputs_of(graph: onnx.GraphProto, types: dict[str, int], *kinds: str) -> list[int]:
    """Types of the first inputs of every node of these kinds."""
    return [types[node.input[0]] for node in graph.node if node.op_type in kinds]


def test_every_graph_comes_in_both_with_its_bounds(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    info = Bundle(folder).info
    assert [(each.file, each.precision, each.tolerance_levels, each.tolerance_db) for each in info.graphs] == [
        ("analysis.onnx", "fp32", 0, 0),
        ("analysis.fp16.onnx", "fp16", 0, 0),
        ("synthesis.onnx", "fp32", 1, 0),
        ("synthesis.fp16.onnx", "fp16", 8, 55),
    ]
    assert len({(each.inputs, each.outputs) for each in info.graphs}) == 2, "ports are the same in all"
    ((file, close),) = read_manifest(folder).background.closeness.items()
    assert (
        file == "synthesis.fp16.onnx" and 55 < close.psnr < 90 and -0.01 < close.mean_loss <= close.largest_loss < 0.01
    )
    assert f"{close.psnr:.1f} dB to fp32 or more, " in (folder / "README.md").read_text()
    assert report.left_out == () and f"{close.psnr:.1f} dB to fp32" in "\n".join(summary(report))
    half, single = ((folder / f"synthesis{ending}.onnx").stat().st_size for ending in (".fp16", ""))
    assert half < 0.8 * single


def test_the_decoder_in_half_has_norms_and_ports_in_single(exported: tuple[Path, ExportReport]) -> None:
    graph, types = graph_of(exported[0] / "synthesis.fp16.onnx")
    assert {types[each.name] for each in graph.input} == {TensorProto.FLOAT}
    learned = [
        types[node.input[0]]
        for node in graph.node
        if node.op_type in ("Conv", "ConvTranspose") and types[node.input[1]] == TensorProto.FLOAT16
    ]
    assert set(learned) == {TensorProto.FLOAT16} and len(learned) == 7
    statistics = inputs_of(graph, types, "Sqrt", "Div", "Reciprocal", "ReduceMean")
    assert statistics and set(statistics) == {TensorProto.FLOAT}
    assert set(inputs_of(graph, types, "Round", "Clip")) == {TensorProto.FLOAT}


def test_the_encoder_in_half_rounds_in_single(exported: tuple[Path, ExportReport]) -> None:
    graph, types = graph_of(exported[0] / "analysis.fp16.onnx")
    assert {types[each.name] for each in graph.output} == {TensorProto.FLOAT}
    rounded = inputs_of(graph, types, "Round")
    assert rounded and set(rounded) == {TensorProto.FLOAT}
    made_by = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type == "Round":
            last = made_by[node.input[0]]
            while last.op_type in ("Sub", "Add"):
                last = made_by[last.input[0]]
            assert last.op_type == "Conv" and types[last.input[1]] == TensorProto.FLOAT


def pixel_checks(folder: Path, **options: Any) -> dict[str, bool]:
    """Whether each decoder gives its golden picture."""
    found = {each.subject: each.passed for each in verify(folder, "onnxruntime", **options)}
    start = "golden/photo.edgc: "
    return {name.removeprefix(start): ok for name, ok in found.items() if name.startswith(f"{start}synthesis")}


def test_each_precision_has_a_golden_picture_of_its_own(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    (golden,) = json.loads((folder / MANIFEST).read_text())["golden"]
    assert golden["pictures"] == [
        {"file": "golden/photo.png", "knobs": {}, "precision": "fp32"},
        {"file": "golden/photo.fp16.png", "knobs": {}, "precision": "fp16"},
    ]
    assert pixel_checks(folder) == {"synthesis.onnx": True, "synthesis.fp16.onnx": True}


def repaint(folder: Path, change: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]) -> None:
    path = folder / "golden" / "photo.fp16.png"
    pixels = np.clip(change(np.asarray(Image.open(path)).astype(np.int64)), 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    reseal(folder)


def test_levels_and_decibels_are_checked_in_each_precision_for_itself(copy: Path) -> None:
    def spotted(pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        pixels[:1, :1] += np.where(pixels[:1, :1] < 128, 20, -20)
        return pixels

    repaint(copy, spotted)
    assert pixel_checks(copy) == {"synthesis.onnx": True, "synthesis.fp16.onnx": False}


def test_many_small_differences_are_too_many(copy: Path) -> None:
    repaint(copy, lambda pixels: pixels + 3)
    assert pixel_checks(copy) == {"synthesis.onnx": True, "synthesis.fp16.onnx": False}
    details = [each.detail for each in verify(copy, "onnxruntime") if not each.passed]
    assert any("dB from the golden picture, 55 are demanded" in each for each in details)


def test_processors_of_arm_verify_halves_only_when_asked(
    exported: tuple[Path, ExportReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = exported
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert pixel_checks(folder) == {"synthesis.onnx": True}
    assert pixel_checks(folder, precision="fp16") == {"synthesis.fp16.onnx": True}
    with pytest.raises(KnobUnavailable, match="nothing was exported in int8"):
        pixel_checks(folder, precision="int8")


def test_a_precision_that_misses_its_bounds_is_left_out_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(self: Half, module: Any, side: Side, inputs: Any) -> Any:
        raise VerificationFailed(f"is bad to {side}")

    monkeypatch.setattr(Half, "converted", missing)
    frozen: Any = None  # encoders come first, and need no entropy model
    with pytest.raises(VerificationFailed, match="is bad to encode") as caught:
        export_graphs(tmp_path, tiny_codec("hyperprior").baking(), frozen, tiny_halves(), print, named(["fp16"]))
    assert caught.value.where == "analysis.fp16.onnx" and not list(tmp_path.iterdir())
    report = write(tmp_path / "b", leave_out=True)
    assert report.left_out == (
        "no fp16 to encode: analysis.fp16.onnx is bad to encode",
        "no fp16 to decode: synthesis.fp16.onnx is bad to decode",
    )
    assert f"warning: {report.left_out[1]}" in summary(report)
    assert sorted(path.name for path in (tmp_path / "b").glob("*.onnx")) == ["analysis.onnx", "synthesis.onnx"]
    assert {each.precision for each in Bundle(tmp_path / "b").info.graphs} == {"fp32"}


def test_an_unknown_precision_is_refused_before_any_work(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(InvalidArgument, match="there is no precision 'fp23'"):
        export_bundle(ExportOptions([tmp_path / "absent"], tmp_path / "b", precision=("fp32", "fp23")), said.append)
    assert said == [] and not list(tmp_path.iterdir())
    save_checkpoint(tmp_path / "a.safetensors", tiny_codec("hyperprior"), "hyperprior", "tiny", {})
    outcome = run_command(
        "export", "--ckpt", tmp_path / "a.safetensors", "-o", tmp_path / "b", "--precision", "fp16, x"
    )
    assert outcome.status == 2 and "there is no precision 'x'" in outcome.talk


def test_weights_that_no_graph_has_left_are_removed(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    for name in ("a.bin", "b.bin"):
        (tmp_path / "weights" / name).write_bytes(bytes(8))
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights/a.bin")
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    (tmp_path / "g.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    remove_unused_weights(tmp_path, [tmp_path / "g.onnx"])
    assert [each.name for each in (tmp_path / "weights").iterdir()] == ["a.bin"]
    remove_unused_weights(tmp_path, [])
    assert not (tmp_path / "weights").exists()
