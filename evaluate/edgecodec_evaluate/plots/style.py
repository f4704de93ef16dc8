"""What all plots share: colours, lettering, and files that are the same each time."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import colors, patheffects, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D

from edgecodec import files
from edgecodec_evaluate.peers import PEERS

#: Okabe and Ito 2008: colours that colour-blind people tell apart. The bundle has the warm one.
OWN = "#d55e00"
_PEERS = ("#595959", "#0072b2", "#009e73", "#b0568f")
INK, FAINT = "#222222", "#d9d9d9"
_LINE_HEIGHT, _LETTER_WIDTH, _GAP = 13.0, 6.0, 12.0  # of labels, in points; the gap is between a point and its text
_FAR = 4.0  # points that a label is moved by before it needs a line to its point
_DOTS_PER_INCH = 150
_STYLE = {
    "svg.hashsalt": "edgecodec",
    "svg.fonttype": "path",
    "font.size": 9.5,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "text.parse_math": False,  # bundles give names, and a dollar in one is a dollar
}
_METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


@contextmanager
def drawing(width: float, height: float, output_stem: Path) -> Iterator[Figure]:
    """A figure of so many inches, which becomes OUTPUT_STEM.png and OUTPUT_STEM.svg. Raises CannotWrite."""
    with style.context(["default", _STYLE]):
        figure = Figure((width, height), dpi=_DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        for kind, metadata in _METADATA.items():
            content = io.BytesIO()
            figure.savefig(content, format=kind, metadata=metadata)
            files.write(output_stem.with_name(f"{output_stem.name}.{kind}"), content.getbuffer(), force=True)


def prepare(axes: Axes) -> None:
    """A faint grid, and no frame on the sides without numbers."""
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def peer_colour(name: str) -> str:
    """The same for a format, whichever others there are."""
    return _PEERS[[*PEERS].index(name) % len(_PEERS)]


def shades(count: int) -> list[str]:
    """Of the bundle's colour, from a light one to a dark one, for decoders in the order of their knobs."""
    if count == 1:
        return [OWN]
    between = colors.LinearSegmentedColormap.from_list("bundle", ["#d68000", "#b84a00", "#5c1f00"])
    return [colors.to_hex(between(i / (count - 1))) for i in range(count)]


@dataclass(frozen=True)
class Label:
    """A text for the point (x, y) of the data. lift: how far above the point's height it is meant to be, in points."""

    x: float
    y: float
    text: str
    colour: str
    lift: float = 0.0


#: A label, and where on the page it is meant to be, in points.
_Placed = tuple[Label, float, float]


def write_labels(axes: Axes, labels: Sequence[Label]) -> None:
    """Texts to the right of their points, moved up or down where they would overlap, with a line to the point then.

    The limits of the axes have to stand already.
    """
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    figure.draw_without_rendering()  # which settles how large the axes are
    to_points = axes.transData + Affine2D().scale(72 / figure.dpi)
    places = [to_points.transform((label.x, label.y)) for label in labels]
    placed = [
        (label, float(place[0]), float(place[1]) + label.lift) for label, place in zip(labels, places, strict=True)
    ]
    for column in _columns(placed):
        column.sort(key=lambda each: each[2])
        for (label, _, height), place in zip(column, spread([each[2] for each in column], _LINE_HEIGHT), strict=True):
            _write_label(axes, label, place - height)


def _columns(placed: Sequence[_Placed]) -> list[list[_Placed]]:
    """Labels that have others above or below them, and those that stand alone."""
    columns: list[list[_Placed]] = []
    end = -math.inf
    for each in sorted(placed, key=lambda each: each[1]):
        if each[1] > end or not columns:
            columns.append([])
        columns[-1].append(each)
        end = max(end, each[1] + _GAP + _LETTER_WIDTH * len(each[0].text))
    return columns


def _write_label(axes: Axes, label: Label, moved_by: float) -> None:
    leader = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 3}
    note = axes.annotate(
        label.text,
        (label.x, label.y),
        (_GAP, label.lift + moved_by),
        textcoords="offset points",
        color=label.colour,
        va="center",
        ha="left",
        arrowprops=leader if abs(moved_by) > _FAR else None,
        annotation_clip=False,
        zorder=6,
    )
    note.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])


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
