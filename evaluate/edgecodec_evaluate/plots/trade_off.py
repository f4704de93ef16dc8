"""Fidelity against detail: what a decoder's knob trades, and where other formats stand at the same rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from edgecodec_evaluate.peers import PEERS
from edgecodec_evaluate.plots.labels import Label, write_labels
from edgecodec_evaluate.plots.style import OWN, drawing, peer_colour, prepare, shades
from edgecodec_evaluate.summary import PointMean, Summary


def write_trade_off(summary: Summary, output_stem: Path) -> None:
    """Draw PSNR over detail at the default encoder's point: the decoders as a line, and the point of each other format
    whose rate is nearest.

    Nothing is drawn where no picture has any detail or a PSNR is infinite. Raises CannotWrite.
    """
    own = [each for each in map(_mark, summary.own) if each is not None and each.encoder == summary.default_encoder]
    if not own:
        return
    rate = own[0].rate
    nearest = {name: mark for name in summary.peers if (mark := _nearest(summary.of_peer(name), rate)) is not None}
    with drawing(6.4, 4.6, output_stem) as figure:
        axes = figure.subplots()
        prepare(axes)
        axes.axvline(1, color="#888888", linewidth=1, linestyle=(0, (4, 3)))
        axes.plot([each.detail for each in own], [each.psnr for each in own], color=OWN, linewidth=2, zorder=4)
        labels = []
        for mark, colour in zip(own, shades(len(own)), strict=True):
            axes.plot(mark.detail, mark.psnr, color=colour, marker="o", markersize=8, markeredgecolor="white", zorder=5)
            labels.append(Label(mark.detail, mark.psnr, mark.decoder or summary.codec, colour))
        for name, mark in nearest.items():
            colour = peer_colour(name)
            axes.plot(mark.detail, mark.psnr, color=colour, marker="s", markersize=6, zorder=3)
            labels.append(Label(mark.detail, mark.psnr, f"{PEERS[name].title}, {mark.rate:.3f} bpp", colour))
        _set_limits(axes, labels)
        axes.set_xlabel("detail, relative to the original's: less is smoother, more is noisier")
        axes.set_ylabel("PSNR in dB")
        axes.annotate(
            "as much as the original",
            (1, 1),
            (-4, -4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            rotation=90,
            va="top",
            ha="right",
            color="#666666",
            fontsize=8.5,
        )
        encoder = f", {summary.default_encoder}" if summary.default_encoder else ""
        axes.set_title(f"{summary.codec}{encoder}, {rate:.3f} bits per pixel")
        write_labels(figure, {axes: labels})


def _set_limits(axes: Axes, labels: Sequence[Label]) -> None:
    """With the original's detail in sight, and room for the text on the right."""
    heights, places = [label.y for label in labels], [1.0, *(label.x for label in labels)]
    margin = 0.15 * (max(heights) - min(heights)) or 1.0
    axes.set_ylim(min(heights) - margin, max(heights) + margin)
    width = max(places) - min(places) or 0.1
    axes.set_xlim(min(places) - 0.1 * width, max(places) + 0.3 * width)


@dataclass(frozen=True)
class _Mark:
    """A point that can be drawn."""

    encoder: str
    decoder: str
    rate: float
    detail: float
    psnr: float


def _mark(point: PointMean) -> _Mark | None:
    if point.detail is None or not math.isfinite(point.psnr_db):
        return None
    return _Mark(point.encoder, point.decoder, point.bits_per_pixel, point.detail, point.psnr_db)


def _nearest(points: list[PointMean], rate: float) -> _Mark | None:
    marks = [mark for mark in map(_mark, points) if mark is not None]
    return min(marks, key=lambda mark: abs(mark.rate - rate), default=None)
