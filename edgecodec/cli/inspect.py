"""`edgecodec inspect`: what files and bundles say about themselves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

import edgecodec
from edgecodec.cli.batch import Job, Tally
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import TalkOptions
from edgecodec.files import STANDARD_STREAM
from edgecodec.limits import ANY


@with_groups
def inspect(
    inputs: Annotated[list[str], typer.Argument(metavar="FILE|BUNDLE...", help="Coded pictures or bundles.")],
    talk: TalkOptions,
) -> None:
    """What files and bundles say about themselves. Loads no engine and has no limits."""
    from edgecodec.bundle import BundleInfo
    from edgecodec.inspection import entropy_cost

    with reporting(talk) as console:
        tally = Tally(console, len(inputs))
        for path in inputs:
            job = Job(path, STANDARD_STREAM)
            with tally.attempt(job):
                info = edgecodec.inspect(job.source(ANY))
                facts: dict[str, Any] = {"input": path, "ok": True, **asdict(info)}
                if isinstance(info, BundleInfo):
                    facts["precisions"] = {"encode": info.precisions("encode"), "decode": info.precisions("decode")}
                    facts["decoding_cost"] = entropy_cost(path)
                if talk.json:
                    console.record(facts)
                else:
                    console.show(f"{name}: {_words(value)}" for name, value in facts.items() if name != "ok")
        raise typer.Exit(tally.exit_status())


def _words(value: Any) -> str:
    """A fact for people, on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items()) or "none"
    if isinstance(value, tuple | list):
        return "; ".join(_words(each) for each in value) or "none"
    return "none" if value is None else str(value)
