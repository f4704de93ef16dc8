"""Windows over a picture are the least work that memory allows, and those of the plain reference, which tries all."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgecodec.description import BakedGraph, Port, Tiling
from edgecodec.errors import EngineFailed, LimitExceeded, OutOfMemory
from support import native_runtime
from support.native_runtime import outcome
from support.reference_runtime import windows
from support.reference_runtime.windows import OFF, Plan, Range, Shape, Span

UNIT = 8


def _graph(halo: tuple[int, int] | None = (1, 1), bytes_per_pixel: float | None = 100.0) -> BakedGraph:
    tiling = Tiling(halo, "" if halo else "it takes statistics of whole maps (ReduceMean)")
    ports = (Port("image", "image"),)
    return BakedGraph("synthesis.onnx", "decode", 0, "fp32", {}, ports, ports, tiling, bytes_per_pixel=bytes_per_pixel)


def _native(
    graph: BakedGraph, height: int, width: int, unit: int, tile: int, room: int, shapes: list[Shape]
) -> tuple[Plan, tuple[int, int, int, float]]:
    return native_runtime.windows(graph, height, width, unit, tile, room, shapes)


def _reference(
    graph: BakedGraph, height: int, width: int, unit: int, tile: int, room: int, shapes: list[Shape]
) -> tuple[Plan, tuple[int, int, int, float]]:
    plan = windows.plan(graph, height, width, unit, tile, room, float("nan"), shapes)
    return plan, plan.tiles(unit)


halos = st.none() | st.tuples(st.integers(0, 5), st.integers(0, 5))
per_pixel = st.none() | st.floats(0.5, 5000)
tiles = st.sampled_from([0, 0, 0, OFF]) | st.integers(1, 400)


def ranges() -> st.SearchStrategy[Range]:
    """Fixed sides, open and closed ranges, and multiples, some of which no side is in."""
    fixed = st.integers(1, 260).map(lambda side: Range(side, side)) | st.integers(1, 32).map(
        lambda side: Range(UNIT * side, UNIT * side)
    )
    least, multiple = st.integers(0, 200), st.integers(0, 48)
    closed = st.builds(lambda low, more, step: Range(low, low + more, step), least, st.integers(1, 200), multiple)
    return fixed | closed | st.builds(lambda low, step: Range(low, 0, step), least, multiple)


shape_lists = st.lists(st.tuples(ranges(), ranges()), min_size=1, max_size=3)


@settings(max_examples=200)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(1, 20),
    halos,
    per_pixel,
    tiles,
    st.floats(0.001, 3),
)
def test_windows_are_those_of_the_reference(
    height: int,
    width: int,
    unit: int,
    halo: tuple[int, int] | None,
    bytes_per_pixel: float | None,
    tile: int,
    share: float,
) -> None:
    """share: of the memory that the whole picture takes."""
    graph = _graph(halo, bytes_per_pixel)
    room = max(1, int(share * height * width * (bytes_per_pixel or 1)))
    found = outcome(lambda: _native(graph, height, width, unit, tile, room, []))
    assert found == outcome(lambda: _reference(graph, height, width, unit, tile, room, []))


@settings(max_examples=200)
@given(st.integers(1, 200), st.integers(1, 200), halos, per_pixel, tiles, st.floats(0.01, 3), shape_lists)
@example(129, 1, (0, 4), None, 121, 1.0, [(Range(160, 160), Range(8, 8))])
def test_windows_of_some_shapes_are_those_of_the_reference(
    height: int,
    width: int,
    halo: tuple[int, int] | None,
    bytes_per_pixel: float | None,
    tile: int,
    share: float,
    shapes: list[Shape],
) -> None:
    graph = _graph(halo, bytes_per_pixel)
    room = max(1, int(share * height * width * (bytes_per_pixel or 1)))
    found = outcome(lambda: _native(graph, height, width, UNIT, tile, room, shapes))
    assert found == outcome(lambda: _reference(graph, height, width, UNIT, tile, room, shapes))


@settings(max_examples=100)
@given(st.integers(1, 400), st.integers(1, 400), halos.filter(bool), tiles, shape_lists)
def test_windows_cover_a_picture_once_and_see_enough(
    height: int, width: int, halo: tuple[int, int], tile: int, shapes: list[Shape]
) -> None:
    found = outcome(lambda: _native(_graph(halo), height, width, UNIT, tile, 1 << 40, shapes))
    if not isinstance(found[0], Plan):
        assert found[0] == "EngineFailed"
        return
    plan, (count, rows, columns, _) = found
    before, after = halo
    for side, axis in ((-(-height // UNIT), plan.rows), (-(-width // UNIT), plan.columns)):
        assert [unit for each in axis for unit in range(each.first, each.last)] == list(range(side))
        for each in axis:
            assert 0 <= each.start <= max(0, each.first - before)
            assert min(side, each.last + after) <= each.stop
        assert len({each.stop - each.start for each in axis}) == 1
        assert axis[-1].stop == side or (len(axis) == 1 and plan.padded)
    if plan.padded:
        assert any(rows in taken[0] and columns in taken[1] for taken in shapes)
    else:
        assert count == 1 and any(height in taken[0] and width in taken[1] for taken in shapes)


def test_windows_at_the_ends_use_their_halo() -> None:
    plan, tiles = native_runtime.windows(_graph((2, 3), None), 20 * UNIT, 5, UNIT, tile=4 * UNIT)
    assert plan.rows == (Span(0, 9, 0, 6), Span(4, 13, 6, 10), Span(8, 17, 10, 13), Span(11, 20, 13, 20))
    assert plan.columns == (Span(0, 1, 0, 1),)
    assert tiles == (4, 9 * UNIT, UNIT, 36 / 20 - 1)


@pytest.mark.parametrize("size", [(100, 60), (512, 256), (700, 300)])
def test_an_engine_of_one_shape(size: tuple[int, int]) -> None:
    """The window has its shape whatever the picture's size: it lies beyond a small one, and parts of a large one."""
    plan, (count, height, width, _) = native_runtime.windows(
        _graph((1, 2), None), *size, 64, shapes=[(Range(512, 512), Range(256, 256))]
    )
    assert (height, width) == (512, 256)
    assert (count > 1, plan.padded) == (size[0] > 512, size != (512, 256))


def test_the_least_work_of_several_shapes() -> None:
    """Two windows of 256 cover 400 pixels with less work than one of 1024."""
    shapes = [(Range(side, side), Range(64, 64)) for side in (1024, 256)]
    plan, (count, height, _, _) = native_runtime.windows(_graph((1, 1), None), 400, 64, 16, shapes=shapes)
    assert (count, height, plan.rows[1].stop) == (2, 256, 25)


def test_a_picture_no_larger_than_a_tile_may_lie_in_a_larger_window() -> None:
    """The tile that was asked for says how much is kept, and not how large the engine's only shape is."""
    shapes = [(Range(160, 160), Range(160, 160))]
    plan, tiles = native_runtime.windows(_graph((1, 1), None), 80, 80, UNIT, tile=96, shapes=shapes)
    assert plan == Plan((Span(0, 20, 0, 10),), (Span(0, 20, 0, 10),), low_memory=False, padded=True)
    assert tiles == (1, 160, 160, 3.0)


@pytest.mark.parametrize("graph", [_graph(None), _graph((16, 16))])
def test_what_an_engine_of_one_shape_cannot_do(graph: BakedGraph) -> None:
    """A network that sees the whole of its input, or more than a window, gets no part of a picture."""
    with pytest.raises(EngineFailed) as caught:
        native_runtime.windows(graph, 400, 300, UNIT, max_memory=1 << 40, shapes=[(Range(256, 256), Range(256, 256))])
    problem = {
        True: "the engine takes no 300x400 pixels, and this network cannot be tiled: "
        "it takes statistics of whole maps (ReduceMean)",
        False: "no part of 300x400 pixels has a shape that the engine takes",
    }
    assert caught.value.message == problem[graph.tiling.halo is None]
    assert (caught.value.where, caught.value.hint) == ("synthesis.onnx", "it takes 256 by 256")


def test_shapes_in_words() -> None:
    shapes = [(Range(64, 128, 16), Range(8, 0)), (Range(96, 96, 32), Range(0, 40, 1))]
    with pytest.raises(EngineFailed) as caught:
        native_runtime.windows(_graph(None), 4000, 3000, UNIT, max_memory=1 << 40, shapes=shapes)
    assert caught.value.hint == "it takes 8 or more by 64 to 128 in steps of 16; 0 to 40 by 96"


def test_too_little_memory_says_how_much_would_do() -> None:
    graph = _graph((2, 2), 100.0)
    with pytest.raises(LimitExceeded) as caught:
        native_runtime.windows(graph, 128, 160, UNIT, max_memory=1000)
    assert caught.value.message == (
        "there is room for 1 KB, where 160x128 pixels need 2.8 MB, and the smallest tile, 40x40, 218.8 KB"
    )
    assert caught.value.hint == (
        "allow 218.8 KB (max_memory), shrink the picture, or work on it whole whatever it takes (tile off)"
    )
    enough = int(218.8 * 1024)
    assert native_runtime.windows(graph, 128, 160, UNIT, max_memory=enough)[1][0] > 1
    with pytest.raises(LimitExceeded):
        native_runtime.windows(graph, 128, 160, UNIT, max_memory=int(0.95 * enough))


def test_an_engine_keeps_memory_where_there_is_twice_as_much() -> None:
    graph, needed = _graph((1, 1), 100.0), 128 * 160 * 100
    for room, count, low_memory in ((2 * needed, 1, False), (2 * needed - 1, 1, True), (1.4 * needed - 1, 2, True)):
        plan, tiles = native_runtime.windows(graph, 128, 160, UNIT, max_memory=int(room))
        assert (tiles[0], plan.low_memory) == (count, low_memory)


def test_without_a_limit_it_is_what_the_system_has() -> None:
    with pytest.raises(OutOfMemory, match=r"there is room for .*, where 160x128 pixels need .* GB"):
        native_runtime.windows(_graph((0, 0), 2.0**48), 128, 160, UNIT)


def test_large_pictures_are_planned_at_once() -> None:
    """Every length of 65535 pixels in units of one, for each of 16 shapes."""
    shapes = [(Range(64 + step, 0, 1 + step), Range(64, 0)) for step in range(16)]
    graph = _graph((16, 16), 1000.0)
    for taken in ([], shapes):
        start = time.process_time()
        native_runtime.windows(graph, 65535, 65535, 1, max_memory=1 << 28, shapes=taken)
        assert time.process_time() - start < 2
