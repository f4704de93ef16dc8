"""The curves of a run as pictures: a panel for each quantity that its rows record."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edgecodec import files

Values = npt.NDArray[np.float64]

STEP = "step"

#: Quantities and the labels of their axes. A column belongs to the longest of these names that it is or that it starts
#: with up to an underscore: psnr_db_beta_0 is PSNR at the knob setting "beta 0". Any other column has its own panel.
QUANTITIES = {
    "bits_per_pixel": "rate (bits per pixel)",
    "psnr_db": "PSNR (decibels)",
    "psnr_kept_db": "PSNR where details are kept (decibels)",
    "psnr_synthesised_db": "PSNR where details are synthesised (decibels)",
    "ms_ssim": "MS-SSIM (1 is equal)",
    "lpips": "LPIPS (0 is equal)",
    "mse": "mean squared error",
    "grid": "repeating pattern (levels of 255, RMS)",
    "detail": "detail (1 is the original's)",
    "training_mse": "squared error of batches",
    "training_bits_per_pixel": "rate of batches (bits per pixel)",
    "training_perceptual": "perceptual distance of batches",
    "training_texture": "texture distance of batches",
    "feature_matching": "feature matching",
    "told_apart": "pairs told apart (1/2 is by chance)",
    "loss": "loss",
    "generator_loss": "generator loss",
    "discriminator_loss": "discriminator loss",
    "learning_rate": "learning rate",
    "seconds_per_step": "time (seconds per step)",
}

COLUMNS = 3  # of panels, at most
PANEL = (4.0, 2.8)  # inches
DOTS_PER_INCH = 110
LEAST_RANGE = 0.01  # of a vertical axis, as a share of its largest value
#: Okabe and Ito 2008: colours that colour-blind people tell apart, without the yellow, which is faint on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
PATTERNS = ("-", "--", ":")  # of lines, where there are more than colours
GREY = "#606060"
#: So that the same rows give the same file on every run: names in SVG files are random, and both have a date otherwise.
_STYLE = {"svg.hashsalt": "edgecodec", "svg.fonttype": "path", "font.size": 9, "path.simplify": False}
_METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def write_curve(rows: Sequence[Mapping[str, float]], output_stem: Path, title: str) -> None:
    """Draw the columns of `rows` over their "step" as OUTPUT_STEM.png and OUTPUT_STEM.svg, which are replaced.

    Columns of one quantity (QUANTITIES) share a panel. Where a row has no value, or none that is finite, the line has a
    gap; a value between two gaps is a dot. Rows without a finite "step" and columns without any value are left out.

    Raises CannotWrite.
    """
    rows = sorted((row for row in rows if math.isfinite(row.get(STEP, math.nan))), key=lambda row: row[STEP])
    steps = np.array([row[STEP] for row in rows], np.float64)
    names = dict.fromkeys(name for row in rows for name in row if name != STEP)
    columns = {name: np.array([row.get(name, math.nan) for row in rows], np.float64) for name in names}
    columns = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # letters of a title, drawn as boxes
        figure = _figure(steps, columns, title)
        for kind, metadata in _METADATA.items():
            content = io.BytesIO()
            figure.savefig(content, format=kind, metadata=metadata)
            files.write(output_stem.with_name(f"{output_stem.name}.{kind}"), content.getbuffer(), force=True)


def panels_of(columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Which columns are drawn together: for each panel's label its columns, with the knob setting that each is for."""
    panels: dict[str, dict[str, str]] = {}
    for column in columns:
        matching = [name for name in QUANTITIES if column == name or column.startswith(f"{name}_")]
        quantity = max(matching, key=len, default=column)
        label = QUANTITIES.get(quantity, _spelled_out(quantity))
        panels.setdefault(label, {})[column] = _spelled_out(column[len(quantity) :])
    return panels


def _spelled_out(name: str) -> str:
    return name.replace("_", " ").strip()


def _figure(steps: Values, columns: Mapping[str, Values], title: str) -> Figure:
    panels = panels_of(list(columns))
    across = min(COLUMNS, max(len(panels), 1))
    down = max(-(-len(panels) // across), 1)
    figure = Figure((PANEL[0] * across, PANEL[1] * down + 0.4), DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, fontweight="bold", parse_math=False)
    grid = figure.add_gridspec(down, across)
    for number, (label, settings) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[divmod(number, across)])
        _style(axes, label)
        margin = 0.02 * (steps[-1] - steps[0]) or 1
        axes.set_xlim(steps[0] - margin, steps[-1] + margin)  # the same in all panels, so that they can be compared
        for position, (column, setting) in enumerate(settings.items()):
            pattern = PATTERNS[position // len(COLOURS) % len(PATTERNS)]
            _line(axes, steps, columns[column], setting or "default", COLOURS[position % len(COLOURS)], pattern)
        _give_room(axes)
        if any(settings.values()):
            legend = axes.legend(fontsize=8, framealpha=0.8, edgecolor="none")  # a line may pass below it
            for text in legend.get_texts():
                text.set_parse_math(False)
    return figure


def _style(axes: Axes, label: str) -> None:
    axes.set_xlabel("step", color=GREY)
    axes.set_title(label, fontsize=9, loc="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#b0b0b0")
    axes.tick_params(colors=GREY, labelsize=8)
    axes.grid(color="#e8e8e8", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.ticklabel_format(axis="y", useOffset=False)


def _give_room(axes: Axes) -> None:
    """Let a line that hardly moves look flat."""
    low, high = axes.get_ylim()
    least = LEAST_RANGE * max(abs(low), abs(high))
    if high - low < least:
        middle = (low + high) / 2
        axes.set_ylim(middle - least / 2, middle + least / 2)


def _line(axes: Axes, steps: Values, values: Values, setting: str, colour: str, pattern: str) -> None:
    known = np.isfinite(values)
    between_gaps = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
    axes.plot(steps, np.where(known, values, np.nan), color=colour, linestyle=pattern, linewidth=1.4, label=setting)
    axes.plot(steps[between_gaps], values[between_gaps], ".", color=colour, markersize=5)
