"""Weights that graphs share lie in files of their own, and are as much part of the bundle as the graphs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from make_bundles import BLOCK, Graph, painted, plain, read_manifest, synthesis, write_manifest
from onnx import external_data_helper, numpy_helper

import edgecodec
from edgecodec import verify
from edgecodec.errors import BundleChanged

PICTURE = painted(np.random.default_rng(0).integers(-128, 128, (3, 4, 5)))


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
        manifest={"default_knobs": {"alpha": 0.0}},
    ).write(tmp_path / "test.bundle")
    for number, weights in enumerate(("a", "a", "b")):
        path = folder / f"synthesis{number}.onnx"
        _, model = _outside(({}, onnx.load(path)), folder, f"weights/{weights * 16}.bin")
        path.write_bytes(model.SerializeToString())
    write_manifest(folder, read_manifest(folder))
    return folder


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


@pytest.mark.parametrize("name", ["a" * 16, "b" * 16])
def test_missing_weights_are_noticed_at_once(bundle: Path, name: str) -> None:
    (bundle / "weights" / f"{name}.bin").unlink()
    with pytest.raises(BundleChanged):
        edgecodec.open_bundle(bundle, "stub")


def test_verify_hashes_them(bundle: Path) -> None:
    _flip_a_byte(bundle / "weights" / ("b" * 16 + ".bin"))
    assert [check.subject for check in verify.verify(bundle, "onnxruntime") if not check.passed] == [
        f"weights/{'b' * 16}.bin"
    ]
