"""The command line: verbs and their options.

Exit statuses are those of errors.py, and 1: some of many inputs failed, 129, 130 and 143: ended by a hang-up, an
interrupt or a request to terminate, 141: nobody reads the output.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import current_thread, main_thread
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import edgecodec
from edgecodec.cli.batch import Job, Tally, companion, make_folders, plan, require_one_each
from edgecodec.cli.console import Console
from edgecodec.errors import (
    CannotWrite,
    EdgecodecError,
    EngineUnavailable,
    InternalError,
    InvalidArgument,
    OutOfMemory,
    VerificationFailed,
)
from edgecodec.files import STANDARD_STREAM
from edgecodec.limits import ANY, Limits

if TYPE_CHECKING:
    from edgecodec.codec import Codec, Decoded
    from edgecodec.encoding import Encoded

_CODED_SUFFIX = ".edgc"
_PICTURE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm", ".gif", ".avif")
)
_CONCATENABLE = ("ppm", "pgm", "pnm")
_TIDYING_UP = 5.0  # seconds
_NOBODY_READS = 141  # as if SIGPIPE had ended the process

app = typer.Typer(
    name="edgecodec",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text, with or without a terminal
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Inputs = Annotated[list[str], typer.Argument(metavar="IN...", help="Files, folders, or - for standard input.")]
BundlePath = Annotated[Path, typer.Option("--bundle", "-b", metavar="BUNDLE", help="Folder that export wrote.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="OUT", help="File, folder, or - for standard output. [default: beside IN]"),
]
Engine = Annotated[
    str, typer.Option(metavar="NAME", help="auto, onnxruntime, onnxruntime:cuda or onnxruntime:tensorrt.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="Processor threads. [default: all]")
]
MaxPixels = Annotated[int, typer.Option(min=1, metavar="N", help="Refuse larger pictures.")]
Tile = Annotated[str, typer.Option(metavar="auto|N|off", help="Work in tiles of N pixels a side, or as memory asks.")]
MaxMemory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory for one engine call, like 4G. [default: half of what is free]"),
]
Strip = Annotated[bool, typer.Option("--strip", help="Leave out ICC profile, EXIF and XMP.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing outputs.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per result on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Bundle, stages, tiles and engine too.")
]


def main() -> None:
    """Entry point of the console script."""
    # Pillow warns about odd pictures in a programmer's words; what matters to a user is in the notes.
    warnings.simplefilter("ignore")
    with _unwinding_on("SIGTERM", "SIGHUP"):
        app()


def _print_version(asked: bool) -> None:
    if asked:
        from edgecodec import native

        print(f"edgecodec {edgecodec.__version__} ({native.kernels()} kernels)")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Learned image codecs outside the laboratory."""


@app.command()
def export(
    checkpoint: Annotated[
        Path, typer.Option("--ckpt", metavar="FILE", help="Trained weights, as their authors saved them.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Bundle to write.")],
    mse_checkpoint: Annotated[
        Path | None,
        typer.Option("--ckpt-mse", metavar="FILE", help="Decoder trained for fidelity, to interpolate with."),
    ] = None,
    alpha: Annotated[
        str | None, typer.Option(metavar="A,A...", help="Decoders to bake, 0 (--ckpt-mse) to 1 (--ckpt).")
    ] = None,
    quality: Annotated[
        str | None,
        typer.Option(metavar="Q,Q...", help="Qualities to bake, in steps of 1/64, for families that have them."),
    ] = None,
    beta: Annotated[
        str | None, typer.Option(metavar="B,B...", help="Realism to bake, for families that have it.")
    ] = None,
    family: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the checkpoint is. [default: recognised]")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs to calibrate on. [default: built in]")
    ] = None,
    entropy_from: Annotated[
        Path | None,
        typer.Option(
            "--entropy-from",
            metavar="BUNDLE",
            help="Earlier bundle of the same checkpoint: keep its entropy model, so that its files decode. "
            "[default: calibrate a new one]",
        ),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Turn a checkpoint into a bundle (needs edgecodec[export])."""
    with _reporting(json, quiet, verbose) as console:
        try:
            from edgecodec_export import ExportOptions, export_bundle
            from edgecodec_export.report import summary
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"export needs {error.name}, which is not installed", hint="pip install 'edgecodec[export]'"
            ) from error
        asked = {"alpha": alpha, "quality": quality, "beta": beta}
        values = {name: parse_numbers(text, f"--{name}") for name, text in asked.items() if text is not None}
        options = ExportOptions(
            checkpoint,
            output,
            mse_checkpoint=mse_checkpoint,
            knobs=values,
            family=family,
            calibration=calibration,
            entropy_from=entropy_from,
            force=force,
        )
        report = export_bundle(options, progress=console.say)
        for line in summary(report):
            console.say(line)
        console.record({"ok": True, **_plain(asdict(report))})


@app.command()
def encode(
    inputs: Inputs,
    bundle: BundlePath,
    output: Output = None,
    alpha_channel: Annotated[
        Literal["refuse", "drop", "white", "black"], typer.Option(help="What to do with transparency.")
    ] = "refuse",
    quality: Annotated[
        float | None,
        typer.Option(metavar="Q", help="Quality, as exported, 0 for the smallest files. [default: bundle's]"),
    ] = None,
    n: Annotated[
        float | None,
        typer.Option("--n", metavar="N", help="Larger gives smaller files. [default: bundle's]"),
    ] = None,
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
    engine: Engine = "auto",
    threads: Threads = None,
    tile: Tile = "auto",
    max_memory: MaxMemory = None,
    max_pixels: MaxPixels = Limits.max_pixels,
    strip: Strip = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Pictures to .edgc files."""
    with _reporting(json, quiet, verbose) as console:
        limits = Limits(max_pixels=max_pixels)
        classes = _classes(keep, keep_classes)
        jobs = plan(inputs, output, _CODED_SUFFIX, _PICTURE_SUFFIXES.__contains__)
        require_one_each(labels, jobs, "--labels")
        require_one_each(keep, jobs, "--keep")
        _check_standard_output(jobs, json, concatenable=False)

        from edgecodec import files, picture

        room = _room(tile, max_memory)
        wishes: dict[str, Any] = {"quality": quality, "n": n, "target_bpp": target_bpp, "seed": seed}
        with edgecodec.open_bundle(bundle, engine, limits=limits, threads=threads, **room) as codec:
            _say_what_opened(codec, console)
            codec.check_encoding(**wishes)
            make_folders(jobs)
            tally = Tally(console, len(jobs))
            for job in jobs:
                with tally.attempt(job):
                    _refuse_existing(job, force)
                    source = picture.read(job.source(limits), limits, alpha_channel)
                    encoded = codec.encode(
                        source.without_metadata() if strip else source,
                        labels=companion(labels, job),
                        keep=classes or companion(keep, job),
                        **wishes,
                    )
                    files.write(job.output, encoded.data, force=force)
                    for note in encoded.notes:
                        console.say(f"{job.input}: {note}")
                    _report(console, job, encoded, {"notes": encoded.notes})
        raise typer.Exit(tally.exit_status())


@app.command()
def decode(
    inputs: Inputs,
    bundle: BundlePath,
    output: Output = None,
    alpha: Annotated[float | None, typer.Option(metavar="A", help="Realism, as exported. [default: bundle's]")] = None,
    beta: Annotated[float | None, typer.Option(metavar="B", help="Realism, as exported. [default: bundle's]")] = None,
    precision: Annotated[str | None, typer.Option(metavar="P", help="fp32, fp16... [default: bundle's first]")] = None,
    picture_format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="png, ppm, npy... [default: by extension, or png]")
    ] = None,
    engine: Engine = "auto",
    threads: Threads = None,
    tile: Tile = "auto",
    max_memory: MaxMemory = None,
    max_pixels: MaxPixels = Limits.max_pixels,
    strip: Strip = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """.edgc files to pictures."""
    with _reporting(json, quiet, verbose) as console:
        from edgecodec import files, picture

        if picture_format is not None:
            picture.check_format(picture_format)
        jobs = plan(inputs, output, f".{picture_format or 'png'}", {_CODED_SUFFIX}.__contains__)
        formats = {job.output: picture_format or _format_of(job) for job in jobs}
        _check_standard_output(jobs, json, concatenable=picture_format in _CONCATENABLE)

        limits = Limits(max_pixels=max_pixels)
        room = _room(tile, max_memory)
        with edgecodec.open_bundle(bundle, engine, alpha, beta, precision, limits, threads, **room) as codec:
            _say_what_opened(codec, console)
            make_folders(jobs)
            tally = Tally(console, len(jobs))
            ready: list[tuple[Job, files.Source]] = []
            for job in jobs:
                with tally.attempt(job):
                    _refuse_existing(job, force)
                    ready.append((job, job.source(limits)))
            results = codec.decode_many((source for _, source in ready), errors="return")
            for (job, _), decoded in zip(ready, results, strict=True):
                with tally.attempt(job):
                    if isinstance(decoded, EdgecodecError):
                        raise decoded
                    painted = picture.Picture(decoded.pixels, decoded.icc, decoded.exif, decoded.xmp)
                    written = painted.without_metadata() if strip else painted
                    files.write(job.output, picture.to_bytes(written, formats[job.output]), force=force)
                    _report(console, job, decoded, {})
        raise typer.Exit(tally.exit_status())


@app.command()
def inspect(
    inputs: Annotated[list[str], typer.Argument(metavar="FILE|BUNDLE...", help="Coded pictures or bundles.")],
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """What files and bundles say about themselves. Loads no engine and has no limits."""
    with _reporting(json, quiet, verbose) as console:
        tally = Tally(console, len(inputs))
        for path in inputs:
            job = Job(path, STANDARD_STREAM)
            with tally.attempt(job):
                info = edgecodec.inspect(job.source(ANY))
                facts: dict[str, Any] = {"input": path, "ok": True, **_plain(asdict(info))}
                if json:
                    console.record(facts)
                else:
                    lines = (f"{name}: {_words(value)}" for name, value in facts.items() if name != "ok")
                    console.show("\n".join(lines))
        raise typer.Exit(tally.exit_status())


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE")],
    engine: Engine = "auto",
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Check a bundle on this machine: all hashes, golden latents exactly, golden pixels within tolerance."""
    with _reporting(json, quiet, verbose) as console:
        from edgecodec.verify import verify as checks_of

        failed = 0
        for check in checks_of(bundle, engine, threads):
            failed += not check.passed
            console.say(f"{'ok    ' if check.passed else 'FAILED'} {check.subject}: {check.detail}")
            console.record({"subject": check.subject, "ok": check.passed, "detail": check.detail})
        if failed:
            raise VerificationFailed(
                f"{failed} checks failed",
                where=str(bundle),
                hint="fetch or export the bundle again, or use another engine",
            )


@contextmanager
def _unwinding_on(*names: str) -> Iterator[None]:
    """These signals, where there are such, end the command as an interrupt does: nothing half-written is left."""
    if current_thread() is not main_thread():  # where Python takes no handlers
        yield
        return
    numbers = [signal.Signals[name] for name in names if name in signal.Signals.__members__]
    # Who is started to outlive a hang-up (nohup) has it ignored, and keeps that.
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    came: list[float] = []

    def unwind(number: int, frame: FrameType | None) -> None:
        # What follows at once must not cut short the tidying up. What comes later may: Python drops what is raised in
        # a destructor, and the first may have come in one.
        came.append(monotonic())
        if len(came) == 1 or came[-1] - came[0] > _TIDYING_UP:
            sys.exit(128 + number)

    for each in taken:
        signal.signal(each, unwind)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_IGN if came else signal.SIG_DFL)  # ending has begun, and goes on to its end


@contextmanager
def _reporting(json: bool, quiet: bool, verbose: int) -> Iterator[Console]:
    """Whatever goes wrong inside becomes a message and an exit status."""
    console = Console(json, -1 if quiet else verbose)
    try:
        yield console
    except typer.Exit:
        raise
    except BrokenPipeError:
        # The interpreter flushes standard output once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_NOBODY_READS) from None
    except EdgecodecError as error:
        _fail(console, error)
    except MemoryError:
        _fail(console, OutOfMemory("not enough memory"))
    except OSError as error:
        _fail(console, CannotWrite(error.strerror or str(error), where=error.filename))
    except Exception as error:
        traceback.print_exc()
        _fail(
            console,
            InternalError(f"{type(error).__name__}: {error}", hint="this is a bug: please report the lines above"),
        )


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """ "0,0.5,1" to its numbers. Raises InvalidArgument, naming the option, for anything else."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidArgument(f"{text!r} is not a list of numbers", where=option, hint="like 0,0.5,1") from error


def _fail(console: Console, error: EdgecodecError) -> None:
    console.error(error)
    raise typer.Exit(error.exit_status) from error


def _classes(mask: str | None, classes: str | None) -> list[str]:
    if mask is not None and classes is not None:
        raise InvalidArgument("--keep and --keep-classes exclude each other", hint="give one")
    return [] if classes is None else [name.strip() for name in classes.split(",")]


def _room(tile: str, max_memory: str | None) -> dict[str, Any]:
    """What open_bundle is told of tiles and memory."""
    from edgecodec import memory

    return {
        "tile": int(tile) if tile.isdecimal() else tile,
        "max_memory": None if max_memory is None else memory.parse(max_memory),
    }


def _check_standard_output(jobs: Sequence[Job], json: bool, *, concatenable: bool) -> None:
    to_standard_output = [job for job in jobs if job.output == STANDARD_STREAM]
    if to_standard_output and json:
        raise InvalidArgument("standard output cannot carry both data and --json", hint="give -o FILE")
    if len(to_standard_output) > 1 and not concatenable:
        raise InvalidArgument(
            "standard output cannot carry several files", hint="give -o DIR, or decode with --format ppm"
        )


def _refuse_existing(job: Job, force: bool) -> None:
    from edgecodec import files

    if job.output != STANDARD_STREAM and not force:
        files.refuse_existing(job.output)


def _format_of(job: Job) -> str:
    from edgecodec import picture

    return "png" if job.output == STANDARD_STREAM else picture.format_of(job.output)


def _say_what_opened(codec: Codec, console: Console) -> None:
    info = codec.info
    console.say(f"bundle: {info.family} {info.preset}, model {info.model_id}", level=1)


def _report(console: Console, job: Job, result: Encoded | Decoded, more: dict[str, Any]) -> None:
    info, timings, tiles, engine = result.info, result.timings, result.tiles, result.engine
    seconds = asdict(timings)
    console.say(
        f"{job.input} -> {job.output}  {info.width}x{info.height}  {info.file_bytes} bytes  "
        f"{info.bits_per_pixel:.3f} bpp  {timings.total:.3f} s"
    )
    console.say("  " + "  ".join(f"{stage} {value * 1000:.1f} ms" for stage, value in seconds.items()), level=1)
    if tiles.count > 1:
        console.say(
            f"  {tiles.count} tiles of {tiles.width}x{tiles.height}, {tiles.overhead:.0%} more pixels than the picture",
            level=1,
        )
    console.say(f"  engine: {engine.name} {engine.version} on {engine.device}", level=1)
    for name, reason in engine.passed_over:
        console.say(f"  not {name}: {reason}", level=1)
    facts = {
        "input": job.input,
        "output": job.output,
        "ok": True,
        **asdict(info),
        "bits_per_pixel": info.bits_per_pixel,
    }
    console.record({**facts, "seconds": seconds, "engine": asdict(engine), "tiles": asdict(tiles), **more})


def _plain(value: Any) -> Any:
    """Paths as text, throughout."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return str(value) if isinstance(value, Path) else value


def _words(value: Any) -> str:
    """A fact for people, on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items()) or "none"
    if isinstance(value, tuple | list):
        return "; ".join(_words(each) for each in value) or "none"
    return "none" if value is None else str(value)
