"""Bundles with int8: what is in them, what it may cost, and models that have nothing to quantise."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto

import edgecodec
from edgecodec.errors import VerificationFailed
from edgecodec.verify import verify
from edgecodec_export import pipeline
from edgecodec_export.bundle.description import Source
from edgecodec_export.originals import Original
from edgecodec_export.pipeline import write_bundle
from edgecodec_export.precisions import int8, named
from edgecodec_export.report import ExportReport, summary
from support.make_tiny_bundle import tiny_halves
from support.tiny_codecs import tiny_codec

pytestmark = pytest.mark.slow

GRAPH = "synthesis.int8.onnx"


def write(output: Path, family: str = "hific") -> ExportReport:
    source = Source(family, "tiny")
    original = Original(source, tiny_codec(family).baking(), tiny_halves())
    return write_bundle(output, [lambda: original], precisions=named(["fp32", "int8"]))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    folder = tmp_path_factory.mktemp("int8") / "b"
    return folder, write(folder)


def test_decoders_come_in_int8_and_encoders_do_not(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    info: Any = edgecodec.inspect(folder)
    graphs = info.graphs
    assert [(each.file, each.precision) for each in graphs] == [
        ("analysis.onnx", "fp32"),
        ("synthesis.onnx", "fp32"),
        (GRAPH, "int8"),
    ]
    assert len({(each.inputs, each.outputs, each.tiling) for each in graphs[1:]}) == 1
    (close,) = info.background.closeness.values()
    assert close.mean_loss <= int8.Int8.LARGEST_MEAN_LOSS and close.largest_loss <= int8.Int8.LARGEST_LOSS
    assert any(GRAPH in line and "dB to the originals" in line for line in summary(report))


def test_integers_are_in_the_trunk_and_halves_around_them(exported: tuple[Path, ExportReport]) -> None:
    model = onnx.load(exported[0] / GRAPH)
    onnx.checker.check_model(model, full_check=True)
    assert (model.opset_import[0].version, model.ir_version) == (19, 9)
    made_by = {name: node for node in model.graph.node for name in node.output}
    types = {each.name: each.data_type for each in model.graph.initializer}
    quantised, halves = [], []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        kernel = made_by.get(node.input[1])
        if kernel is not None and kernel.op_type == "DequantizeLinear":
            quantised.append(node)
            assert made_by[node.input[0]].op_type == "DequantizeLinear"
            assert types[kernel.input[0]] == TensorProto.INT8
            assert types[node.input[2]] == TensorProto.FLOAT16, "biases are no integers"
        elif types.get(node.input[1]) == TensorProto.FLOAT16:
            halves.append(node)
    assert {node.op_type for node in quantised} == {"Conv"} and len(quantised) >= 2
    assert "ConvTranspose" in {node.op_type for node in halves}
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.UINT8


def test_it_has_a_golden_picture_and_is_verified(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    (golden,) = json.loads((folder / "manifest.json").read_text())["golden"]
    assert "int8" in {picture["precision"] for picture in golden["pictures"]}
    checks = {each.subject: each.passed for each in verify(folder, "onnxruntime", precision="int8")}
    assert checks[f"golden/photo.edgc: {GRAPH}"]
    assert all(checks.values())


def test_it_is_taken_by_name_alone(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    data = (folder / "golden" / "photo.edgc").read_bytes()
    pixels = {}
    for precision in (None, "fp32", "int8"):
        with edgecodec.open_bundle(folder, "onnxruntime", precision=precision, threads=1, tile="off") as codec:
            pixels[precision] = codec.decode(data).pixels.tobytes()
    assert pixels[None] == pixels["fp32"] != pixels["int8"]


def test_the_same_export_gives_the_same_bytes(exported: tuple[Path, ExportReport], tmp_path: Path) -> None:
    write(tmp_path / "again")
    assert (tmp_path / "again" / GRAPH).read_bytes() == (exported[0] / GRAPH).read_bytes()


def test_a_graph_that_loses_too_much_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges that are far too small cut off what the trunk computes."""
    ranges: Callable[..., Mapping[str, float]] = int8._ranges

    def small(graph: onnx.ModelProto, names: Sequence[str], samples: Any) -> dict[str, float]:
        return {name: value / 1000 for name, value in ranges(graph, names, samples).items()}

    monkeypatch.setattr(int8, "_ranges", small)
    monkeypatch.setattr(int8.Int8, "LARGEST_ERROR", 1.0)
    monkeypatch.setattr(int8.Int8, "LEAST_DB", 0.0)
    monkeypatch.setattr(int8.Int8, "LARGEST_MEAN_LOSS", -1.0)  # the tiny model is drawn, and its pictures are not alike
    with pytest.raises(VerificationFailed, match="dB on photographs, more than") as caught:
        write(tmp_path / "b")
    assert caught.value.where == GRAPH and not (tmp_path / "b").exists()


@pytest.mark.parametrize("family", ["hyperprior", "tunable"])
def test_a_family_without_a_trunk_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.setattr(pipeline, "freeze_entropy", None)
    with pytest.raises(VerificationFailed, match="no convolutions that may be of eight bits") as caught:
        write(tmp_path / "b", family)
    assert caught.value.where == family and not (tmp_path / "b").exists()


def test_a_graph_that_turns_out_to_have_no_trunk_has_no_such_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(tiny_codec("hyperprior")), "HAS_TRUNK", True)
    with pytest.raises(VerificationFailed, match="no convolutions that may be of eight bits") as caught:
        write(tmp_path / "b", "hyperprior")
    assert caught.value.where == GRAPH and not (tmp_path / "b").exists()
