"""`inspect` for people: a file in a few lines, a folder as a table with its sum, a bundle in a screen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import edgecodec
from edgecodec import container
from edgecodec.bundle import BundleInfo
from edgecodec.cli.inspect_text import bundle_lines
from edgecodec.codec import Codec
from edgecodec.inspection import entropy_cost
from support.command_line import run_command
from support.paths import DATA, TINY


@pytest.fixture
def folder(tmp_path: Path, coded: bytes, mosaic: Codec) -> Path:
    (tmp_path / "a.edgc").write_bytes(coded)
    file = container.parse(coded)
    described = container.write(
        file.payload, width=96, height=64, lanes=file.info.lanes, model_id=file.info.model_id, xmp=b"<x/>", quality=1.5
    )
    (tmp_path / "b.EDGC").write_bytes(described)
    (tmp_path / "notes.txt").write_text("not a coded picture")
    return tmp_path


def test_one_file(folder: Path) -> None:
    size = (folder / "b.EDGC").stat().st_size
    first, *rest = run_command("inspect", folder / "b.EDGC").output.decode().splitlines()
    assert first == f"{folder / 'b.EDGC'}: 96x64, {size} bytes, {8 * size / 96 / 64:.3f} bits per pixel"
    facts = {line.split()[0]: line.split(maxsplit=1)[1] for line in rest}
    assert facts["knobs"] == "quality 1.5" and ", XMP 4, header " in facts["sections"]
    assert "noise" not in facts and "EXIF" not in facts["sections"]


def test_a_folder_is_a_table_with_a_sum(folder: Path) -> None:
    heading, a, b, total = run_command("inspect", folder).output.decode().splitlines()
    sizes = [(folder / name).stat().st_size for name in ("a.edgc", "b.EDGC")]
    assert heading.split() == ["file", "size", "bytes", "bpp", "quality", "model", "metadata"]
    assert a.split() == [str(folder / "a.edgc"), "96x64", str(sizes[0]), f"{8 * sizes[0] / 6144:.3f}", a.split()[-1]]
    assert b.split()[4:] == ["1.5", a.split()[-1], "XMP"]
    assert total.split() == ["2", "files", "0.0123", "MP", f"{sum(sizes):,}", f"{8 * sum(sizes) / 2 / 6144:.3f}"]
    columns = {line.index("96x64") + len("96x64") for line in (a, b)} | {total.index(" MP") + 3}
    assert len(columns) == 1


def test_one_bad_file_of_a_folder_ends_nothing(folder: Path) -> None:
    (folder / "c.edgc").write_bytes(b"\xec\xdc")
    outcome = run_command("inspect", folder)
    assert outcome.status == 1 and "c.edgc" in outcome.talk
    assert outcome.output.decode().splitlines()[-1].startswith("2 files")


def test_machines_are_told_all(folder: Path) -> None:
    a, b, bundle = run_command("inspect", folder, TINY, "--json").records
    assert [Path(each["input"]).name for each in (a, b)] == ["a.edgc", "b.EDGC"]
    for each in (a, b):
        assert each["bits_per_pixel"] == pytest.approx(8 * each["file_bytes"] / each["width"] / each["height"])
        assert sum(each["sections"].values()) == each["file_bytes"]
    assert {"models", "knobs", "graphs", "files", "background", "decoding_cost", "precisions"} <= bundle.keys()
    assert "onnxruntime" in bundle["engines_installed"]


def test_bundles_in_a_folder() -> None:
    outcome = run_command("inspect", DATA)
    assert f"{TINY}: hific tiny, schema 2" in outcome.output.decode()


def test_a_folder_of_neither_is_refused(tmp_path: Path) -> None:
    outcome = run_command("inspect", tmp_path)
    assert outcome.status == 4 and str(tmp_path) in outcome.talk


def test_a_bundle_fits_a_screen() -> None:
    info = edgecodec.inspect(TINY)
    assert isinstance(info, BundleInfo)
    lines = list(bundle_lines("tiny", info, entropy_cost(TINY), ["onnxruntime", "openvino"]))
    assert len(lines) < 20 and max(map(len, lines)) <= 100
    files = [Path(where, name) for where, _, names in os.walk(TINY) for name in names if name != "manifest.json"]
    assert lines[-1] == f"  files    {len(files)}, {sum(path.stat().st_size for path in files):,} bytes"
    for expected in (
        "knobs    alpha to decode: 0, 0.5, 1; default 1",
        "graphs   to encode: 1 in fp32",
        "engines  onnxruntime, openvino installed here",
    ):
        assert any(expected in line for line in lines)
