"""`edgecodec compare`: a page with the original and its decodes, to look at in a browser."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgecodec import files
from edgecodec.bundle_diagnosis import is_bundle
from edgecodec.cli.batch import Job, check_standard_output, require_place_of
from edgecodec.cli.encode import SUFFIX
from edgecodec.cli.knob_options import PointKnobs, lists
from edgecodec.cli.opening import Opening
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.results import say_what_opened
from edgecodec.cli.shared_options import EngineOptions, SizeOptions, TalkOptions
from edgecodec.errors import CannotWrite, InvalidArgument

if TYPE_CHECKING:
    from edgecodec_evaluate.page.content import Content, Point

#: Of pages: what browsers and servers know by them.
_EXTENSIONS = (".html", ".htm")
_FORMATS = {"webp": "lossless WebP", "png": "PNG"}


@with_groups
def compare(
    *,
    original: Annotated[str, typer.Argument(metavar="ORIGINAL", help="The picture that was coded.")],
    inputs: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Coded pictures of it, and pictures in other formats.")
    ],
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", "-b", metavar="BUNDLE", help="Folder that export wrote. Coded pictures need it."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PAGE",
            help="The page, .html, or - for standard output. [default: beside ORIGINAL]",
        ),
    ] = None,
    knobs: PointKnobs,
    precision: Annotated[
        str | None, typer.Option(metavar="P", help="fp32, fp16... [default: fp16 on GPUs, else fp32]")
    ] = None,
    alpha_channel: Annotated[
        Literal["refuse", "drop", "white", "black"], typer.Option(help="What to do with transparency.")
    ] = "refuse",
    engine: EngineOptions,
    size: SizeOptions,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the page that is there.")] = False,
    talk: TalkOptions,
) -> None:
    """Write a page to compare decodes with the original by eye. One HTML file that needs nothing else."""
    with reporting(talk) as console:
        from edgecodec_evaluate.page import as_html, comparison

        page = output if output is not None else _beside(original)
        _check_output(page, [original, *inputs], force=force, json=talk.json)
        limits = size.limits()
        values = lists(knobs)
        _check_inputs([original, *inputs], bundle, values)
        with ExitStack() as stack:
            codec = None
            if bundle is not None:
                opening = Opening(bundle, engine, size, one_shot=False)
                codec = stack.enter_context(opening.codec(1, precision=precision))
                say_what_opened(codec, console)
                for note in codec.notes:
                    console.say(note)
            with console.progress("comparing"):
                content = comparison(
                    original,
                    inputs,
                    codec,
                    values,
                    limits,
                    alpha_channel,
                    say=console.say,
                    done=lambda point: console.say(_line(point)),
                )
        data = as_html(content)
        files.write(page, data, force=force)
        console.say(f"{page}: {_contents(content)}, {len(data):,} bytes")
        console.record(_facts(page, original, content, len(data)))


def _beside(original: str) -> str:
    """Raises InvalidArgument."""
    try:
        return str(Path(original).with_suffix(".html"))
    except ValueError as error:
        raise InvalidArgument(f"{original!r} names no picture") from error


def _check_inputs(inputs: list[str], bundle: Path | None, values: Mapping[str, Sequence[float]]) -> None:
    """Raise InvalidArgument for a bundle, and without one for a picture that takes it and for values of knobs."""
    for each in inputs:
        if not each:
            raise InvalidArgument("the name of an input is empty")
        if is_bundle(each):
            raise InvalidArgument("is a bundle, not a picture", where=each, hint=f"-b {each} names the bundle")
        if bundle is None and Path(each).suffix.lower() == SUFFIX:
            raise InvalidArgument("is a coded picture", where=each, hint="-b BUNDLE names the bundle that decodes it")
    if bundle is None and values:
        raise InvalidArgument(
            f"there is no bundle whose decoders have {' and '.join(values)}", hint="-b BUNDLE names one"
        )


def _check_output(page: str, inputs: list[str], *, force: bool, json: bool) -> None:
    """Said before the work, which may take long. Raises InvalidArgument, OutputExists, CannotWrite."""
    check_standard_output([Job(inputs[0], page)], json, processes=1, concatenable=False)
    if page == files.STANDARD_STREAM:
        return
    require_place_of(page)
    if os.path.isdir(page):
        raise CannotWrite("is a folder", where=page, hint="give the name of a file")
    place = files.identity(page)
    for each in inputs:
        if place is not None and files.identity(each) == place:
            raise InvalidArgument(f"{page} is the input {each}", hint="an input is never overwritten: give another -o")
    if not files.is_stream(page) and Path(page).suffix.lower() not in _EXTENSIONS:
        raise InvalidArgument("browsers know a page by the ending .html", where=page, hint=f"give {page}.html")
    if not force:
        files.refuse_existing(page)


def _line(point: Point) -> str:
    facts = [f"{point.file_bytes:,} bytes", f"{point.bits_per_pixel:.3f} bpp"]
    if point.psnr is not None:
        facts.append(f"PSNR {point.psnr:.2f} dB")
    if point.ms_ssim is not None:
        facts.append(f"MS-SSIM {point.ms_ssim:.4f}")
    return f"{point.file}, {point.name}: {', '.join(facts)}"


def _contents(content: Content) -> str:
    formats = [point.picture.format for point in content.points]
    counts = [f"{formats.count(each)} as {name}" for each, name in _FORMATS.items() if each in formats]
    return f"{len(formats)} pictures of {content.width}x{content.height} ({', '.join(counts)})"


def _facts(page: str, original: str, content: Content, size: int) -> dict[str, Any]:
    return {
        "input": original,
        "output": page,
        "ok": True,
        "bytes": size,
        "width": content.width,
        "height": content.height,
        "points": [_point(point) for point in content.points],
    }


def _point(point: Point) -> dict[str, Any]:
    facts = asdict(point)
    picture = facts.pop("picture")
    return {**facts, "embedded_format": picture["format"], "embedded_bytes": len(picture["data"])}
