"""Mutation testing: changes one thing in the source, and expects a test to fail.

    python -m scripts.mutants [--count N] [--seed S] [--only PATTERN] [--resume FILE]

Works in a copy of the commit that is checked out. Results are appended to FILE as JSON lines; a mutant that is there
already is not tried again. The exit status is 1 if a mutant survived that is not listed in allowed.toml.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from scripts.mutants.allowed import read_allowed
from scripts.mutants.concerning_tests import concerning_tests
from scripts.mutants.mutation import Mutation
from scripts.mutants.native_operators import native_mutations
from scripts.mutants.python_operators import python_mutations
from scripts.mutants.trial import TrialError, Trials, worktree

ROOT = Path(__file__).parents[2]
ALLOWED = Path(__file__).with_name("allowed.toml")
VERDICTS = ["killed", "survived", "timeout", "invalid", "allowed"]
#: Kernels of other processors are not compiled here, so nothing could notice a mutation of them.
FOREIGN = {"x86_64": ["*_neon.cpp"], "aarch64": ["*_avx*"]}.get(platform.machine(), ["*_neon.cpp", "*_avx*"])

Result = dict[str, Any]


def source_files(root: Path, only: str) -> list[str]:
    """Tracked files of the runtime and the native library that match `only` and are compiled on this machine."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "edgecodec/*.py", "engines/*.py", "native/src/*"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    compiled = [path for path in listed if not any(fnmatch(path, pattern) for pattern in FOREIGN)]
    return [path for path in compiled if fnmatch(path, only) and concerning_tests(path)]


def mutations_of(root: Path, path: str) -> list[Mutation]:
    find = python_mutations if path.endswith(".py") else native_mutations
    return find(path, (root / path).read_bytes())


def chosen(root: Path, paths: Iterable[str], count: int, seed: int) -> list[Mutation]:
    """One mutation each of `count` random lines, the same ones for the same seed; operators on a line are as likely."""
    lines: dict[tuple[str, int], dict[str, list[Mutation]]] = {}
    for path in paths:
        for mutation in mutations_of(root, path):
            lines.setdefault((path, mutation.line), {}).setdefault(mutation.operator, []).append(mutation)
    generator = random.Random(seed)
    order = sorted(lines)
    generator.shuffle(order)
    operators = [generator.choice(list(lines[line].values())) for line in order[:count]]
    return [generator.choice(mutations) for mutations in operators]


def results_in(file: Path) -> list[Result]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def finished_library(mutations: Iterable[Mutation]) -> Path | None:
    """The library that EDGECODEC_LIBRARY names, which serves as long as no native file is mutated."""
    named = os.environ.get("EDGECODEC_LIBRARY")
    if not named or any(mutation.path.startswith("native/") for mutation in mutations):
        return None
    return Path(named).absolute()


def table(results: Iterable[Result]) -> Iterator[str]:
    """Lines of a Markdown table: how many mutants of each folder had which verdict."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        folder = str(PurePosixPath(result["path"]).parent)
        for row in (folder, "all"):
            counts.setdefault(row, Counter())[result["verdict"]] += 1
    yield "| folder | mutants | " + " | ".join(VERDICTS) + " |"
    yield "|---" * (2 + len(VERDICTS)) + "|"
    for row in sorted(counts, key=lambda row: (row == "all", row)):
        numbers = [counts[row].total(), *(counts[row][verdict] for verdict in VERDICTS)]
        yield f"| {row} | " + " | ".join(map(str, numbers)) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=50, help="mutants to choose, those already tried among them")
    parser.add_argument("--seed", type=int, default=0, help="chooses the lines")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="files to mutate, as edgecodec/tiff_*.py")
    parser.add_argument("--resume", type=Path, default=ROOT / "build" / "mutants.jsonl", metavar="FILE")
    parser.add_argument("--timeout", type=int, default=300, help="seconds that the tests of a mutant may take")
    parser.add_argument("--list", action="store_true", help="print the chosen mutants and try none")
    options = parser.parse_args()

    # So that the copy is removed then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with worktree(ROOT) as copy:
        mutations = chosen(copy, source_files(copy, options.only), options.count, options.seed)
        if options.list:
            print("\n".join(mutation.identity for mutation in mutations))
            return 0
        results = {result["mutant"]: result for result in results_in(options.resume)}
        waiting = [mutation for mutation in mutations if mutation.identity not in results]
        allowed = read_allowed(ALLOWED)
        options.resume.parent.mkdir(parents=True, exist_ok=True)
        try:
            trials = Trials(copy, options.timeout, finished_library(waiting)) if waiting else None
            if trials is not None:
                trials.check_unmutated([mutation.path for mutation in waiting])
            for mutation in waiting:
                assert trials is not None
                before, after = mutation.changed_lines((copy / mutation.path).read_bytes())
                verdict = trials.verdict(mutation)
                survived_as_allowed = verdict.name == "survived" and (mutation.path, before, after) in allowed
                result = {
                    "mutant": mutation.identity,
                    "path": mutation.path,
                    "line": mutation.line,
                    "operator": mutation.operator,
                    "seed": options.seed,
                    "before": before,
                    "after": after,
                    "verdict": "allowed" if survived_as_allowed else verdict.name,
                    "test": verdict.test,
                }
                results[mutation.identity] = result
                with options.resume.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
                print(f"{result['verdict']:9} {mutation.identity}", flush=True)
        except TrialError as error:
            print(error, file=sys.stderr)
            return 2
    tried = [results[mutation.identity] for mutation in mutations]
    print("\n".join(table(tried)))
    return int(any(result["verdict"] == "survived" for result in tried))


if __name__ == "__main__":
    sys.exit(main())
