"""Exported graphs: the inputs and outputs of the manifest, and parity with PyTorch at any picture size."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgecodec.description import Knobs
from edgecodec.errors import VerificationFailed
from edgecodec_export.baking import Baking, Point
from edgecodec_export.calibration import crop
from edgecodec_export.families import LearnedCodec
from edgecodec_export.graphs.onnx_export import (
    AnalysisModule,
    SynthesisModule,
    export_analysis,
    synthesis_inputs,
    takes_size,
)
from edgecodec_export.graphs.parity import check_analysis_parity, check_synthesis_parity
from edgecodec_export.text import suffix
from support.make_tiny_bundle import tiny_pictures
from support.tiny_codecs import PRESETS, tiny_codec

pytestmark = pytest.mark.slow

#: One of each kind of graph; the others differ in weights alone.
CODECS = ("agustsson-sc", "crdr", "fidelity", "hific", "hific-reflect", "hyperprior", "tunable")
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Exported:
    """A codec, one encoder and one decoder, and where their graphs lie."""

    model: LearnedCodec
    encoder: Point
    decoder: Point
    analysis: Path
    synthesis: Path


@pytest.fixture(scope="module")
def exported(family_bundle: Callable[[str], Path]) -> Callable[[str], Exported]:
    """Of a codec by name, at the default knobs of its bundle."""

    @cache
    def find(name: str) -> Exported:
        folder, model = family_bundle(name), tiny_codec(name)
        described = json.loads((folder / "manifest.json").read_text())["knobs"]
        defaults = {knob["name"]: knob["default"] for knob in described}
        baking = model.baking()
        encoder, decoder = ({knob: defaults[knob] for knob in knobs[0]} for knobs in _kinds(baking))
        return Exported(
            model,
            baking.encoder(encoder),
            baking.decoder(decoder),
            folder / f"analysis{suffix(encoder)}.onnx",
            folder / f"synthesis{suffix(decoder)}.onnx",
        )

    return find


def _kinds(baking: Baking) -> tuple[list[Knobs], list[Knobs]]:
    return baking.encoder_knobs(), baking.decoder_knobs()


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(path: Path, inputs: Arrays) -> Arrays:
    opened = session(path)
    names = [output.name for output in opened.get_outputs()]
    return dict(zip(names, opened.run(names, inputs), strict=True))


def ports(path: Path) -> dict[str, tuple[str, list[object]]]:
    opened = session(path)
    return {each.name: (each.type, each.shape) for each in (*opened.get_inputs(), *opened.get_outputs())}


def drawn_latents(model: LearnedCodec, height: int, width: int) -> Arrays:
    """Random integers (C, h, w) by name, for a decoder and a picture of this size in pixels."""
    generator = np.random.default_rng(5)
    return {
        latent.name: generator.integers(
            *((0, 5) if latent.name == "labels" else (-3, 4)),
            (latent.channels, height // latent.stride, width // latent.stride),
        )
        for latent in model.decoder_latents()
    }


@pytest.mark.parametrize("name", CODECS)
def test_graphs_hold_no_paths_of_the_exporting_machine(exported: Any, name: str) -> None:
    for path in (exported(name).analysis, exported(name).synthesis):
        data = path.read_bytes()
        assert b".py" not in data and b"stack_trace" not in data and b"/work" not in data and b"/home" not in data


@pytest.mark.parametrize("name", CODECS)
def test_graphs_have_the_opset_and_ir_version_of_the_oldest_supported_runtime(exported: Any, name: str) -> None:
    for path in (exported(name).analysis, exported(name).synthesis):
        graph = onnx.load(path)
        assert graph.ir_version == 8
        assert [(each.domain, each.version) for each in graph.opset_import] == [("", 18)]
        assert not graph.functions


FLOATS, BYTES = "tensor(float)", "tensor(uint8)"
IMAGE = (BYTES, ["height", "width", 3])
Z, R = (FLOATS, [1, 8, "height/64", "width/64"]), (FLOATS, [1, 8, "height/16", "width/16"])
PORTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "agustsson-sc": (
        {"image": IMAGE, "symbols": (FLOATS, [1, 3, "height/8", "width/8"])},
        {
            "labels": (FLOATS, [1, 1, "height", "width"]),
            "symbols": (FLOATS, [1, 3, "height/8", "width/8"]),
            "noise": (FLOATS, [1, 2 + 320, "height/16", "width/16"]),
            "image": IMAGE,
        },
    ),
    "crdr": (
        {"image": IMAGE, "z": Z, "y": (FLOATS, [1, 16, "height/16", "width/16"])},
        {"y_hat": (FLOATS, [1, 16, "height/16", "width/16"]), "image": IMAGE},
    ),
    "fidelity": (
        {"image": IMAGE, "size": ("tensor(int64)", [2]), "y": (FLOATS, [1, 4, "height/16", "width/16"])},
        {"y": (FLOATS, [1, 4, "height/16", "width/16"]), "image": IMAGE},
    ),
    "hific": ({"image": IMAGE, "z": Z, "r": R}, {"z": Z, "r": R, "image": IMAGE}),
    "hific-reflect": (
        {
            "image": IMAGE,
            "z": (FLOATS, [1, 8, "ceil(height/64)", "ceil(width/64)"]),
            "r": (FLOATS, [1, 8, "4*ceil(height/64)", "4*ceil(width/64)"]),
        },
        {
            "z": (FLOATS, [1, 8, "ceil(height/64)", "ceil(width/64)"]),
            "r": (FLOATS, [1, 8, "4*ceil(height/64)", "4*ceil(width/64)"]),
            "image": (BYTES, ["64*ceil(height/64)", "64*ceil(width/64)", 3]),
        },
    ),
    "tunable": (
        {"image": IMAGE, "n": (FLOATS, []), "symbols": (FLOATS, [1, 16, "height/8", "width/8"])},
        {"symbols": (FLOATS, [1, 16, "height/8", "width/8"]), "image": IMAGE},
    ),
}


@pytest.mark.parametrize("name", PORTS)
def test_inputs_and_outputs_are_those_of_the_manifest(exported: Any, name: str) -> None:
    made = exported(name)
    assert (ports(made.analysis), ports(made.synthesis)) == PORTS[name]
    assert list(ports(made.synthesis)) == [*(each.name for each in synthesis_inputs(made.model)), "image"]


@pytest.mark.parametrize("name", ["crdr", "hific", "hyperprior"])
def test_engines_find_plain_constants_and_no_shape_arithmetic(exported: Any, name: str) -> None:
    for path in (exported(name).analysis, exported(name).synthesis):
        graph = onnx.load(path).graph
        kinds = {node.op_type for node in graph.node}
        assert not kinds & {"Shape", "Gather", "Expand", "Slice", "If", "Loop", "ReduceMean", "Constant", "Identity"}
        constants = {tensor.name for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type in ("Conv", "ConvTranspose"):
                assert set(node.input[1:]) <= constants


def test_constants_are_folded_and_instance_norm_is_exported_as_basic_operators(exported: Any) -> None:
    kinds = {name: {node.op_type for node in onnx.load(exported(name).synthesis).graph.node} for name in CODECS}
    assert not any("Normalization" in kind for name in CODECS for kind in kinds[name])
    assert {"ReduceMean", "Sqrt"} <= kinds["agustsson-sc"]
    assert "Softplus" not in kinds["crdr"]


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("cells", [(2, 2), (3, 5), (7, 4)])
def test_the_graphs_compute_what_pytorch_computes_at_any_size(exported: Any, name: str, cells: tuple[int, int]) -> None:
    made = exported(name)
    model = made.model
    picture = crop(tiny_pictures()[3], *(side * model.ALIGNMENT for side in cells))
    inputs: Arrays = {"image": picture}
    if takes_size(model):
        inputs["size"] = np.array([picture.shape[0] - 3, picture.shape[1] - 15])
    inputs |= {knob: np.array(scalar.default, np.float32) for knob, scalar in made.encoder.scalars.items()}
    found = run(made.analysis, inputs)
    grid = [-(-side // model.latent_alignment()) * model.latent_alignment() for side in picture.shape[:2]]
    with torch.no_grad():
        graph = AnalysisModule(made.encoder.reference, takes_size(model))
        expected = graph(*map(torch.from_numpy, inputs.values()))
    for latent, values in zip(model.encoder_latents(), expected, strict=True):
        assert found[latent.name].shape == (1, latent.channels, *(side // latent.stride for side in grid))
        assert np.array_equal(found[latent.name], np.rint(found[latent.name])) and found[latent.name].any()
        # An integer may differ where the value before rounding lies halfway between two.
        differ = np.abs(found[latent.name] - values.numpy())
        assert (differ > 0).mean() < 0.02 and differ.max() <= 3

    maps = drawn_latents(model, *grid)
    if noise := model.noise():
        sides = [side // noise.stride for side in grid]
        maps[noise.name] = np.random.default_rng(8).integers(-9000, 9000, (noise.channels, *sides))
    latents = {each.name: maps[each.name][None].astype(np.float32) for each in synthesis_inputs(model)}
    levels = run(made.synthesis, latents)["image"]
    with torch.no_grad():
        expected_levels = SynthesisModule(made.decoder.reference)(*map(torch.from_numpy, latents.values())).numpy()
    assert levels.dtype == np.uint8 and levels.shape == (*grid, 3)
    assert levels.std() > 1 or name == "fidelity"
    assert np.abs(levels.astype(int) - expected_levels.astype(int)).max() <= 1


def test_the_graph_replaces_padding_with_grey(exported: Any) -> None:
    path, picture = exported("fidelity").analysis, tiny_pictures()[2][:48, :64]
    bright, grey = picture.copy(), picture.copy().astype(np.float32)
    bright[40:], bright[:, 50:] = 255, 0
    size = np.array([40, 50])
    (cut,), (other,) = (
        run(path, {"image": picture, "size": size}).values(),
        run(path, {"image": bright, "size": size}).values(),
    )
    np.testing.assert_array_equal(cut, other)
    grey[40:], grey[:, 50:] = 127.5, 127.5
    with torch.no_grad():
        (expected,) = exported("fidelity").model.encode(torch.from_numpy(grey).permute(2, 0, 1)[None] / 255)
    np.testing.assert_array_equal(cut, expected.numpy())
    (whole,) = run(path, {"image": picture, "size": np.array([48, 64])}).values()
    assert not np.array_equal(cut, whole)


def test_a_larger_n_keeps_fewer_symbols(exported: Any) -> None:
    path, picture = exported("tunable").analysis, tiny_pictures()[2]
    kept = [
        np.count_nonzero(run(path, {"image": picture, "n": np.array(n, np.float32)})["symbols"]) for n in (-2, 0, 2)
    ]
    assert kept == sorted(kept, reverse=True) and kept[0] > 1.2 * kept[2]


def pictures_for(model: LearnedCodec) -> list[npt.NDArray[np.uint8]]:
    return [crop(tiny_pictures()[0], 2 * model.ALIGNMENT, 3 * model.ALIGNMENT)]


def analysis_error(made: Exported, path: Path | None = None, model: LearnedCodec | None = None) -> float:
    """The error of the encoder's graph, against another model's encoder if one is given."""
    knobs = made.encoder.knobs
    point = made.encoder if model is None else model.baking().encoder(knobs)
    return check_analysis_parity(path or made.analysis, made.model, point, pictures_for(made.model))


def synthesis_error(made: Exported, path: Path | None = None, model: LearnedCodec | None = None) -> float:
    grid = made.model.latent_alignment()
    point = made.decoder if model is None else model.baking().decoder(made.decoder.knobs)
    return check_synthesis_parity(
        path or made.synthesis, made.model, point, [drawn_latents(made.model, 2 * grid, 3 * grid)]
    )


@pytest.mark.parametrize("name", CODECS)
def test_graphs_agree_with_their_model(exported: Any, name: str) -> None:
    made = exported(name)
    assert 0 < analysis_error(made) < 2e-5
    assert 0 < synthesis_error(made) < 2e-5


def nudged(name: str, part: str) -> LearnedCodec:
    """The codec with one weight of the named part moved by a tenth."""
    other = copy.deepcopy(tiny_codec(name))
    other.get_parameter(part).flatten()[0] += 0.1
    return other


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("agustsson-sc", "analysis.1.bias"),
        ("crdr", "analysis.block2_rate.weight"),
        ("crdr", "hyper_analysis.4.bias"),
        ("fidelity", "analysis.0.first.bias"),
        ("hific", "analysis.0.weight"),
        ("hific", "hyper_analysis.4.bias"),
        ("hific", "hyper_synthesis_mean.4.bias"),
        ("hific-reflect", "analysis.0.weight"),
        ("tunable", "masker.importance.2.bias"),
        ("tunable", "analysis.omega.1.1.bias"),
    ],
)
def test_parity_fails_for_an_analysis_graph_of_other_weights(exported: Any, name: str, part: str) -> None:
    other = nudged(name, part)
    if name == "crdr":
        other.get_parameter(part)[:] += 0.1  # of whatever quality it is baked at
    if part == "masker.importance.2.bias":
        # Statistics over the whole map take a shift out again, so this weight cannot be told apart: another can.
        other.get_parameter("masker.importance.0.0.weight")[0] += 0.5
    with pytest.raises(VerificationFailed, match=r"analysis.*\.onnx: differs"):
        analysis_error(exported(name), model=other)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("agustsson-sc", "synthesis.generator.image.bias"),
        ("agustsson-sc", "synthesis.label_analysis.0.norm.gamma"),
        ("crdr", "synthesis.block1.0.within.bias"),
        ("fidelity", "synthesis.0.bias"),
        ("hific", "synthesis.image.bias"),
        ("hific", "hyper_synthesis_mean.4.bias"),
        ("tunable", "synthesis.0.1.weight"),
    ],
)
def test_parity_fails_for_a_synthesis_graph_of_other_weights(exported: Any, name: str, part: str) -> None:
    with pytest.raises(VerificationFailed, match=r"synthesis.*\.onnx: differs"):
        synthesis_error(exported(name), model=nudged(name, part))


def test_parity_fails_for_a_decoder_of_another_beta(exported: Any) -> None:
    made = exported("crdr")
    other = made.model.baking().decoder({**made.decoder.knobs, "beta": 0.0})
    with pytest.raises(VerificationFailed, match="differs"):
        check_synthesis_parity(made.synthesis, made.model, other, [drawn_latents(made.model, 64, 64)])


@pytest.mark.parametrize("name", ["tunable", "hific"])
def test_parity_fails_for_infinities(name: str, tmp_path: Path) -> None:
    model = copy.deepcopy(tiny_codec(name))
    for parameter in model.analysis.parameters():
        parameter.mul_(1e30)  # overflows to infinities in PyTorch and in the graph; their difference is NaN
    point = model.baking().encoder({})
    export_analysis(model, point, tmp_path / "analysis.onnx")
    with pytest.raises(VerificationFailed, match=r"analysis\.onnx: gives infinities or NaN"):
        check_analysis_parity(tmp_path / "analysis.onnx", model, point, pictures_for(model))


def changed(path: Path, tmp_path: Path, change: Any) -> Path:
    """The graph in `path` after `change`."""
    graph = onnx.load(path)
    change(graph.graph)
    onnx.save(graph, tmp_path / path.name)
    return tmp_path / path.name


def constant(graph: onnx.GraphProto, value: float) -> onnx.TensorProto:
    (found,) = (each for each in graph.initializer if not each.dims and onnx.numpy_helper.to_array(each) == value)
    return found


def test_parity_fails_for_a_graph_whose_bytes_are_not_the_picture(exported: Any, tmp_path: Path) -> None:
    def brighter(graph: onnx.GraphProto) -> None:
        scale = constant(graph, 255)
        scale.CopyFrom(onnx.numpy_helper.from_array(np.float32(254), scale.name))

    made = exported("hific")
    with pytest.raises(VerificationFailed, match="differs"):
        synthesis_error(made, changed(made.synthesis, tmp_path, brighter))


def test_parity_fails_for_a_graph_that_clips_otherwise(exported: Any, tmp_path: Path) -> None:
    def darker(graph: onnx.GraphProto) -> None:
        (clip,) = (node for node in graph.node if node.op_type == "Clip")
        graph.initializer.append(onnx.numpy_helper.from_array(np.float32(100), "lower"))
        clip.input[2] = "lower"

    made = exported("hific")
    with pytest.raises(VerificationFailed, match="has outputs that are not those of its decisions"):
        synthesis_error(made, changed(made.synthesis, tmp_path, darker))


@pytest.mark.parametrize(
    ("name", "kind", "instead", "message"),
    [
        ("hific", "Round", "Floor", "decides by Floor"),
        ("hific", "Round", "Abs", "decides by"),
        ("agustsson-sc", "Greater", "GreaterOrEqual", "decides by GreaterOrEqual"),
    ],
)
def test_parity_fails_for_a_graph_that_decides_otherwise(
    exported: Any, tmp_path: Path, name: str, kind: str, instead: str, message: str
) -> None:
    def other(graph: onnx.GraphProto) -> None:
        next(node for node in graph.node if node.op_type == kind).op_type = instead

    made = exported(name)
    with pytest.raises(VerificationFailed, match=message):
        analysis_error(made, changed(made.analysis, tmp_path, other))


def test_parity_fails_for_other_centres(exported: Any, tmp_path: Path) -> None:
    def shifted(graph: onnx.GraphProto) -> None:
        (node,) = (node for node in graph.node if node.op_type == "Greater" and _value(graph, node.input[1]) == 1.5)
        graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.6), "shifted"))
        node.input[1] = "shifted"

    made = exported("agustsson-sc")
    with pytest.raises(VerificationFailed, match="Greater has another result than in PyTorch"):
        analysis_error(made, changed(made.analysis, tmp_path, shifted))


def _value(graph: onnx.GraphProto, name: str) -> float:
    (found,) = (each for each in graph.initializer if each.name == name)
    return float(onnx.numpy_helper.to_array(found))


def test_every_family_is_covered() -> None:
    from edgecodec_export.families import FAMILIES

    assert {tiny_codec(name).FAMILY for name in CODECS} == set(FAMILIES)
    assert set(CODECS) <= set(PRESETS)
    assert all(isinstance(tiny_codec(name), nn.Module) for name in CODECS)
