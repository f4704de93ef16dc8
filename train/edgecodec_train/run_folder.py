"""The folder of a training run.

recipe.json             the recipe, with every default spelled out, and how it was changed on the way
STAGE.safetensors       the averaged weights of a stage; export takes them
STAGE.csv .png .svg     the stage's curve
sheets/STAGE-STEP.webp  held-out pictures, the originals at the left
state.pt                everything from which the run resumes
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from edgecodec import files
from edgecodec.errors import CannotRead, CannotWrite, InvalidArgument, OutputExists
from edgecodec_evaluate import sheet
from edgecodec_evaluate.sheet import Cell
from edgecodec_export.checkpoints import Checkpoint, read_checkpoint, save_checkpoint
from edgecodec_export.families import LearnedCodec
from edgecodec_train.curves import write_curve
from edgecodec_train.recipe import Recipe
from edgecodec_train.recipe_content import as_content, parse_recipe

RECIPE = "recipe.json"
STATE = "state.pt"
SHEETS = "sheets"


@dataclass
class Position:
    """How far a run is.

    stage: its index. step: how many of its steps are done. seconds: of work so far, in all stages. skipped_steps: those
    of the stage's steps that taught nothing, as their loss was no number or too large.
    """

    stage: int = 0
    step: int = 0
    seconds: float = 0.0
    skipped_steps: int = 0
    #: Whether the stage has been validated and saved with all its steps.
    complete: bool = False
    #: Sums of what the curve shows since the last validation, and how many steps they are of.
    meters: dict[str, tuple[float, int]] = field(default_factory=dict)
    #: State dictionaries by name, of the stage.
    parts: dict[str, Any] = field(default_factory=dict)


class RunFolder:
    """The files of one run. Nothing is written before `begin`.

    history: for each recipe that it followed the stage's index, the step, and the recipe. fingerprint: of the data.
    """

    def __init__(self, path: Path, name: str, recipe: Recipe, history: list[tuple[int, int, dict[str, Any]]]) -> None:
        self.path, self.name, self.recipe, self.history = path, name, recipe, history
        self.fingerprint: str | None = None

    @classmethod
    def plan(cls, path: Path, name: str, recipe: Recipe) -> RunFolder:
        """A new run in `path`. Raises OutputExists where there is one already."""
        for file in (RECIPE, STATE):
            if (path / file).exists():
                raise OutputExists(
                    "holds a training run", where=str(path), hint="go on with --resume, or give another folder"
                )
        return cls(path, name, recipe, [(0, 0, as_content(recipe))])

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """The run in `path`. Raises CannotRead where there is none, InvalidArgument for one of a later version."""
        try:
            stored = json.loads((path / RECIPE).read_text(encoding="utf-8"))
            history = [(int(stage), int(step), content) for stage, step, content in stored["history"]]
            name, latest = str(stored["name"]), history[-1][2]
            fingerprint = stored.get("data")
        except FileNotFoundError as error:
            raise CannotRead(
                "holds no training run", where=str(path), hint="leave out --resume to begin one"
            ) from error
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise CannotRead(f"cannot be read: {error}", where=str(path / RECIPE)) from error
        run = cls(path, name, parse_recipe(latest, str(path / RECIPE)), history)
        run.fingerprint = fingerprint
        return run

    def begin(self) -> None:
        """Make the folder, and write what the run is. Raises CannotWrite."""
        _make_folder(self.path)
        content = {"name": self.name, "data": self.fingerprint, "history": self.history}
        self._write(self.path / RECIPE, json.dumps(content, indent=1).encode())

    def steer(self, recipe: Recipe, position: Position) -> None:
        """Go on with another recipe from `position`. Raises InvalidArgument for another family, or for other stages."""
        now = self.recipe
        for what in ("family", "preset", "seed"):
            before, after = getattr(now, what), getattr(recipe, what)
            if before != after:
                raise InvalidArgument(
                    f"is {before} in this run", where=what, hint="begin another run in another folder"
                )
        if [stage.name for stage in recipe.stages] != [stage.name for stage in now.stages]:
            raise InvalidArgument("a run keeps its stages", where="stages", hint="begin another run in another folder")
        self.recipe = recipe
        self.history.append((position.stage, position.step, as_content(recipe)))

    def use_data(self, fingerprint: str) -> None:
        """Raise InvalidArgument for other data than the run had so far; its curve would no longer be that of a run."""
        if self.fingerprint not in (None, fingerprint):
            raise InvalidArgument(
                "is not the data that this run had so far", where="--data", hint="give that, or begin another run"
            )
        self.fingerprint = fingerprint

    # ---- state ----

    def position(self) -> Position:
        """Where the run is: at its start where no state was saved. Raises CannotRead for a damaged state."""
        file = self.path / STATE
        if not file.exists():
            return Position()
        try:
            return Position(**torch.load(file, weights_only=True, map_location="cpu"))
        except Exception as error:  # PyTorch raises many kinds for damaged files
            raise CannotRead(f"cannot be read: {error}", where=str(file), hint="begin another run") from error

    def save(self, position: Position) -> None:
        """Write the state: complete, or not at all. It is last of all files, so that they are at least as far."""
        content = io.BytesIO()
        torch.save(vars(position), content)
        self._write(self.path / STATE, content.getbuffer())

    # ---- checkpoints ----

    def checkpoint(self, index: int) -> Path:
        """The file with the averaged weights of a stage."""
        return self.path / f"{self.recipe.stages[index].name}.safetensors"

    def read_checkpoint(self, index: int) -> Checkpoint:
        """Raises CannotRead and CheckpointRejected."""
        return read_checkpoint(self.checkpoint(index))

    def save_checkpoint(
        self, position: Position, averaged: LearnedCodec, preset: str, notes: Mapping[str, str]
    ) -> None:
        """Write the averaged weights. notes: besides the stage, its steps, the hours and the recipe."""
        followed = [(self.recipe.stages[stage].name, step, content) for stage, step, content in self.history]
        own = {
            "recipe": self.name,
            "stage": self.recipe.stages[position.stage].name,
            "steps": str(position.step),
            "skipped_steps": str(position.skipped_steps),
            "hours": f"{position.seconds / 3600:.2f}",
            "recipes": json.dumps(followed, sort_keys=True),
        }
        save_checkpoint(self.checkpoint(position.stage), averaged, averaged.FAMILY, preset, {**notes, **own})

    # ---- what people look at ----

    def add_row(self, position: Position, row: Mapping[str, float]) -> None:
        """Add a row to the curve of the stage and draw it. Rows of steps that were undone are dropped."""
        stem = self.path / self.recipe.stages[position.stage].name
        file = stem.with_name(f"{stem.name}.csv")
        rows = [each for each in read_rows(file) if each["step"] < position.step]
        rows.append({"step": float(position.step), **row})
        self._write(file, _csv(rows).encode())
        write_curve(rows, stem, f"{self.name}: {stem.name}")

    def add_sheet(self, position: Position, rows: Sequence[Sequence[Cell]]) -> Path | None:
        """Write the pictures of a validation."""
        if not rows:
            return None
        _make_folder(self.path / SHEETS)
        file = self.path / SHEETS / f"{self.recipe.stages[position.stage].name}-{position.step:07d}.webp"
        sheet.write(file, sheet.draw([rows]))
        return file

    def _write(self, file: Path, content: bytes | memoryview) -> None:
        files.write(file, content, force=True)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(path)) from error


def read_rows(file: Path) -> list[dict[str, float]]:
    """The rows of a curve; a column that a row does not have is left out of it."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        return [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(stream)]


def _csv(rows: Sequence[Mapping[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
    return text.getvalue()
