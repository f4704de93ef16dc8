"""What was measured of a model, as it is kept beside its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecodec_evaluate.summary import PointMean, in_decibels

_POINT = {"codec", "encoder", "decoder", "bytes", "bits_per_pixel"}


@dataclass(frozen=True)
class Point:
    """Means over the pictures. scores: by their names in tables; those that no picture has are left out."""

    encoder: str
    decoder: str
    bits_per_pixel: float
    scores: Mapping[str, float]

    @property
    def label(self) -> str:
        return " ".join(filter(None, (self.encoder, self.decoder)))


@dataclass(frozen=True)
class Record:
    """checkpoints: SHA-256 by name. parameters, analysis, entropy, synthesis: as in `Work`. bundle_bytes: of all its
    files. knobs: a line of text each. pictures: names of those measured; set_id tells their contents.

    points: of the model. default: its number at the defaults of all knobs. peers: points of other formats by name.
    bd_rates: by decoder, metric and format, in per cent; those that cannot be said are left out. made_by: versions,
    engine and machine. sheets: file by picture. plots: file by kind. curves: file by checkpoint.
    """

    checkpoints: Mapping[str, str]
    parameters: int
    analysis: float
    entropy: float
    synthesis: float
    bundle_bytes: int
    knobs: Sequence[str]
    pictures: Sequence[str]
    set_id: str
    points: Sequence[Point]
    default: int
    peers: Mapping[str, Sequence[Point]]
    bd_rates: Sequence[tuple[str, str, str, float]]
    made_by: Mapping[str, str]
    sheets: Mapping[str, str]
    plots: Mapping[str, str]
    curves: Mapping[str, str]

    @property
    def all_pictures(self) -> list[str]:
        """Names of all files in the folder of pictures that belong to the model."""
        return [*self.plots.values(), *self.sheets.values(), *self.curves.values()]


def point_of(mean: PointMean) -> Point:
    """Rounded to what pages can show. Times are left out: on a busy machine they say little."""
    values = {name: value for name, value in asdict(mean).items() if name not in _POINT}
    scores = {
        name: round(value, 5)
        for name, value in values.items()
        if value is not None and not name.endswith(("_pictures", "_seconds"))
    }
    return Point(mean.encoder, mean.decoder, round(mean.bits_per_pixel, 5), scores)


def height(point: Point, metric: str) -> float | None:
    """The score of a point on the scale on which rates are compared: higher is better."""
    score = point.scores.get(metric)
    return in_decibels(score) if score is not None and metric == "ms_ssim" else score


def write(record: Record, file: Path) -> None:
    file.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8", newline="\n")


def read(file: Path) -> Record | None:
    """None where nothing was measured yet."""
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    found["points"] = [Point(**point) for point in found["points"]]
    found["peers"] = {name: [Point(**point) for point in points] for name, points in found["peers"].items()}
    found["bd_rates"] = [tuple(each) for each in found["bd_rates"]]
    return Record(**found)
