"""What decoding costs on the processor's engines: processor time of single calls, and of whole commands.

    python bench/engines.py BUNDLE FILE.edgc [--engines onnxruntime,openvino] [--rounds N]

Each engine decodes the file on one thread, in turns. "ms" is the median of the processor time of the process for one
decode, entropy stage included; "of the first" the median of the ratios within each round; "apart" the largest
difference from the pixels of the first engine, with the PSNR. "memory" is what the process has taken for itself after
the first decode beyond what it had before; "cold" the least processor time of `edgecodec decode` of one picture.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import edgecodec

COLD_RUNS = 3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--engines", default="onnxruntime,openvino,openvino:bf16")
    arguments.add_argument("--rounds", type=int, default=9)
    given = arguments.parse_args()
    names = given.engines.split(",")

    print("| engine | ms | of the first | apart | memory MB | cold ms |\n" + "|---" * 6 + "|")
    codecs = [edgecodec.open_bundle(given.bundle, name, threads=1) for name in names]
    data = given.file.read_bytes()
    pictures = [codec.decode(data).pixels for codec in codecs]
    times = [[timed(codec, data) for codec in codecs] for _ in range(given.rounds)]
    for k, (name, pixels) in enumerate(zip(names, pictures, strict=True)):
        ratio = median(round_[k] / round_[0] for round_ in times)
        cells = [f"{1e3 * median(round_[k] for round_ in times):.0f}", f"{ratio:.2f}", apart(pixels, pictures[0])]
        cells += [f"{memory(given.bundle, name, data) / 1e6:.0f}", f"{1e3 * cold(given.bundle, name, given.file):.0f}"]
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


def timed(codec: edgecodec.Codec, data: bytes) -> float:
    """Seconds of the processor, of all threads of this process."""
    begin = time.process_time()
    codec.decode(data)
    return time.process_time() - begin


def apart(pixels: Any, reference: Any) -> str:
    difference = np.abs(pixels.astype(float) - reference)
    squares = float(np.square(difference).mean())
    return f"{difference.max():.0f}" + (f", {10 * np.log10(255**2 / squares):.1f} dB" if squares else "")


def memory(bundle: Path, engine: str, data: bytes) -> int:
    """Bytes, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(taken, (bundle, engine, data))


def taken(bundle: Path, engine: str, data: bytes) -> int:
    with edgecodec.open_bundle(bundle, engine, threads=1) as codec:
        before = anonymous()
        codec.decode(data)
        return anonymous() - before


def anonymous() -> int:
    """Bytes of memory that belong to this process and to no file (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def cold(bundle: Path, engine: str, file: Path) -> float:
    """Seconds of the processor for a whole command."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "edgecodec", "decode", str(file), "-b", str(bundle), "--engine", engine, "-q"]
        command += ["-j", "1", "--force", "-o", os.path.join(folder, "picture.ppm")]
        return min(seconds(command) for _ in range(COLD_RUNS))


def seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
