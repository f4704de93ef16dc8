"""Large pictures in tiles: the parts of a picture that an engine runs on one after the other, and what is kept of each.

Only engine calls are tiled. Each runs on a window: a core, whose result is kept, and around it a halo as wide as the
receptive field, so that the core comes out as it does in the whole picture, up to the last bits of floats. Windows
begin and end on the entropy model's grid, so that each holds whole positions of every latent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgecodec import memory
from edgecodec.errors import InvalidArgument, LimitExceeded, OutOfMemory
from edgecodec.manifest import AnalysisGraph, SynthesisGraph

#: "auto": tiles where one call would take more memory than allowed. A number: pixels a side of a core. "off": never.
TileChoice = int | Literal["auto", "off"]

#: Memory of an engine relative to the manifest's estimate. Engines that keep memory for the next call hold up to twice
#: what a call needs.
_KEEPING, _LOW_MEMORY = 2.0, 1.4
#: Default share of the available memory that one call may take.
_SHARE = 0.5


@dataclass(frozen=True)
class Span:
    """A window along one axis, in units: start to stop is given to the engine, first to last is kept."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Window:
    """A part of the picture, in units of `unit` pixels. Methods are about a map of one position every `stride` pixels.

    area: rows and columns of the window in the whole map. core: those that are kept. kept: the same in the window's
    own map. size: rows and columns of the window.
    """

    unit: int
    rows: Span
    columns: Span

    def area(self, stride: int) -> tuple[slice, slice]:
        rows, columns = self.rows, self.columns
        return self._slice(rows.start, rows.stop, stride), self._slice(columns.start, columns.stop, stride)

    def core(self, stride: int) -> tuple[slice, slice]:
        rows, columns = self.rows, self.columns
        return self._slice(rows.first, rows.last, stride), self._slice(columns.first, columns.last, stride)

    def kept(self, stride: int) -> tuple[slice, slice]:
        rows, columns = self.rows, self.columns
        return (
            self._slice(rows.first - rows.start, rows.last - rows.start, stride),
            self._slice(columns.first - columns.start, columns.last - columns.start, stride),
        )

    def size(self, stride: int) -> tuple[int, int]:
        ratio = self.unit // stride
        return (self.rows.stop - self.rows.start) * ratio, (self.columns.stop - self.columns.start) * ratio

    def _slice(self, start: int, stop: int, stride: int) -> slice:
        ratio = self.unit // stride
        return slice(start * ratio, stop * ratio)


@dataclass(frozen=True)
class Tiles:
    """The tiles of a picture. height, width: pixels of the largest. overhead: their sum over the picture's
    own size, less 1.
    """

    count: int
    height: int
    width: int
    overhead: float


@dataclass(frozen=True)
class Plan:
    """Windows over a picture of whole units. low_memory: whether the engine returns memory rather than being fast."""

    unit: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    low_memory: bool

    def windows(self) -> Iterator[Window]:
        """Row by row; their cores cover every unit once. All are of one size."""
        for rows in self.rows:
            for columns in self.columns:
                yield Window(self.unit, rows, columns)

    def tiles(self) -> Tiles:
        height, width = (max(each.stop - each.start for each in axis) for axis in (self.rows, self.columns))
        covered = [sum(each.stop - each.start for each in axis) / axis[-1].stop for axis in (self.rows, self.columns)]
        count = len(self.rows) * len(self.columns)
        return Tiles(count, height * self.unit, width * self.unit, covered[0] * covered[1] - 1)


def spans(side: int, core: int, before: int, after: int) -> tuple[Span, ...]:
    """Windows of equal length over `side` units, each `before` and `after` units longer than a core.

    At the ends of the picture there is no halo, so the cores there are longer.
    """
    length = core + before + after
    if length >= side:
        return (Span(0, side, 0, side),)
    starts = [*range(0, side - length, core), side - length]
    bounds = [0, *(start + before for start in starts[1:]), side]
    return tuple(
        Span(start, start + length, first, last)
        for start, first, last in zip(starts, bounds[:-1], bounds[1:], strict=True)
    )


def cheapest_cores(sides: tuple[int, int], before: int, after: int, largest: float) -> tuple[int, int] | None:
    """Core sides for which the windows, none of more than `largest` square units, are the least in sum.

    None if even the smallest window is larger.
    """
    candidates = []
    for side in sides:
        rest = max(side - before - after, 1)
        cores = {side} | {-(-rest // count) for count in range(1, rest + 1)}
        lengths = {core: spans(side, core, before, after) for core in cores}
        candidates.append([(core, each[0].stop, len(each) * each[0].stop) for core, each in lengths.items()])
    fitting = [
        (total * other_total, core, other_core)
        for core, length, total in candidates[0]
        for other_core, other_length, other_total in candidates[1]
        if length * other_length <= largest
    ]
    return min(fitting)[1:] if fitting else None


def check_choice(tile: TileChoice) -> None:
    """Raise InvalidArgument for a value that is not a TileChoice."""
    if isinstance(tile, str) and tile in ("auto", "off"):
        return
    if isinstance(tile, bool) or not isinstance(tile, int) or tile < 1:
        raise InvalidArgument(f"tile is {tile!r}", hint="give auto, off, or the pixels a side")


class Tiler:
    """Decides on tiles. max_memory: bytes that one engine call may take, None for half of what is available."""

    def __init__(self, tile: TileChoice, max_memory: int | None) -> None:
        """Raises InvalidArgument."""
        check_choice(tile)
        if max_memory is not None and max_memory < 1:
            raise InvalidArgument(f"max_memory is {max_memory} bytes", hint="give 1 or more")
        self._tile = tile
        self._max_memory = max_memory

    def plan(self, graph: AnalysisGraph | SynthesisGraph, height: int, width: int, unit: int) -> Plan:
        """For a graph over height x width pixels, in units of `unit` pixels.

        Raises LimitExceeded or OutOfMemory where neither the whole nor a tile fits.
        """
        sides = (-(-height // unit), -(-width // unit))
        halo = graph.tiling.halo
        if isinstance(self._tile, int):
            core = -(-self._tile // unit)
            if max(sides) <= core:
                return _plan(unit, sides, sides, (0, 0), low_memory=False)
            if halo is None:
                raise LimitExceeded(
                    f"the picture is larger than a tile of {self._tile} pixels, and {_cannot_be_tiled(graph)}",
                    where=graph.file,
                    hint="let memory decide (--tile auto), or work on it whole whatever it takes (--tile off)",
                )
            return _plan(unit, sides, (core, core), halo, low_memory=True)
        allowed = self._allowed()
        if self._tile == "off" or graph.bytes_per_pixel is None or allowed is None:
            return _plan(unit, sides, sides, (0, 0), low_memory=False)
        needed = height * width * graph.bytes_per_pixel
        if needed * _LOW_MEMORY <= allowed:
            return _plan(unit, sides, sides, (0, 0), low_memory=needed * _KEEPING > allowed)
        what = f"{memory.words(allowed)}, where {width}x{height} pixels need {memory.words(needed * _LOW_MEMORY)}"
        if halo is None:
            raise self._no_room(graph, f"{what}, and {_cannot_be_tiled(graph)}", needed * _LOW_MEMORY)
        cores = cheapest_cores(sides, *halo, allowed / _LOW_MEMORY / graph.bytes_per_pixel / unit**2)
        if cores is None:
            rows, columns = (spans(side, 1, *halo)[0].stop * unit for side in sides)
            least = rows * columns * graph.bytes_per_pixel * _LOW_MEMORY
            raise self._no_room(graph, f"{what}, and the smallest tile, {columns}x{rows}, {memory.words(least)}", least)
        return _plan(unit, sides, cores, halo, low_memory=True)

    def _allowed(self) -> float | None:
        if self._max_memory is not None:
            return self._max_memory
        available = memory.available()
        return None if available is None else available * _SHARE

    def _no_room(self, graph: AnalysisGraph | SynthesisGraph, what: str, enough: float) -> LimitExceeded | OutOfMemory:
        """enough: bytes that would be enough."""
        return (OutOfMemory if self._max_memory is None else LimitExceeded)(
            f"there is room for {what}",
            where=graph.file,
            hint=f"allow {memory.words(enough)} (--max-memory), shrink the picture, "
            "or work on it whole whatever it takes (--tile off)",
        )


def _cannot_be_tiled(graph: AnalysisGraph | SynthesisGraph) -> str:
    return f"this network cannot be tiled: {graph.tiling.reason}"


def _plan(
    unit: int, sides: tuple[int, int], cores: tuple[int, int], halo: tuple[int, int], *, low_memory: bool
) -> Plan:
    rows, columns = (spans(side, core, *halo) for side, core in zip(sides, cores, strict=True))
    return Plan(unit, rows, columns, low_memory)
