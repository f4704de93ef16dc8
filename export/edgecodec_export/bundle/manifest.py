"""manifest.json: the description of a bundle and its background, for people, hubs and `verify`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgecodec.description import MANIFEST, Background, Description, Golden
from edgecodec.manifest import description_values


def write_manifest(folder: Path, description: Description, background: Background) -> None:
    """Write the manifest of the bundle in `folder`."""
    text = json.dumps(manifest_values(description, background), indent=2, sort_keys=True, allow_nan=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8", newline="\n")


def manifest_values(description: Description, background: Background) -> dict[str, Any]:
    """The manifest as JSON values."""
    return {
        **description_values(description),
        "golden": [_golden_values(golden) for golden in background.golden],
        "parity": {file: float(f"{error:.1e}") for file, error in background.parity.items()},
        "closeness": {file: asdict(each) for file, each in background.closeness.items()},
        "entropy_cost": dict(background.entropy_cost),
        "provenance": dict(background.provenance),
        "files": {name: {"size": file.size, "sha256": file.sha256} for name, file in background.files.items()},
    }


def _golden_values(golden: Golden) -> dict[str, Any]:
    return {
        "file": golden.file,
        "knobs": dict(golden.knobs),
        "latents_sha256": golden.latents_sha256,
        "pictures": [
            {"file": picture.file, "knobs": dict(picture.knobs), "precision": picture.precision}
            for picture in golden.pictures
        ],
    }
