"""A training run: the stages of a recipe, one after the other, in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from edgecodec.errors import InvalidArgument, OutOfMemory
from edgecodec_train.batches import Opened, make_batches, open_data
from edgecodec_train.device import Device, choose_device, denormals_flushed
from edgecodec_train.events import Note, Report
from edgecodec_train.loop import train
from edgecodec_train.provenance import provenance
from edgecodec_train.recipe_checks import check_recipe
from edgecodec_train.recipe_content import as_content, parse_recipe
from edgecodec_train.recipe_files import change, read_recipe
from edgecodec_train.run_folder import Position, RunFolder
from edgecodec_train.stages import StageContext, make_stage
from edgecodec_train.stopping import Stopping

GPU_WORKERS = 4  # threads that make batches; a processor that trains is slower than one thread of them


def train_recipe(
    name: str | None,
    data: Path,
    output: Path,
    *,
    resume: bool = False,
    changes: Sequence[str] = (),
    device: str | None = None,
    stopping: Stopping | None = None,
    report: Report = lambda event: None,
) -> list[Path]:
    """Train by a recipe, and return the checkpoints of the stages that are complete.

    name: of a built-in recipe, or a TOML file; it may be None for a run that is resumed. data: a folder of pictures, of
    tar files with pictures, or one tar file; for recipes of scenes the tar file that `data/scenes.py` describes.
    output: the run's folder. resume: go on with the run that is in that folder, with its recipe. changes: "key=value",
    see `recipe_files.change`; a run that is resumed follows them from there on, and remembers. device: "cpu", "cuda",
    or None for the best there is.

    Raises InvalidArgument for a recipe that cannot be, OutputExists for a folder that holds a run (without `resume`),
    and what reading the data, the stages and writing raise. The run can then be resumed from the state saved last.
    """
    run, position = _resumed(name, output, changes) if resume else (_planned(name, output, changes), Position())
    recipe, stopping = run.recipe, stopping or Stopping()
    chosen = choose_device(device, recipe.precision)
    opened = open_data(recipe.data, data, recipe.validation)
    run.use_data(opened.fingerprint)
    report(Note(f"{run.name}: {recipe.title}"))
    report(Note(f"{chosen.precision} on {chosen.name}"))
    try:
        for index in range(position.stage, len(recipe.stages)):
            if index > position.stage:
                position = Position(stage=index, seconds=position.seconds)
            with denormals_flushed():
                complete = _run_stage(run, position, opened, chosen, stopping, report)
            if not complete:
                return [run.checkpoint(each) for each in range(index)]
        return [run.checkpoint(complete) for complete in range(len(recipe.stages))]
    finally:
        if opened.skipped_summary:
            report(Note(opened.skipped_summary))


def _planned(name: str | None, output: Path, changes: Sequence[str]) -> RunFolder:
    if name is None:
        raise InvalidArgument("a new run needs a recipe")
    recipe = parse_recipe(read_recipe(name, changes), name)
    check_recipe(recipe)
    return RunFolder.plan(output, Path(name).stem, recipe)


def _resumed(name: str | None, output: Path, changes: Sequence[str]) -> tuple[RunFolder, Position]:
    run = RunFolder.reopen(output)
    if name is not None and run.name != Path(name).stem:
        raise InvalidArgument(f"holds a run of {run.name}, not of {name}", where=str(output))
    position = run.position()
    if changes:
        recipe = parse_recipe(change(as_content(run.recipe), changes), run.name)
        check_recipe(recipe)
        run.steer(recipe, position)
    return run, position


def _run_stage(
    run: RunFolder, position: Position, opened: Opened, device: Device, stopping: Stopping, report: Report
) -> bool:
    """Train one stage, or what is left of it. Returns whether it is complete."""
    recipe, settings = run.recipe, run.recipe.stages[position.stage]
    if position.complete and position.step >= settings.steps and run.checkpoint(position.stage).exists():
        return True
    before = run.read_checkpoint(position.stage - 1) if position.stage else None
    batches = make_batches(recipe.data_of(settings), opened, GPU_WORKERS if device.name != "cpu" else 1)
    try:
        stage = make_stage(StageContext(recipe, position.stage, batches, device, before))
        run.begin()
        stage.notes = {**provenance(), "precision": f"{device.precision} on {device.name}", **stage.notes}
        if "substitute" in stage.notes:
            report(Note(f"{settings.name}: {stage.notes['substitute']}"))
        return train(stage, run, position, stopping, report)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            f"the {device.name} device has not enough memory",
            where=f"stage {settings.name}",
            hint=f"make batches or crops smaller: --set stages.{settings.name}.batch=...",
        ) from error
    finally:
        batches.close()
