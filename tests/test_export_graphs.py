"""Exported graphs: the same bytes every time, the promised inputs and outputs, PyTorch's numbers at any size."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from make_tiny_bundle import tiny_model, tiny_pictures

from edgecodec.errors import VerificationFailed
from edgecodec.export.calibration import crop, to_tensor
from edgecodec.export.families import Hyperprior
from edgecodec.export.families.hyperprior import Preset, ScaleHyperprior
from edgecodec.export.graphs import AnalysisGraph, SynthesisGraph, export_analysis, export_synthesis
from edgecodec.export.verify import verify_analysis, verify_synthesis

SIZES = ((64, 64), (128, 192), (320, 128))


@cache
def model(family: str) -> ScaleHyperprior:
    if family == "hific":
        return tiny_model()
    torch.manual_seed(3)
    hyperprior = Hyperprior(Preset(6, 10)).eval().requires_grad_(False)
    hyperprior.analysis[-1].weight.mul_(60)
    hyperprior.hyper_analysis[-1].weight.mul_(20)
    hyperprior.density.quantiles[:, 0, 1] = torch.linspace(-1, 1, 6)
    return hyperprior


@cache
def analysis(family: str) -> onnx.ModelProto:
    return export_analysis(model(family))


@cache
def synthesis(family: str) -> onnx.ModelProto:
    return export_synthesis(model(family))


def session(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


def ports(values: object) -> list[tuple[str, str, list[object]]]:
    return [(each.name, each.type, each.shape) for each in values]  # type: ignore[attr-defined]


def test_exporting_again_gives_the_same_bytes() -> None:
    for first, again in ((analysis("hific"), export_analysis), (synthesis("hific"), export_synthesis)):
        assert again(model("hific")).SerializeToString() == first.SerializeToString()


def test_nothing_tells_of_the_machine_that_exported() -> None:
    for graph in (analysis("hific"), synthesis("hific")):
        data = graph.SerializeToString()
        assert b"/" not in data.replace(b"height/", b"").replace(b"width/", b"").replace(b"\n", b"")[:2000]
        assert b".py" not in data and b"stack_trace" not in data


def test_opset_and_ir_version_load_on_the_oldest_supported_runtime() -> None:
    for graph in (analysis("hific"), synthesis("hific")):
        assert graph.ir_version == 8
        assert [(each.domain, each.version) for each in graph.opset_import] == [("", 18)]
        assert not graph.functions


def test_inputs_and_outputs_are_those_of_the_manifest() -> None:
    z = ("z", "tensor(float)", [1, 8, "height/64", "width/64"])
    r = ("r", "tensor(float)", [1, 8, "height/16", "width/16"])
    image = ("image", "tensor(uint8)", ["height", "width", 3])
    encoder, decoder = session(analysis("hific")), session(synthesis("hific"))
    assert ports(encoder.get_inputs()) == [image]
    assert ports(encoder.get_outputs()) == [z, r]
    assert ports(decoder.get_inputs()) == [z, r]
    assert ports(decoder.get_outputs()) == [image]


@pytest.mark.parametrize("family", ["hific", "hyperprior"])
def test_engines_find_plain_constants_and_no_shape_arithmetic(family: str) -> None:
    for graph in (analysis(family), synthesis(family)):
        kinds = {node.op_type for node in graph.graph.node}
        assert not kinds & {"Shape", "Gather", "Expand", "Slice", "If", "Loop", "ReduceMean", "Constant", "Identity"}
        constants = {tensor.name for tensor in graph.graph.initializer}
        for node in graph.graph.node:
            if node.op_type in ("Conv", "ConvTranspose"):
                assert set(node.input[1:]) <= constants


@pytest.mark.parametrize("family", ["hific", "hyperprior"])
@pytest.mark.parametrize("size", SIZES)
def test_the_graphs_compute_what_pytorch_computes_at_any_size(family: str, size: tuple[int, int]) -> None:
    picture = crop(tiny_pictures()[3], *size)
    z, r = session(analysis(family)).run(["z", "r"], {"image": picture})
    assert z.shape[2:] == (size[0] // 64, size[1] // 64) and r.shape[2:] == (size[0] // 16, size[1] // 16)
    assert np.abs(z).max() > 0 and np.abs(r).max() > 1
    with torch.no_grad():
        expected_z, expected_r = AnalysisGraph(model(family))(torch.from_numpy(picture))
        expected = SynthesisGraph(model(family))(torch.from_numpy(z), torch.from_numpy(r))
    np.testing.assert_array_equal(z, expected_z.numpy())
    assert (r != expected_r.numpy()).mean() < 0.001
    levels = session(synthesis(family)).run(["image"], {"z": z, "r": r})[0]
    assert levels.dtype == np.uint8
    assert np.abs(levels.astype(int) - expected.numpy().astype(int)).max() <= 1


def verified_latents(family: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    with torch.no_grad():
        quantised = model(family).quantise(model(family).analysis(to_tensor(tiny_pictures()[0])))
    return [quantised[:2]]


@pytest.mark.parametrize("family", ["hific", "hyperprior"])
def test_verification_passes_the_graphs_of_a_model(family: str) -> None:
    assert verify_analysis(analysis(family), model(family), tiny_pictures()[:1]) < 1e-5
    assert 0 < verify_synthesis(synthesis(family), model(family), verified_latents(family), "synthesis") < 1e-5


def nudged(prefix: str) -> ScaleHyperprior:
    """The tiny model with one weight of the named part moved by a tenth."""
    other = copy.deepcopy(model("hific"))
    parameter = next(tensor for name, tensor in other.named_parameters() if name == prefix)
    parameter.flatten()[0] += 0.1
    return other


@pytest.mark.parametrize("part", ["analysis.0.weight", "hyper_analysis.4.bias", "hyper_synthesis_mean.4.bias"])
def test_verification_fails_an_analysis_graph_of_other_weights(part: str) -> None:
    with pytest.raises(VerificationFailed, match="analysis"):
        verify_analysis(analysis("hific"), nudged(part), tiny_pictures()[:1])


@pytest.mark.parametrize("part", ["synthesis.image.bias", "hyper_synthesis_mean.4.bias"])
def test_verification_fails_a_synthesis_graph_of_other_weights(part: str) -> None:
    with pytest.raises(VerificationFailed, match="synthesis-x"):
        verify_synthesis(synthesis("hific"), nudged(part), verified_latents("hific"), "synthesis-x.onnx")


def test_verification_fails_a_graph_whose_bytes_are_not_the_picture() -> None:
    graph = onnx.ModelProto()
    graph.CopyFrom(synthesis("hific"))
    (scale,) = (
        tensor for tensor in graph.graph.initializer if not tensor.dims and onnx.numpy_helper.to_array(tensor) == 255
    )
    scale.CopyFrom(onnx.numpy_helper.from_array(np.float32(254), scale.name))
    with pytest.raises(VerificationFailed, match="rounded"):
        verify_synthesis(graph, model("hific"), verified_latents("hific"), "synthesis")
