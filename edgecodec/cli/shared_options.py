"""Options that several commands share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from edgecodec import engine_registry
from edgecodec.engine import MAX_THREADS
from edgecodec.limits import Limits

#: Engines for tests decode to something else than the picture; the command line takes them where this is 1.
TEST_ENGINES = "EDGECODEC_TEST_ENGINES"

Inputs = Annotated[list[str], Argument(metavar="IN...", help="Files, folders, or - for standard input.")]
BundlePath = Annotated[Path, Option("--bundle", "-b", metavar="BUNDLE", help="Folder that export wrote.")]
Output = Annotated[
    str | None,
    Option("--output", "-o", metavar="OUT", help="File, folder, or - for standard output. [default: beside IN]"),
]


def _engine_help() -> str:
    *others, last = engine_registry.engine_names()
    return f"{', '.join(others)} or {last}."


@dataclass(frozen=True)
class EngineOptions:
    """What runs the graphs."""

    engine: Annotated[str, Option(metavar="NAME", help=_engine_help())] = engine_registry.AUTO
    engine_library: Annotated[
        str | None, Option(metavar="PATH", help="Plugin of ONNX Runtime that has the engine: a library or a package.")
    ] = None
    engine_device: Annotated[
        str | None, Option(metavar="NAME", help="Of the plugin: cpu, gpu, npu, gpu:1... [default: its first]")
    ] = None
    threads: Annotated[
        int | None,
        Option("--threads", "-j", min=1, max=MAX_THREADS, metavar="N", help="Processor threads. [default: all]"),
    ] = None

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
    max_pixels: Annotated[int, Option(min=1, metavar="N", help="Refuse larger pictures.")] = Limits.max_pixels
    max_pixels_per_byte: Annotated[
        int, Option(min=1, metavar="N", help="Refuse coded pictures with more pixels for their bytes.")
    ] = Limits.max_pixels_per_byte

    def limits(self) -> Limits:
        return Limits(max_pixels=self.max_pixels, max_pixels_per_byte=self.max_pixels_per_byte)

    def room(self) -> dict[str, Any]:
        """What open_bundle is told of tiles and memory. Raises InvalidArgument."""

        from edgecodec import memory

        return {
            "tile": int(self.tile) if self.tile.isdecimal() else self.tile,
            "max_memory": None if self.max_memory is None else memory.parse(self.max_memory),
        }


@dataclass(frozen=True)
class WriteOptions:
    """How outputs are written."""

    strip: Annotated[bool, Option("--strip", help="Leave out ICC profile, EXIF and XMP.")] = False
    force: Annotated[bool, Option("--force", help="Overwrite existing outputs.")] = False


@dataclass(frozen=True)
class TalkOptions:
    """What is said, and to whom."""

    json: Annotated[bool, Option("--json", help="One JSON object per result on standard output.")] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only errors.")] = False
    verbose: Annotated[
        int,
        Option("--verbose", "-v", count=True, show_default=False, help="More: engine, stages, tiles, phases, files."),
    ] = 0
