"""Two processes beside one: pictures a second, and the processor time of a picture, of `--jobs` with one thread each.

    python bench/worker_scaling.py BUNDLE PICTURES [--rounds N]

PICTURES: a folder. Start-up is left out: what a picture takes is the difference between a run on all pictures and one
on an eighth of them. On a machine with other work the second figure tells more than the first, and so does the third:
how processes scale that wait a tenth of a second for every picture, as for an engine on another device, which need no
processor; it is the part of starting, handing out, and telling in order.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import ClassVar

import edgecodec
from edgecodec.cli.batch import Job
from edgecodec.cli.encode import PICTURE_SUFFIXES
from edgecodec.cli.work import Item, Made
from edgecodec.cli.workers import in_processes
from edgecodec.codec import Codec
from edgecodec.steps import Parts

WAIT = 0.1  # seconds
PROCESSES = (1, 2)


@dataclass(frozen=True)
class Waiting:
    """Work that takes a while and no processor."""

    TITLE: ClassVar[str] = "waiting"

    bundle: Path

    def open(self, processes: int) -> Codec:
        return edgecodec.open_bundle(self.bundle, threads=1)

    def each(
        self, codec: Codec, items: Sequence[Item], progress: Parts | None = None
    ) -> Generator[Made | Exception, None, None]:
        for _ in items:
            time.sleep(WAIT)
            yield InterruptedError()


def waiting_rate(bundle: Path, processes: int, count: int = 40) -> float:
    """Items a second, once every process has told of its first one."""
    items = [Item(Job(str(number), "-"), b"") for number in range(count * processes)]
    outcomes = in_processes(Waiting(bundle), items, processes)
    for _ in range(processes):
        next(outcomes)
    start = time.perf_counter()
    done = sum(1 for _ in outcomes)
    return done / (time.perf_counter() - start)


def run(command: str, source: Path, bundle: Path, target: Path, processes: int) -> tuple[float, float]:
    """Seconds by the clock and of the processor, of all processes."""
    shutil.rmtree(target, ignore_errors=True)
    arguments = [command, source, "-b", bundle, "-o", target, "-j", 1, "--jobs", processes, "-q"]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "edgecodec", *map(str, arguments)])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("pictures", type=Path)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    pictures = sorted(path for path in given.pictures.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    with tempfile.TemporaryDirectory() as folder:
        few, sample = Path(folder) / "few", pictures[: max(2, len(pictures) // 8)]
        few.mkdir()
        for picture in sample:
            (few / picture.name).symlink_to(picture.resolve())
        found: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for _ in range(given.rounds):
            for processes in PROCESSES:
                sources = [few, given.pictures]
                for command in ("encode", "decode"):
                    targets = [Path(folder) / f"{command}-{name}" for name in ("few", "all")]
                    spent = [
                        run(command, *each, processes)
                        for each in zip(sources, [given.bundle] * 2, targets, strict=True)
                    ]
                    share = len(pictures) - len(sample)
                    clock, processor = ((spent[1][kind] - spent[0][kind]) / share for kind in (0, 1))
                    found.setdefault((command, processes), []).append((clock, processor))
                    sources = targets
    for (command, processes), times in found.items():
        clock, processor = (1000 * median(each) for each in zip(*times, strict=True))
        print(f"{command}, {processes} processes: {1000 / clock:.1f} pictures/s, {processor:.1f} ms of processor each")
    rates = [[waiting_rate(given.bundle, processes) for processes in PROCESSES] for _ in range(given.rounds)]
    print(f"waiting: {median(two / one for one, two in rates):.2f} times the rate with two")


if __name__ == "__main__":
    main()
