"""`edgecodec decode`: coded files to pictures."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from edgecodec.cli.batch import Job, check_standard_output, make_folders, plan, split_output
from edgecodec.cli.encode import SUFFIX
from edgecodec.cli.knob_options import DecoderKnobs, chosen
from edgecodec.cli.one_picture import is_soon_done
from edgecodec.cli.opening import Opening
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.results import say_what_opened
from edgecodec.cli.shared_options import (
    BatchOptions,
    BundlePath,
    EngineOptions,
    Inputs,
    Output,
    SizeOptions,
    TalkOptions,
    WriteOptions,
)
from edgecodec.files import STANDARD_STREAM

if TYPE_CHECKING:
    from edgecodec.cli.work import Item, Made
    from edgecodec.codec import Codec
    from edgecodec.decoded import Decoded
    from edgecodec.steps import Parts

_CONCATENABLE = ("ppm", "pgm", "pnm")


def _formats() -> list[str]:
    from edgecodec.picture_writing import FORMATS

    return list(FORMATS)


@with_groups
def decode(
    *,
    inputs: Inputs = None,
    bundle: BundlePath,
    output: Output = None,
    knobs: DecoderKnobs,
    precision: Annotated[
        str | None, typer.Option(metavar="P", help="fp32, fp16... [default: fp16 on GPUs, else fp32]")
    ] = None,
    picture_format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="F", help="png, ppm, npy... [default: by extension, or png]", autocompletion=_formats
        ),
    ] = None,
    engine: EngineOptions,
    size: SizeOptions,
    batch: BatchOptions,
    write: WriteOptions,
    talk: TalkOptions,
) -> None:
    """Decode .edgc files to pictures."""
    with reporting(talk) as console:
        from edgecodec import picture_writing
        from edgecodec.cli.inputs import Kinds, gather
        from edgecodec.cli.work import carry_out

        if picture_format is not None:
            picture_writing.check_format(picture_format)
        kinds = Kinds(frozenset((SUFFIX,)), frozenset(f".{each}" for each in picture_writing.FORMATS))
        named, output = split_output(inputs or (), output, kinds)
        found = gather(named, batch.listed, kinds, batch.recursive)
        jobs = plan(found, output, f".{picture_format or 'png'}", kinds)
        formats = {job.output: picture_format or _format_of(job) for job in jobs}
        check_standard_output(jobs, talk.json, batch.jobs, concatenable=picture_format in _CONCATENABLE)
        limits = size.limits()
        work = _Decoding(
            Opening(bundle, engine, size, is_soon_done(jobs, bundle)),
            write.strip,
            chosen(knobs),
            precision,
            formats,
        )
        for line in found.remarks(kinds):
            console.say(line)
        with work.open() as codec:
            say_what_opened(codec, console)
            for note in codec.notes:
                console.say(note)
            make_folders(jobs)
            status = carry_out(work, codec, jobs, batch, write, limits, console)
        raise typer.Exit(status)


@dataclass(frozen=True)
class _Decoding:
    """What to do with every file. formats: of pictures, by the name of the output."""

    TITLE: ClassVar[str] = "decoding"

    opening: Opening
    strip: bool
    knobs: dict[str, float]
    precision: str | None
    formats: dict[str, str]

    def open(self, processes: int = 1) -> Codec:
        return self.opening.codec(processes, knobs=self.knobs, precision=self.precision)

    def each(
        self, codec: Codec, items: Sequence[Item], progress: Parts | None = None
    ) -> Generator[Made | Exception, None, None]:
        for item, decoded in zip(items, _decoded(codec, items, progress), strict=True):
            try:
                made: Made | Exception = decoded if isinstance(decoded, Exception) else self._as_file(item, decoded)
            except Exception as error:
                made = error
            yield made

    def _as_file(self, item: Item, decoded: Decoded) -> Made:
        from edgecodec import picture_writing
        from edgecodec.cli.work import Done, Made

        written = decoded.without_metadata() if self.strip else decoded
        data, notes = picture_writing.as_file(written, self.formats[item.job.output])
        return Made(data, Done(decoded.info, decoded.timings, decoded.tiles, decoded.engine, notes, len(data)))


def _decoded(codec: Codec, items: Sequence[Item], progress: Parts | None) -> Iterator[Decoded | Exception]:
    """The pictures, or why there is none, in order."""
    if len(items) > 1:
        yield from codec.decode_many((item.source for item in items), errors="return", progress=progress)
        return
    for item in items:  # there is nothing to look ahead to, and so no need for another thread
        try:
            decoded: Decoded | Exception = codec.decode(item.source, progress=progress)
        except Exception as error:
            decoded = error
        yield decoded


def _format_of(job: Job) -> str:
    from edgecodec.picture_writing import format_of

    return "png" if job.output == STANDARD_STREAM else format_of(job.output)
