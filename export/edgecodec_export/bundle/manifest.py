"""manifest.json from the description of a bundle: the inverse of `edgecodec.manifest.read_manifest`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgecodec.manifest import (
    MANIFEST,
    AnalysisGraph,
    BundleFile,
    BundleInfo,
    Golden,
    Scalar,
    SideInput,
    SynthesisGraph,
)
from edgecodec_export.file_hash import sha256_of


def listed_files(folder: Path) -> dict[str, BundleFile]:
    """Size and hash of every file in `folder` except the manifest, by path with forward slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): BundleFile(path.stat().st_size, sha256_of(path)) for path in files}


def write_manifest(folder: Path, info: BundleInfo, errors: Mapping[str, float]) -> None:
    """Write the manifest of a bundle. errors: largest difference of each graph from PyTorch, by file."""
    text = json.dumps(manifest_values(info, errors), indent=2, sort_keys=True, allow_nan=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8", newline="\n")


def manifest_values(info: BundleInfo, errors: Mapping[str, float]) -> dict[str, Any]:
    """The manifest as JSON values; `edgecodec.manifest` says what its fields mean.

    errors: as of `write_manifest`. They are for people, and not read by the runtime.
    """
    return {
        "schema": info.schema,
        "family": info.family,
        "preset": info.preset,
        "model_id": info.model_id,
        "entropy": info.entropy,
        "encoder_latents": [asdict(latent) for latent in info.encoder_latents],
        "decoder_latents": [asdict(latent) for latent in info.decoder_latents],
        "image": {
            "alignment": info.image.alignment,
            "padding": info.image.rule,
            "smallest_side": info.image.smallest_side,
        },
        "analysis": [_analysis(graph, errors[graph.file]) for graph in info.analysis],
        "given": {name: _side_input(each) for name, each in info.given.items()},
        "synthesis": [_synthesis(graph, errors[graph.file]) for graph in info.synthesis],
        "default_knobs": dict(info.default_knobs),
        "golden": [_golden(golden) for golden in info.golden],
        "entropy_cost": dict(info.entropy_cost),
        "provenance": dict(info.provenance),
        "files": {name: {"size": file.size, "sha256": file.sha256} for name, file in info.files.items()},
    }


def _analysis(graph: AnalysisGraph, error: float) -> dict[str, Any]:
    return {
        "file": graph.file,
        "knobs": dict(graph.knobs),
        "input": graph.input,
        "size_input": graph.size_input,
        "scalars": {name: _scalar(scalar) for name, scalar in graph.scalars.items()},
        "outputs": dict(graph.outputs),
        **_checks_and_needs(graph, error),
    }


def _scalar(scalar: Scalar) -> dict[str, Any]:
    """Without a fit the manifest does not mention one."""
    return {name: value for name, value in asdict(scalar).items() if value is not None}


def _synthesis(graph: SynthesisGraph, error: float) -> dict[str, Any]:
    return {
        "file": graph.file,
        "knobs": dict(graph.knobs),
        "precision": graph.precision,
        "inputs": dict(graph.inputs),
        "noise": None if graph.noise is None else asdict(graph.noise),
        "output": graph.output,
        "tolerance": {"levels": graph.tolerance_levels},
        **_checks_and_needs(graph, error),
    }


def _checks_and_needs(graph: AnalysisGraph | SynthesisGraph, error: float) -> dict[str, Any]:
    halo = graph.tiling.halo
    values: dict[str, Any] = {
        "check": {"max_abs_error": float(f"{error:.1e}")},
        "tiling": {"reason": graph.tiling.reason} if halo is None else {"halo": list(halo)},
    }
    if graph.bytes_per_pixel is not None:
        values["memory"] = {"bytes_per_pixel": graph.bytes_per_pixel}
    return values


def _side_input(each: SideInput) -> dict[str, Any]:
    return {"kind": "labels", "classes": list(each.classes)} if each.kind == "labels" else {"kind": each.kind}


def _golden(golden: Golden) -> dict[str, Any]:
    return {
        "file": golden.file,
        "knobs": dict(golden.knobs),
        "latents_sha256": golden.latents_sha256,
        "pictures": [{"file": picture.file, "knobs": dict(picture.knobs)} for picture in golden.pictures],
    }
