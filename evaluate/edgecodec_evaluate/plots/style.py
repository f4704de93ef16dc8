"""What all plots share: colours, lettering, and files that are the same each time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import colors, patheffects, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from edgecodec import files
from edgecodec_evaluate.peers import PEERS

#: Okabe and Ito 2008: colours that colour-blind people tell apart. The bundle has the warm one.
OWN = "#d55e00"
_PEERS = ("#595959", "#0072b2", "#009e73", "#b0568f")
INK, FAINT = "#222222", "#d9d9d9"
LINE_HEIGHT = 13.0  # points between labels
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
    between = colors.LinearSegmentedColormap.from_list("bundle", ["#f0a050", OWN, "#7a2900"])
    return [colors.to_hex(between(i / (count - 1))) for i in range(count)]


def write_labels(axes: Axes, labels: Sequence[tuple[float, float, str, str]], gap: float = 12.0) -> None:
    """Texts (x, y, text, colour) to the right of their points, moved apart where they would overlap.

    The limits of the axes have to stand already. A line leads from a text that had to move to its point.
    """
    figure = axes.get_figure(root=True)
    if figure is None or not labels:
        return
    figure.draw_without_rendering()  # which settles how large the axes are
    points_per_dot = 72 / figure.dpi
    ordered = sorted(labels, key=lambda label: label[1])
    heights = [float(axes.transData.transform((x, y))[1]) * points_per_dot for x, y, _, _ in ordered]
    for (x, y, text, colour), height, place in zip(ordered, heights, spread(heights, LINE_HEIGHT), strict=True):
        moved = abs(place - height) > 1
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 3}
        note: Annotation = axes.annotate(
            text,
            (x, y),
            (gap, place - height),
            textcoords="offset points",
            color=colour,
            va="center",
            ha="left",
            arrowprops=arrow if moved else None,
            annotation_clip=False,
            zorder=5,
        )
        note.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])


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
