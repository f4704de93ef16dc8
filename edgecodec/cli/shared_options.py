"""Options that several commands share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, BadParameter, Context, Exit, Option
from typer.core import TyperOption

from edgecodec import engine_registry
from edgecodec.engine import MAX_THREADS
from edgecodec.limits import Limits

#: Engines for tests decode to something else than the picture; the command line takes them where this is 1.
TEST_ENGINES = "EDGECODEC_TEST_ENGINES"

Inputs = Annotated[
    list[str] | None, Argument(metavar="IN...", help="Files, folders, patterns, or - for standard input.")
]
BundlePath = Annotated[Path, Option("--bundle", "-b", metavar="BUNDLE", help="Folder that export wrote.")]
Output = Annotated[
    str | None,
    Option("--output", "-o", metavar="OUT", help="File, folder/, or - for standard output. [default: beside IN]"),
]

Recursive = Annotated[bool, Option("--recursive", "-r", help="Look into folders of folders too.")]


def _threads(text: str) -> int | None:
    if text == "all":
        return None
    if text.isdecimal() and 1 <= int(text) <= MAX_THREADS:
        return int(text)
    raise BadParameter(f"{text!r} is not a number from 1 to {MAX_THREADS}, nor all")


Threads = Annotated[
    int | None,
    Option(
        "--threads",
        "-j",
        parser=_threads,
        metavar="N|all",
        show_default=False,
        help="Processor threads. [default: all]",
    ),
]


EngineLibrary = Annotated[
    str | None, Option(metavar="PATH", help="Plugin of ONNX Runtime that has the engine: a library or a package.")
]
EngineDevice = Annotated[
    str | None, Option(metavar="NAME", help="Device of the plugin: cpu, gpu, npu, gpu:1... [default: its first]")
]


def _engine_help() -> str:
    *others, last = engine_registry.engine_names()
    return f"{', '.join(others)} or {last}."


@dataclass(frozen=True)
class EngineOptions:
    """What runs the graphs."""

    engine: Annotated[str, Option(metavar="NAME", help=_engine_help(), autocompletion=engine_registry.engine_names)] = (
        engine_registry.AUTO
    )
    engine_library: EngineLibrary = None
    engine_device: EngineDevice = None
    threads: Threads = None

    def threads_each(self, processes: int) -> int | None:
        """Of each of so many processes: what was asked for, or else an equal part of the processors."""
        if self.threads is not None or processes == 1:
            return self.threads
        return min(max(1, usable_processors() // processes), MAX_THREADS)

    def checked_name(self) -> str:
        """The name of the engine. Raises InvalidArgument for an engine that is for tests."""
        if engine_registry.is_for_tests(self.engine) and os.environ.get(TEST_ENGINES) != "1":
            raise engine_registry.unknown_engine(self.engine)
        return self.engine


@dataclass(frozen=True)
class SizeOptions:
    """How large pictures may be, and how much memory one takes."""

    tile: Annotated[str, Option(metavar="auto|N|off", help="Work in tiles of N pixels a side, or as memory asks.")] = (
        "auto"
    )
    max_memory: Annotated[
        str | None,
        Option(metavar="SIZE", help="Memory for one engine call, like 4G. [default: half of what is free]"),
    ] = None
    max_pixels: Annotated[int, Option(min=1, metavar="N", hidden=True, help="Refuse larger pictures.")] = (
        Limits.max_pixels
    )
    max_pixels_per_byte: Annotated[
        int, Option(min=1, metavar="N", hidden=True, help="Refuse coded pictures with more pixels for their bytes.")
    ] = Limits.max_pixels_per_byte

    def limits(self) -> Limits:
        return Limits(max_pixels=self.max_pixels, max_pixels_per_byte=self.max_pixels_per_byte)

    def room(self, processes: int = 1) -> dict[str, Any]:
        """What open_bundle is told of tiles and memory in each of so many processes. Raises InvalidArgument."""

        from edgecodec import memory

        most = None if self.max_memory is None else memory.parse(self.max_memory)
        if most is None and processes > 1 and (available := memory.available()) is not None:
            most = max(1, available // 2 // processes)
        return {"tile": int(self.tile) if self.tile.isdecimal() else self.tile, "max_memory": most}


@dataclass(frozen=True)
class BatchOptions:
    """Which files of many, and by how many processes."""

    recursive: Recursive = False
    listed: Annotated[
        str | None, Option("--list", metavar="FILE", help="More inputs: a file with one name a line, or -.")
    ] = None
    skip_existing: Annotated[
        bool, Option("--skip-existing", help="Leave out inputs whose output is there: to go on.")
    ] = False
    jobs: Annotated[int, Option(min=1, max=MAX_THREADS, metavar="N", help="Processes that share many inputs.")] = 1

    def processes(self, inputs: int) -> int:
        """How many are of use."""
        return max(1, min(self.jobs, inputs))


@dataclass(frozen=True)
class WriteOptions:
    """How outputs are written."""

    strip: Annotated[bool, Option("--strip", help="Leave out ICC profile, EXIF and XMP.")] = False
    force: Annotated[bool, Option("--force", help="Overwrite existing outputs.")] = False


def _show_all(context: Context, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        for parameter in context.command.params:
            if isinstance(parameter, TyperOption):
                parameter.hidden = False
        print(context.get_help())
        raise Exit


@dataclass(frozen=True)
class TalkOptions:
    """What is said, and to whom."""

    json: Annotated[bool, Option("--json", help="One JSON object per result on standard output.")] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only errors on standard error: no notes or progress.")] = False
    verbose: Annotated[
        int,
        Option(
            "--verbose",
            "-v",
            count=True,
            show_default=False,
            help="Say more: engine, stages, tiles, files. -vv: all that files say of themselves, and tracebacks.",
        ),
    ] = 0
    help_all: Annotated[
        bool, Option("--help-all", is_eager=True, callback=_show_all, help="Show rarer options too, and exit.")
    ] = False


def usable_processors() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
