"""One picture at one point, and its line in a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from edgecodec.errors import Corrupt

#: Picture, codec, encoder and decoder: what tells a measurement from the others of a run.
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Measurement:
    """picture: its file's name. codec: the bundle's or the format's name. encoder, decoder: their knobs, as in
    "alpha=0.5", or "". bytes: of the whole file. psnr_db and the other scores: see `Scores`.

    encode_seconds, decode_seconds: between pixels and the file's bytes; the loading of graphs is not counted.
    """

    picture: str
    width: int
    height: int
    codec: str
    encoder: str
    decoder: str
    bytes: int
    bits_per_pixel: float
    psnr_db: float
    ms_ssim: float | None
    detail: float | None
    lpips: float | None
    dists: float | None
    encode_seconds: float
    decode_seconds: float

    @property
    def key(self) -> Key:
        return self.picture, self.codec, self.encoder, self.decoder


_DECIMALS = {
    "bits_per_pixel": 6,
    "psnr_db": 4,
    "ms_ssim": 6,
    "detail": 4,
    "lpips": 6,
    "dists": 6,
    "encode_seconds": 5,
    "decode_seconds": 5,
}
_WHOLE = ("width", "height", "bytes")
_OPTIONAL = ("ms_ssim", "detail", "lpips", "dists")
_MOST = 1e18  # which no number reaches, and of which means can be taken
COLUMNS = tuple(field.name for field in fields(Measurement))
HEADER = ",".join(COLUMNS) + "\n"


def line_of(measurement: Measurement) -> str:
    """A line of comma-separated values, with its end."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(_text(name, getattr(measurement, name)) for name in COLUMNS)
    return stream.getvalue()


def measurement_of(line: str) -> Measurement:
    """Raises Corrupt for a line that `line_of` does not write."""
    try:
        cells = next(csv.reader([line], strict=True))
        return _measurement(cells)
    except (ValueError, StopIteration, csv.Error) as error:
        raise Corrupt("is no measurement") from error


def _measurement(cells: Sequence[str]) -> Measurement:
    values = {name: _value(name, text) for name, text in zip(COLUMNS, cells, strict=True)}
    found = Measurement(**values)  # type: ignore[arg-type]
    if not _is_possible(found):
        raise ValueError("no picture has such numbers")
    return found


def _is_possible(found: Measurement) -> bool:
    """Somebody may have changed a table by hand, and means and plots take any number for a measurement."""
    sizes = (found.width, found.height, found.bytes, found.bits_per_pixel)
    others = (found.ms_ssim or 0.0, found.detail or 0.0, found.encode_seconds, found.decode_seconds)
    return (
        all(0 < each < _MOST for each in sizes)
        and all(0 <= each < _MOST for each in others)
        and (0 <= found.psnr_db < _MOST or found.psnr_db == math.inf)  # for equal pictures
        and (found.ms_ssim or 0.0) <= 1
        and all(abs(each or 0.0) < _MOST for each in (found.lpips, found.dists))
    )


def _text(name: str, value: str | int | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.{_DECIMALS[name]}f}" if name in _DECIMALS else str(value)


def _value(name: str, text: str) -> str | int | float | None:
    if name in _WHOLE:
        return int(text)
    if name not in _DECIMALS:
        return text
    return float(text) if text or name not in _OPTIONAL else None
