"""One input's failure, whatever it is, ends that input only; and no output replaces an input."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

import edgecodec
from edgecodec import picture, picture_writing
from edgecodec.codec import Codec
from edgecodec.errors import EdgecodecError, InternalError, InvalidArgument, NotEdgc, OutOfMemory
from support.command_line import run_command
from support.paths import PHOTOS, TINY

STUB = ("-b", TINY, "--engine", "stub")
FAILURES = [
    NotImplementedError("pixel format 500"),
    RuntimeError("dictionary changed size"),
    SyntaxError("not a TIFF file"),
    struct.error("unpack requires 4 bytes"),
    AttributeError("no attribute"),
    RecursionError("too deep"),
    AssertionError(),
    MemoryError(),
    OSError("cannot identify"),
]


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three photographs."""
    return [Path(shutil.copy(path, tmp_path / f"{name}.png")) for name, path in zip("abc", PHOTOS, strict=True)]


@pytest.fixture
def three(photos: list[Path], mosaic: Codec) -> list[Path]:
    """Three coded files."""
    files = [photo.with_suffix(".edgc") for photo in photos]
    for photo, file in zip(photos, files, strict=True):
        file.write_bytes(mosaic.encode(photo).data)
        photo.unlink()
    return files


def _failing_for(name: str, error: Exception, original: Any) -> Any:
    def fail(self_or_source: Any, *arguments: Any, **options: Any) -> Any:
        if any(str(each).endswith(name) for each in (self_or_source, *arguments[:1])):
            raise error
        return original(self_or_source, *arguments, **options)

    return fail


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_encoding_goes_on(photos: list[Path], monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(picture, "read", _failing_for("b.png", error, picture.read))
    outcome = run_command("encode", *photos, *STUB, "--json")
    assert outcome.status == 1 and [record["ok"] for record in outcome.records] == [True, False, True]
    assert outcome.records[1]["input"] == str(photos[1])
    assert f"edgecodec: error: {photos[1]}: " in outcome.talk and "2 of 3 done, 1 failed" in outcome.talk
    assert [photo.with_suffix(".edgc").exists() for photo in photos] == [True, False, True]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["_begin", "as_file"])
def test_decoding_goes_on(three: list[Path], monkeypatch: pytest.MonkeyPatch, error: Exception, place: str) -> None:
    if place == "_begin":
        monkeypatch.setattr(Codec, place, _failing_for("b.edgc", error, Codec._begin))
    else:
        calls: list[None] = []
        original = picture_writing.as_file

        def fail_second(*arguments: Any) -> picture_writing.PictureFile:
            calls.append(None)
            if len(calls) == 2:
                raise error
            return original(*arguments)

        monkeypatch.setattr(picture_writing, place, fail_second)
    outcome = run_command("decode", *three, *STUB, "--json")
    assert outcome.status == 1 and [record["ok"] for record in outcome.records] == [True, False, True]
    assert outcome.records[1]["input"] == str(three[1])
    assert [file.with_suffix(".png").exists() for file in three] == [True, False, True]


def test_inspecting_goes_on(three: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgecodec, "inspect", _failing_for("b.edgc", KeyError("x"), edgecodec.inspect))
    outcome = run_command("inspect", *three, "--json")
    assert outcome.status == 1 and [record["ok"] for record in outcome.records] == [True, False, True]


def test_what_is_not_foreseen_says_where_it_was_raised(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "read", _failing_for("a.png", ZeroDivisionError("oops"), picture.read))
    outcome = run_command("encode", photos[0], *STUB)
    assert outcome.status == 70 and "Traceback" in outcome.talk and "in fail" in outcome.talk


def test_the_library_returns_typed_errors(three: list[Path], mosaic: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    sources: list[Any] = [str(three[0]), None, str(three[1]), b"nothing", str(three[2])]
    monkeypatch.setattr(Codec, "_begin", _failing_for("b.edgc", MemoryError(), Codec._begin))
    results = list(mosaic.decode_many(sources, errors="return"))
    kinds = [type(result) if isinstance(result, EdgecodecError) else None for result in results]
    assert kinds == [None, InvalidArgument, OutOfMemory, NotEdgc, None]
    assert isinstance(results[2], OutOfMemory) and results[2].where == str(three[1])


def test_what_the_engine_raises_is_typed(three: list[Path], mosaic: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecodec_engines.stub.Stub.run", lambda self, inputs: dict[str, Any]()["image"])
    (result,) = mosaic.decode_many([three[0]], errors="return")
    assert isinstance(result, InternalError) and isinstance(result.__cause__, KeyError)
    assert result.where == str(three[0])


@pytest.mark.parametrize("errors", ["bogus", None, "RETURN"])
def test_unknown_treatments_of_errors_are_refused_at_once(mosaic: Codec, errors: Any) -> None:
    with pytest.raises(InvalidArgument, match="errors is"):
        mosaic.decode_many([], errors=errors)


def test_none_is_no_end_of_the_sources(three: list[Path], mosaic: Codec) -> None:
    with pytest.raises(InvalidArgument, match="NoneType"):
        list(mosaic.decode_many([None, three[0]]))  # type: ignore[list-item]


# ---- inputs are safe ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["same", "dot", "link", "hard link", "folder link"])
@pytest.mark.parametrize("force", [True, False])
def test_an_input_is_never_overwritten(three: list[Path], tmp_path: Path, spelling: str, force: bool) -> None:
    source = three[0]
    before = source.read_bytes()
    output: str | Path = source
    if spelling == "dot":
        output = f"{source.parent}/./{source.name}"
    elif spelling == "link":
        output = tmp_path / "other.png"
        output.symlink_to(source)
    elif spelling == "hard link":
        output = tmp_path / "other.png"
        os.link(source, output)
    elif spelling == "folder link":
        (tmp_path / "folder").symlink_to(tmp_path)
        output = tmp_path / "folder" / source.name
    outcome = run_command("decode", source, *STUB, "-o", output, "--format", "png", *["--force"] * force)
    assert outcome.status == 2 and "is the input" in outcome.talk and "hint" in outcome.talk
    assert source.read_bytes() == before


def test_nor_is_another_input_of_the_batch(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.edgc").symlink_to(photos[1])
    before = photos[1].read_bytes()
    outcome = run_command("encode", *photos, *STUB, "-o", tmp_path / "out", "--force")
    assert outcome.status == 2 and str(photos[1]) in outcome.talk
    assert photos[1].read_bytes() == before and not (tmp_path / "out" / "b.edgc").exists()


def test_two_names_of_one_output(photos: list[Path], tmp_path: Path) -> None:
    """Where one folder is a link to the other."""
    (tmp_path / "linked").symlink_to(tmp_path)
    outcome = run_command("encode", photos[0], tmp_path / "linked" / "a.png", *STUB)
    assert outcome.status == 2 and "would both be written" in outcome.talk


def test_other_files_are_overwritten_where_that_is_asked_for(three: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    assert run_command("decode", three[0], *STUB, "--force").status == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


# ---- options --------------------------------------------------------------------------------------------------------


def test_more_threads_than_any_machine_has(photos: list[Path]) -> None:
    outcome = run_command("encode", photos[0], *STUB, "-j", 257)
    assert outcome.status == 2 and "256" in outcome.talk
    for threads in (0, 257, sys.maxsize):
        with pytest.raises(InvalidArgument, match="threads"):
            edgecodec.open_bundle(TINY, "stub", threads=threads)
    edgecodec.open_bundle(TINY, "stub", threads=256).close()


def test_why_engines_were_passed_over_is_said_once(three: list[Path], tmp_path: Path) -> None:
    outcome = run_command("decode", *three, "-b", TINY, "-o", tmp_path / "out", "-v", "--json")
    passed_over = outcome.records[0]["engine"]["passed_over"]
    assert outcome.status == 0 and passed_over and len(outcome.records) == 3
    assert [line for line in outcome.talk.splitlines() if line.startswith("  not ")] == [
        f"  not {name}: {reason}" for name, reason in passed_over
    ]
