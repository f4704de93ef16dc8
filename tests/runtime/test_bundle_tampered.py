"""A bundle is what its manifest says, or it is refused: files, hashes, paths, and every field of the manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgecodec
from edgecodec import verify
from edgecodec.errors import (
    BadModel,
    BundleChanged,
    CannotRead,
    EdgecodecError,
    KnobUnavailable,
    ModelMismatch,
    NotABundle,
    UnsupportedVersion,
)
from edgecodec.manifest import BundleInfo
from support.json_damage import damaged
from support.paths import DATA, TINY

FILES = sorted(json.loads((TINY / "manifest.json").read_text())["files"])


def _edit(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def _flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _reseal(bundle: Path, name: str) -> None:
    """Make the manifest agree with a changed file."""
    data = (bundle / name).read_bytes()
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    _edit(bundle, lambda manifest: manifest["files"].update({name: entry}))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(bundle_copy: Path, name: str) -> None:
    (bundle_copy / name).unlink()
    with pytest.raises(BundleChanged) as caught:
        edgecodec.open_bundle(bundle_copy, "stub")
    assert caught.value.where == str(bundle_copy / name)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_size(bundle_copy: Path, name: str) -> None:
    with open(bundle_copy / name, "ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleChanged):
        edgecodec.inspect(bundle_copy)


@pytest.mark.parametrize("name", FILES)
def test_verify_finds_a_single_changed_byte(bundle_copy: Path, name: str) -> None:
    _flip_a_byte(bundle_copy / name)
    failed = [check.subject for check in verify.verify(bundle_copy, "onnxruntime", threads=1) if not check.passed]
    assert name in failed


def test_verify_compares_golden_latents(bundle_copy: Path) -> None:
    """Other latents than the manifest promises, whatever the pixels are."""
    _edit(bundle_copy, lambda manifest: manifest["golden"][0].update(latents_sha256="0" * 64))
    failed = [check for check in verify.verify(bundle_copy, "onnxruntime", threads=1) if not check.passed]
    assert [check.subject.endswith(": latents") for check in failed] == [True]
    assert "decodes to other latents" in failed[0].detail


@pytest.mark.parametrize("change", ["name", "channels", "stride"])
@pytest.mark.parametrize("kind", ["encoder_latents", "decoder_latents"])
def test_latents_of_manifest_and_entropy_model_must_agree(bundle_copy: Path, kind: str, change: str) -> None:
    manifest = json.loads((bundle_copy / "manifest.json").read_text())
    if kind not in manifest:
        pytest.skip("the manifest does not have these apart")
    latent = manifest[kind][0]
    latent[change] = "other" if change == "name" else 2 * latent[change]
    (bundle_copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EdgecodecError) as caught:
        edgecodec.open_bundle(bundle_copy, "stub")
    assert caught.value.exit_status == 4


def test_the_model_id_of_manifest_and_entropy_model_must_agree(bundle_copy: Path) -> None:
    _edit(bundle_copy, lambda manifest: manifest.update(model_id="01234567"))
    with pytest.raises(BundleChanged, match="another model id"):
        edgecodec.open_bundle(bundle_copy, "stub")


def test_a_changed_entropy_model_is_never_used(bundle_copy: Path) -> None:
    _flip_a_byte(bundle_copy / "entropy.bin")
    with pytest.raises(BundleChanged):
        edgecodec.open_bundle(bundle_copy, "stub")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"ECEM\1\0"])
def test_an_entropy_model_that_is_none_is_named(bundle_copy: Path, data: bytes) -> None:
    (bundle_copy / "entropy.bin").write_bytes(data)
    _reseal(bundle_copy, "entropy.bin")
    with pytest.raises(EdgecodecError) as caught:
        edgecodec.open_bundle(bundle_copy, "stub")
    assert caught.value.exit_status == 4 and caught.value.where == str(bundle_copy / "entropy.bin")


def test_a_changed_graph_is_never_loaded(bundle_copy: Path, coded: bytes) -> None:
    _flip_a_byte(bundle_copy / "synthesis-alpha1.onnx")
    codec = edgecodec.open_bundle(bundle_copy, "stub")
    with pytest.raises(BundleChanged):
        codec.decode(coded)
    assert codec.decode(coded, alpha=0.5)


def test_entropy_model_and_manifest_must_agree(bundle_copy: Path) -> None:
    """A changed entropy.bin has another model id, whatever its hash in the manifest."""
    data = bytearray((bundle_copy / "entropy.bin").read_bytes())
    data[-1] ^= 1
    (bundle_copy / "entropy.bin").write_bytes(data)
    _reseal(bundle_copy, "entropy.bin")
    with pytest.raises(EdgecodecError) as caught:
        edgecodec.open_bundle(bundle_copy, "stub")
    assert caught.value.exit_status == 4


def test_a_picture_of_another_model(bundle_copy: Path, coded: bytes) -> None:
    changed = bytearray(coded)
    position = changed.index(bytes.fromhex(json.loads((TINY / "manifest.json").read_text())["model_id"])[::-1])
    changed[position] ^= 1
    changed[-4:] = zlib.crc32(changed[:-4]).to_bytes(4, "little")
    with pytest.raises(ModelMismatch) as caught:
        edgecodec.open_bundle(bundle_copy, "stub").decode(changed)
    assert caught.value.exit_status == 4


def test_a_graph_that_hides_weights_outside_is_never_loaded(bundle_copy: Path, coded: bytes) -> None:
    """ONNX Runtime would read them: tests/data/graphs/README.md."""
    shutil.copy(DATA / "graphs" / "hidden_external_data.onnx", bundle_copy / "synthesis-alpha1.onnx")
    _reseal(bundle_copy, "synthesis-alpha1.onnx")
    (bundle_copy.parent / "secret").mkdir()
    (bundle_copy.parent / "secret" / "key").write_bytes(bytes(64))
    with pytest.raises(BadModel, match="is not an ONNX graph") as caught:
        edgecodec.open_bundle(bundle_copy, "onnxruntime", threads=1).decode(coded)
    assert caught.value.where == str(bundle_copy / "synthesis-alpha1.onnx") and caught.value.hint


@pytest.mark.parametrize(
    "path",
    ["../entropy.bin", "/etc/passwd", "a/../../x", "..", ".", "", "a//b", "./entropy.bin", "a\\b", "C:x", "a/", "a\0b"],
)
def test_paths_may_not_leave_the_bundle(bundle_copy: Path, path: str) -> None:
    def lead_astray(manifest: dict[str, Any]) -> None:
        manifest["files"][path] = manifest["files"]["entropy.bin"]
        manifest["entropy"] = path

    _edit(bundle_copy, lead_astray)
    with pytest.raises(NotABundle, match="not a path inside the bundle"):
        edgecodec.open_bundle(bundle_copy, "stub")


def test_only_listed_files_are_used(bundle_copy: Path) -> None:
    _edit(bundle_copy, lambda manifest: manifest["files"].pop("analysis.onnx"))
    with pytest.raises(NotABundle, match="not listed"):
        edgecodec.open_bundle(bundle_copy, "stub")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": NaN}', "\xff", "[" * 100_000, '{"schema": 1}'])
def test_a_manifest_that_is_none(bundle_copy: Path, text: str) -> None:
    (bundle_copy / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(NotABundle):
        edgecodec.inspect(bundle_copy)


@pytest.mark.parametrize("name", ["\ud800", "weights/\udcff.bin"])
def test_names_that_are_no_text(bundle_copy: Path, name: str) -> None:
    _edit(bundle_copy, lambda manifest: manifest["files"].update({name: manifest["files"]["entropy.bin"]}))
    with pytest.raises(NotABundle, match="surrogates"):
        edgecodec.inspect(bundle_copy)


def test_a_newer_schema(bundle_copy: Path) -> None:
    _edit(bundle_copy, lambda manifest: manifest.update(schema=2))
    with pytest.raises(UnsupportedVersion, match="schema 2"):
        edgecodec.inspect(bundle_copy)


def test_without_a_smallest_side_a_picture_may_have_any(bundle_copy: Path) -> None:
    _edit(bundle_copy, lambda manifest: manifest["image"].pop("smallest_side", None))
    info = edgecodec.inspect(bundle_copy)
    assert isinstance(info, BundleInfo) and info.image.smallest_side == 1


def test_unknown_fields_are_skipped(bundle_copy: Path) -> None:
    _edit(bundle_copy, lambda manifest: manifest.update(later={"more": 1}))
    assert isinstance(edgecodec.inspect(bundle_copy), BundleInfo)


def test_every_field_replaced_by_everything(bundle_copy: Path) -> None:
    """Whatever stands where: a typed error, or a bundle that still opens."""
    manifest = bundle_copy / "manifest.json"
    for what, value in damaged(json.loads(manifest.read_text())):
        manifest.write_text(json.dumps(value))
        try:
            edgecodec.open_bundle(bundle_copy, "stub")
        except EdgecodecError as error:
            assert error.code in (40, 42, 43, 44, 45), (what, error)


def test_not_a_bundle(tmp_path: Path, photo: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", photo):
        with pytest.raises(NotABundle):
            edgecodec.open_bundle(path, "stub")


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(CannotRead):
        edgecodec.inspect("nowhere.edgc")


@pytest.mark.parametrize(
    ("knobs", "hint"),
    [
        ({"alpha": 0.3}, "the bundle has alpha 0, 0.5, 1"),
        ({"beta": 1.0}, "the knobs are alpha (0, 0.5, 1) to decode"),
        ({"alpha": 1.0, "beta": 1.0}, "the knobs are alpha (0, 0.5, 1) to decode"),
        ({"precision": "int8"}, "the bundle has fp32"),
    ],
)
def test_knobs_that_were_not_exported(knobs: dict[str, Any], hint: str) -> None:
    with pytest.raises(KnobUnavailable) as caught:
        edgecodec.open_bundle(TINY, "stub", **knobs)
    assert caught.value.hint == hint


def test_every_exported_alpha_decodes_to_another_picture(codec: edgecodec.Codec, coded: bytes) -> None:
    pictures = {codec.decode(coded, alpha=alpha).pixels.tobytes() for alpha in (0, 0.5, 1)}
    assert len(pictures) == 3
    assert codec.decode(coded).pixels.tobytes() == codec.decode(coded, alpha=1).pixels.tobytes()


def test_links_into_a_store_are_followed(bundle_copy: Path, tmp_path: Path, coded: bytes) -> None:
    """Model hubs keep the files of a snapshot as links; the hash binds the contents."""
    (bundle_copy / "entropy.bin").rename(tmp_path / "blob")
    (bundle_copy / "entropy.bin").symlink_to(tmp_path / "blob")
    assert edgecodec.open_bundle(bundle_copy, "stub").decode_latents(coded)
