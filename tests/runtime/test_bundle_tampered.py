"""A bundle is what its index says, or it is refused: files, hashes, models; and the manifest says the same."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest

import edgecodec
from edgecodec import verify
from edgecodec.bundle import BundleInfo
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
from support.bundle_editing import (
    INDEX,
    MANIFEST,
    edit_index,
    edit_manifest,
    file_of,
    read_index,
    read_manifest,
    reseal,
)
from support.index_file import Index
from support.json_damage import damaged
from support.paths import DATA, TINY

FILES = [file.name for file in read_index(TINY).files]
ALL = sorted(read_manifest(TINY)["files"])


def _flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


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


@pytest.mark.parametrize("name", sorted({*ALL} - {INDEX}))
def test_verify_finds_a_single_changed_byte(bundle_copy: Path, name: str) -> None:
    _flip_a_byte(bundle_copy / name)
    failed = [check.subject for check in verify.verify(bundle_copy, "onnxruntime", threads=1) if not check.passed]
    assert name in failed


def test_verify_compares_golden_latents(bundle_copy: Path) -> None:
    """Other latents than the manifest promises, whatever the pixels are."""
    edit_manifest(bundle_copy, lambda manifest: manifest["golden"][0].update(latents_sha256="0" * 64))
    failed = [check for check in verify.verify(bundle_copy, "onnxruntime", threads=1) if not check.passed]
    assert [check.subject.endswith(": latents") for check in failed] == [True]
    assert "decodes to other latents" in failed[0].detail


@pytest.mark.parametrize("change", ["name", "channels", "stride"])
@pytest.mark.parametrize("side", ["encoder_latents", "decoder_latents"])
def test_latents_of_index_and_entropy_model_must_agree(bundle_copy: Path, side: str, change: str) -> None:
    def other(index: Index) -> None:
        latent = getattr(index.models[0], side)[0]
        setattr(latent, change, "other" if change == "name" else 2 * getattr(latent, change))

    edit_index(bundle_copy, other)
    with pytest.raises(EdgecodecError) as caught:
        edgecodec.open_bundle(bundle_copy, "stub")
    assert caught.value.exit_status == 4


def test_the_model_id_of_index_and_entropy_model_must_agree(bundle_copy: Path) -> None:
    edit_index(bundle_copy, lambda index: setattr(index.models[0], "id", 0x01234567))
    with pytest.raises(BundleChanged, match="another model id"):
        edgecodec.open_bundle(bundle_copy, "stub")


def test_a_changed_entropy_model_is_never_used(bundle_copy: Path) -> None:
    _flip_a_byte(bundle_copy / "entropy.bin")
    with pytest.raises(BundleChanged):
        edgecodec.open_bundle(bundle_copy, "stub")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"ECEM\1\0"])
def test_an_entropy_model_that_is_none_is_named(bundle_copy: Path, data: bytes) -> None:
    (bundle_copy / "entropy.bin").write_bytes(data)
    reseal(bundle_copy)
    with pytest.raises(EdgecodecError) as caught:
        edgecodec.open_bundle(bundle_copy, "stub")
    assert caught.value.exit_status == 4 and caught.value.where == str(bundle_copy / "entropy.bin")


def test_a_changed_graph_is_never_loaded(bundle_copy: Path, coded: bytes) -> None:
    _flip_a_byte(bundle_copy / "synthesis-alpha1.onnx")
    codec = edgecodec.open_bundle(bundle_copy, "stub")
    with pytest.raises(BundleChanged):
        codec.decode(coded)
    assert codec.decode(coded, alpha=0.5)


def test_entropy_model_and_index_must_agree(bundle_copy: Path) -> None:
    """A changed entropy.bin has another model id, whatever its hash in the index."""
    data = bytearray((bundle_copy / "entropy.bin").read_bytes())
    data[-1] ^= 1
    (bundle_copy / "entropy.bin").write_bytes(data)
    reseal(bundle_copy)
    with pytest.raises(EdgecodecError) as caught:
        edgecodec.open_bundle(bundle_copy, "stub")
    assert caught.value.exit_status == 4


def test_a_picture_of_another_model(bundle_copy: Path, coded: bytes) -> None:
    changed = bytearray(coded)
    position = changed.index(read_index(TINY).models[0].id.to_bytes(4, "little"))
    changed[position] ^= 1
    changed[-4:] = zlib.crc32(changed[:-4]).to_bytes(4, "little")
    with pytest.raises(ModelMismatch) as caught:
        edgecodec.open_bundle(bundle_copy, "stub").decode(changed)
    assert caught.value.exit_status == 4


def test_a_graph_that_hides_weights_outside_is_never_loaded(bundle_copy: Path, coded: bytes) -> None:
    """ONNX Runtime would read them: tests/data/graphs/README.md."""
    shutil.copy(DATA / "graphs" / "hidden_external_data.onnx", bundle_copy / "synthesis-alpha1.onnx")
    reseal(bundle_copy)
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
    """Neither in the index, which everyone reads, nor in the manifest, by which `verify` reads."""
    edit_manifest(bundle_copy, lambda manifest: manifest["files"].update({path: manifest["files"]["entropy.bin"]}))
    with pytest.raises(NotABundle, match="not a path inside the bundle"):
        next(verify.verify(bundle_copy))
    edit_index(bundle_copy, lambda index: setattr(file_of(index, "entropy.bin"), "name", path))
    with pytest.raises(NotABundle):
        edgecodec.open_bundle(bundle_copy, "stub")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": NaN}', "\xff", "[" * 100_000, '{"schema": 2}'])
def test_a_manifest_that_is_none(bundle_copy: Path, text: str) -> None:
    (bundle_copy / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(NotABundle):
        edgecodec.inspect(bundle_copy)


@pytest.mark.parametrize("name", ["\ud800", "weights/\udcff.bin"])
def test_names_that_are_no_text(bundle_copy: Path, name: str) -> None:
    edit_manifest(bundle_copy, lambda manifest: manifest["files"].update({name: manifest["files"]["entropy.bin"]}))
    with pytest.raises(NotABundle, match="surrogates"):
        edgecodec.inspect(bundle_copy)


@pytest.mark.parametrize(("schema", "advice"), [(1, "again"), (3, "update edgecodec")])
def test_another_schema(bundle_copy: Path, schema: int, advice: str) -> None:
    data = bytearray((bundle_copy / INDEX).read_bytes())
    data[4:6] = schema.to_bytes(2, "little")
    for name, contents in ((INDEX, bytes(data)), (MANIFEST, b'{"schema": %d}' % schema)):
        before = (bundle_copy / name).read_bytes()
        (bundle_copy / name).write_bytes(contents)
        with pytest.raises(UnsupportedVersion, match=f"schema {schema}") as caught:
            edgecodec.inspect(bundle_copy)
        assert caught.value.where == str(bundle_copy / name) and advice in (caught.value.hint or "")
        (bundle_copy / name).write_bytes(before)


def test_unknown_fields_of_the_manifest_are_skipped(bundle_copy: Path) -> None:
    edit_manifest(bundle_copy, lambda manifest: manifest.update(later={"more": 1}))
    assert isinstance(edgecodec.inspect(bundle_copy), BundleInfo)


def test_every_field_of_the_manifest_replaced_by_everything(bundle_copy: Path) -> None:
    """Whatever stands where: pictures are decoded as before, and `verify` says so or what is wrong."""
    original = read_manifest(bundle_copy)
    described = ("schema", "family", "preset", "models", "knobs", "graphs")
    for what, value in damaged(original):
        (bundle_copy / MANIFEST).write_text(json.dumps(value))
        try:
            first = next(verify.verify(bundle_copy, "stub"))
        except EdgecodecError as error:
            assert error.code in (40, 43), (what, error)
        else:
            same = _text_of(value, described) == _text_of(original, described)
            same &= all(value["files"].get(name) == original["files"][name] for name in FILES)
            assert first.subject == MANIFEST and first.passed == same, what


def _text_of(manifest: dict[str, Any], names: tuple[str, ...]) -> str:
    """In which true is not 1."""
    return json.dumps([manifest[name] for name in names], sort_keys=True)


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
