"""Fidelity against realism: what a decoder's knob trades, and where other formats stand at the same rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from edgecodec_evaluate.peers import PEERS
from edgecodec_evaluate.plots.labels import Label, write_labels
from edgecodec_evaluate.plots.style import OWN, drawing, peer_colour, prepare, shades
from edgecodec_evaluate.summary import PointMean, Summary


@dataclass(frozen=True)
class _Trait:
    """What PSNR is traded for. of_original: its value for the original itself, where that is to be seen."""

    title: str
    of: Callable[[PointMean], float | None]
    of_original: float | None = None


_TRAITS = (
    _Trait("detail, relative to the original's: less is smoother, more is noisier", lambda point: point.detail, 1),
    _Trait("LPIPS, lower is better", lambda point: point.lpips),
    _Trait("DISTS, lower is better", lambda point: point.dists),
)


def write_trade_off(summary: Summary, output_stem: Path) -> None:
    """Draw PSNR over detail, and over LPIPS and DISTS where there are any, at the default encoder's point: the decoders
    as a line, and the point of each other format whose rate is nearest.

    Nothing is drawn where a PSNR is infinite or no picture has any detail. Raises CannotWrite.
    """
    default = [point for point in summary.own if point.encoder == summary.default_encoder]
    panels = {trait: own for trait in _TRAITS if (own := _marks(default, trait))}
    if not panels:
        return
    rate = default[0].bits_per_pixel
    with drawing(6.4 * len(panels), 4.6, output_stem) as figure:
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        labels = [
            _draw(axes, trait, own, summary, rate) for axes, (trait, own) in zip(all_axes, panels.items(), strict=True)
        ]
        encoder = f", {summary.default_encoder}" if summary.default_encoder else ""
        figure.suptitle(f"{summary.codec}{encoder}, {rate:.3f} bits per pixel", fontsize=10.5)
        write_labels(figure, dict(zip(all_axes, labels, strict=True)))


def _draw(axes: Axes, trait: _Trait, own: Sequence[_Mark], summary: Summary, rate: float) -> list[Label]:
    """One panel. Returns the labels that are to be written."""
    prepare(axes)
    axes.plot([each.value for each in own], [each.psnr for each in own], color=OWN, linewidth=2, zorder=4)
    labels = []
    for mark, colour in zip(own, shades(len(own)), strict=True):
        axes.plot(mark.value, mark.psnr, color=colour, marker="o", markersize=8, markeredgecolor="white", zorder=5)
        labels.append(Label(mark.value, mark.psnr, mark.decoder or summary.codec, colour))
    for name in summary.peers:
        marks = _marks(summary.of_peer(name), trait)
        if marks:
            mark, colour = min(marks, key=lambda each: abs(each.rate - rate)), peer_colour(name)
            axes.plot(mark.value, mark.psnr, color=colour, marker="s", markersize=6, zorder=3)
            labels.append(Label(mark.value, mark.psnr, f"{PEERS[name].title}, {mark.rate:.3f} bpp", colour))
    if trait.of_original is not None:
        _draw_original(axes, trait.of_original)
    _set_limits(axes, labels, trait.of_original)
    axes.set_xlabel(trait.title)
    axes.set_ylabel("PSNR in dB")
    return labels


def _draw_original(axes: Axes, value: float) -> None:
    axes.axvline(value, color="#888888", linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "as much as the original",
        (value, 1),
        (-4, -4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        rotation=90,
        va="top",
        ha="right",
        color="#666666",
        fontsize=8.5,
    )


def _set_limits(axes: Axes, labels: Sequence[Label], of_original: float | None) -> None:
    """With the original's value in sight, and room for the text on the right."""
    heights, places = [label.y for label in labels], [label.x for label in labels]
    places += [] if of_original is None else [of_original]
    margin = 0.15 * (max(heights) - min(heights)) or 1.0
    axes.set_ylim(min(heights) - margin, max(heights) + margin)
    width = max(places) - min(places) or 0.1
    axes.set_xlim(min(places) - 0.1 * width, max(places) + 0.3 * width)


@dataclass(frozen=True)
class _Mark:
    """A point that can be drawn. value: of the trait."""

    decoder: str
    rate: float
    value: float
    psnr: float


def _marks(points: Sequence[PointMean], trait: _Trait) -> list[_Mark]:
    return [
        _Mark(point.decoder, point.bits_per_pixel, value, point.psnr_db)
        for point in points
        if (value := trait.of(point)) is not None and math.isfinite(point.psnr_db)
    ]
