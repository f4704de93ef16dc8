"""`edgecodec encode`: pictures to coded files."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

import edgecodec
from edgecodec.cli.batch import (
    Tally,
    check_standard_output,
    companion,
    make_folders,
    plan,
    refuse_existing,
    require_one_each,
)
from edgecodec.cli.knob_options import EncoderKnobs, chosen
from edgecodec.cli.one_picture import is_soon_done
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
from edgecodec.errors import InvalidArgument

SUFFIX = ".edgc"
PICTURE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm", ".gif", ".avif")
)


@with_groups
def encode(
    *,
    inputs: Inputs,
    bundle: BundlePath,
    output: Output = None,
    alpha_channel: Annotated[
        Literal["refuse", "drop", "white", "black"], typer.Option(help="What to do with transparency.")
    ] = "refuse",
    knobs: EncoderKnobs,
    target_bpp: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Instead of a knob: the largest file within X bits per pixel, or the smallest there is."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="MAP", help="Class numbers for the picture as shown: greyscale or palette, or a folder."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="MASK", help="Not 0 where the picture as shown keeps details; or a folder. [default: all]"
        ),
    ] = None,
    keep_classes: Annotated[
        str | None, typer.Option(metavar="C,C...", help="Classes to keep instead, by name or number.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="S", help="Of the noise that some decoders take. [default: 0]")
    ] = None,
    precision: Annotated[str | None, typer.Option(metavar="P", help="fp32, fp16... [default: fp32]")] = None,
    engine: EngineOptions,
    size: SizeOptions,
    write: WriteOptions,
    talk: TalkOptions,
) -> None:
    """Pictures to .edgc files."""
    with reporting(talk) as console:
        limits = size.limits()
        classes = _classes(keep, keep_classes)
        jobs = plan(inputs, output, SUFFIX, PICTURE_SUFFIXES.__contains__)
        require_one_each(labels, jobs, "--labels")
        require_one_each(keep, jobs, "--keep")
        check_standard_output(jobs, talk.json, concatenable=False)

        from edgecodec import files, picture

        values = chosen(knobs)
        with edgecodec.open_bundle(
            bundle,
            engine.checked_name(),
            encode_precision=precision,
            engine_library=engine.engine_library,
            engine_device=engine.engine_device,
            limits=limits,
            threads=engine.threads,
            one_shot=target_bpp is None and is_soon_done(jobs, bundle),  # a search encodes it many times
            **size.room(),
        ) as codec:
            say_what_opened(codec, console)
            codec.check_encoding(knobs=values, target_bpp=target_bpp, seed=seed)
            make_folders(jobs)
            tally = Tally(console, len(jobs))
            for job in jobs:
                with tally.attempt(job):
                    refuse_existing(job, write.force)
                    source = picture.read(job.source(limits), limits, alpha_channel)
                    encoded = codec.encode(
                        source.without_metadata() if write.strip else source,
                        labels=companion(labels, job),
                        keep=classes or companion(keep, job),
                        knobs=values,
                        target_bpp=target_bpp,
                        seed=seed,
                    )
                    files.write(job.output, encoded.data, force=write.force)
                    for note in encoded.notes:
                        console.say(f"{job.input}: {note}")
                    report(console, job, encoded, {"notes": encoded.notes})
        raise typer.Exit(tally.exit_status())


def _classes(mask: str | None, classes: str | None) -> list[str]:
    if mask is not None and classes is not None:
        raise InvalidArgument("--keep and --keep-classes exclude each other", hint="give one")
    return [] if classes is None else [name.strip() for name in classes.split(",")]
