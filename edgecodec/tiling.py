"""Large pictures in tiles: what may be asked for, and what was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecodec import interface
from edgecodec.errors import InvalidArgument

#: "auto": tiles where one call would take more memory than allowed. A number: pixels a side of a core, which is a tile
#: without what overlaps. "off": never.
TileChoice = int | Literal["auto", "off"]

_LARGEST_MEMORY = (1 << 64) - 1


@dataclass(frozen=True)
class Tiles:
    """The tiles of a picture. height, width: pixels of the largest. overhead: their sum over the picture's
    own size, less 1.
    """

    count: int
    height: int
    width: int
    overhead: float


def tile_option(tile: TileChoice) -> int:
    """For the library. Raises InvalidArgument for a value that is not a TileChoice."""
    if isinstance(tile, str) and tile in ("auto", "off"):
        return 0 if tile == "auto" else interface.TILE_OFF
    if isinstance(tile, bool) or not isinstance(tile, int) or tile < 1:
        raise InvalidArgument(f"tile is {tile!r}", hint="give auto, off, or the pixels a side")
    return min(tile, interface.TILE_OFF - 1)


def memory_option(max_memory: int | None) -> int:
    """For the library. max_memory: bytes that one engine call may take, None for half of what is available.

    Raises InvalidArgument.
    """
    if max_memory is not None and max_memory < 1:
        raise InvalidArgument(f"max_memory is {max_memory} bytes", hint="give 1 or more")
    return min(max_memory or 0, _LARGEST_MEMORY)


def tiles_of(found: interface.Tiles) -> Tiles:
    return Tiles(found.count, found.height, found.width, found.overhead)
