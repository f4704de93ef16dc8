"""`edgecodec inspect`: what files and bundles say about themselves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

import edgecodec
from edgecodec import engine_registry
from edgecodec.cli.batch import Job, Tally
from edgecodec.cli.encode import SUFFIX
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import Recursive, TalkOptions
from edgecodec.files import STANDARD_STREAM
from edgecodec.limits import ANY


@with_groups
def inspect(
    *,
    inputs: Annotated[
        list[str], typer.Argument(metavar="FILE|BUNDLE|FOLDER...", help="Coded pictures, bundles, or folders of them.")
    ],
    recursive: Recursive = False,
    talk: TalkOptions,
) -> None:
    """Show what files and bundles say about themselves. Loads no engine and has no limits."""
    from edgecodec.bundle import BundleInfo
    from edgecodec.cli.inputs import Kinds, gather
    from edgecodec.cli.inspect_text import bundle_lines, file_lines, files_table, sections
    from edgecodec.container import FileInfo
    from edgecodec.inspection import entropy_cost

    with reporting(talk) as console:
        found = gather(inputs, None, Kinds(frozenset((SUFFIX,)), frozenset(), bundles=True), recursive)
        paths = [each.path for each in found.found]
        engines = engine_registry.installed_backends()
        tally = Tally(console, len(paths))
        pictures: dict[str, FileInfo] = {}
        for path in paths:
            job = Job(path, STANDARD_STREAM)
            with tally.attempt(job):
                info = edgecodec.inspect(job.source(ANY))
                facts: dict[str, Any] = {"input": path, "ok": True, **asdict(info)}
                if isinstance(info, BundleInfo):
                    costs = entropy_cost(path)
                    facts["precisions"] = {"encode": info.precisions("encode"), "decode": info.precisions("decode")}
                    facts["decoding_cost"] = costs
                    facts["engines_installed"] = engines
                    if not talk.json:
                        console.show(bundle_lines(path, info, costs, engines))
                else:
                    facts["bits_per_pixel"] = info.bits_per_pixel
                    facts["sections"] = sections(info)
                    pictures[path] = info
                console.record(facts)
        if not talk.json and pictures:
            console.show(files_table(pictures) if len(pictures) > 1 else file_lines(*next(iter(pictures.items()))))
        raise typer.Exit(tally.exit_status())
