"""Training from the command line: python -m edgecodec_train --help."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer

from edgecodec_export.checkpoints import load_model, read_checkpoint, save_checkpoint, stored_notes
from edgecodec_train.photos import PhotoSet, load_photos
from edgecodec_train.scenes import load_scenes
from edgecodec_train.stages.adversarial import AdversarialRecipe, train_adversarial
from edgecodec_train.stages.rate_distortion import RateDistortionRecipe, train_rate_distortion
from edgecodec_train.stages.selective import SelectiveRecipe, train_selective

app = typer.Typer(no_args_is_help=True, help="Train the codecs that edgecodec exports.")

Photos = Annotated[Path, typer.Option(help="Folder of tar files with photographs.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write; .state and .csv appear beside it.")]
Steer = Annotated[bool, typer.Option("--steer", help="Resume with another recipe than the run had so far.")]
Threads = Annotated[int, typer.Option(help="Processor threads.")]


@app.command()
def rate_distortion(
    photos: Photos,
    output: Output,
    family: str = RateDistortionRecipe.family,
    preset: str = RateDistortionRecipe.preset,
    distortion_weight: float = RateDistortionRecipe.distortion_weight,
    steps: int = RateDistortionRecipe.steps,
    batch: int = RateDistortionRecipe.batch,
    learning_rate: float = RateDistortionRecipe.learning_rate,
    final_learning_rate: float = RateDistortionRecipe.final_learning_rate,
    average_decay: float = RateDistortionRecipe.average_decay,
    encoder: Annotated[Path | None, typer.Option(help="Checkpoint whose decoder alone learns on.")] = None,
    bfloat16: Annotated[bool, typer.Option(help="Faster where the processor has it.")] = RateDistortionRecipe.bfloat16,
    seed: int = RateDistortionRecipe.seed,
    steer: Steer = False,
    threads: Threads = 2,
) -> None:
    """First stage: all networks, for rate + lambda * MSE. Resumes if OUTPUT.state is there."""
    recipe = RateDistortionRecipe(
        family,
        preset,
        distortion_weight,
        steps,
        batch,
        learning_rate=learning_rate,
        final_learning_rate=final_learning_rate,
        average_decay=average_decay,
        bfloat16=bfloat16,
        seed=seed,
    )
    train_rate_distortion(_prepare(photos, threads), output, recipe, encoder=encoder, steer=steer)


@app.command()
def adversarial(
    photos: Photos,
    first_stage: Annotated[Path, typer.Option(help="Checkpoint of the stage before.")],
    output: Output,
    steps: int = AdversarialRecipe.steps,
    batch: int = AdversarialRecipe.batch,
    learning_rate: float = AdversarialRecipe.learning_rate,
    ms_ssim_weight: float = AdversarialRecipe.ms_ssim_weight,
    adversarial_weight: float = AdversarialRecipe.adversarial_weight,
    grid_weight: float = AdversarialRecipe.grid_weight,
    gradient_norm: float = AdversarialRecipe.gradient_norm,
    bfloat16: Annotated[bool, typer.Option(help="Faster where the processor has it.")] = AdversarialRecipe.bfloat16,
    seed: int = AdversarialRecipe.seed,
    steer: Steer = False,
    threads: Threads = 2,
) -> None:
    """Last stage: the decoder alone, for realism. Resumes if OUTPUT.state is there."""
    recipe = AdversarialRecipe(
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        ms_ssim_weight=ms_ssim_weight,
        adversarial_weight=adversarial_weight,
        grid_weight=grid_weight,
        gradient_norm=gradient_norm,
        bfloat16=bfloat16,
        seed=seed,
    )
    train_adversarial(_prepare(photos, threads), first_stage, output, recipe, steer=steer)


@app.command()
def selective(
    scenes: Annotated[
        Path, typer.Option(help="Tar file of pictures and their label maps (see edgecodec_train/scenes.py).")
    ],
    output: Output,
    preset: str = SelectiveRecipe.preset,
    steps: int = SelectiveRecipe.steps,
    seed: int = SelectiveRecipe.seed,
    steer: Steer = False,
    threads: Threads = 2,
) -> None:
    """Selective compression from label maps (agustsson, SC). Resumes if OUTPUT.state is there."""
    _set_up(threads)
    train_selective(load_scenes(scenes), output, SelectiveRecipe(preset, steps=steps, seed=seed), steer=steer)


@app.command()
def halve(source: Path, output: Path) -> None:
    """Store a checkpoint in half precision, for shipping; it is computed with in single precision as before."""
    checkpoint = read_checkpoint(source)
    model = load_model(checkpoint)
    notes = stored_notes(checkpoint)
    save_checkpoint(output, model, checkpoint.family, checkpoint.preset, notes, torch.float16, force=False)


def _prepare(folder: Path, threads: int) -> PhotoSet:
    shards = sorted(folder.glob("*.tar"))
    if not shards:
        raise typer.BadParameter(f"there is no .tar file in {folder}", param_hint="--photos")
    _set_up(threads)
    return load_photos(shards)


def _set_up(threads: int) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


if __name__ == "__main__":
    app()
