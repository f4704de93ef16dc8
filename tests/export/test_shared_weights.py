"""Weights that graphs share are in separate files, which are checked as the graphs are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import external_data_helper, numpy_helper

import edgecodec
from edgecodec import verify
from edgecodec.bundle import Bundle, GraphContents
from edgecodec.errors import BadModel, BundleChanged
from support.bundle_editing import edit_index, file_of, relist
from support.make_bundles import BLOCK, Graph, plain, synthesis, synthesised

PICTURE = synthesised(np.random.default_rng(0).integers(-128, 128, (3, 4, 5)))


def _outside(graph: Graph, folder: Path, file: str) -> Graph:
    """The graph with its largest constant in `file`."""
    entry, model = graph
    largest = max(model.graph.initializer, key=lambda tensor: numpy_helper.to_array(tensor).size)
    data = numpy_helper.to_array(largest).tobytes()
    assert len(data) == 3 * BLOCK * BLOCK * 4
    external_data_helper.set_external_data(largest, file)
    largest.ClearField("raw_data")
    (folder / "weights").mkdir(exist_ok=True)
    (folder / file).write_bytes(data)
    return entry, model


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Decoders for alpha 0 and 0.5 share their weights; that for 1 has others."""
    folder = replace(
        plain(),
        synthesis=[synthesis(knobs={"alpha": alpha}, shift=alpha * 40) for alpha in (0.0, 0.5, 1.0)],
        defaults={"alpha": 0.0},
    ).write(tmp_path / "test.bundle")
    for number, weights in enumerate(("a", "a", "b")):
        path = folder / f"synthesis{number}.onnx"
        _, model = _outside(({}, onnx.load(path)), folder, f"weights/{weights * 16}.bin")
        path.write_bytes(model.SerializeToString())
    relist(folder)
    return folder


def _write_graph_with_weights_in(bundle: Path, file: str, named: str) -> None:
    """The decoder for alpha 1 has its weights in `file`, and calls it `named`."""
    path = bundle / "synthesis2.onnx"
    model = onnx.load(path)
    (bundle / file).parent.mkdir(exist_ok=True)
    _outside(({}, model), bundle, file)
    (entry,) = (each for tensor in model.graph.initializer for each in tensor.external_data if each.key == "location")
    entry.value = named
    path.write_bytes(model.SerializeToString())


def _flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)


def test_every_decoder_finds_its_weights(bundle: Path) -> None:
    codec = edgecodec.open_bundle(bundle, "onnxruntime", threads=1)
    data = codec.encode(PICTURE).data
    for alpha in (0.0, 0.5, 1.0):
        expected = np.clip(PICTURE + alpha * 40, 0, 255)
        np.testing.assert_array_equal(codec.decode(data, alpha=alpha).pixels, expected)


def test_changed_weights_are_never_loaded(bundle: Path) -> None:
    codec = edgecodec.open_bundle(bundle, "onnxruntime", threads=1)
    data = codec.encode(PICTURE).data
    _flip_a_byte(bundle / "weights" / ("a" * 16 + ".bin"))
    for alpha in (0.0, 0.5):
        with pytest.raises(BundleChanged) as caught:
            codec.decode(data, alpha=alpha)
        assert (caught.value.where or "").endswith("aaaa.bin")
    assert codec.decode(data, alpha=1.0)  # which does not use them


@pytest.mark.parametrize("file", ["model.data", "synthesis2.onnx.data", "more/of/it.bin"])
def test_weights_in_any_file_of_the_bundle_are_checked(bundle: Path, file: str) -> None:
    (bundle / file).parent.mkdir(parents=True, exist_ok=True)
    _write_graph_with_weights_in(bundle, file, file)
    relist(bundle)
    codec = edgecodec.open_bundle(bundle, "onnxruntime", threads=1)
    data = codec.encode(PICTURE).data
    np.testing.assert_array_equal(codec.decode(data, alpha=1.0).pixels, np.clip(PICTURE + 40.0, 0, 255))
    codec.close()
    _flip_a_byte(bundle / file)
    with pytest.raises(BundleChanged) as caught:
        codec.decode(data, alpha=1.0)
    assert caught.value.where == str(bundle / file)


def test_names_of_weight_files_are_relative_to_the_graph(bundle: Path) -> None:
    """A graph in a subfolder does not get a file of the same name beside the manifest."""
    data = edgecodec.open_bundle(bundle, "onnxruntime", threads=1).encode(PICTURE).data
    _write_graph_with_weights_in(bundle, "model.data", "model.data")
    (bundle / "inside").mkdir()
    (bundle / "synthesis2.onnx").rename(bundle / "inside" / "synthesis2.onnx")
    edit_index(bundle, lambda index: setattr(file_of(index, "synthesis2.onnx"), "name", "inside/synthesis2.onnx"))
    relist(bundle)
    (bundle / "inside" / "model.data").write_bytes((bundle / "model.data").read_bytes())
    codec = edgecodec.open_bundle(bundle, "onnxruntime", threads=1)
    with pytest.raises(BadModel, match=r"'model\.data', not listed"):
        codec.decode(data, alpha=1.0)
    relist(bundle)
    codec = edgecodec.open_bundle(bundle, "onnxruntime", threads=1)
    np.testing.assert_array_equal(codec.decode(data, alpha=1.0).pixels, np.clip(PICTURE + 40.0, 0, 255))


MARK = "*/_ORT_MEM_ADDR_/*"  # with it, ONNX Runtime takes the offset for an address in memory


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("model.data", "not listed in the index"),
        *((each, "not a path inside the bundle") for each in ("../secret.bin", "weights/../model.data", "/etc/passwd")),
        *(
            (each, "not a path inside the bundle")
            for each in ("", "./model.data", "weights//a.bin", "a\\b", "C:x", MARK)
        ),
    ],
)
def test_weights_that_the_manifest_does_not_list_are_refused(bundle: Path, named: str, problem: str) -> None:
    """Even if a file of that name exists and the graph has the hash of the manifest."""
    data = edgecodec.open_bundle(bundle, "onnxruntime", threads=1).encode(PICTURE).data
    _write_graph_with_weights_in(bundle, "weights/moved.bin", named)
    relist(bundle)
    (bundle / "model.data").write_bytes((bundle / "weights" / "moved.bin").read_bytes())
    codec = edgecodec.open_bundle(bundle, "onnxruntime", threads=1)
    assert codec.decode(data, alpha=0.0)
    with pytest.raises(BadModel, match=problem) as caught:
        codec.decode(data, alpha=1.0)
    assert caught.value.where == str(bundle / "synthesis2.onnx") and f"'{named}'" in caught.value.message


def test_a_listed_file_whose_name_engines_give_a_meaning_is_refused(bundle: Path) -> None:
    """It may lie in the bundle, with the right hash."""
    data = edgecodec.open_bundle(bundle, "onnxruntime", threads=1).encode(PICTURE).data
    (bundle / "*" / "_ORT_MEM_ADDR_").mkdir(parents=True)
    _write_graph_with_weights_in(bundle, MARK, MARK)
    relist(bundle)
    with pytest.raises(BadModel, match="not a path inside the bundle"):
        edgecodec.open_bundle(bundle, "onnxruntime", threads=1).decode(data, alpha=1.0)


def test_weights_beyond_the_end_of_their_file_are_refused(bundle: Path) -> None:
    data = edgecodec.open_bundle(bundle, "onnxruntime", threads=1).encode(PICTURE).data
    _write_graph_with_weights_in(bundle, "model.data", "model.data")
    (bundle / "model.data").write_bytes((bundle / "model.data").read_bytes()[:-1])
    relist(bundle)
    with pytest.raises(BadModel, match=r"beyond the end of 'model\.data'") as caught:
        edgecodec.open_bundle(bundle, "onnxruntime", threads=1).decode(data, alpha=1.0)
    assert caught.value.where == str(bundle / "synthesis2.onnx") and caught.value.hint


def test_the_engine_opens_no_file(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given what was hashed: what lies at the same names by then does not matter."""
    codec = edgecodec.open_bundle(bundle, "onnxruntime", threads=1)
    data = codec.encode(PICTURE).data
    read = Bundle.graph

    def read_and_remove(self: Bundle, number: int) -> GraphContents:
        graph = read(self, number)
        for path in (graph.path, *(bundle / each for each in graph.weights)):
            path.unlink()
        return graph

    monkeypatch.setattr(Bundle, "graph", read_and_remove)
    np.testing.assert_array_equal(codec.decode(data, alpha=1.0).pixels, np.clip(PICTURE + 40.0, 0, 255))


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x3a\x7f", b"\xff" * 20], ids=repr)
def test_files_that_are_not_graphs_are_refused(bundle: Path, data: bytes) -> None:
    coded = edgecodec.open_bundle(bundle, "onnxruntime", threads=1).encode(PICTURE).data
    (bundle / "synthesis2.onnx").write_bytes(data)
    relist(bundle)
    with pytest.raises(BadModel, match="not an ONNX graph"):
        edgecodec.open_bundle(bundle, "onnxruntime", threads=1).decode(coded, alpha=1.0)


@pytest.mark.parametrize("name", ["a" * 16, "b" * 16])
def test_missing_weights_are_found_on_opening(bundle: Path, name: str) -> None:
    (bundle / "weights" / f"{name}.bin").unlink()
    with pytest.raises(BundleChanged):
        edgecodec.open_bundle(bundle, "stub")


def test_verify_checks_the_hashes_of_weights(bundle: Path) -> None:
    _flip_a_byte(bundle / "weights" / ("b" * 16 + ".bin"))
    assert [check.subject for check in verify.verify(bundle, "onnxruntime") if not check.passed] == [
        f"weights/{'b' * 16}.bin"
    ]
