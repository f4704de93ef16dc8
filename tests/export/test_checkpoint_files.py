"""Files that are no whole checkpoint are named as what they are, before torch or memory is spent on them."""

from __future__ import annotations

import codecs
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_importers_compressai
import torch
from safetensors.torch import save_file

from edgecodec.errors import CannotRead, CheckpointRejected
from edgecodec_export.checkpoint_files import examine
from edgecodec_export.checkpoints import read_checkpoint
from edgecodec_export.checkpoints.foreign import read_foreign
from edgecodec_export.checkpoints.pickled_arrays import with_tensors
from support.command_line import run_command

compressai = test_importers_compressai.scales_only


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is to be refused without a library that loads it."""

    def load(*asked: Any, **options: Any) -> None:
        raise AssertionError("the file was opened")

    monkeypatch.setattr(torch, "load", load)
    monkeypatch.setattr(np, "load", load)


def refusal(path: Path) -> CheckpointRejected:
    with pytest.raises(CheckpointRejected) as refused:
        read_checkpoint(path)
    assert refused.value.where == str(path) and refused.value.hint
    return refused.value


def zipped(**entries: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name.replace("__", "."), text)
    return data.getvalue()


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return data.getvalue()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 730841200\n"
PAGE = "\n<!DOCTYPE html><html><head><title>Google Drive -\n Virus scan warning</title></head></html>"
ONNX = b"\x08\x08\x12\x07pytorch\x1a\x052.5.1:\x9c\x01"

#: What is in the file, and words of the message and of the hint.
NO_CHECKPOINTS: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "an empty file", "download it again"),
    "zeros": (bytes(5000), "starts with zeros", "download it again"),
    "web page": (PAGE.encode(), "a web page titled 'Google Drive - Virus scan warning'", "browser"),
    "page without a title": (b"\xef\xbb\xbf<html lang=en>", "is a web page, not", "browser"),
    "message of a server": (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "an XML document", "again"),
    "refusal of a server": ("Zugriff verweigert, schade für dich\n".encode(), "begins 'Zugriff verweigert", "again"),
    "JSON": (b'{"message": "Not Found"}', "is JSON", "the file with the weights"),
    "Git LFS": (POINTER.encode(), "a Git LFS pointer to 730,841,200 bytes", "git lfs pull"),
    "git-annex": (b"/annex/objects/MD5E-s730841200--4d7a.pth\n", "a git-annex pointer", "git annex get"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file, as Keras", "PyTorch"),
    "ONNX": (ONNX, "an ONNX model", "PyTorch file"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3\x14\0", "a TensorFlow Lite model", "PyTorch"),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0\0", "a gzip archive", "unpack it"),
    "tar": (tarred(), "a tar archive", "unpack it"),
    "zip of checkpoints": (
        zipped(ckpt_model1_gan__pth="", README="x"),
        "README",
        "unpack it, and give ckpt_model1_gan.pth",
    ),
    "empty zip": (zipped(), "something else (nothing)", "weights"),
    "Keras 3": (zipped(config__json="{}", model__weights__h5=""), "a Keras model", "PyTorch"),
    "TorchScript": (zipped(**{"m/data__pkl": "", "m/constants__pkl": ""}), "a TorchScript program", "state_dict"),
    "single array": (b"\x93NUMPY\x01\0", "a single NumPy array", "numpy.savez"),
    "plain pickle": (pickle.dumps({"a": [1]}, 2), "a pickle that torch.save did not write", "torch.save"),
    "coded picture": (b"\xec\xdc\x01\x02", "a picture that edgecodec coded", "PyTorch"),
}


@pytest.mark.parametrize("kind", NO_CHECKPOINTS)
def test_what_is_no_checkpoint_is_named_with_a_remedy(kind: str, tmp_path: Path) -> None:
    data, named, remedy = NO_CHECKPOINTS[kind]
    path = tmp_path / "model.pth"
    path.write_bytes(data)
    error = refusal(path)
    assert named in error.message and remedy in str(error.hint)


def test_other_bytes_are_not_taken_for_any_of_these(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(bytes(range(7, 207)))
    with pytest.raises(CheckpointRejected, match="first bytes are not those of a PyTorch file"):
        examine(path)


def test_a_folder_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    def hint(*names: str) -> str:
        folder = tmp_path / "-".join(("folder", *names))
        folder.mkdir()
        for name in names:
            (folder / name).touch()
        with pytest.raises(CannotRead, match="is a folder") as refused:
            read_checkpoint(folder)
        assert refused.value.where == str(folder)
        return str(refused.value.hint)

    assert hint("b.pth", "a.safetensors", "log.txt") == "give one of its files: a.safetensors, b.pth"
    assert "this is a bundle" in hint("manifest.json")
    assert "an unpacked PyTorch file" in hint("data.pkl")
    assert "tensorflow.train.load_checkpoint" in hint("saved_model.pb")
    assert "tensorflow.train.load_checkpoint" in hint("model.ckpt.index")
    assert hint() == "give the file with the weights"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CannotRead, match="not a regular file"):
        examine(tmp_path / "pipe")


# ---- half a download -------------------------------------------------------------------------------------------------


def test_a_truncated_safetensors_file_says_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(compressai(), path)
    data = path.read_bytes()
    for kept in (len(data) - 1, len(data) - 1000, len(data) // 2):
        path.write_bytes(data[:kept])
        assert f": {len(data) - kept:,} of its {len(data):,} bytes are missing" in refusal(path).message
    header = 8 + int.from_bytes(data[:8], "little")
    path.write_bytes(data[:100])
    assert f"truncated: at least {header - 100:,} bytes are missing" in refusal(path).message
    path.write_bytes(data[:8])
    assert "truncated: only 8 bytes" in refusal(path).message
    path.write_bytes(data)
    assert examine(path) == "safetensors"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_called_truncated(share: float, tmp_path: Path) -> None:
    for name, save in {
        "model.pth": lambda path: torch.save(compressai(), path),
        "model.npz": lambda path: np.savez(path, compressai()["g_a.2.weight"].numpy()),
    }.items():
        path = tmp_path / name
        save(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        assert refusal(path).message.startswith("is truncated")


def test_a_truncated_file_of_the_old_form_is_called_truncated(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": torch.ones(1000), "b": torch.ones(5)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    for kept in (20, 200, len(data) - 30, len(data) - 1000):
        path.write_bytes(data[:kept])
        assert refusal(path).message.startswith("is truncated")


# ---- claims that are larger than the file ----------------------------------------------------------------------------


def npy(shape: tuple[int, ...], data: bytes, descr: str = "<f4") -> bytes:
    """An array in NumPy's format whose header claims a shape."""
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)  # type: ignore[no-untyped-call, unused-ignore]
    return stream.getvalue() + data


def npz(path: Path, array: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("generator/decoder/conv2d/bias.npy", array)
    return path


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**22), (3,), (-1,), (1, 0)])
def test_a_header_that_claims_what_does_not_follow_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = npz(tmp_path / "lie.npz", npy(shape, bytes(960 * 4)))
    with pytest.raises(CheckpointRejected, match=r"conv2d/bias\.npy: its header claims .* bytes, and 3,840 follow"):
        examine(path)
    assert examine(npz(tmp_path / "true.npz", npy((960,), bytes(960 * 4)))) == "npz"


def repacked(path: Path, change: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """A PyTorch file with other entries."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.mark.usefixtures("no_loading")
def test_an_archive_that_expands_a_thousandfold_is_refused_by_its_directory(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(4)}, tmp_path / "bomb.pt")
    bomb = repacked(
        tmp_path / "bomb.pt", lambda name, data: bytes(2**27) if "data/0" in name else data, zipfile.ZIP_DEFLATED
    )
    assert bomb.stat().st_size < 2**20
    with pytest.raises(
        CheckpointRejected, match=r"unpacks to would take 134,\d+,\d+ bytes of memory, and the file has"
    ):
        examine(bomb)
    with pytest.raises(CheckpointRejected, match="unpacks to would take"):
        examine(npz(tmp_path / "bomb.npz", npy((2**25,), bytes(2**27))))


def test_an_archive_that_was_packed_again_is_read(tmp_path: Path) -> None:
    torch.save(compressai(), tmp_path / "model.pt")
    path = repacked(tmp_path / "model.pt", lambda name, data: data, zipfile.ZIP_DEFLATED)
    assert read_checkpoint(path).family == "hyperprior"


def test_a_storage_that_claims_more_than_its_entry_is_refused(tmp_path: Path) -> None:
    four, very_many = b"K\x04", b"J\x00\x00\x00\x40"  # pickled 4 and 2^30
    for form in (True, False):
        path = tmp_path / "claim.pt"
        torch.save({"a": torch.ones(4)}, path, _use_new_zipfile_serialization=form)
        if form:
            repacked(path, lambda name, data: data.replace(four, very_many) if name.endswith("data.pkl") else data)
        else:
            path.write_bytes(path.read_bytes().replace(four, very_many))
        assert "damaged PyTorch file" in refusal(path).message


class Call:
    """Pickles as a call."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize("form", [True, False])
def test_a_buffer_of_any_size_is_refused(form: bool, tmp_path: Path) -> None:
    torch.save({"a": Call(bytearray, (2**40,))}, tmp_path / "x.pt", _use_new_zipfile_serialization=form)
    assert "bytearray" in refusal(tmp_path / "x.pt").message


@pytest.mark.usefixtures("no_loading")
@pytest.mark.parametrize("form", [True, False])
def test_bytes_that_double_again_and_again_are_refused(form: bool, tmp_path: Path) -> None:
    doubled: Any = b"ab"
    for _ in range(40):
        doubled = Call(codecs.encode, (doubled, "hex"))
    torch.save({"a": doubled}, tmp_path / "x.pt", _use_new_zipfile_serialization=form)
    assert (tmp_path / "x.pt").stat().st_size < 4000
    assert "codec" in refusal(tmp_path / "x.pt").message


@pytest.mark.parametrize("form", [True, False])
def test_numpy_arrays_are_stored_through_a_codec_too(form: bool, tmp_path: Path) -> None:
    """Nor is a tensor refused whose name is that of a codec."""
    torch.save({"a": np.arange(3.0)}, tmp_path / "x.pt", _use_new_zipfile_serialization=form)
    assert b"_codecs" in (tmp_path / "x.pt").read_bytes()
    assert torch.equal(read_foreign(tmp_path / "x.pt")["a"], torch.arange(3.0).double())
    torch.save({"hex": torch.ones(1)}, tmp_path / "y.pt", _use_new_zipfile_serialization=form)
    assert list(read_foreign(tmp_path / "y.pt")) == ["hex"]


def test_one_stored_number_is_not_a_matrix(tmp_path: Path) -> None:
    wide = {"net.weight": torch.zeros(1).expand(2**15, 2**15)}
    for content in (wide, {"state_dict": wide}):
        torch.save(content, tmp_path / "x.pt")
        assert "its tensors would take 4,294,967,296 bytes" in refusal(tmp_path / "x.pt").message


def test_mappings_that_are_named_exponentially_often_are_read_once(tmp_path: Path) -> None:
    content: dict[str, Any] = {"a": np.ones(2)}
    twice = with_tensors({"left": content, "right": content})
    assert twice["left"] is twice["right"], "or what follows would not end"
    for _ in range(60):
        content = {"left": content, "right": content}
    torch.save(content, tmp_path / "x.pt")
    assert "its keys: left, right" in refusal(tmp_path / "x.pt").message


def test_objects_in_a_numpy_archive_are_never_unpickled(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Call(os.mkdir, (str(sprung),)))
    trap += bytes(-len(trap) % 8)  # as long as the claimed pointers, so that no other check refuses it
    path = npz(tmp_path / "trap.npz", npy((len(trap) // 8,), trap, "|O"))
    refusal(path)
    assert not sprung.exists()
    with np.load(path, allow_pickle=True) as archive:
        archive["generator/decoder/conv2d/bias"]
    assert sprung.exists(), "the trap itself must work, or this test proves nothing"


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--ckpt", "--ckpt-mse"])
def test_the_command_names_a_wrong_path_before_anything_else(option: str, tmp_path: Path) -> None:
    good, out = tmp_path / "model.pth", tmp_path / "out"
    torch.save(compressai(), good)
    other = ("--ckpt", good) if option == "--ckpt-mse" else ()
    outcome = run_command("export", option, tmp_path / "typo", *other, "-o", out)
    assert outcome.status == 7 and f"{tmp_path / 'typo'}: no such file" in outcome.talk
    assert "reading checkpoints" not in outcome.talk


def test_a_wrong_path_is_named_without_loading_torch(tmp_path: Path) -> None:
    code = "import sys; from edgecodec.cli import main\ntry: main()\nexcept SystemExit: print('torch' in sys.modules)"
    arguments = ["export", "--ckpt", str(tmp_path / "typo"), "-o", str(tmp_path / "out"), "--json"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment)
    assert "no such file" in ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == "False", ended.stderr


def test_a_header_that_is_no_header_is_left_to_safetensors(tmp_path: Path) -> None:
    for header in (b"{]", b"{}  ", b'{"a":3}', json.dumps({"a": {"data_offsets": [0, "x"]}}).encode()):
        path = tmp_path / "x.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        assert examine(path) == "safetensors"
        with pytest.raises(CheckpointRejected):
            read_checkpoint(path)
