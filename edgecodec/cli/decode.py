"""`edgecodec decode`: coded files to pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import edgecodec
from edgecodec.cli.batch import Job, Tally, check_standard_output, make_folders, plan, refuse_existing
from edgecodec.cli.encode import SUFFIX
from edgecodec.cli.knob_options import DecoderKnobs, chosen
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.results import report, say_what_opened
from edgecodec.cli.shared_options import (
    BundlePath,
    EngineOptions,
    Inputs,
    Output,
    SizeOptions,
    TalkOptions,
    WriteOptions,
)
from edgecodec.errors import EdgecodecError
from edgecodec.files import STANDARD_STREAM

if TYPE_CHECKING:
    from edgecodec.files import Source

_CONCATENABLE = ("ppm", "pgm", "pnm")


@with_groups
def decode(
    *,
    inputs: Inputs,
    bundle: BundlePath,
    output: Output = None,
    knobs: DecoderKnobs,
    precision: Annotated[
        str | None, typer.Option(metavar="P", help="fp32, fp16... [default: fp16 on GPUs, else fp32]")
    ] = None,
    picture_format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="png, ppm, npy... [default: by extension, or png]")
    ] = None,
    engine: EngineOptions,
    size: SizeOptions,
    write: WriteOptions,
    talk: TalkOptions,
) -> None:
    """.edgc files to pictures."""
    with reporting(talk) as console:
        from edgecodec import files, picture_writing

        if picture_format is not None:
            picture_writing.check_format(picture_format)
        jobs = plan(inputs, output, f".{picture_format or 'png'}", {SUFFIX}.__contains__)
        formats = {job.output: picture_format or _format_of(job) for job in jobs}
        check_standard_output(jobs, talk.json, concatenable=picture_format in _CONCATENABLE)

        limits = size.limits()
        with edgecodec.open_bundle(
            bundle,
            engine.checked_name(),
            knobs=chosen(knobs),
            precision=precision,
            limits=limits,
            threads=engine.threads,
            engine_library=engine.engine_library,
            engine_device=engine.engine_device,
            one_shot=len(jobs) == 1,
            **size.room(),
        ) as codec:
            say_what_opened(codec, console)
            for note in codec.notes:
                console.say(note)
            make_folders(jobs)
            tally = Tally(console, len(jobs))
            ready: list[tuple[Job, Source]] = []
            for job in jobs:
                with tally.attempt(job):
                    refuse_existing(job, write.force)
                    ready.append((job, job.source(limits)))
            results = codec.decode_many((source for _, source in ready), errors="return")
            for (job, _), decoded in zip(ready, results, strict=True):
                with tally.attempt(job):
                    if isinstance(decoded, EdgecodecError):
                        raise decoded
                    written = decoded.without_metadata() if write.strip else decoded
                    data, notes = picture_writing.as_file(written, formats[job.output])
                    files.write(job.output, data, force=write.force)
                    for note in notes:
                        console.say(f"{job.input}: {note}")
                    report(console, job, decoded, {"notes": notes})
        raise typer.Exit(tally.exit_status())


def _format_of(job: Job) -> str:
    from edgecodec.picture_writing import format_of

    return "png" if job.output == STANDARD_STREAM else format_of(job.output)
