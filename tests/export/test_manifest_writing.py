"""The manifest says what the index says and what `verify` needs beside it, and is written once, as the last file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec.description import INDEX, MANIFEST, Background, BundleFile, Description, Golden, GoldenPicture
from edgecodec.manifest import Manifest, description_values, differences, read_manifest
from edgecodec_export import pipeline
from edgecodec_export.bundle.description import Source
from edgecodec_export.bundle.files import indexed_files, listed_files
from edgecodec_export.bundle.manifest import write_manifest
from edgecodec_export.originals import Original
from support.descriptions import descriptions
from support.index_description import described
from support.make_tiny_bundle import tiny_halves
from support.paths import TINY
from support.tiny_codecs import tiny_codec

FILES = {name: BundleFile(len(name), "0f" * 32) for name in ("a.edgc", "a.png", "s.onnx", "index.bin")}
BACKGROUND = Background(
    golden=(Golden("a.edgc", {"quality": 1.5}, "12" * 32, (GoldenPicture({"quality": 1.5, "beta": 2.0}, "a.png"),)),),
    parity={"s.onnx": 1.5e-7},
    entropy_cost={"pictures": 2, "by_setting": [{"knobs": {"quality": 1.5}}]},
    provenance={"checkpoints": [], "processor": "AVX2"},
    files=FILES,
)


@given(description=descriptions())
@settings(max_examples=30)
def test_reading_gives_what_was_written(description: Description, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("written")
    write_manifest(folder, description, BACKGROUND)
    manifest = read_manifest(folder)
    assert manifest.background == BACKGROUND
    assert manifest.described == description_values(description)


@given(description=descriptions(), data=st.data())
@settings(max_examples=50)
def test_every_field_that_index_and_manifest_share_is_compared(description: Description, data: st.DataObject) -> None:
    listed = Background((), {}, {}, {}, dict(description.files))
    values = json.loads(json.dumps(description_values(description)))
    place, holder, key = data.draw(st.sampled_from(_places(values, "")))
    assert differences(Manifest(values, listed), description) == []
    holder[key] = ["another value"]
    assert differences(Manifest(values, listed), description) == [place]


def test_files_of_the_index_are_those_of_the_manifest() -> None:
    description = described((TINY / INDEX).read_bytes())
    manifest = read_manifest(TINY)
    assert differences(manifest, description) == []
    changed = {**description.files, "entropy.bin": BundleFile(1, "00" * 32), "more.onnx": BundleFile(1, "00" * 32)}
    assert differences(manifest, replace(description, files=changed)) == ["files: entropy.bin", "files: more.onnx"]


def test_listed_files_are_those_of_manifest_and_index() -> None:
    assert listed_files(TINY) == read_manifest(TINY).background.files
    assert indexed_files(TINY) == described((TINY / INDEX).read_bytes()).files


@pytest.mark.slow
def test_an_export_writes_the_manifest_once_when_all_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[Description, Background, set[str]]] = []

    def record(folder: Path, description: Description, background: Background) -> None:
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        written.append((description, background, files))
        write_manifest(folder, description, background)

    monkeypatch.setattr(pipeline, "write_manifest", record)
    baking = tiny_codec("tunable").baking()
    pipeline.write_bundle(tmp_path / "b", [lambda: Original(Source("tunable", "tiny"), baking, tiny_halves())])
    ((description, background, files),) = written
    assert described((tmp_path / "b" / INDEX).read_bytes()) == description
    assert files == background.files.keys() and MANIFEST not in files
    assert {"README.md", INDEX} | description.files.keys() == files
    assert {"entropy.bin", "golden/photo.edgc", "golden/photo.png"} < description.files.keys()


def _places(value: Any, place: str) -> list[tuple[str, Any, Any]]:
    """Every value that is no object and no list, with the object or list it is in, its key, and where that is."""
    found: list[tuple[str, Any, Any]] = []
    for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
        name = f"{place}[{key}]" if isinstance(value, list) else f"{place}: {key}" if place else str(key)
        found += _places(inside, name) if isinstance(inside, dict | list) else [(name, value, key)]
    return found
