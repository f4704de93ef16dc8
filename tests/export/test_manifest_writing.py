"""The manifest that export writes says exactly what the runtime reads, and is written once, as the last file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecodec.manifest import MANIFEST, BundleInfo, Tiling, read_manifest
from edgecodec_export import pipeline
from edgecodec_export.bundle.description import Source
from edgecodec_export.bundle.manifest import listed_files, manifest_values, write_manifest
from support.make_tiny_bundle import tiny_halves
from support.paths import TINY
from support.tiny_codecs import PRESETS, tiny_codec

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]

#: Between them they have every optional part: knobs, scalars, a size input, labels and a mask, noise, no tiling.
CODECS = ("agustsson-sc", "crdr", "fidelity", "hific-reflect", "tunable")


def errors_in(manifest: dict[str, Any]) -> dict[str, float]:
    graphs = [*manifest["analysis"], *manifest["synthesis"]]
    return {graph["file"]: graph["check"]["max_abs_error"] for graph in graphs}


def read_back(info: BundleInfo, errors: dict[str, float], folder: Path) -> BundleInfo:
    """What the runtime reads of the manifest that export writes of `info`."""
    write_manifest(folder, info, errors)
    return replace(read_manifest(folder), path=info.path)


@pytest.mark.parametrize("name", CODECS)
def test_reading_a_manifest_and_writing_it_again_changes_nothing(name: str, family_bundle: Bundles) -> None:
    manifest = json.loads((family_bundle(name) / MANIFEST).read_text())
    assert manifest_values(read_manifest(family_bundle(name)), errors_in(manifest)) == manifest


def test_the_runtime_reads_the_description_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a whole export, whose manifest must then be written once, with every other file in place."""
    written: list[tuple[BundleInfo, BundleInfo, set[str]]] = []

    def record(folder: Path, info: BundleInfo, errors: dict[str, float]) -> None:
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        write_manifest(folder, info, errors)
        written.append((info, replace(read_manifest(folder), path=info.path), files))

    monkeypatch.setattr(pipeline, "write_manifest", record)
    baking = tiny_codec("tunable").baking()
    pipeline.write_bundle(tmp_path / "b", Source("tunable", "tiny"), baking, tiny_halves())
    ((info, again, files),) = written
    assert again == info
    assert files == info.files.keys() and MANIFEST not in files
    assert {"README.md", "entropy.bin", "golden/photo.edgc", "golden/photo.png"} < files


@pytest.mark.parametrize("part", ["tiling", "memory", "classes"])
def test_every_variant_of_a_description_is_read_as_it_was_written(
    part: str, family_bundle: Bundles, tmp_path: Path
) -> None:
    info = read_manifest(family_bundle("agustsson-sc"))
    errors = {graph.file: 1e-6 for graph in info.analysis} | {graph.file: 2e-6 for graph in info.synthesis}
    (synthesis,) = info.synthesis
    variants = {
        "tiling": replace(info, synthesis=(replace(synthesis, tiling=Tiling((2, 3))),)),
        "memory": replace(info, synthesis=(replace(synthesis, bytes_per_pixel=None),)),
        "classes": replace(info, given={**info.given, "labels": replace(info.given["labels"], classes=tuple("abcde"))}),
    }
    assert variants[part] != info
    assert read_back(variants[part], errors, tmp_path) == variants[part]


def test_listed_files_are_those_of_the_manifest() -> None:
    assert listed_files(TINY) == read_manifest(TINY).files


def test_every_optional_part_is_covered(family_bundle: Bundles) -> None:
    infos = [read_manifest(family_bundle(name)) for name in CODECS]
    encoders = [graph for info in infos for graph in info.analysis]
    decoders = [graph for info in infos for graph in info.synthesis]
    assert any(graph.scalars for graph in encoders) and any(graph.size_input for graph in encoders)
    assert any(graph.noise for graph in decoders) and any(graph.knobs for graph in decoders)
    assert {graph.tiling.halo is None for graph in decoders} == {True, False}
    assert {each.kind for info in infos for each in info.given.values()} == {"labels", "mask"}
    assert set(CODECS) <= set(PRESETS)
