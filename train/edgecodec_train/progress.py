"""What training runs keep on disk, and the schedule of their learning rates."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgecodec import files
from edgecodec.errors import InvalidArgument
from edgecodec_export.checkpoints import save_checkpoint

Decisive = Mapping[str, Any]  # all that decides a run's result, by name: numbers, texts and objects of these

STARTING = {"family", "preset", "encoder", "first_stage"}  # settings that matter only at step 0


class Run:
    """A run on disk: the checkpoint `output`; OUTPUT.state, from which it resumes; OUTPUT.csv, its curve.

    parts: models, averages and optimisers by name; the checkpoint has the weights of "averaged". recipe: all that
    decides the result, with the number of "steps". The checkpoint's notes are `notes`, the stage, the steps done, and
    "recipes": pairs of a step and the recipe that the run followed from there, null where that is not known.
    """

    def __init__(
        self,
        output: Path,
        stage: str,
        preset: str,
        parts: Mapping[str, Any],
        recipe: Decisive,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        self._output, self._preset, self._parts, self._recipe = output, preset, parts, recipe
        self._state = output.with_suffix(".state")
        self._notes = {"stage": stage, **(notes or {})}
        self._followed: list[tuple[int, Decisive | None]] = []

    def resume(self, *, steer: bool = False) -> int:
        """Load what `save` wrote into the parts, if it has. Returns the steps that are done.

        A finished run whose checkpoint is gone writes it again. steer: go on with this recipe where the run had another
        so far.

        Raises InvalidArgument, with the list, for a run that had another recipe, and, steered or not, another start.
        """
        done = self._load(steer) if self._state.exists() else 0
        if done >= self._recipe["steps"]:
            if not self._output.exists():
                self._save_checkpoint(done)
        elif not self._followed or self._followed[-1][1] != self._recipe:
            self._followed.append((done, self._recipe))
        return done

    def save(self, done: int, **row: float) -> None:
        """Write the curve, the checkpoint and the state after `done` steps. row: columns of the curve besides `done`.

        The state comes last: a run that is killed before has the state before, and repeats the steps since then.
        """
        append_row(self._output.with_suffix(".csv"), step=done, **row)
        self._save_checkpoint(done)
        state = {name: part.state_dict() for name, part in self._parts.items()}
        content = io.BytesIO()
        torch.save(state | {"step": done, "recipes": self._followed}, content)
        files.write(self._state, content.getbuffer(), force=True)

    def _load(self, steer: bool) -> int:
        state = torch.load(self._state, weights_only=True)
        self._followed = state.get("recipes", [(0, None)])  # older states had none
        _, before = self._followed[-1]
        if before is not None:
            self._compare(before, steer)
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])

    def _compare(self, before: Decisive, steer: bool) -> None:
        now = self._recipe
        differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        listed = "".join(f"\n  {name}: {before.get(name)!r} before, {now.get(name)!r} now" for name in differing)
        if STARTING.intersection(differing):
            raise InvalidArgument(
                f"is of a run with another start:{listed}", where=str(self._state), hint="give another output"
            )
        if differing and not steer:
            raise InvalidArgument(
                f"is of a run with another recipe:{listed}",
                where=str(self._state),
                hint="give that recipe, or go on with this one by --steer (steer=True)",
            )

    def _save_checkpoint(self, done: int) -> None:
        model = self._parts["averaged"].module
        notes = self._notes | {"steps": str(done), "recipes": json.dumps(self._followed)}
        save_checkpoint(self._output, model, model.FAMILY, self._preset, notes)


def append_row(curve: Path, **values: float) -> None:
    """Add a row to the CSV file `curve`. Columns that only some rows have are empty in the others."""
    rows = list(csv.DictReader(curve.read_text().splitlines())) if curve.exists() else []
    rows.append({name: f"{value:.6g}" for name, value in values.items()})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    files.write(curve, text.getvalue().encode(), force=True)


def cosine(step: int, steps: int, first: float, last: float, warm_up: int = 0) -> float:
    """Half a cosine from `first` to `last` over `steps`, after a linear rise over `warm_up` steps."""
    rate = last + (first - last) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
    return rate * min(1.0, (step + 1) / max(warm_up, 1))


def set_learning_rates(optimiser: torch.optim.Optimizer, *rates: float) -> None:
    """One for each of its groups. At every step, because a resumed optimiser has those of the run before."""
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate
