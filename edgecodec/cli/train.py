"""`edgecodec train`: a recipe and pictures to checkpoints that export takes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.pace import rate
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import TalkOptions, Threads
from edgecodec.cli.signals import asking_first
from edgecodec.errors import EngineUnavailable, InvalidArgument
from edgecodec.steps import Step

if TYPE_CHECKING:
    from edgecodec.cli.console import Console
    from edgecodec.cli.progress import Progress
    from edgecodec_train.events import Event


#: Scores that a line has without -v; the curve has all of them.
SHOWN = ("bits_per_pixel", "psnr_db", "loss", "told_apart")


@with_groups
def train(
    talk: TalkOptions,
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE", help="Name of a recipe, or a TOML file.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER|TAR", help="Pictures: a folder, tar files in it, or one tar file.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="DIR", help="The run's folder.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.0, metavar="M", help="Stop after so many minutes.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in DIR.")] = False,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, as in data.batch=4.")
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="cpu or cuda. [default: cuda if there]")] = None,
    threads: Threads = None,
    list_recipes: Annotated[bool, typer.Option("--list", help="Show the recipes and exit.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print RECIPE as TOML, to change a copy, and exit.")] = False,
) -> None:
    """Train a codec by a recipe. Needs edgecodec[train]."""
    with reporting(talk) as console:
        try:
            import torch

            from edgecodec_train.recipe_files import known_recipes, recipe_text
            from edgecodec_train.stopping import Stopping
            from edgecodec_train.training import train_recipe
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"training needs {error.name}, which is not installed", hint="pip install 'edgecodec[train]'"
            ) from error
        if list_recipes:
            recipes = known_recipes()
            console.show(f"{name:24}{title}" for name, title in recipes.items())
            return
        if show:
            if recipe is None:
                raise InvalidArgument("RECIPE missing", hint="edgecodec train --list shows the recipes")
            console.show(recipe_text(recipe).splitlines())
            return
        if data is None or output is None or (recipe is None and not resume):
            wanted = {"RECIPE": recipe or resume, "--data": data, "-o DIR": output}
            missing = ", ".join(name for name, value in wanted.items() if not value)
            hint = "edgecodec train --list shows the recipes" if recipe is None else None
            raise InvalidArgument(f"{missing} missing", hint=hint)
        if threads is not None:
            torch.set_num_threads(threads)
        stopping = Stopping(minutes)

        def stop(number: int) -> None:
            stopping.signal = number

        # The first signal ends the run after the step at hand, with its state saved; a second one ends it at once.
        with (
            asking_first(stop, "SIGINT", "SIGTERM", "SIGHUP"),
            console.progress("training") as progress,
        ):
            complete = train_recipe(
                recipe,
                data,
                output,
                resume=resume,
                changes=changes or (),
                device=device,
                stopping=stopping,
                report=lambda event: _tell(console, progress, event),
            )
        console.record({"ok": True, "checkpoints": complete, "stopped": stopping.reason()})
        if stopping.signal is not None:
            raise typer.Exit(128 + stopping.signal)


def _tell(console: Console, progress: Progress, event: Event) -> None:
    """One line for people, one object for machines."""
    from edgecodec_train import events

    if isinstance(event, events.Note):
        console.say(event.text)
        return
    match event:
        case events.Progress():
            progress.follow(Step(f"stage {event.stage}"))
            progress.note(f"loss {event.loss:.4f}", rate(event.steps_per_second, "steps"))
            progress.part(event.step, event.steps, "step")
            return
        case events.Scored():
            shown = "  ".join(
                f"{name} {value:.4g}"
                for name, value in event.scores.items()
                if console.verbosity > 0 or name.startswith(SHOWN)
            )
            console.say(f"{event.stage} {event.step}/{event.steps}  {shown}")
        case events.StageDone():
            console.say(f"{event.stage} is done{_skipped(event.skipped_steps)}: {event.checkpoint}")
        case events.Stopped():
            why = "the time is over" if event.reason == "time" else "a signal came"
            done = f"{event.step}/{event.steps}{_skipped(event.skipped_steps)}"
            console.say(f"stopped at {event.stage} {done}: {why}; --resume goes on from here")
    console.record({"event": type(event).__name__, **asdict(event)})


def _skipped(steps: int) -> str:
    return f", {steps} steps skipped for a bad loss" if steps else ""
