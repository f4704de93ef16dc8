"""Large pictures in tiles: the windows of a picture that an engine runs on, found by trying every length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgecodec.description import BakedGraph
from edgecodec.errors import EdgecodecError, EngineFailed, LimitExceeded, OutOfMemory
from support.reference_runtime import memory

#: Memory of an engine relative to the bundle's estimate, which keeps memory for the next call or does not.
_KEEPING, _LOW_MEMORY = 2.0, 1.4
_SHARE = 0.5
#: As `tile`: never.
OFF = (1 << 32) - 1


@dataclass(frozen=True)
class Span:
    """A window along one axis, in units: start to stop is given to the engine, first to last is kept."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Range:
    """Sides that an engine takes, in pixels. most 0: no end. multiple 0: any."""

    least: int = 0
    most: int = 0
    multiple: int = 0

    def __contains__(self, side: int) -> bool:
        return (
            self.least <= side
            and (not self.most or side <= self.most)
            and (not self.multiple or side % self.multiple == 0)
        )

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.least}"
        steps = f" in steps of {self.multiple}" if self.multiple > 1 else ""
        return (f"{self.least} to {self.most}" if self.most else f"{self.least} or more") + steps


#: Sides of rows and of columns.
Shape = tuple[Range, Range]


@dataclass(frozen=True)
class Plan:
    """Spans of rows and columns, in units. padded: whether a window keeps its size beyond the picture."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    low_memory: bool
    padded: bool

    def tiles(self, unit: int) -> tuple[int, int, int, float]:
        """Count, height, width and overhead."""
        height, width = (max(each.stop - each.start for each in axis) for axis in (self.rows, self.columns))
        covered = [sum(each.stop - each.start for each in axis) / axis[-1].last for axis in (self.rows, self.columns)]
        return len(self.rows) * len(self.columns), height * unit, width * unit, covered[0] * covered[1] - 1


def spans(side: int, length: int, before: int, after: int) -> tuple[Span, ...]:
    """Windows of a length over `side` units, with halos `before` and `after` their cores.

    At the ends of the picture there is no halo, so the cores there are longer.
    """
    if length >= side:
        return (Span(0, length, 0, side),)
    starts = [*range(0, side - length, length - before - after), side - length]
    bounds = [0, *(start + before for start in starts[1:]), side]
    return tuple(
        Span(start, start + length, first, last)
        for start, first, last in zip(starts, bounds[:-1], bounds[1:], strict=True)
    )


def plan(
    graph: BakedGraph,
    height: int,
    width: int,
    unit: int,
    tile: int,
    max_memory: int,
    available: float,
    shapes: Sequence[Shape] = (),
) -> Plan:
    """For a graph over height x width pixels, in units of `unit` pixels. tile: 0 for memory to decide, or OFF.

    max_memory: bytes, 0 for half of what is available. shapes: that the engine takes, none for all.
    """
    if tile in (0, OFF):
        return _plan_by_memory(graph, height, width, unit, tile == OFF, max_memory, available, shapes)
    return _plan_by_tile(graph, height, width, unit, tile, shapes)


def _plan_by_tile(graph: BakedGraph, height: int, width: int, unit: int, tile: int, shapes: Sequence[Shape]) -> Plan:
    sides = (-(-height // unit), -(-width // unit))
    core = -(-tile // unit)
    if max(sides) <= core and _takes(shapes, height, width):
        return _plan(sides, sides, (0, 0), False, False)
    if max(sides) > core and graph.tiling.halo is None:
        raise LimitExceeded(
            f"the picture is larger than a tile of {tile} pixels, and {_cannot_be_tiled(graph)}",
            where=graph.file,
            hint="let memory decide (tile auto), or work on it whole whatever it takes (tile off)",
        )
    halo = _halo(graph, height, width, shapes)
    if not shapes:
        rows, columns = (min(side, core + sum(halo)) for side in sides)
        return _plan(sides, (rows, columns), halo, True, False)
    sizes = [
        size
        for size in _sizes(sides, unit, halo, shapes)
        if all(side <= core or length <= core + sum(halo) for side, length in zip(sides, size, strict=True))
    ]
    if not sizes:
        raise _no_shape(graph, height, width, shapes)
    size = _cheapest(sides, sizes, halo)
    return _plan(sides, size, halo, size[0] < sides[0] or size[1] < sides[1], True)


def _plan_by_memory(
    graph: BakedGraph,
    height: int,
    width: int,
    unit: int,
    off: bool,
    max_memory: int,
    available: float,
    shapes: Sequence[Shape],
) -> Plan:
    sides = (-(-height // unit), -(-width // unit))
    per_pixel = graph.bytes_per_pixel or 0.0
    room = (max_memory or available * _SHARE) if per_pixel and not off else float("inf")
    needed = height * width * per_pixel
    taken = _takes(shapes, height, width)
    if taken and needed * _LOW_MEMORY <= room:
        return _plan(sides, sides, (0, 0), needed * _KEEPING > room, False)

    def no_room(what: str, enough: float) -> EdgecodecError:
        return (LimitExceeded if max_memory else OutOfMemory)(
            f"there is room for {memory.words(room)}, where {width}x{height} pixels need "
            f"{memory.words(needed * _LOW_MEMORY)}, and {what}",
            where=graph.file,
            hint=f"allow {memory.words(enough)} (max_memory), shrink the picture, "
            "or work on it whole whatever it takes (tile off)",
        )

    if taken and graph.tiling.halo is None:
        raise no_room(_cannot_be_tiled(graph), needed * _LOW_MEMORY)
    halo = _halo(graph, height, width, shapes)
    sizes = [
        size
        for size in _sizes(sides, unit, halo, shapes)
        if not off or all(length >= side for side, length in zip(sides, size, strict=True))
    ]
    if not sizes:
        raise _no_shape(graph, height, width, shapes)
    largest = room / _LOW_MEMORY / per_pixel / unit**2 if per_pixel else room
    fitting = [size for size in sizes if size[0] * size[1] <= largest]
    if not fitting:
        rows, columns = min(sizes, key=lambda size: size[0] * size[1])
        least = rows * columns * unit**2 * per_pixel * _LOW_MEMORY
        raise no_room(f"the smallest tile, {columns * unit}x{rows * unit}, {memory.words(least)}", least)
    size = _cheapest(sides, fitting, halo)
    of_one = size[0] * size[1] * unit**2 * per_pixel
    return _plan(sides, size, halo, not shapes or of_one * _KEEPING > room, bool(shapes))


def work(sides: tuple[int, int], size: tuple[int, int], halo: tuple[int, int]) -> int:
    """Square units of all windows of this size."""
    rows, columns = (len(spans(side, length, *halo)) * length for side, length in zip(sides, size, strict=True))
    return rows * columns


def _sizes(
    sides: tuple[int, int], unit: int, halo: tuple[int, int], shapes: Sequence[Shape]
) -> Iterator[tuple[int, int]]:
    """Every size of windows that the engine takes, in units, up to the first that covers a side."""
    for shape in shapes or [(Range(), Range())]:
        axes: list[list[int]] = []
        for side, taken in zip(sides, shape, strict=True):
            every = [length for length in range(1, 4 * side + 200) if length * unit in taken]
            beyond = [length for length in every if length >= side][:1]
            axes.append([length for length in every if sum(halo) < length < side] + beyond)
        yield from ((rows, columns) for rows in axes[0] for columns in axes[1])


def _cheapest(sides: tuple[int, int], sizes: Sequence[tuple[int, int]], halo: tuple[int, int]) -> tuple[int, int]:
    """The size of windows of the least work, and among these the shortest."""
    return min(sizes, key=lambda size: (work(sides, size, halo), size))


def _plan(sides: tuple[int, int], size: tuple[int, int], halo: tuple[int, int], low_memory: bool, padded: bool) -> Plan:
    rows, columns = (spans(side, length, *halo) for side, length in zip(sides, size, strict=True))
    return Plan(rows, columns, low_memory, padded)


def _takes(shapes: Sequence[Shape], height: int, width: int) -> bool:
    return not shapes or any(height in rows and width in columns for rows, columns in shapes)


def _halo(graph: BakedGraph, height: int, width: int, shapes: Sequence[Shape]) -> tuple[int, int]:
    """A network that cannot be tiled cannot have one window that is larger than the picture either."""
    if graph.tiling.halo is None:
        raise EngineFailed(
            f"the engine takes no {width}x{height} pixels, and {_cannot_be_tiled(graph)}",
            where=graph.file,
            hint=_words(shapes),
        )
    return graph.tiling.halo


def _no_shape(graph: BakedGraph, height: int, width: int, shapes: Sequence[Shape]) -> EngineFailed:
    return EngineFailed(
        f"no part of {width}x{height} pixels has a shape that the engine takes",
        where=graph.file,
        hint=_words(shapes),
    )


def _words(shapes: Sequence[Shape]) -> str:
    return "it takes " + "; ".join(f"{columns} by {rows}" for rows, columns in shapes)


def _cannot_be_tiled(graph: BakedGraph) -> str:
    return f"this network cannot be tiled: {graph.tiling.reason}"
