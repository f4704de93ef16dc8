"""A decode in WebAssembly, as a page does it, beside the native one on the same machine.

    EDGECODEC_LIBRARY=.../libedgecodec.so python bench/browser.py BUNDLE FILE.edgc [--site build/web] [--rounds N]

Node runs what `web/build` made. It and Python decode the same file, which must not need tiles, on one thread and in
turns. Figures are medians of processor milliseconds of the whole process. The latents are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from statistics import median
from time import process_time

import edgecodec
from edgecodec.verify import latents_sha256

ROOT = Path(__file__).parents[1]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--site", type=Path, default=ROOT / "build/web")
    arguments.add_argument("--rounds", type=int, default=15)
    given = arguments.parse_args()
    data = given.file.read_bytes()
    command = ["node", str(ROOT / "bench/browser.mjs"), *map(str, (given.site.resolve(), given.bundle, given.file))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    web: list[dict[str, float]] = []
    native: list[float] = []
    native_entropy: list[float] = []
    with (
        edgecodec.open_bundle(given.bundle, "onnxruntime", threads=1) as codec,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as node,
    ):
        assert node.stdin is not None and node.stdout is not None
        codec.decode(data)
        opened = json.loads(node.stdout.readline())
        assert opened["latents"] == latents_sha256(codec.decode_latents(data)), "the latents differ"
        for _ in range(given.rounds):
            node.stdin.write("\n")
            node.stdin.flush()
            web.append(json.loads(node.stdout.readline()))
            start = process_time()
            codec.decode(data)
            native.append(1000 * (process_time() - start))
            start = process_time()
            codec.decode_latents(data)
            native_entropy.append(1000 * (process_time() - start))
        node.stdin.close()
    in_web = {name: median(each[name] for each in web) for name in web[0]}
    print("| figure | WebAssembly | native |\n|---|---|---|")
    print(f"| a decode | {in_web['cpu']:.0f} ms | {median(native):.0f} ms |")
    print(f"| to the latents (there with their digest) | {in_web['before']:.1f} ms | {median(native_entropy):.1f} ms |")
    print(f"| engine | {in_web['engine']:.0f} ms | |")
    print(f"| after it: crop, RGBA | {in_web['after']:.1f} ms | |")
    print(f"| opening the bundle and loading the graph | {opened['first'] - in_web['cpu']:.0f} ms | |")
    print(f"| library's memory | {opened['memory'] / 2**20:.1f} MiB | |")
    print(f"| edgecodec.wasm | {(given.site / 'edgecodec/edgecodec.wasm').stat().st_size / 1000:.0f} kB | |")


if __name__ == "__main__":
    main()
