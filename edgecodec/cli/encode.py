"""`edgecodec encode`: pictures to coded files."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from edgecodec.cli.batch import (
    Job,
    check_standard_output,
    companion,
    make_folders,
    plan,
    require_one_each,
    split_output,
)
from edgecodec.cli.knob_options import EncoderKnobs, chosen
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
from edgecodec.errors import InvalidArgument

if TYPE_CHECKING:
    from edgecodec.cli.inputs import Kinds
    from edgecodec.cli.work import Item, Made
    from edgecodec.codec import Codec
    from edgecodec.limits import Limits
    from edgecodec.picture import AlphaChannel
    from edgecodec.steps import Parts

SUFFIX = ".edgc"
PICTURE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm", ".gif", ".avif")
)


@with_groups
def encode(
    *,
    inputs: Inputs = None,
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
        typer.Option(
            metavar="MAP",
            hidden=True,
            help="Class numbers for the picture as shown: greyscale or palette, or a folder.",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="MASK",
            hidden=True,
            help="Picture that is not 0 where details are kept, or a folder. [default: all]",
        ),
    ] = None,
    keep_classes: Annotated[
        str | None, typer.Option(metavar="C,C...", hidden=True, help="Classes to keep instead, by name or number.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="S", hidden=True, help="Seed of the noise that some decoders take. [default: 0]"),
    ] = None,
    precision: Annotated[str | None, typer.Option(metavar="P", help="fp32, fp16... [default: fp32]")] = None,
    engine: EngineOptions,
    size: SizeOptions,
    batch: BatchOptions,
    write: WriteOptions,
    talk: TalkOptions,
) -> None:
    """Encode pictures to .edgc files."""
    with reporting(talk) as console:
        from edgecodec.cli.inputs import gather
        from edgecodec.cli.work import carry_out

        limits = size.limits()
        classes = _classes(keep, keep_classes)
        kinds = picture_kinds()
        named, output = split_output(inputs or (), output, kinds)
        found = gather(named, batch.listed, kinds, batch.recursive)
        jobs = plan(found, output, SUFFIX, kinds)
        for job in jobs:
            _check_name(job, kinds)
        require_one_each(labels, jobs, "--labels")
        require_one_each(keep, jobs, "--keep")
        check_standard_output(jobs, talk.json, batch.jobs, concatenable=False)
        one_shot = target_bpp is None and is_soon_done(jobs, bundle)  # a search encodes it many times
        work = _Encoding(
            Opening(bundle, engine, size, one_shot),
            limits,
            write.strip,
            alpha_channel,
            chosen(knobs),
            target_bpp,
            labels,
            keep,
            classes,
            seed,
            precision,
        )
        for line in found.remarks(kinds):
            console.say(line)
        with work.open() as codec:
            say_what_opened(codec, console)
            codec.check_encoding(knobs=work.knobs, target_bpp=target_bpp, seed=seed)
            make_folders(jobs)
            status = carry_out(work, codec, jobs, batch, write, limits, console)
        raise typer.Exit(status)


@dataclass(frozen=True)
class _Encoding:
    """What to do with every picture. classes: those to keep, where no mask says it."""

    TITLE: ClassVar[str] = "encoding"

    opening: Opening
    limits: Limits
    strip: bool
    alpha_channel: AlphaChannel
    knobs: dict[str, float]
    target_bpp: float | None
    labels: str | None
    mask: str | None
    classes: list[str]
    seed: int | None
    precision: str | None

    def open(self, processes: int = 1) -> Codec:
        return self.opening.codec(processes, encode_precision=self.precision)

    def each(
        self, codec: Codec, items: Sequence[Item], progress: Parts | None = None
    ) -> Generator[Made | Exception, None, None]:
        for item in items:
            try:
                made: Made | Exception = self._encode(codec, item, progress)
            except Exception as error:
                made = error
            yield made

    def _encode(self, codec: Codec, item: Item, progress: Parts | None) -> Made:
        from edgecodec import picture
        from edgecodec.cli.work import Done, Made

        job = item.job
        source = picture.read(item.source, self.limits, self.alpha_channel)
        encoded = codec.encode(
            source.without_metadata() if self.strip else source,
            labels=companion(self.labels, job),
            keep=self.classes or companion(self.mask, job),
            knobs=self.knobs,
            target_bpp=self.target_bpp,
            seed=self.seed,
            progress=progress,
        )
        told = Done(
            encoded.info, encoded.timings, encoded.tiles, encoded.engine, encoded.notes, written=len(encoded.data)
        )
        return Made(encoded.data, told)


def picture_kinds() -> Kinds:
    """Those that can be read here."""
    from edgecodec.cli.inputs import Kinds
    from edgecodec.picture_plugins import PLUGINS

    read = (extension for plugin in PLUGINS if plugin.installed for extension in plugin.extensions)
    wanting = {extension: plugin.extra for plugin in PLUGINS if not plugin.installed for extension in plugin.extensions}
    return Kinds(PICTURE_SUFFIXES | frozenset(read), frozenset((SUFFIX,)), wanting)


def _check_name(job: Job, kinds: Kinds) -> None:
    """Raise InvalidArgument where the output is called like a picture."""
    extension = Path(job.output).suffix.lower()
    if extension in kinds.taken or extension in kinds.wanting:
        raise InvalidArgument(
            f"{extension} is the name of a picture, and encode writes coded files",
            where=job.output,
            hint=f"{Path(job.output).with_suffix(SUFFIX)}, or decode to make a picture",
        )


def _classes(mask: str | None, classes: str | None) -> list[str]:
    if mask is not None and classes is not None:
        raise InvalidArgument("--keep and --keep-classes exclude each other", hint="give one")
    return [] if classes is None else [name.strip() for name in classes.split(",")]
