"""`inspect` for people: a file in a few lines, a folder as a table with its sum, a bundle in a screen."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import edgecodec
from edgecodec import container
from edgecodec.bundle import BundleInfo
from edgecodec.cli.inspect_text import bundle_lines
from edgecodec.codec import Codec
from edgecodec.description import INDEX
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


def test_folders_of_folders_are_one_table(folder: Path) -> None:
    """With the bundles in them, whose golden pictures are not looked for."""
    (folder / "below" / "it").mkdir(parents=True)
    for place in ("below", "below/it"):
        shutil.copy(folder / "a.edgc", folder / place / "c.edgc")
    shutil.copytree(TINY, folder / "below" / "tiny.bundle")
    shutil.copy(folder / "a.edgc", folder / "below" / "tiny.bundle" / "golden.edgc")
    (folder / "below" / "back").symlink_to(folder)
    flat = run_command("inspect", folder, "--json").records
    assert [Path(each["input"]).name for each in flat] == ["a.edgc", "b.EDGC"]
    nested = run_command("inspect", "-r", folder, "--json").records
    found = [str(Path(each["input"]).relative_to(folder)) for each in nested]
    assert found == ["a.edgc", "b.EDGC", "below/c.edgc", "below/tiny.bundle", "below/it/c.edgc"]
    lines = run_command("inspect", "--recursive", folder).output.decode().splitlines()
    size = sum((folder / name).stat().st_size for name in found if "bundle" not in name)
    assert lines[-1].startswith("4 files") and f" {size:,} " in lines[-1]
    assert str(folder / "below" / "it" / "c.edgc") in lines[-2]


def test_a_folder_with_folders_alone_names_the_option(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outer = tmp_path_factory.mktemp("outer")
    folder.rename(outer / "inner")
    outcome = run_command("inspect", outer)
    assert outcome.status == 2 and f"{outer}: " in outcome.talk and "-r was not given" in outcome.talk


@pytest.mark.parametrize("among_others", [True, False])
def test_a_bundle_without_its_index_is_told_as_such(tmp_path: Path, among_others: bool) -> None:
    shutil.copytree(TINY, tmp_path / "old.bundle", ignore=shutil.ignore_patterns(INDEX))
    outcome = run_command("inspect", tmp_path if among_others else tmp_path / "old.bundle")
    assert outcome.status == 4 and f"it has no {INDEX}" in outcome.talk


def test_bundles_in_a_folder() -> None:
    outcome = run_command("inspect", DATA)
    assert f"{TINY}: hific tiny, schema 2" in outcome.output.decode()


def test_a_folder_of_neither_is_refused(tmp_path: Path) -> None:
    outcome = run_command("inspect", tmp_path)
    assert outcome.status == 2 and str(tmp_path) in outcome.talk and ".edgc, bundles" in outcome.talk


def test_what_integers_cost_and_what_fitted_tables_save_are_two_lines() -> None:
    info = edgecodec.inspect(TINY)
    assert isinstance(info, BundleInfo) and info.background is not None
    fitted = {**info.background.entropy_cost, "overhead_percent": 0.0514, "fitting_percent": -12.3456}
    background = replace(info.background, entropy_cost=fitted)
    lines = list(bundle_lines("tiny", replace(info, background=background), entropy_cost(TINY), []))
    assert any("+0.05 % bits for integers instead of floats" in line for line in lines)
    assert any("-12.35 % bits for tables that were fitted to photographs" in line for line in lines)
    assert not any("fitted" in line for line in bundle_lines("tiny", info, entropy_cost(TINY), []))


@pytest.mark.parametrize("damage", ['"much"', "1e999", "[1]", "null"])
def test_a_cost_that_is_no_number_is_refused_where_it_is(damage: str, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(TINY, tmp_path / "b.bundle"))
    manifest = bundle / "manifest.json"
    told = re.sub(r'("overhead_percent": )[^,]+', rf"\g<1>{damage}", manifest.read_text())
    manifest.write_text(told)
    outcome = run_command("inspect", bundle)
    assert outcome.status == 4 and "entropy_cost: overhead_percent: is" in outcome.talk


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
