"""Bundles in the store of a model hub, where every file is a link to a blob: the same pictures, the same refusals."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import edgecodec
from edgecodec.errors import BadModel, BundleChanged
from edgecodec.verify import verify
from support.bundle_editing import reseal
from support.make_bundles import Recipe, analysis, colour_model, synthesis

try:
    import onnx
    from onnx.external_data_helper import set_external_data
except ModuleNotFoundError:
    pytest.skip("its bundles are made with onnx, which is not installed", allow_module_level=True)

Layout = Callable[[Path, str], Path]

PIXELS: npt.NDArray[np.uint8] = np.random.default_rng(5).integers(0, 256, (48, 80, 3), np.uint8)
SHARED = "weights/blocks.bin"


def flat(store: Path, digest: str) -> Path:
    """As the cache of the Hugging Face hub."""
    return store / "blobs" / digest


def spread(store: Path, digest: str) -> Path:
    """As stores that keep few files to a folder: graph and weights are not even neighbours."""
    return store / "blobs" / digest[:2] / digest[2:4] / digest


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A bundle of real files, whose two decoders share a file of weights."""
    decoders = [synthesis(knobs={"alpha": alpha}, shift=10 * alpha) for alpha in (0.0, 1.0)]
    recipe = Recipe(colour_model(), [analysis()], decoders, defaults={"alpha": 0.0})
    folder = recipe.write(tmp_path / "plain.bundle")
    for path in folder.glob("synthesis*.onnx"):
        share_weights(path)
    reseal(folder, SHARED)
    return folder


def share_weights(path: Path) -> None:
    """Move the kernels of its transposed convolution out of the graph."""
    graph = onnx.load(path)
    (convolution,) = (node for node in graph.graph.node if node.op_type == "ConvTranspose")
    (kernels,) = (each for each in graph.graph.initializer if each.name == convolution.input[1])
    (path.parent / "weights").mkdir(exist_ok=True)
    (path.parent / SHARED).write_bytes(kernels.raw_data)
    set_external_data(kernels, SHARED, 0, len(kernels.raw_data))
    kernels.ClearField("raw_data")
    path.write_bytes(graph.SerializeToString())


def link(target: Path, name: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    try:
        name.symlink_to(os.path.relpath(target, name.parent))
    except OSError:
        pytest.skip("this system makes no links")


def stored(plain: Path, layout: Layout) -> Path:
    """A snapshot of a bundle: links alone, to files named by their hash."""
    store = plain.parent / "store"
    for path in filter(Path.is_file, sorted(plain.rglob("*"))):
        data = path.read_bytes()
        blob = layout(store, hashlib.sha256(data).hexdigest())
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link(blob, store / "snapshots" / "0123" / path.relative_to(plain))
    return store / "snapshots" / "0123"


def decoded(bundle: Path, data: bytes, alpha: float) -> npt.NDArray[np.uint8]:
    with edgecodec.open_bundle(bundle, engine="onnxruntime", alpha=alpha, threads=1) as codec:
        return codec.decode(data).pixels


def encoded(bundle: Path) -> bytes:
    with edgecodec.open_bundle(bundle, engine="onnxruntime", threads=1) as codec:
        return codec.encode(PIXELS).data


@pytest.mark.parametrize("layout", [flat, spread])
def test_pictures_are_those_of_real_files(plain: Path, layout: Layout) -> None:
    snapshot = stored(plain, layout)
    assert all(path.is_symlink() for path in snapshot.rglob("*") if path.is_file())
    data = encoded(plain)
    assert encoded(snapshot) == data
    pictures = [decoded(snapshot, data, alpha) for alpha in (0.0, 1.0)]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() >= 10
    for alpha, picture in zip((0.0, 1.0), pictures, strict=True):
        np.testing.assert_array_equal(picture, decoded(plain, data, alpha))
    assert all(check.passed for check in verify(snapshot, "onnxruntime", threads=1))


def test_links_of_weights_alone_or_of_their_folder_are_followed(plain: Path, tmp_path: Path) -> None:
    data = encoded(plain)
    expected = decoded(plain, data, 1.0)
    (plain / SHARED).rename(tmp_path / "elsewhere.bin")
    link(tmp_path / "elsewhere.bin", plain / SHARED)
    np.testing.assert_array_equal(decoded(plain, data, 1.0), expected)
    (plain / SHARED).unlink()
    (tmp_path / "elsewhere.bin").rename(tmp_path / Path(SHARED).name)
    (plain / "weights").rmdir()
    link(tmp_path, plain / "weights")
    np.testing.assert_array_equal(decoded(plain, data, 1.0), expected)


def test_a_link_to_the_bundle_is_the_bundle(plain: Path, tmp_path: Path) -> None:
    link(plain, tmp_path / "link.bundle")
    np.testing.assert_array_equal(
        decoded(tmp_path / "link.bundle", encoded(plain), 1.0), decoded(plain, encoded(plain), 1.0)
    )


@pytest.mark.parametrize("layout", [flat, spread])
@pytest.mark.parametrize("name", [SHARED, "synthesis1.onnx"])
def test_a_link_to_something_with_another_hash_is_refused(plain: Path, layout: Layout, name: str) -> None:
    """Of the right size, so that nothing but the hash tells."""
    data, snapshot = encoded(plain), stored(plain, layout)
    changed = bytearray((snapshot / name).read_bytes())
    changed[-1] ^= 1
    other = layout(snapshot.parents[1], hashlib.sha256(changed).hexdigest())
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(changed)
    link(other, snapshot / name)
    with pytest.raises(BundleChanged, match="SHA-256"):
        decoded(snapshot, data, 1.0)


def test_a_link_that_leads_nowhere_is_refused(plain: Path, tmp_path: Path) -> None:
    snapshot = stored(plain, spread)
    link(tmp_path / "absent", snapshot / SHARED)
    with pytest.raises(BundleChanged, match="missing"):
        edgecodec.open_bundle(snapshot, engine="onnxruntime")


def test_a_linked_graph_gets_no_file_that_the_manifest_does_not_list(plain: Path) -> None:
    """The graph is the one that the manifest describes, but it wants more than the bundle holds."""
    data = encoded(plain)
    (plain.parent / "secret.bin").write_bytes((plain / SHARED).read_bytes())
    graph = onnx.load(plain / "synthesis1.onnx", load_external_data=False)
    (entry,) = (each for tensor in graph.graph.initializer for each in tensor.external_data if each.key == "location")
    entry.value = "../../../secret.bin"
    (plain / "synthesis1.onnx").write_bytes(graph.SerializeToString())
    reseal(plain)
    with pytest.raises(BadModel, match="not a path inside the bundle"):
        decoded(stored(plain, spread), data, 1.0)
