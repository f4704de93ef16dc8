"""A graph whose weights lie in memory is the same graph, and no bundle can bring addresses of its own."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import edgecodec
from edgecodec.engine import Graph, Options
from edgecodec.errors import BadModel
from edgecodec_engines import onnxruntime
from edgecodec_engines.weights_in_memory import tensors_by_name, with_addresses
from support.bundle_editing import reseal
from support.engines import REAL_ENGINES
from support.make_bundles import Recipe, analysis, colour_model, synthesis

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnx.external_data_helper import set_external_data
except ModuleNotFoundError:
    pytest.skip("its graphs are made with onnx, which is not installed", allow_module_level=True)

FILE, OTHER, ADDRESS = "weights/a.bin", "weights/b.bin", "*/_ORT_MEM_ADDR_/*"
VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def graph_with(*places: tuple[str, int, int | None]) -> onnx.ModelProto:
    """A graph that adds up a tensor for each place: file, offset, length. And one more, which lies inside."""
    tensors = [numpy_helper.from_array(VALUES, f"w{i}") for i in range(len(places) + 1)]
    for tensor, place in zip(tensors, places, strict=False):
        set_external_data(tensor, *place)
        tensor.ClearField("raw_data")
    nodes = [helper.make_node("Sum", ["x", *(each.name for each in tensors)], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 4]) for name in "xy")
    return helper.make_model(helper.make_graph(nodes, "sums", [x], [y], tensors), ir_version=8)


def test_weights_are_found_where_they_lie() -> None:
    inside = VALUES.tobytes()
    files: dict[str, bytes | memoryview] = {FILE: b"1234" + inside, OTHER: memoryview(bytearray(inside + inside))}
    model = graph_with((FILE, 4, 48), (OTHER, 0, 48), (OTHER, 48, None))
    moved = onnx.load_from_string(with_addresses(model.SerializeToString(), files))
    *outside, kept = moved.graph.initializer
    for tensor in outside:
        place = {entry.key: entry.value for entry in tensor.external_data}
        assert place["location"] == ADDRESS and tensor.data_location == TensorProto.EXTERNAL
        data = ctypes.string_at(int(place["offset"]), int(place["length"]))
        np.testing.assert_array_equal(np.frombuffer(data, np.float32).reshape(tensor.dims), VALUES)
    assert kept == model.graph.initializer[-1]
    for each in (model, moved):
        del each.graph.initializer[:]
    assert moved == model


def test_tensors_are_read_where_they_lie() -> None:
    inside = VALUES.tobytes()
    files: dict[str, bytes | memoryview] = {FILE: b"1234" + inside, OTHER: memoryview(bytearray(inside + inside))}
    model = graph_with((FILE, 4, 48), (OTHER, 0, 48), (OTHER, 48, None))
    half = numpy_helper.from_array(VALUES[0].astype(np.float16), "half")
    scalar = numpy_helper.from_array(np.array(7, np.int64), "scalar")
    for tensor in (half, scalar):
        files[tensor.name] = tensor.raw_data
        set_external_data(tensor, tensor.name)
        tensor.ClearField("raw_data")
    model.graph.initializer.extend((half, scalar))
    found = dict(tensors_by_name(model.SerializeToString(), files))
    assert list(found) == ["w0", "w1", "w2", "half", "scalar"]  # and not w3, which lies inside
    for name in ("w0", "w1", "w2"):
        np.testing.assert_array_equal(found[name], VALUES, strict=True)
    np.testing.assert_array_equal(found["half"], VALUES[0].astype(np.float16), strict=True)
    np.testing.assert_array_equal(found["scalar"], np.array(7, np.int64), strict=True)
    assert np.shares_memory(found["w2"], np.frombuffer(files[OTHER], np.uint8))


@pytest.mark.parametrize("place", [(FILE, 8, 48), (FILE, 60, 48), (OTHER, 0, 48)])
def test_a_tensor_beyond_its_file_is_an_error(place: tuple[str, int, int | None]) -> None:
    with pytest.raises((ValueError, LookupError)):
        dict(tensors_by_name(graph_with(place).SerializeToString(), {FILE: VALUES.tobytes()}))


def test_a_graph_without_weights_elsewhere_stays_as_it_is() -> None:
    data = graph_with().SerializeToString()
    assert with_addresses(data, {}) is data
    assert onnx.load_from_string(with_addresses(data, {FILE: b""})) == graph_with()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Its decoder's kernels lie in a file of their own."""
    folder = Recipe(colour_model(), [analysis()], [synthesis()]).write(tmp_path / "test.bundle")
    move_kernels(folder, FILE)
    return folder


def move_kernels(folder: Path, location: str, offset: int = 0) -> None:
    path = folder / "synthesis0.onnx"
    model = onnx.load(path, load_external_data=False)
    (convolution,) = (node for node in model.graph.node if node.op_type == "ConvTranspose")
    (kernels,) = (each for each in model.graph.initializer if each.name == convolution.input[1])
    size = 4 * int(np.prod(kernels.dims))
    new = [] if (folder / FILE).exists() else [FILE]
    for name in new:
        (folder / name).parent.mkdir()
        (folder / name).write_bytes(kernels.raw_data)
    kernels.ClearField("external_data")
    kernels.raw_data = b""
    set_external_data(kernels, location, offset, size)
    kernels.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    reseal(folder, *new)


@pytest.mark.parametrize("engine", REAL_ENGINES)
def test_engines_decode_with_weights_in_files(bundle: Path, engine: str) -> None:
    picture: npt.NDArray[np.uint8] = np.full((24, 40, 3), (200, 100, 50), np.uint8)
    with edgecodec.open_bundle(bundle, engine, threads=1) as codec:
        np.testing.assert_array_equal(codec.decode(codec.encode(picture).data).pixels, picture)


@pytest.mark.usefixtures("python_backend")
def test_the_python_backend_computes_with_what_was_checked(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is another one by the time that the session is made, which opens no file."""
    picture: npt.NDArray[np.uint8] = np.full((24, 40, 3), (200, 100, 50), np.uint8)
    load = onnxruntime.OnnxRuntime.load

    def late(graph: Graph, variant: str, options: Options) -> Any:
        held = {name: bytes(data) for name, data in graph.weights.items()}
        if held:
            (bundle / FILE).write_bytes(bytes((bundle / FILE).stat().st_size))
        return load(replace(graph, weights=held), variant, options)

    monkeypatch.setattr(onnxruntime.OnnxRuntime, "load", late)
    with edgecodec.open_bundle(bundle, "onnxruntime", threads=1) as codec:
        np.testing.assert_array_equal(codec.decode(codec.encode(picture).data).pixels, picture)


@pytest.mark.parametrize("engine", REAL_ENGINES)
def test_a_bundle_that_brings_an_address_is_refused(bundle: Path, engine: str) -> None:
    """It would make the engine read any memory of the process."""
    memory = ctypes.create_string_buffer(1 << 16)
    with edgecodec.open_bundle(bundle, engine, threads=1) as codec:
        data = codec.encode(np.zeros((16, 16, 3), np.uint8)).data
    move_kernels(bundle, ADDRESS, ctypes.addressof(memory))
    with pytest.raises(BadModel, match="synthesis0"), edgecodec.open_bundle(bundle, engine, threads=1) as codec:
        codec.decode(data)
