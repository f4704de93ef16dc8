"""Where labels of points go, so that they lie neither on each other nor on what is drawn. All in points of the page.

A label may have several lines of text. It has its place beside its point where that is free, and else the free place
nearest to it: further up or down, on the other side, above or below. Places are compared by costs, of which
overlaps are the greatest, and each label is put to its cheapest place several times over, because the others move too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

#: left, bottom, right and top
Box = tuple[float, float, float, float]
#: n points as n rows of x and y
Points = npt.NDArray[np.float64]

GAP = 10.0  # between a point and its label
FAR = 5.0  # that a label is above or below its point before a line leads to it
_GAPS = (GAP, 2.5 * GAP, 5 * GAP)
_STEP, _FURTHEST = 3.0, 120.0  # between places up and down, and the last of them
_CLEAR = 1.5  # around a label
_MARKER = 5.0  # radius
_ROUNDS = 4
# Costs, of which one is about a point of distance.
_LEFT, _ABOVE = 8.0, 8.0
_OUTSIDE, _ON_LABEL, _ON_MARKER, _ON_LINE, _CROSSING = 2000.0, 400.0, 60.0, 4.0, 80.0


@dataclass(frozen=True)
class Place:
    """Of a label whose middle is at (x, y). leader: a line from its point to its edge, or None where it needs none."""

    x: float
    y: float
    box: Box
    leader: tuple[float, float, float, float] | None


def arrange(
    anchors: Points,
    sizes: Sequence[tuple[float, float]],
    lines: Points,
    markers: Points,
    taken: Sequence[Box],
    room: Box,
) -> list[Place]:
    """A place for the label of each anchor. sizes: their widths and heights.

    lines: points on all that is drawn, so close that no label finds a way between them. markers: middles of markers,
    the anchors' among them. taken: boxes of other texts. room: what labels are to stay in.
    """
    places = [list(_candidates(x, y, *size)) for (x, y), size in zip(anchors.tolist(), sizes, strict=True)]
    costs = [
        [_distance(each, *anchor) + _overlaps(each, anchor, lines, markers, taken, room) for each in candidates]
        for candidates, anchor in zip(places, anchors.tolist(), strict=True)
    ]
    chosen: list[Place] = []
    for number in range(len(places)):  # a first place, beside those that have one
        chosen.append(_cheapest(places[number], costs[number], chosen))
    for _ in range(_ROUNDS):
        before = list(chosen)
        for number in range(len(places)):
            others = chosen[:number] + chosen[number + 1 :]
            chosen[number] = _cheapest(places[number], costs[number], others)
        if chosen == before:
            break
    return chosen


def _candidates(x: float, y: float, width: float, height: float) -> Iterator[Place]:
    """The places there are for a label of this size at the point (x, y)."""
    for gap, side in product(_GAPS, (1, -1)):
        for lift in np.arange(-_FURTHEST, _FURTHEST + _STEP, _STEP).tolist():
            edge = x + side * gap
            is_far = gap > GAP or abs(lift) > max(FAR, height / 2 - 2)
            leader = (x, y, edge - side * _CLEAR, y + lift) if is_far else None
            yield _place(edge + side * width / 2, y + lift, width, height, leader)
    for side in (1, -1):
        yield _place(x, y + side * (GAP + height / 2 - 2), width, height, None)


def _place(x: float, y: float, width: float, height: float, leader: tuple[float, float, float, float] | None) -> Place:
    box = (x - width / 2 - _CLEAR, y - height / 2, x + width / 2 + _CLEAR, y + height / 2)
    return Place(x, y, box, leader)


def _distance(place: Place, x: float, y: float) -> float:
    """What a place costs by itself: to the right of the point, at its height, nothing."""
    left, _, right, _ = place.box
    if left < x < right:
        return _ABOVE
    aside = left - x if left > x else x - right + _LEFT
    return abs(place.y - y) + aside - GAP


def _overlaps(
    place: Place, anchor: Sequence[float], lines: Points, markers: Points, taken: Sequence[Box], room: Box
) -> float:
    """What a place costs by what is there already, its own point aside."""
    cost = _ON_LINE * np.count_nonzero(_within(lines, place.box, 0.0))
    cost += _ON_MARKER * np.count_nonzero(_within(markers, place.box, _MARKER - 2))
    cost += _ON_LABEL * sum(_overlap(place.box, each) for each in taken)
    cost += 0.0 if _is_inside(place.box, room) else _OUTSIDE
    if place.leader is not None and len(markers):
        x0, y0, x1, y1 = place.leader
        others = markers[np.hypot(*(markers - anchor).T) > 1]
        for part in (0.3, 0.5, 0.7, 0.9):
            passed = np.hypot(*(others - (x0 + part * (x1 - x0), y0 + part * (y1 - y0))).T) < _MARKER
            cost += 0.2 * _ON_MARKER * np.count_nonzero(passed)
    return float(cost)


def _cheapest(places: Sequence[Place], costs: Sequence[float], others: Sequence[Place]) -> Place:
    best, least = places[0], math.inf
    for cost, place in sorted(zip(costs, places, strict=True), key=lambda each: each[0]):
        if cost >= least:
            break  # others only add to it
        total = cost + sum(_conflict(place, each) for each in others)
        if total < least:
            best, least = place, total
    return best


def _conflict(one: Place, other: Place) -> float:
    cost = _ON_LABEL if _overlap(one.box, other.box) else 0.0
    for first, second in ((one, other), (other, one)):
        if first.leader is not None and _cuts(first.leader, second.box):
            cost += _CROSSING
    if one.leader is not None and other.leader is not None and _cross(one.leader, other.leader):
        cost += _CROSSING
    return cost


def _within(points: Points, box: Box, margin: float) -> npt.NDArray[np.bool_]:
    left, bottom, right, top = box
    x, y = points[:, 0], points[:, 1]
    return (x > left - margin) & (x < right + margin) & (y > bottom - margin) & (y < top + margin)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _is_inside(box: Box, room: Box) -> bool:
    return box[0] >= room[0] and box[1] >= room[1] and box[2] <= room[2] and box[3] <= room[3]


def _cuts(line: tuple[float, float, float, float], box: Box) -> bool:
    """Whether a line goes through a box, looked at every other point."""
    x0, y0, x1, y1 = line
    parts = np.linspace(0, 1, max(2, math.ceil(math.hypot(x1 - x0, y1 - y0) / 2)))
    points = np.stack([x0 + parts * (x1 - x0), y0 + parts * (y1 - y0)], axis=1)
    return bool(_within(points, box, 0.0).any())


def _cross(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    def side(line: tuple[float, float, float, float], x: float, y: float) -> float:
        return (line[2] - line[0]) * (y - line[1]) - (line[3] - line[1]) * (x - line[0])

    return side(one, *other[:2]) * side(one, *other[2:]) < 0 and side(other, *one[:2]) * side(other, *one[2:]) < 0
