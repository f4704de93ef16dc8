"""What all plots share: colours, lettering, and files that are the same each time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import colors, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edgecodec import files
from edgecodec_evaluate.peers import PEERS

#: Okabe and Ito 2008: colours that colour-blind people tell apart. The bundle has the warm one.
OWN = "#d55e00"
_PEERS = ("#595959", "#0072b2", "#009e73", "#b0568f")
INK, FAINT = "#222222", "#d9d9d9"
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
