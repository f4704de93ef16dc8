"""Decodes the golden files with an installed edgecodec, on a machine or in an emulator that has no tests' packages:

python golden_set.py tests/data/golden
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import edgecodec
from edgecodec import container, native
from edgecodec.entropy_model import EntropyModel


def main(folder: Path) -> int:
    lines = (folder / "digests.txt").read_text(encoding="ascii").splitlines()
    files = [line.split() for line in lines if not line.startswith("#")]
    wrong = 0
    for picture, model, _, *expected in files:
        coded = container.parse((folder / picture).read_bytes())
        info = coded.info
        latents = EntropyModel((folder / model).read_bytes()).decode(
            coded.payload, width=info.width, height=info.height, lanes=info.lanes
        )
        found = [f"{name}={zlib.crc32(values.astype('<i2').tobytes()):08x}" for name, values in latents.items()]
        if found != expected:
            wrong += 1
            print(f"WRONG {picture}: {found}")
    right = f"{len(files) - wrong} of {len(files)} golden files"
    print(f"edgecodec {edgecodec.__version__}, kernels {native.kernels()}: {right}")
    return int(wrong > 0 or not files)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
