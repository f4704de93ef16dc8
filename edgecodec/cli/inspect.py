"""`edgecodec inspect`: what files and bundles say about themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

import edgecodec
from edgecodec.cli.batch import Job, Tally
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import TalkOptions
from edgecodec.files import STANDARD_STREAM
from edgecodec.limits import ANY

if TYPE_CHECKING:
    from edgecodec.container import FileInfo


@with_groups
def inspect(
    inputs: Annotated[list[str], typer.Argument(metavar="FILE|BUNDLE...", help="Coded pictures or bundles.")],
    talk: TalkOptions,
) -> None:
    """What files and bundles say about themselves. Loads no engine and has no limits."""
    from edgecodec.bundle import BundleInfo
    from edgecodec.cli.bundle_words import bundle_lines
    from edgecodec.inspection import entropy_cost

    with reporting(talk) as console:
        tally = Tally(console, len(inputs))
        for path in inputs:
            job = Job(path, STANDARD_STREAM)
            with tally.attempt(job):
                info = edgecodec.inspect(job.source(ANY))
                if isinstance(info, BundleInfo):
                    costs = entropy_cost(path)
                    precisions = {"encode": info.precisions("encode"), "decode": info.precisions("decode")}
                    more: dict[str, Any] = {"precisions": precisions, "decoding_cost": costs}
                    lines = bundle_lines(info, costs)
                else:
                    more, lines = {}, _file_lines(info)
                if talk.json:
                    console.record({"input": path, "ok": True, **asdict(info), **more})
                else:
                    console.show([f"input: {path}", *lines])
        raise typer.Exit(tally.exit_status())


def _file_lines(info: FileInfo) -> Iterator[str]:
    for name, value in asdict(info).items():
        yield f"{name}: {'none' if value is None else value}"
