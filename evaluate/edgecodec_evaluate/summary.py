"""What a run found: means over its pictures, and mean differences in rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from edgecodec_evaluate.bd_rate import BdRate, Curve, bd_rate
from edgecodec_evaluate.measurement import Measurement


@dataclass(frozen=True)
class PointMean:
    """Means over the pictures of a run at one point; as in `Measurement`. ms_ssim, detail, lpips, dists: over those
    that have it.

    ms_ssim_pictures, lpips_pictures: how many are large enough for it; any picture is for DISTS.
    """

    codec: str
    encoder: str
    decoder: str
    bytes: float
    bits_per_pixel: float
    psnr_db: float
    ms_ssim: float | None
    ms_ssim_pictures: int
    detail: float | None
    lpips: float | None
    lpips_pictures: int
    dists: float | None
    encode_seconds: float
    decode_seconds: float


@dataclass(frozen=True)
class Difference:
    """The rate of one decoder of the bundle, at all of its encoder's points, against that of another format.

    metric: "psnr_db"; "ms_ssim", whose scale is -10 log10(1 - MS-SSIM); "lpips" or "dists", whose scale is the negative
    of it, so that more is better.
    """

    decoder: str
    against: str
    metric: str
    bd_rate: BdRate


@dataclass(frozen=True)
class Summary:
    """codec: the bundle's name. default_encoder: the encoder's point at which all knobs have their defaults, or else
    the first. points: the bundle's, and those of the other formats, in the order of measuring. about: what was measured
    on what: bundle, settings, versions, engine and machine, as JSON has it. networks: the names of those of NETWORKS
    whose scores were asked for.
    """

    codec: str
    default_encoder: str
    pictures: tuple[str, ...]
    left_out: tuple[str, ...]
    points: tuple[PointMean, ...]
    bd_rates: tuple[Difference, ...]
    about: Mapping[str, Any]
    networks: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """As JSON has it: the PSNR of equal pictures, which is infinite, becomes None."""
        points = [asdict(point) for point in self.points]
        for point in points:
            point["psnr_db"] = point["psnr_db"] if math.isfinite(point["psnr_db"]) else None
        return {**asdict(self), "points": points}

    @property
    def own(self) -> list[PointMean]:
        return [point for point in self.points if point.codec == self.codec]

    def of_peer(self, name: str) -> list[PointMean]:
        return [point for point in self.points if point.codec == name]

    @property
    def peers(self) -> list[str]:
        return list(dict.fromkeys(point.codec for point in self.points if point.codec != self.codec))

    @property
    def decoders(self) -> list[str]:
        return list(dict.fromkeys(point.decoder for point in self.own))


def means(measurements: Iterable[Measurement]) -> list[PointMean]:
    """One for each point, in the order in which points come."""
    by_point: dict[tuple[str, str, str], list[Measurement]] = {}
    for each in measurements:
        by_point.setdefault((each.codec, each.encoder, each.decoder), []).append(each)
    return [_mean(*point, found) for point, found in by_point.items()]


def _mean(codec: str, encoder: str, decoder: str, found: Sequence[Measurement]) -> PointMean:
    return PointMean(
        codec=codec,
        encoder=encoder,
        decoder=decoder,
        bytes=fmean(each.bytes for each in found),
        bits_per_pixel=fmean(each.bits_per_pixel for each in found),
        psnr_db=fmean(each.psnr_db for each in found),
        ms_ssim=_mean_of_known(each.ms_ssim for each in found),
        ms_ssim_pictures=sum(each.ms_ssim is not None for each in found),
        detail=_mean_of_known(each.detail for each in found),
        lpips=_mean_of_known(each.lpips for each in found),
        lpips_pictures=sum(each.lpips is not None for each in found),
        dists=_mean_of_known(each.dists for each in found),
        encode_seconds=fmean(each.encode_seconds for each in found),
        decode_seconds=fmean(each.decode_seconds for each in found),
    )


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


#: Scores over which rates are compared, from what a point has, higher for better pictures; None where it has none.
METRICS: dict[str, Callable[[PointMean], float | None]] = {
    "psnr_db": lambda point: point.psnr_db,
    "ms_ssim": lambda point: None if point.ms_ssim is None else in_decibels(point.ms_ssim),
    "lpips": lambda point: None if point.lpips is None else -point.lpips,
    "dists": lambda point: None if point.dists is None else -point.dists,
}


def in_decibels(ms_ssim: float) -> float:
    """-10 log10(1 - MS-SSIM), which tells scores near 1 apart; infinite for 1."""
    return -10 * math.log10(1 - ms_ssim) if ms_ssim < 1 else math.inf


def differences(codec: str, points: Sequence[PointMean]) -> list[Difference]:
    """Of every decoder of the bundle against every other format, by every metric."""
    decoders = list(dict.fromkeys(point.decoder for point in points if point.codec == codec))
    peers = list(dict.fromkeys(point.codec for point in points if point.codec != codec))
    found = []
    for metric, score in METRICS.items():
        if all(score(point) is None for point in points):
            continue  # the pictures are too small for it, or it was not asked for
        for decoder in decoders:
            own = _curve([each for each in points if (each.codec, each.decoder) == (codec, decoder)], score)
            for peer in peers:
                other = _curve([each for each in points if each.codec == peer], score)
                found.append(Difference(decoder, peer, metric, bd_rate(own, other)))
    return found


def _curve(points: Iterable[PointMean], score: Callable[[PointMean], float | None]) -> Curve:
    scored = ((point.bits_per_pixel, score(point)) for point in points)
    return [(rate, value) for rate, value in scored if value is not None]
