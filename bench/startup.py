"""What a command costs: help, a look into a file, a first picture, next to the tools of other formats.

    python bench/startup.py BUNDLE PICTURE [--rounds N] [--engine E] [--c-tool PATH]

The tools are djxl and jxlinfo, dwebp and webpinfo, avifdec; those that this machine lacks are left out. Each file has
about the size that the bundle gives the picture, each picture is written without compression, and each command has one
thread. edgecodec-decode finds ONNX Runtime by EDGECODEC_ONNXRUNTIME where the system has none. All commands are run in
turn, round by round; the medians are milliseconds by the clock and of the processor.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from PIL import Image

import edgecodec

Command = list[str]


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("picture", type=Path)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--engine", default="onnxruntime")
    arguments.add_argument("--c-tool", type=Path, help="edgecodec-decode, where it is not on the path")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with edgecodec.open_bundle(given.bundle, threads=1) as codec:
            coded = codec.encode(given.picture).data
        (folder / "a.edgc").write_bytes(coded)
        commands = dict(edgecodec_commands(given.bundle, folder, given.engine))
        if tool := given.c_tool or shutil.which("edgecodec-decode"):
            commands["edgecodec-decode (C)"] = c_command(tool, given.bundle, folder)
        commands |= dict(other_commands(given.picture, folder, len(coded)))
        times: dict[str, list[tuple[float, float]]] = {what: [] for what in commands}
        for _ in range(given.rounds):
            for what, command in commands.items():
                times[what].append(timed(command, folder))
        print("| | by the clock, ms | of the processor, ms |\n|---|---|---|")
        for what, each in times.items():
            clock, processor = (1000 * median(kind) for kind in zip(*each, strict=True))
            print(f"| {what} | {clock:.0f} | {processor:.0f} |")
        sizes = ", ".join(f"{file.suffix[1:]} {file.stat().st_size}" for file in sorted(folder.glob("a.*")))
        print(f"\nbytes of the files: {sizes}")


def edgecodec_commands(bundle: Path, folder: Path, engine: str) -> Iterator[tuple[str, Command]]:
    python = [sys.executable, "-m", "edgecodec"]
    coded, target = str(folder / "a.edgc"), str(folder / "out.ppm")
    decode = [coded, "-b", str(bundle), "-j", "1", "-o", target]
    yield "edgecodec --help", [*python, "--help"]
    yield "edgecodec inspect", [*python, "inspect", coded]
    yield "edgecodec decode", [*python, "decode", *decode, "--engine", engine, "--force", "-q"]


def c_command(tool: Path | str, bundle: Path, folder: Path) -> Command:
    return [str(tool), str(folder / "a.edgc"), "-b", str(bundle), "-o", str(folder / "out.ppm"), "-j", "1", "-f", "-q"]


def other_commands(picture: Path, folder: Path, size: int) -> Iterator[tuple[str, Command]]:
    """Of the formats whose tools are here, with a file each of about this size in bytes."""
    image = Image.open(picture).convert("RGB")

    def saved(name: str) -> Callable[[int], bytes]:
        def at(quality: int) -> bytes:
            stream = io.BytesIO()
            image.save(stream, name, quality=quality)
            return stream.getvalue()

        return at

    def with_cjxl(quality: int) -> bytes:
        file = folder / "trial.jxl"
        source = folder / "source.png"
        image.save(source)
        subprocess.run(["cjxl", source, file, "-q", str(quality), "--quiet"], check=True, capture_output=True)
        return file.read_bytes()

    ppm = str(folder / "out.ppm")
    if shutil.which("djxl") and shutil.which("cjxl"):
        file = str(nearest(with_cjxl, size, folder / "a.jxl"))
        yield "djxl --help", ["djxl", "--help"]
        yield "jxlinfo", ["jxlinfo", file]
        yield "djxl", ["djxl", file, ppm, "--num_threads=0", "--quiet"]
    if shutil.which("dwebp"):
        file = str(nearest(saved("WEBP"), size, folder / "a.webp"))
        yield "dwebp -help", ["dwebp", "-help"]
        yield "webpinfo", ["webpinfo", file]
        yield "dwebp", ["dwebp", file, "-ppm", "-o", ppm, "-quiet"]
    if shutil.which("avifdec"):
        file = str(nearest(saved("AVIF"), size, folder / "a.avif"))
        yield "avifdec --help", ["avifdec", "--help"]
        yield "avifdec --info", ["avifdec", "--info", file]
        yield "avifdec", ["avifdec", "-j", "1", file, str(folder / "out.y4m")]


def nearest(write: Callable[[int], bytes], size: int, target: Path) -> Path:
    """Write the largest file that is no larger than `size` bytes, or the smallest there is."""
    low, high = 1, 96
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if len(write(middle)) > size else (middle, high)
    target.write_bytes(write(low))
    return target


def timed(command: Command, folder: Path) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    clock = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not {"--help", "-help"} & {*command}:
        raise SystemExit(f"{command[0]} failed")
    return clock, used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
