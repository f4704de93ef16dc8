"""Names of points and lines in a plot, beside what they name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from edgecodec_evaluate.plots.arranging import GAP, Box, Points, arrange

_LINE_HEIGHT, _LETTERS = 13.0, 10.5  # of labels below each other, and of the letters of one, in points
_TOGETHER = 8.0  # points that are nearer to each other have their labels below each other
_FAR = 4.0  # points that a label beside the axes is moved by before it needs a line to its point
_SAMPLED = 2.0  # points of the page between two places where a line is looked at


@dataclass(frozen=True)
class Label:
    """A text for the point (x, y) of the data."""

    x: float
    y: float
    text: str
    colour: str


def write_labels(figure: Figure, labels: Mapping[Axes, Sequence[Label]]) -> None:
    """Labels of all axes of a figure, whose limits have to stand already.

    Texts of lines that go on to the right of the axes are beside these, below each other. All others are inside, and
    keep clear of lines, markers and each other.
    """
    figure.draw_without_rendering()  # which settles how large the axes are
    for axes, all_labels in labels.items():
        _write_beside(axes, [each for each in all_labels if _is_at_the_edge(axes, each)])
    figure.draw_without_rendering()  # what is beside them has made them smaller
    for axes, all_labels in labels.items():
        _write_inside(axes, [each for each in all_labels if not _is_at_the_edge(axes, each)])


def _is_at_the_edge(axes: Axes, label: Label) -> bool:
    return label.x >= axes.get_xlim()[1]


def _write_beside(axes: Axes, labels: Sequence[Label]) -> None:
    labels = sorted(labels, key=lambda label: label.y)
    heights = _on_page(axes, labels)[:, 1].tolist()
    for label, before, after in zip(labels, heights, spread(heights, _LINE_HEIGHT), strict=True):
        _write(axes, label, label, (GAP, after - before))
        if abs(after - before) > _FAR:
            _lead(axes, label, (GAP - 2, after - before), label.colour)


def _write_inside(axes: Axes, labels: Sequence[Label]) -> None:
    """Labels of points that lie on each other are one text of several lines, in the order of their heights."""
    if not labels:
        return
    groups = _groups(labels, _on_page(axes, labels))
    middles = np.array([_on_page(axes, group).mean(axis=0) for group in groups])
    sizes = [_size(axes, group) for group in groups]
    taken = [_box(axes, text) for text in axes.texts]
    places = arrange(middles, sizes, _lines(axes), _markers(axes), taken, _box(axes, axes))
    for group, (width, height), place in zip(groups, sizes, places, strict=True):
        at = group[0]
        x, y = _on_page(axes, [at])[0].tolist()
        left, top = place.x - width / 2 - x, place.y + (height - _LETTERS) / 2 - y
        for row, label in enumerate(group):
            _write(axes, at, label, (left, top - row * _LINE_HEIGHT))
        if place.leader is not None:
            colour = at.colour if len(group) == 1 else "#888888"
            _lead(axes, at, (place.leader[2] - x, place.leader[3] - y), colour)


def _groups(labels: Sequence[Label], places: Points) -> list[list[Label]]:
    """Labels whose points lie on each other, or nearly, those above first; labels of other points alone.

    Each point of a group is near to all others, so that a long row of points is none.
    """
    groups: list[list[int]] = []
    for number, place in enumerate(places):
        near = (group for group in groups if all(abs(places[each] - place).max() < _TOGETHER for each in group))
        if (group := next(near, None)) is not None:
            group.append(number)
        else:
            groups.append([number])
    return [[labels[each] for each in sorted(group, key=lambda each: -places[each, 1])] for group in groups]


def _write(axes: Axes, at: Label, label: Label, moved_by: tuple[float, float]) -> None:
    """Begin the text of a label so far from the point of another, or its own."""
    note = axes.annotate(
        label.text,
        (at.x, at.y),
        moved_by,
        textcoords="offset points",
        color=label.colour,
        va="center_baseline",
        ha="left",
        annotation_clip=False,
        zorder=6,
    )
    note.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])


def _lead(axes: Axes, label: Label, end: tuple[float, float], colour: str) -> None:
    """Draw a line from the point of a label to so far from it."""
    style = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3}
    axes.annotate(
        "", (label.x, label.y), end, textcoords="offset points", arrowprops=style, annotation_clip=False, zorder=6
    )


# ---- what is drawn, in points of the page --------------------------------------------------------------------------


def _scale(axes: Axes) -> float:
    return 72 / axes.figure.dpi


def _on_page(axes: Axes, labels: Iterable[Label]) -> Points:
    data = np.array([(each.x, each.y) for each in labels], float).reshape(-1, 2)
    return np.asarray(axes.transData.transform(data)) * _scale(axes)


def _size(axes: Axes, labels: Sequence[Label]) -> tuple[float, float]:
    """Width and height of texts below each other."""
    widths = [Text(0, 0, each.text, figure=axes.figure).get_window_extent().width for each in labels]
    return max(widths) * _scale(axes), (len(labels) - 1) * _LINE_HEIGHT + _LETTERS


def _box(axes: Axes, drawn: Artist) -> Box:
    left, bottom, right, top = (float(each) * _scale(axes) for each in drawn.get_window_extent().extents)
    return left, bottom, right, top


def _lines(axes: Axes) -> Points:
    """Points along all lines."""
    found = [np.empty((0, 2))]
    for line in axes.lines:
        corners = np.asarray(line.get_transform().transform(line.get_xydata())) * _scale(axes)
        for start, end in pairwise(corners):
            parts = np.linspace(0, 1, 2 + int(math.dist(start, end) / _SAMPLED))[:, None]
            found.append(start + parts * (end - start))
    return np.concatenate(found)


def _markers(axes: Axes) -> Points:
    marked = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    found = [np.asarray(line.get_transform().transform(line.get_xydata())) * _scale(axes) for line in marked]
    return np.concatenate([np.empty((0, 2)), *found])


# ---- labels below each other ---------------------------------------------------------------------------------------


def spread(places: Sequence[float], distance: float) -> list[float]:
    """Ascending places, moved as little as it takes for neighbours to be so far apart.

    Places that are too close become a block around their mean, and blocks that touch become one.
    """
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _end(blocks[-2], distance) + distance > _start(blocks[-1], distance):
            last = blocks.pop()
            blocks[-1] += last
    return [_start(block, distance) + i * distance for block in blocks for i in range(len(block))]


def _start(block: Sequence[float], distance: float) -> float:
    return sum(block) / len(block) - distance * (len(block) - 1) / 2


def _end(block: Sequence[float], distance: float) -> float:
    return _start(block, distance) + distance * (len(block) - 1)
