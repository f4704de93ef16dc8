"""A decode in WebAssembly, as a page does it, beside the native one on the same machine.

    EDGECODEC_LIBRARY=.../libedgecodec.so python bench/browser.py BUNDLE FILE.edgc [--site build/web] [--rounds N]

Node runs what `web/build` made. It and Python decode the same file on one thread, in turns. Figures are medians of
processor milliseconds of the whole process, but for the stages, which are wall clock and so the least of all rounds.
The latents are compared.
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
    cpu: list[float] = []
    entropy: list[float] = []
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
            entropy.append(codec.decode(data).timings.entropy)
            cpu.append(1000 * (process_time() - start))
        node.stdin.close()
    in_web, native = median(each["cpu"] for each in web), median(cpu)
    print("| figure | WebAssembly | native |\n|---|---|---|")
    print(f"| a decode, processor time | {in_web:.0f} ms | {native:.0f} ms |")
    print(f"| entropy stage, least | {min(each['entropy'] for each in web):.1f} ms | {1000 * min(entropy):.2f} ms |")
    print(f"| engine, least | {min(each['engine'] for each in web):.0f} ms | |")
    print(f"| all else, least | {min(each['rest'] for each in web):.1f} ms | |")
    print(f"| opening the bundle and loading the graph, processor time | {opened['first'] - in_web:.0f} ms | |")
    print(f"| library's memory | {opened['memory'] / 2**20:.1f} MiB | |")
    print(f"| edgecodec.wasm | {(given.site / 'edgecodec/edgecodec.wasm').stat().st_size / 1000:.0f} kB | |")


if __name__ == "__main__":
    main()
