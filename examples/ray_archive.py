"""Archives of millions of pictures on a cluster, with Ray Data: encode a folder to a folder, or decode one.

    python examples/ray_archive.py encode photos/ hific.bundle coded/ --workers 64
    python examples/ray_archive.py decode coded/ hific.bundle back/ --workers 64

Every machine sees the same three folders, has edgecodec installed, and belongs to the cluster that `ray start` made;
without one, Ray starts its own on this machine. Each worker is an actor that opens the bundle once. Only names and
outcomes travel: a worker reads and writes pictures itself, and Ray hands out batches of names no faster than they are
worked on. Outputs are complete or not there, so that the same command goes on after whatever ended the last one.

What fails is tried again if reading or writing failed, and is a line of failures.jsonl in the output folder otherwise.
A worker that dies is replaced, and its batch is begun again: what is written already is left out. Pictures that take
worker after worker with them are listed with the code "worker_died".
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# Neither sends facts about their use to anyone.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.data import ActorPoolStrategy, DataContext

import edgecodec
from edgecodec import files
from edgecodec.errors import AccessError, EdgecodecError, NotAnImage
from edgecodec.picture_writing import as_file

PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".avif"))
CODED = ".edgc"
FAILURES = "failures.jsonl"

#: Tries of a picture that cannot be read or written, as over a network, and of a batch whose worker dies.
TRIES = 3
PAUSE = 1.0  # seconds before the second try, doubled before the next


@dataclass(frozen=True)
class Task:
    """encode: or else decode. threads: processor threads of each worker. batch: names that a worker gets at once."""

    encode: bool
    source: Path
    bundle: Path
    target: Path
    engine: str = "auto"
    threads: int = 1
    batch: int = 32

    def names(self) -> list[str]:
        """Of the files to work on, below `source`."""
        taken = PICTURES if self.encode else {CODED}
        found = (os.path.join(folder, name) for folder, _, names in os.walk(self.source) for name in names)
        return sorted(os.path.relpath(path, self.source) for path in found if Path(path).suffix.lower() in taken)

    def output(self, name: str) -> Path:
        return self.target / Path(name).with_suffix(CODED if self.encode else ".png")


class Worker:
    """An actor with an open codec."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.codec = edgecodec.open_bundle(task.bundle, task.engine, threads=task.threads)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Outcomes of a batch of names: "done", "skipped", or the code and the message of an error."""
        outcomes = [self.outcome(str(name)) for name in batch["name"]]
        return {
            "name": [str(name) for name in batch["name"]],
            "outcome": [outcome for outcome, _ in outcomes],
            "message": [message for _, message in outcomes],
        }

    def outcome(self, name: str) -> tuple[str, str]:
        output = self.task.output(name)
        if output.exists():
            return "skipped", ""
        for attempt in range(TRIES):
            try:
                self.work(self.task.source / name, output)
                return "done", ""
            except AccessError as error:
                failure: EdgecodecError = error
                if isinstance(error, NotAnImage):  # no second try makes it one
                    break
                if attempt + 1 < TRIES:
                    time.sleep(PAUSE * 2**attempt)
            except EdgecodecError as error:
                failure = error
                break
        return failure.name, str(failure)

    def work(self, source: Path, output: Path) -> None:
        """Raises EdgecodecError."""
        if self.task.encode:
            data: bytes | memoryview = self.codec.encode(source).data
        else:
            data = as_file(self.codec.decode(source), "png").data
        output.parent.mkdir(parents=True, exist_ok=True)
        files.write(output, data, force=True)


def outcomes(task: Task, names: list[str], workers: int, worker: type[Worker] = Worker) -> Iterator[dict[str, str]]:
    """Name, outcome and message of every picture, as they come."""
    missing = set(names)
    for row in _pass(task, names, workers, worker):
        missing.discard(row["name"])
        yield row
    # Of batches that took their workers with them: one by one, so that each answers for itself.
    alone = sorted(missing)
    for row in _pass(replace(task, batch=1), alone, workers, worker) if alone else ():
        missing.discard(row["name"])
        yield {**row, "outcome": "done" if row["outcome"] == "skipped" else row["outcome"]}
    for name in sorted(missing):
        yield {"name": name, "outcome": "worker_died", "message": f"{TRIES} workers died with it"}


def _pass(task: Task, names: list[str], workers: int, worker: type[Worker]) -> Iterator[dict[str, str]]:
    """Outcomes of all but the batches that take their workers with them."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1
    items = ray.data.from_items([{"name": name} for name in names], override_num_blocks=-(-len(names) // task.batch))
    yield from items.map_batches(
        worker,
        batch_size=task.batch,
        compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
        fn_constructor_args=(task,),
        num_cpus=task.threads,
        ray_remote_args_fn=lambda: {"max_restarts": -1, "max_task_retries": TRIES - 1},
    ).iter_rows()


def run(task: Task, workers: int, worker: type[Worker] = Worker) -> Counter[str]:
    """Work on the whole folder, write the manifest of failures, and count the outcomes."""
    counts: Counter[str] = Counter()
    task.target.mkdir(parents=True, exist_ok=True)
    with open(task.target / FAILURES, "w", encoding="utf-8") as failures:
        names = task.names()
        for row in outcomes(task, names, workers, worker) if names else ():
            counts[row["outcome"]] += 1
            if row["outcome"] not in ("done", "skipped"):
                line = {"input": row["name"], "code": row["outcome"], "message": row["message"]}
                print(json.dumps(line), file=failures, flush=True)
    return counts


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("command", choices=("encode", "decode"))
    arguments.add_argument("source", type=Path)
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("target", type=Path)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--threads", type=int, default=1, help="of each worker")
    arguments.add_argument("--engine", default="auto")
    given = arguments.parse_args()
    # Workers have other working folders.
    source, bundle, target = (path.resolve() for path in (given.source, given.bundle, given.target))
    task = Task(given.command == "encode", source, bundle, target, given.engine, given.threads)
    start = time.perf_counter()
    counts = run(task, given.workers)
    seconds = time.perf_counter() - start
    print(
        f"{', '.join(f'{count} {outcome}' for outcome, count in counts.most_common()) or 'nothing'} in {seconds:.1f} s"
    )
    if set(counts) - {"done", "skipped"}:
        raise SystemExit(f"see {target / FAILURES}")


if __name__ == "__main__":
    main()
