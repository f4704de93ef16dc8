"""Scores over the rate: a line for each decoder of the bundle, and for each format beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from edgecodec_evaluate.peers import PEERS
from edgecodec_evaluate.plots.labels import Label, write_labels
from edgecodec_evaluate.plots.style import drawing, peer_colour, prepare, shades
from edgecodec_evaluate.summary import METRICS, PointMean, Summary, in_decibels

_LEAST_RATE = 0.5  # bits per pixel that the axis has at least
_ROOM = 1.6  # how much further than the bundle's rates it goes
_MS_SSIM_TICKS = (0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)


@dataclass(frozen=True)
class _Line:
    label: str
    colour: str
    own: bool
    points: list[tuple[float, float]]


def write_rate_distortion(summary: Summary, output_stem: Path) -> None:
    """Draw PSNR and, where pictures are large enough, MS-SSIM over bits per pixel.

    Nothing is drawn where no score is a finite number. Raises CannotWrite.
    """
    _write(summary, output_stem, {"psnr_db": _scale_psnr, "ms_ssim": _scale_ms_ssim})


def write_rate_perception(summary: Summary, output_stem: Path) -> None:
    """Draw LPIPS and DISTS, those that there are, over bits per pixel, the smaller ones above. Raises CannotWrite."""
    _write(summary, output_stem, {"lpips": _scale_distance("LPIPS"), "dists": _scale_distance("DISTS")})


def _write(summary: Summary, output_stem: Path, scales: Mapping[str, Callable[[Axes], None]]) -> None:
    """scales: what names the scores beside a panel, by metric."""
    panels = {metric: lines for metric in scales if (lines := _lines(summary, METRICS[metric]))}
    if not panels:
        return
    most = max(_LEAST_RATE, _ROOM * max(point.bits_per_pixel for point in summary.own))
    with drawing(5.6 * len(panels), 4.4, output_stem) as figure:
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (metric, lines) in zip(all_axes, panels.items(), strict=True):
            prepare(axes)
            for line in lines:
                _draw(axes, line)
            axes.set_xlim(0, most)
            axes.set_ylim(*_limits(lines, most))
            axes.set_xlabel("bits per pixel")
            scales[metric](axes)
        count = len(summary.pictures)
        pictures = f"mean of {count} pictures" if count > 1 else summary.pictures[0]
        figure.suptitle(f"{summary.codec}, {pictures}", fontsize=11)
        labels = {axes: _labels(lines, most) for axes, lines in zip(all_axes, panels.values(), strict=True)}
        write_labels(figure, labels)


def _labels(lines: Sequence[_Line], most: float) -> list[Label]:
    """Of the ends of lines that are seen."""
    seen = [(line, _cut(line.points, most)) for line in lines]
    return [Label(*points[-1], line.label, line.colour) for line, points in seen if points]


def _lines(summary: Summary, score: Callable[[PointMean], float | None]) -> list[_Line]:
    """The formats' first, so that the bundle's lie above them."""

    def points(of: Sequence[PointMean]) -> list[tuple[float, float]]:
        scored = ((point.bits_per_pixel, score(point)) for point in of)
        return sorted((rate, value) for rate, value in scored if value is not None and math.isfinite(value))

    peers = [
        _Line(PEERS[name].title, peer_colour(name), False, points(summary.of_peer(name))) for name in summary.peers
    ]
    decoders = summary.decoders
    own = [
        _Line(decoder or summary.codec, colour, True, points([each for each in summary.own if each.decoder == decoder]))
        for decoder, colour in zip(decoders, shades(len(decoders)), strict=True)
    ]
    return [line for line in (*peers, *own) if line.points]


def _draw(axes: Axes, line: _Line) -> None:
    rates, values = zip(*line.points, strict=True)
    if line.own:
        axes.plot(
            rates, values, color=line.colour, linewidth=2, marker="o", markersize=7, markeredgecolor="white", zorder=4
        )
    else:
        axes.plot(rates, values, color=line.colour, linewidth=1.4, marker="o", markersize=3, zorder=3)


def _cut(points: Sequence[tuple[float, float]], most: float) -> list[tuple[float, float]]:
    """The points up to a rate, the last of them on it where the line goes on."""
    inside = [point for point in points if point[0] <= most]
    beyond = points[len(inside) : len(inside) + 1]
    if inside and beyond:
        (rate, value), (next_rate, next_value) = inside[-1], beyond[0]
        inside.append((most, value + (next_value - value) * (most - rate) / (next_rate - rate)))
    return inside


def _limits(lines: Sequence[_Line], most: float) -> tuple[float, float]:
    """Of the scores that are seen."""
    seen = [value for line in lines for _, value in _cut(line.points, most)] or [0.0]
    margin = 0.06 * (max(seen) - min(seen)) or 0.1 * abs(max(seen)) or 1.0
    return min(seen) - margin, max(seen) + margin


def _scale_psnr(axes: Axes) -> None:
    axes.set_ylabel("PSNR in dB")


def _scale_ms_ssim(axes: Axes) -> None:
    """Heights are -10 log10(1 - MS-SSIM); what is written beside them is MS-SSIM."""
    low, high = axes.get_ylim()
    ticks = [tick for tick in _MS_SSIM_TICKS if low <= in_decibels(tick) <= high]
    axes.yaxis.set_major_locator(FixedLocator([in_decibels(tick) for tick in ticks]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda height, _: f"{1 - 10 ** (-height / 10):.4g}"))
    axes.set_ylabel("MS-SSIM")


def _scale_distance(title: str) -> Callable[[Axes], None]:
    def scale(axes: Axes) -> None:
        """Heights are negative distances; what is written beside them is the distance."""
        axes.yaxis.set_major_formatter(FuncFormatter(lambda height, _: f"{-height or 0.0:.4g}"))
        axes.set_ylabel(f"{title}, lower is better")

    return scale
