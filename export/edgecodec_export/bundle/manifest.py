"""The manifest of a bundle as it is written; edgecodec/manifest.py says what every field means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy
import onnx
import torch

import edgecodec
from edgecodec.entropy import EntropyModel, LatentSpec
from edgecodec.manifest import MANIFEST, SCHEMA
from edgecodec_export.baking import Baking, Point
from edgecodec_export.entropy.cost import EntropyCost
from edgecodec_export.entropy.kept import KeptEntropy
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.graphs.onnx_export import takes_size

TOLERANCE_LEVELS = 1  # grey levels by which engines may differ from the golden pixels

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Where the weights come from.

    checkpoints: role, name, SHA-256 and notes of each file. classes: names of the labels, for a codec that takes label
    maps.
    """

    family: str
    preset: str
    checkpoints: tuple[Manifest, ...] = ()
    classes: tuple[str, ...] = ()


def new_manifest(
    source: Source, baking: Baking, entropy: EntropyModel, cost: EntropyCost, kept: KeptEntropy | None
) -> Manifest:
    """All but the graphs, the golden pictures and the files."""
    model = baking.model
    return {
        "schema": SCHEMA,
        "family": source.family,
        "preset": source.preset,
        "model_id": entropy.model_id,
        "entropy": "entropy.bin",
        "encoder_latents": _latents(entropy.encoder_latents),
        "decoder_latents": _latents(entropy.decoder_latents),
        "image": {"alignment": model.ALIGNMENT, "padding": model.PADDING, "smallest_side": model.SMALLEST_SIDE},
        "analysis": [],
        "given": {latent.name: _given(latent.name, source) for latent in model.side_latents()},
        "synthesis": [],
        "default_knobs": baking.default_knobs(),
        "golden": [],
        "entropy_cost": _entropy_cost(cost),
        "provenance": {
            "checkpoints": list(source.checkpoints),
            "versions": {
                "edgecodec": edgecodec.__version__,
                "numpy": numpy.__version__,
                "onnx": onnx.__version__,
                "torch": torch.__version__,
            },
            "processor": torch.backends.cpu.get_cpu_capability(),
            **({"entropy": dict(kept.origin)} if kept else {}),
        },
        "files": {},
    }


def analysis_entry(file: str, model: LearnedCodec, point: Point, error: float, needs: Manifest) -> Manifest:
    """The entry of an analysis graph whose largest difference from PyTorch is `error`. needs: its tiling and memory."""
    return {
        "file": file,
        "knobs": point.knobs,
        "input": "image",
        "size_input": "size" if takes_size(model) else None,
        "scalars": {name: asdict(scalar) for name, scalar in point.scalars.items()},
        "outputs": {latent.name: latent.name for latent in model.encoder_latents()},
        "check": _check(error),
        **needs,
    }


def synthesis_entry(file: str, model: LearnedCodec, point: Point, error: float, needs: Manifest) -> Manifest:
    """The entry of a synthesis graph, alike."""
    noise = model.noise()
    return {
        "file": file,
        "knobs": point.knobs,
        "precision": "fp32",
        "inputs": {latent.name: latent.name for latent in model.decoder_latents()},
        "noise": noise and {"input": noise.name, "channels": noise.channels, "stride": noise.stride},
        "output": "image",
        "check": _check(error),
        "tolerance": {"levels": TOLERANCE_LEVELS},
        **needs,
    }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, with the size and hash of every other file that is there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest["files"] = {
        path.relative_to(folder).as_posix(): {"sha256": sha256_of(path), "size": path.stat().st_size} for path in files
    }
    text = json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8", newline="\n")


def sha256_of(path: Path) -> str:
    """Of a file's contents, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _entropy_cost(cost: EntropyCost) -> Manifest:
    """In bits. Of several settings the whole, and each by its knobs."""
    entry = {
        "pictures": cost.pictures,
        "float_bits": round(cost.float_bits),
        "integer_bits": round(cost.integer_bits),
        "overhead_percent": round(cost.overhead_percent, 4),
        "bound_percent": cost.bound_percent,
        **{name: round(bits) for name, bits in cost.compared_bits.items()},
    }
    if cost.knobs:
        entry["knobs"] = cost.knobs
    if cost.by_setting:
        entry["by_setting"] = [_entropy_cost(each) for each in cost.by_setting]
    return entry


def _latents(latents: Sequence[LatentSpec]) -> list[Manifest]:
    return [{"name": each.name, "channels": each.channels, "stride": each.stride} for each in latents]


def _given(name: str, source: Source) -> Manifest:
    return {"kind": name, "classes": list(source.classes)} if name == "labels" else {"kind": name}


def _check(error: float) -> Manifest:
    return {"max_abs_error": float(f"{error:.1e}")}
