"""Decodes the golden pictures of bundles by a command, and says how far its pixels are from the bundles' own:

    python scripts/golden_pixels.py BUNDLE... -- COMMAND...

COMMAND is `edgecodec decode` or `edgecodec-decode`, on another machine, in an emulator, with another engine. A line of
a table for every bundle: its name, pictures, pixel values that differ, by how many levels at most. The status is 1 if
a value differs by more than a bundle allows.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Differences = npt.NDArray[np.int16]


def differences(bundle: Path, manifest: dict[str, Any], command: list[str]) -> Iterator[Differences]:
    """Of every golden picture: (H, W, 3) or (H, W), in levels of 255."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "decoded.ppm"
        for golden in manifest["golden"]:
            for picture in golden["pictures"]:
                # The file itself says what the encoder was told.
                chosen = {name: value for name, value in picture["knobs"].items() if name not in golden["knobs"]}
                knobs = [word for name, value in chosen.items() for word in ("--knob", f"{name}={value}")]
                arguments = [str(bundle / golden["file"]), "-b", str(bundle), "-o", str(out), "--force", *knobs]
                subprocess.run([*command, *arguments], check=True)
                with Image.open(out) as decoded, Image.open(bundle / picture["file"]) as expected:
                    yield np.asarray(decoded).astype(np.int16) - np.asarray(expected.convert(decoded.mode))


def allowed(manifest: dict[str, Any]) -> int:
    """Levels that a pixel of the decoders may be off."""
    return min(graph["tolerance"]["levels"] for graph in manifest["graphs"] if graph["side"] == "decode")


def main(words: list[str]) -> int:
    at = words.index("--")
    worst_over = 0
    for name in words[:at]:
        bundle = Path(name)
        manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        found = list(differences(bundle, manifest, words[at + 1 :]))
        most = max(int(np.abs(each).max()) for each in found)
        changed, total = (sum(map(count, found)) for count in (np.count_nonzero, np.size))
        print(f"| {bundle.stem} | {len(found)} | {changed} of {total} | {most} |", flush=True)
        worst_over = max(worst_over, most - allowed(manifest))
    return int(worst_over > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
