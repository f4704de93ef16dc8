"""A graph whose inputs or outputs are not of the promised kind is a typed error, whatever ONNX has in their place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecodec
from edgecodec.errors import EngineFailed
from support.engines import REAL_ENGINES
from support.make_bundles import Graph, analysis, plain, synthesis

try:
    from onnx import TensorProto, helper, numpy_helper
except ModuleNotFoundError:
    pytest.skip("its bundles are made with onnx, which is not installed", allow_module_level=True)

FLOAT, UINT8, DOUBLE, STRING = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.DOUBLE, TensorProto.STRING
ODD = ["sequence", "optional", "double", "text", "of another rank", "of one value", "of another size", "empty"]
pytestmark = pytest.mark.parametrize("engine", REAL_ENGINES)
#: What OpenVINO says of operators that it does not have.
REFUSED = "No conversion rule found"
PICTURE = np.full((16, 24, 3), 100, np.uint8)


def array_port(name: str, kind: int, rank: int) -> Any:
    return helper.make_tensor_value_info(name, kind, [f"{name}{i}" for i in range(rank)])


def with_output(graph: Graph, name: str, kind: int, odd: str) -> Graph:
    """The graph with its output `name`, a tensor of `kind`, replaced by something else that is made of it."""
    entry, model = graph
    before, rank = f"{name}_before", len(model.graph.output[0].type.tensor_type.shape.dim)
    for node in model.graph.node:
        node.output[:] = [before if each == name else each for each in node.output]
    kinds: dict[str, tuple[str, list[str], dict[str, Any], Any]] = {
        "sequence": ("SequenceConstruct", [], {}, helper.make_tensor_sequence_value_info(name, kind, None)),
        "optional": ("Optional", [], {}, optional_port(name, kind)),
        "double": ("Cast", [], {"to": DOUBLE}, array_port(name, DOUBLE, rank)),
        "text": ("Cast", [], {"to": STRING}, array_port(name, STRING, rank)),
        "of another rank": ("Unsqueeze", ["first"], {}, array_port(name, kind, rank + 1)),
        "of one value": ("ReduceMax", [], {"keepdims": 0}, array_port(name, kind, 0)),
        "of another size": ("Concat", [before], {"axis": 0}, array_port(name, kind, rank)),
        "empty": ("Slice", ["first", "first"], {}, array_port(name, kind, rank)),
    }
    operator, inputs, attributes, port = kinds[odd]
    model.graph.node.append(helper.make_node(operator, [before, *inputs], [name], **attributes))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), "first"))
    model.graph.output[0].CopyFrom(port)
    return entry, model


def optional_port(name: str, kind: int) -> Any:
    inner = helper.make_tensor_type_proto(kind, None)
    return helper.make_value_info(name, helper.make_optional_type_proto(inner))


def opened(folder: Path, engine: str, encoder: Graph, decoder: Graph) -> edgecodec.Codec:
    bundle = replace(plain(), analysis=[encoder], synthesis=[decoder]).write(folder / "test.bundle")
    return edgecodec.open_bundle(bundle, engine, threads=1)


@pytest.mark.parametrize("odd", ODD)
def test_latents_of_another_kind(tmp_path: Path, engine: str, odd: str) -> None:
    codec = opened(tmp_path, engine, with_output(analysis(), "y", FLOAT, odd), synthesis())
    with pytest.raises(EngineFailed, match=f"'y'|{REFUSED}") as caught:
        codec.encode(PICTURE)
    assert caught.value.where == "analysis0.onnx"


@pytest.mark.parametrize("odd", ODD)
def test_pictures_of_another_kind(tmp_path: Path, engine: str, odd: str) -> None:
    codec = opened(tmp_path, engine, analysis(), with_output(synthesis(), "image", UINT8, odd))
    data = codec.encode(PICTURE).data
    with pytest.raises(EngineFailed, match=f"'image'|{REFUSED}") as caught:
        codec.decode(data)
    assert caught.value.where == "synthesis0.onnx"


def test_a_map_in_place_of_a_picture(tmp_path: Path, engine: str) -> None:
    """An operator of ONNX makes maps, in a domain of its own."""
    entry, model = synthesis()
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    element = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, ()))
    port = helper.make_value_info("image", helper.make_sequence_type_proto(element))
    shape = numpy_helper.from_array(np.array([-1, 1]), "column")
    nodes = [
        helper.make_node("Reshape", ["y", "column"], ["values"]),
        helper.make_node("ZipMap", ["values"], ["image"], domain="ai.onnx.ml", classlabels_int64s=[0]),
    ]
    graph = helper.make_graph(nodes, "test", list(model.graph.input), [port], [shape])
    decoder = entry, helper.make_model(graph, ir_version=8, opset_imports=model.opset_import)
    codec = opened(tmp_path, engine, analysis(), decoder)
    data = codec.encode(PICTURE).data
    with pytest.raises(EngineFailed, match=rf"output 'image' is (a sequence|seq\(map\(.*), not |{REFUSED}"):
        codec.decode(data)


@pytest.mark.parametrize("kind", [DOUBLE, UINT8, STRING])
def test_an_input_of_another_kind(tmp_path: Path, engine: str, kind: int) -> None:
    entry, model = synthesis()
    for node in model.graph.node:
        node.input[:] = ["y_float" if each == "y" else each for each in node.input]
    model.graph.node.insert(0, helper.make_node("Cast", ["y"], ["y_float"], to=FLOAT))
    model.graph.input[0].CopyFrom(array_port("y", kind, 4))
    codec = opened(tmp_path, engine, analysis(), (entry, model))
    data = codec.encode(PICTURE).data
    with pytest.raises(EngineFailed, match=r"input 'y' is (tensor\(|\w+64|uint8|type 23).*, not "):
        codec.decode(data)
