"""What the two faces of the runtime, C and Python, cost beside the engine and the entropy coder.

    EDGECODEC_LIBRARY=.../libedgecodec.so python bench/runtime_faces.py BUNDLE FILE.edgc [--rounds N]

Compiles bench/runtime_faces.c against the library. C and Python decode the same file on one thread, in turns; figures
are medians. Start-up is processor time of whole commands, the least of several.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

import edgecodec
from edgecodec import native
from edgecodec.engine_registry import native_engine

ROOT = Path(__file__).parents[1]
TURNS = 5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--rounds", type=int, default=20)
    given = arguments.parse_args()
    engine, _ = native_engine("onnxruntime")
    if engine is None:
        sys.exit("ONNX Runtime's package has no library that the native runtime takes")
    environment = {**os.environ, "EDGECODEC_ONNXRUNTIME": str(engine.library)}
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder))
        in_c: dict[str, list[float]] = defaultdict(list)
        in_python: list[float] = []
        data = given.file.read_bytes()
        with edgecodec.open_bundle(given.bundle, "onnxruntime", threads=1) as codec:
            codec.decode(data)
            for _ in range(TURNS):
                rounds = str(given.rounds // TURNS)
                command = [str(program), str(given.bundle), str(given.file), rounds]
                for line in subprocess.check_output(command, env=environment, text=True).splitlines():
                    name, value = line.split()
                    in_c[name].append(float(value))
                for _ in range(given.rounds // TURNS):
                    start = perf_counter()
                    timings = codec.decode(data).timings
                    in_python.append(1000 * (perf_counter() - start - timings.engine - timings.entropy))
    over_floor = [total - floor for total, floor in zip(in_c["decode"], in_c["floor"], strict=True)]
    print("| figure | value |\n|---|---|")
    print(f"| C: decode less engine and entropy | {median(over_floor):.2f} ms |")
    print(f"| Python: the same | {median(in_python):.2f} ms |")
    beyond = median(a - b for a, b in zip(in_c["first_pixel"], in_c["first_engine"], strict=True))
    print(f"| C: start of the program to pixels, less the engine's start and first run | {beyond:.1f} ms |")
    print(f"| memory of an open decoder without an engine | {median(in_c['open_bytes']) / 1e6:.2f} MB |")
    print(f"| its entropy.bin | {(given.bundle / codec.info.models[0].entropy).stat().st_size / 1e6:.2f} MB |")
    print(f"| library, stripped | {stripped() / 1e3:.0f} kB |")
    cold(given.bundle, given.file)


def compiled(folder: Path) -> Path:
    program, library = folder / "runtime_faces", Path(native.library()._name).resolve()
    compiler = os.environ.get("CC") or "cc"
    source, include = ROOT / "bench" / "runtime_faces.c", ROOT / "native" / "include"
    for name in ("libedgecodec.so", "libedgecodec.so.0"):  # the name that a program looks for
        (folder / name).symlink_to(library)
    link = [str(folder / "libedgecodec.so"), f"-Wl,-rpath,{folder}"]
    subprocess.run([compiler, "-std=c99", "-O2", f"-I{include}", str(source), "-o", str(program), *link], check=True)
    return program


def stripped() -> int:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "library.so")
        shutil.copy(native.library()._name, copy)
        subprocess.run(["strip", copy], check=True)
        return copy.stat().st_size


def cold(bundle: Path, file: Path) -> None:
    """Processor time of whole commands, as the shell starts them."""
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder, "picture.png"))
        commands: Mapping[str, list[str]] = {
            "decode, process start to PNG written": ["decode", str(file), "-b", str(bundle), "-o", picture, "--force"],
            "inspect": ["inspect", str(file)],
            "--help": ["--help"],
        }
        for name, command in commands.items():
            print(f"| processor time of {name} | {least_processor_time(command):.0f} ms |")


def least_processor_time(command: list[str]) -> float:
    times = []
    for _ in range(9):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "edgecodec", *command], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return 1000 * min(times)


if __name__ == "__main__":
    main()
