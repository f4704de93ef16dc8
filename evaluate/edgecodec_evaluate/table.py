"""A summary as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from edgecodec_evaluate.metrics.lpips import LpipsAlexNet
from edgecodec_evaluate.metrics.ms_ssim import SMALLEST_SIDE
from edgecodec_evaluate.peers import PEERS
from edgecodec_evaluate.summary import Difference, PointMean, Summary

_METRICS = {"psnr_db": "PSNR", "ms_ssim": "MS-SSIM", "lpips": "LPIPS", "dists": "DISTS"}


def lines(summary: Summary) -> Iterator[str]:
    """Means by point, and differences in rate."""
    count = len(summary.pictures)
    yield f"{summary.codec}: means over {count} pictures" if count > 1 else f"{summary.codec}: {summary.pictures[0]}"
    if summary.left_out:
        yield f"left out, because something failed: {', '.join(summary.left_out)}"
    width = max(len(_name(summary, point)) for point in summary.points)
    yield ""
    networks = [_METRICS[name] for name in summary.networks]
    widths = {"bpp": 9, "PSNR dB": 9, "MS-SSIM": 9, "detail": 8, **dict.fromkeys(networks, 8)}
    widths |= {"encode ms": 11, "decode ms": 11}
    yield " " * width + "".join(f"{title:>{cells}}" for title, cells in widths.items())
    for point in summary.points:
        distances = "".join(f"{_number(getattr(point, name), 4):>8}" for name in summary.networks)
        yield (
            f"{_name(summary, point):<{width}}{point.bits_per_pixel:>9.4f}{point.psnr_db:>9.2f}"
            f"{_number(point.ms_ssim, 4):>9}{_number(point.detail, 2):>8}{distances}"
            f"{1000 * point.encode_seconds:>11.1f}{1000 * point.decode_seconds:>11.1f}"
        )
    yield from _of_fewer(summary)
    if summary.bd_rates:
        yield ""
        yield from _differences(summary)


def _of_fewer(summary: Summary) -> Iterator[str]:
    """Which scores are not of all pictures."""
    own, count = summary.own[0], len(summary.pictures)
    having = {"ms_ssim": (own.ms_ssim_pictures, SMALLEST_SIDE)}
    if "lpips" in summary.networks:
        having["lpips"] = (own.lpips_pictures, LpipsAlexNet.SMALLEST_SIDE)
    for metric, (pictures, side) in having.items():
        if pictures < count:
            yield ""
            yield f"{_METRICS[metric]} is of {pictures} of {count} pictures: the others have a side below {side} pixels"


def _differences(summary: Summary) -> Iterator[str]:
    """Reasons are said once for all that share them."""
    yield "BD-rate: how much larger the bundle's files are at equal scores (below 0: smaller)"
    silent: dict[str, list[str]] = {}
    for each in summary.bd_rates:
        if each.bd_rate.percent is None:
            silent.setdefault(each.bd_rate.reason or "", []).append(_title(each))
        else:
            yield f"  {_title(each)}: {each.bd_rate.percent:+.1f} %"
    for reason, titles in silent.items():
        which = "" if len(titles) == len(summary.bd_rates) else f" {', '.join(titles)}:"
        yield f" {which} none, because {reason}"


def _title(difference: Difference) -> str:
    against = f"against {PEERS[difference.against].title} by {_METRICS[difference.metric]}"
    return f"{difference.decoder} {against}" if difference.decoder else against


def _name(summary: Summary, point: PointMean) -> str:
    codec = PEERS[point.codec].title if point.codec in summary.peers else point.codec
    return " ".join(filter(None, (codec, point.encoder, point.decoder)))


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"
