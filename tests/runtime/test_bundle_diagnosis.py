"""What was given in the place of a bundle is named as what it is."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

import edgecodec
from edgecodec.errors import NotABundle
from support.command_line import run_command
from support.paths import PHOTOS, TINY


def _zip(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "problem", "hint"),
    [
        ("x.bundle", _zip("x.bundle/index.bin"), "is a zip archive", "unpack"),
        ("x.tar.gz", b"\x1f\x8b\x08" + bytes(99), "is an archive", "unpack"),
        ("x.zip", b"PK\x03\x04" + bytes(99), "is a damaged zip archive", "again"),
        ("x.pth", _zip("x/data.pkl", "x/version"), "is a checkpoint", "export"),
        ("x.npz", _zip("weights.npy"), "is a checkpoint", "export"),
        ("x.ckpt", b"\x80\x02}q\x00.", "is a checkpoint", "export"),
        ("x.safetensors", struct.pack("<Q", 2) + b"{}", "is a checkpoint", "export"),
        ("x.onnx", b"\x08\x0a" + bytes(99), "is a graph", "folder"),
        ("manifest.json", b"{}", "is a manifest without index.bin", "folder"),
        ("x.jpg", b"\xff\xd8\xff\xe0" + bytes(99), "is a picture", "-b names the bundle"),
        ("x.avif", bytes(4) + b"ftypavif" + bytes(99), "is a picture", "-b names the bundle"),
        ("notes", b"some text", "is a file, not a folder", "export wrote"),
        ("empty", b"", "is a file, not a folder", "export wrote"),
    ],
)
def test_files(tmp_path: Path, name: str, data: bytes, problem: str, hint: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(NotABundle, match=problem) as refused:
        edgecodec.open_bundle(tmp_path / name)
    assert refused.value.where == str(tmp_path / name) and hint in (refused.value.hint or "")


def test_a_coded_picture(tmp_path: Path, coded: bytes) -> None:
    (tmp_path / "a.edgc").write_bytes(coded)
    outcome = run_command("decode", TINY, "-b", tmp_path / "a.edgc")
    assert outcome.status == 2 and "is a bundle, not a picture" in outcome.talk  # swapped
    outcome = run_command("decode", tmp_path / "a.edgc", "-b", tmp_path / "a.edgc")
    assert outcome.status == 4 and "is a coded picture, not a bundle" in outcome.talk


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (TINY / "synthesis-alpha1.onnx", "is a graph of a bundle.*give its folder"),
        (TINY / "index.bin", "is a file of a bundle.*give its folder"),
        (TINY.parent, "is a folder of a bundle.*tiny.bundle"),
        (PHOTOS[0].parent, "is a folder of pictures"),
        (TINY.with_name("tini.bundle"), "is not there"),
        (Path("/dev/null"), "has no index.bin"),
    ],
)
def test_places_nearby(path: Path, problem: str) -> None:
    with pytest.raises(NotABundle, match=problem):
        edgecodec.open_bundle(path)


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(NotABundle, match="is an empty folder"):
        edgecodec.open_bundle(tmp_path)
    (tmp_path / "a.edgc").touch()
    with pytest.raises(NotABundle, match="is a folder of coded pictures"):
        edgecodec.open_bundle(tmp_path)
    (tmp_path / "a.onnx").touch()
    with pytest.raises(NotABundle, match="is a folder of graphs without"):
        edgecodec.open_bundle(tmp_path)


def test_a_damaged_index_is_no_other_thing(bundle_copy: Path) -> None:
    (bundle_copy / "index.bin").write_bytes(b"PK\x03\x04")
    with pytest.raises(NotABundle, match="is not the index of a bundle"):
        edgecodec.open_bundle(bundle_copy)
