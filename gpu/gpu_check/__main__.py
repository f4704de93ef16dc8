"""Does the steps that are not done yet, until time is up. `gpu/check.sh` calls it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import traceback
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from gpu_check import torch_engine
from gpu_check.steps import CheckFailed, NotRun, Plan, Step, steps
from gpu_check.table import table

DONE, FAILED, NOT_RUN, OUT_OF_TIME = "done", "failed", "not run", "out of time"
TIME_IS_UP = 75  # EX_TEMPFAIL of sysexits.h


class TimeIsUp(BaseException):
    """Raised by the alarm, wherever the work is."""


class Record:
    """The results so far, in OUT/check.json, and as a table in OUT/check.md. Other settings start a new one."""

    def __init__(self, out: Path, settings: dict[str, Any], *, fresh: bool) -> None:
        self._json, self._table = out / "check.json", out / "check.md"
        self.contents: dict[str, Any] = {"settings": settings, "steps": {}}
        if not fresh and self._json.exists():
            earlier = json.loads(self._json.read_text())
            if earlier["settings"] == settings:
                self.contents = earlier

    def status(self, name: str) -> str | None:
        """Of an earlier run; None where the step was not begun."""
        status: str | None = self.contents["steps"].get(name, {}).get("status")
        return status

    def put(self, name: str, step: dict[str, Any]) -> None:
        self.contents["steps"][name] = step
        unfinished = self._json.with_suffix(".part")
        unfinished.write_text(json.dumps(self.contents, indent=1))
        unfinished.replace(self._json)
        self._table.write_text(table(self.contents))


def main() -> int:
    arguments = argparse.ArgumentParser(prog="gpu/check.sh", description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--seconds", type=float, default=540.0)
    arguments.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments.add_argument("--small", action="store_true")
    arguments.add_argument("--fresh", action="store_true")
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(given.out, torch.device(given.device), given.small)
    torch_engine.run_on(plan.device)
    torch.backends.cudnn.benchmark = True  # PyTorch at its best: it tries every algorithm for a new shape
    record = Record(given.out, {"device": given.device, "small": given.small}, fresh=given.fresh)
    signal.signal(signal.SIGALRM, _time_is_up)
    signal.setitimer(signal.ITIMER_REAL, max(given.seconds, 0.001))
    # One that takes more than the time there is must not keep the others from theirs for ever.
    left = sorted(
        ((name, step) for name, step in steps(plan) if record.status(name) != DONE),
        key=lambda each: record.status(each[0]) == OUT_OF_TIME,
    )
    for name, step in left:
        outcome = _outcome(step)
        record.put(name, outcome)
        print(f"{outcome['status']:11} {outcome['seconds']:7.1f} s  {name}  {outcome.get('why', '')}")
        if outcome["status"] == OUT_OF_TIME:
            print("time is up: start it again to go on")
            return TIME_IS_UP
    signal.setitimer(signal.ITIMER_REAL, 0)
    print((given.out / "check.md").read_text())
    return int(any(record.status(name) == FAILED for name, _ in steps(plan)))


def _outcome(step: Step) -> dict[str, Any]:
    start = perf_counter()
    try:
        found: dict[str, Any] = {"status": DONE, "result": step()}
    except NotRun as reason:
        found = {"status": NOT_RUN, "why": str(reason)}
    except CheckFailed as fault:
        found = {"status": FAILED, "why": str(fault)}
    except TimeIsUp:
        found = {"status": OUT_OF_TIME}
    except Exception as error:  # one step must not end the others
        traceback.print_exc()
        found = {"status": FAILED, "why": f"{type(error).__name__}: {error}"}
    return {**found, "seconds": round(perf_counter() - start, 2)}


def _time_is_up(*_: object) -> None:
    raise TimeIsUp


if __name__ == "__main__":
    sys.exit(main())
