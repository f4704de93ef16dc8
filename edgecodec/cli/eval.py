"""`edgecodec eval`: rates and scores of a bundle's files over a folder of pictures, beside other formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgecodec.cli.batch import Job, Tally
from edgecodec.cli.encode import picture_kinds
from edgecodec.cli.knob_options import MeasuredKnobs, lists
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.results import say_what_opened
from edgecodec.cli.shared_options import EngineOptions, SizeOptions, TalkOptions
from edgecodec.errors import EngineUnavailable

if TYPE_CHECKING:
    from edgecodec.cli.console import Console
    from edgecodec.cli.progress import Progress
    from edgecodec_evaluate.run import Progress as Measured


@with_groups
def evaluate(
    *,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that export wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Pictures to measure.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for tables and plots. A run that is there goes on."),
    ],
    against: Annotated[
        str | None, typer.Option(metavar="F,F...", help="Formats to compare with: jpeg, webp, avif, jxl.")
    ] = None,
    lpips: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of LPIPS in AlexNet: the package's state dict, saved by PyTorch."),
    ] = None,
    dists: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of DISTS in VGG16: the package's state dict, saved by PyTorch."),
    ] = None,
    knobs: MeasuredKnobs,
    precision: Annotated[
        str | None,
        typer.Option(metavar="P", help="Precision of decoders: fp32, fp16... [default: fp16 on GPUs, else fp32]"),
    ] = None,
    alpha_channel: Annotated[
        Literal["refuse", "drop", "white", "black"], typer.Option(help="What to do with transparency.")
    ] = "refuse",
    engine: EngineOptions,
    size: SizeOptions,
    force: Annotated[bool, typer.Option("--force", help="Begin anew, and replace what DIR has.")] = False,
    talk: TalkOptions,
) -> None:
    """Measure rates and scores of real files over a folder of pictures. Needs edgecodec[eval]."""
    with reporting(talk) as console:
        try:
            import torch

            from edgecodec_evaluate.run import evaluation
            from edgecodec_evaluate.settings import Settings
            from edgecodec_evaluate.table import lines
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"evaluating needs {error.name}, which is not installed", hint="pip install 'edgecodec[eval]'"
            ) from error
        settings = Settings(
            knobs=lists(knobs),
            against=[] if against is None else [name.strip() for name in against.split(",")],
            weights={name: path for name, path in (("lpips", lpips), ("dists", dists)) if path is not None},
            alpha_channel=alpha_channel,
            engine=engine.checked_name(),
            engine_library=engine.engine_library,
            engine_device=engine.engine_device,
            precision=precision,
            threads=engine.threads,
            limits=size.limits(),
            **size.room(),
        )
        if engine.threads is not None:
            torch.set_num_threads(engine.threads)
        with evaluation(bundle, _pictures(folder, console.say), output, settings, force=force) as run:
            say_what_opened(run.codec, console)
            if run.done:
                console.say(f"{output}: going on from {run.done} of {run.total} measurements")
            tally = Tally(console, len(run.pictures))
            try:
                with console.progress("evaluating") as progress:
                    progress.part(run.done, run.total, "measurement")
                    for name, path in run.pictures.items():
                        with tally.attempt(Job(str(path), str(output))):
                            before = run.done
                            for note in run.measure(name, lambda measured: _tell(console, progress, measured)):
                                console.say(f"{name}: {note}")
                            if run.done > before:
                                console.say(f"{name}: measured, {run.done} of {run.total} measurements done")
            except SystemExit:  # by a signal
                without = " without --force" if force else ""
                console.say(
                    f"interrupted: {run.done} of {run.total} measurements done; the same command{without} goes on"
                )
                raise
            status = tally.exit_status()
            if run.complete:
                console.say(f"{output}: writing tables and plots")
                summary = run.finish()
                if talk.json:
                    console.record({"ok": True, "output": output, **summary.facts()})
                else:
                    console.show(lines(summary))
        raise typer.Exit(status)


def _pictures(folder: Path, say: Callable[[str], object] = lambda line: None) -> dict[str, Path]:
    """By name. Says what else the folder has. Raises InvalidArgument for one without any, CannotRead."""
    from edgecodec.cli.inputs import gather
    from edgecodec_evaluate.names import one_line

    kinds = picture_kinds()
    found = gather([str(folder)], None, kinds, recursive=False)
    for line in found.remarks(kinds):
        say(line)
    return {one_line(path.name): path for path in (Path(each.path) for each in found.found)}


def _tell(console: Console, progress: Progress, measured: Measured) -> None:
    console.say(f"{measured.done}/{measured.total} {measured.text}", level=1)
    progress.part(measured.done, measured.total, "measurement")
