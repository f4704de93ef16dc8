"""A benchmark as a picture: a bar for each contender, divided into the stages of a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edgecodec import files
from edgecodec.benchmark.results import Benchmark, Result

#: Okabe and Ito 2008: colours that colour-blind people tell apart. The engine has the greatest share and the quietest.
COLOURS = {
    "parse": "#000000",
    "entropy": "#0072b2",
    "upload": "#e69f00",
    "engine": "#c0c0c0",
    "download": "#d55e00",
    "rest": "#009e73",
}
ENGINE = "engine"
DOTS_PER_INCH = 110
_BAR, _PANEL, _AROUND = 0.45, 5.2, 1.9  # inches
#: So that the same results give the same file: names in SVG files are random, and both have a date otherwise.
_STYLE = {"svg.hashsalt": "edgecodec", "svg.fonttype": "path", "font.size": 9}
_METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def write_chart(found: Benchmark, output_stem: Path) -> None:
    """Draw the median of every stage as OUTPUT_STEM.png and OUTPUT_STEM.svg, which are replaced. Raises CannotWrite.

    The right half leaves out the engine, beside whose time the other stages cannot be seen.
    """
    with style.context(["default", _STYLE]):
        figure = _figure(found)
        for kind, metadata in _METADATA.items():
            content = io.BytesIO()
            figure.savefig(content, format=kind, metadata=metadata)
            files.write(output_stem.with_name(f"{output_stem.name}.{kind}"), content.getbuffer(), force=True)


def _figure(found: Benchmark) -> Figure:
    figure = Figure((2 * _PANEL, _BAR * len(found.results) + _AROUND), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    whole, without_engine = figure.subplots(1, 2, sharey=True)
    _draw(whole, found.results, [*COLOURS])
    _draw(without_engine, found.results, [name for name in COLOURS if name != ENGINE])
    whole.set_title("all stages", fontsize=9)
    without_engine.set_title("all but the engine", fontsize=9)
    whole.set_yticks(range(len(found.results)), [each.contender.label for each in found.results])
    whole.invert_yaxis()
    figure.suptitle(_title(found), fontsize=10)
    handles, labels = whole.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _draw(axes: Axes, results: Sequence[Result], stages: Sequence[str]) -> None:
    places, ends = [*range(len(results))], [0.0] * len(results)
    for stage in stages:
        widths = [1000 * each.stages[stage].p50 for each in results]
        if stage in ("upload", "download") and not any(widths):
            continue  # of engines on the processor, which copy nothing
        axes.barh(places, widths, left=ends, height=0.6, color=COLOURS[stage], label=stage)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for place, end in zip(places, ends, strict=True):
        axes.annotate(f"{end:.3g} ms", (end, place), (4, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, 1.2 * max(ends))
    axes.set_xlabel("ms a picture, the median of each stage")
    axes.spines[["top", "right"]].set_visible(False)


def _title(found: Benchmark) -> str:
    processor = found.machine.processor
    return f"{found.side} {Path(found.bundle).name}, {found.sizes}" + (f", {processor.model}" if processor else "")
