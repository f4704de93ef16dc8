"""Campaigns: checks that take too long for every commit. Names them, runs them, and records what they found.

    PYTHONPATH=tests python -m scripts.campaign NAME... [--only PATTERN] [--record]

NAME: tensorrt. --only: subjects like "hific compact*". --record: puts the result, with commit and time, into its line
of docs/reliability.md. The exit status is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from scripts.campaign import tensorrt
from scripts.campaign.check import Check, Result

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs" / "reliability.md"
CAMPAIGNS: dict[str, Callable[[], Iterator[Check]]] = {"tensorrt": tensorrt.checks}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts.campaign", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(CAMPAIGNS), metavar="NAME")
    parser.add_argument("--only", default="*", metavar="PATTERN")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    failed = False
    for name in options.names:
        start = time.monotonic()
        results = [_run(check) for check in CAMPAIGNS[name]() if fnmatch(check.subject, options.only)]
        failed |= not all(result.passed for result in results)
        line = _line(name, results, time.monotonic() - start)
        print(line)
        if options.record:
            _record(name, line)
    return int(failed)


def _run(check: Check) -> Result:
    start = time.monotonic()
    try:
        result = Result(True, check.run())
    except Exception as error:  # a campaign goes on, whatever a check raises
        result = Result(False, f"{type(error).__name__}: {error}")
    print(
        f"{'ok    ' if result.passed else 'FAILED'} {check.subject}: {result.detail}  {time.monotonic() - start:.0f} s",
        flush=True,
    )
    return result


def _line(name: str, results: list[Result], seconds: float) -> str:
    """Of the table in docs/reliability.md."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=7"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    passed = sum(result.passed for result in results)
    when = time.strftime("%d %B %Y, %H:%M UTC", time.gmtime()).lstrip("0")
    return f"| `{name}` | {passed} of {len(results)} passed | {commit} | {when} | {seconds / 60:.0f} min |"


def _record(name: str, line: str) -> None:
    lines = RECORD.read_text(encoding="utf-8").split("\n")
    (place,) = (number for number, each in enumerate(lines) if each.startswith(f"| `{name}` |"))
    lines[place] = line
    RECORD.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
