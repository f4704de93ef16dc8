"""`edgecodec export`: a checkpoint to a bundle. Its options are declared in edgecodec_export/options.py."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

import typer

from edgecodec.cli.knob_options import BakedKnobs, lists
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import TalkOptions
from edgecodec.errors import CannotRead, EngineUnavailable
from edgecodec_export.options import ExportOptions


@with_groups
def export(
    options: ExportOptions,
    knobs: BakedKnobs,
    precision: Annotated[
        str | None, typer.Option(metavar="P,P...", help="Precisions of the graphs. [default: fp32,fp16]")
    ] = None,
    *,
    talk: TalkOptions,
) -> None:
    """Turn checkpoints into a bundle. Needs edgecodec[export]."""
    with reporting(talk) as console:
        from edgecodec_export.checkpoint_files import examine

        for checkpoint in (*options.checkpoints, *(options.mse_checkpoints or ())):
            examine(checkpoint)  # a wrong path is said before torch is loaded, which takes seconds
        for folder in filter(None, (options.calibration, options.entropy_from)):
            if not folder.is_dir():
                raise CannotRead("is not a folder" if folder.exists() else "is not there", where=str(folder))
        try:
            from edgecodec_export import export_bundle
            from edgecodec_export.report import summary
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"export needs {error.name}, which is not installed", hint="pip install 'edgecodec[export]'"
            ) from error
        names = None if precision is None else [name.strip() for name in precision.split(",")]
        asked = replace(options, knobs=lists(knobs), precision=names)
        with console.progress("exporting") as progress:
            report = export_bundle(asked, progress=progress.follow)
        for line in summary(report):
            console.say(line)
        console.record({"ok": True, **asdict(report)})
