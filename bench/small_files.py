"""Many small files: decoded in one command, by one and by two processes, beside a process for each file.

    python bench/small_files.py BUNDLE PICTURE [--files N] [--size PIXELS] [--engine E] [--c-tool PATH]

The files are square crops of the picture, a hundred different ones; they are decoded to PPM on the disk, each process
with one thread. A process for each file is timed on a hundredth of them, with the command and with edgecodec-decode.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import edgecodec

DIFFERENT = 100


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("picture", type=Path)
    arguments.add_argument("--files", type=int, default=10_000)
    arguments.add_argument("--size", type=int, default=64)
    arguments.add_argument("--engine", default="onnxruntime")
    arguments.add_argument("--c-tool", type=Path, help="edgecodec-decode, where it is not on the path")
    given = arguments.parse_args()
    tool = given.c_tool or shutil.which("edgecodec-decode")
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "coded", Path(name) / "decoded"
        source.mkdir()
        coded = crops_of(given.picture, given.bundle, given.size)
        files = [source / f"{number:05}.edgc" for number in range(given.files)]
        for number, file in enumerate(files):
            file.write_bytes(coded[number % DIFFERENT])
        command = [sys.executable, "-m", "edgecodec", "decode", "-b", given.bundle, "-j", "1", "--engine", given.engine]
        print(f"{given.files} files of {given.size} x {given.size} pixels\n\n| | files a second | processor ms each |")
        print("|---|---|---|")
        for processes in (1, 2):
            shutil.rmtree(target, ignore_errors=True)
            batch = [source, "-o", target, "--format", "ppm", "-q", "--jobs", processes]
            line(f"one command, --jobs {processes}", *timed([[*command, *batch]]), given.files)
        few = files[:: DIFFERENT + 1][: max(2, given.files // 100)]
        alone = [[*command, file, "-o", f"{file}.ppm", "-q"] for file in few]
        line("a command for each file", *timed(alone), len(few))
        if tool:
            # The environment says where ONNX Runtime is.
            alone = [[tool, file, "-b", given.bundle, "-j", "1", "-o", f"{file}.c.ppm", "-q"] for file in few]
            line("edgecodec-decode for each file", *timed(alone), len(few))


def crops_of(picture: Path, bundle: Path, size: int) -> list[bytes]:
    """Coded squares from places all over the picture, of which no two are alike."""
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    height, width = pixels.shape[:2]
    with edgecodec.open_bundle(bundle, threads=1) as codec:
        places = [(number * 37 % (height - size), number * 101 % (width - size)) for number in range(DIFFERENT)]
        return [codec.encode(pixels[top : top + size, left : left + size]).data for top, left in places]


def timed(commands: list[list[object]]) -> tuple[float, float]:
    """Seconds of all, one after another: by the clock, and of the processor."""
    start = time.perf_counter()
    processor = 0.0
    for command in commands:
        process = subprocess.Popen([str(each) for each in command])
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{command[0]} failed")
        processor += used.ru_utime + used.ru_stime
    return time.perf_counter() - start, processor


def line(what: str, clock: float, processor: float, count: int) -> None:
    print(f"| {what} | {count / clock:.1f} | {1000 * processor / count:.1f} |", flush=True)


if __name__ == "__main__":
    main()
