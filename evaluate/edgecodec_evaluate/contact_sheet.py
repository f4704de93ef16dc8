"""A sheet to look at: the same places of several pictures, as they are and as every decoder gives them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgecodec import picture
from edgecodec.picture import Picture, Pixels
from edgecodec_evaluate.measuring import Measuring
from edgecodec_evaluate.metrics.channels import in_colour
from edgecodec_evaluate.metrics.detail import energies
from edgecodec_evaluate.metrics.psnr import psnr
from edgecodec_evaluate.peers.peer import encode_near
from edgecodec_evaluate.points import EncoderPoint, Values, label
from edgecodec_evaluate.settings import Settings
from edgecodec_evaluate.sheet import Cell, draw, write

MOST_PICTURES, MOST_DECODERS = 4, 5
SIDE = 160  # pixels of a picture that are shown, in each direction
ZOOM = 2  # so that single pixels can be seen
_STEP = 16  # pixels between the places that are considered


def write_contact_sheet(
    path: Path, pictures: Sequence[tuple[str, Path]], measuring: Measuring, settings: Settings
) -> None:
    """A row for each of the first few pictures: the original, the decoders of the default encoder's file, and every
    other format at the quality whose file is nearest in size. Raises CannotWrite, and what coding raises.
    """
    point = next((each for each in measuring.points if each.default), measuring.points[0])
    rows = []
    for name, source in pictures[:MOST_PICTURES]:
        original = picture.read(source, settings.limits, settings.alpha_channel).without_metadata()
        rows.append(list(_cells(name, original, measuring, point)))
    write(path, draw([rows], zoom=ZOOM))


def _cells(name: str, original: Picture, measuring: Measuring, point: EncoderPoint) -> Iterator[Cell]:
    pixels = in_colour(original.pixels)
    place = _liveliest(pixels)
    yield Cell("original", name, pixels[place])
    encoded = measuring.encode(original, point)
    for knobs in _some(point.decoders):
        rebuilt = measuring.decode(encoded, point, knobs).pixels
        name = " ".join(filter(None, (point.name, label(knobs)))) or measuring.name
        yield _cell(name, len(encoded.data), pixels, in_colour(rebuilt), place)
    for peer in measuring.peers:
        data = encode_near(peer, original, len(encoded.data))
        yield _cell(peer.title, len(data), pixels, peer.decode(data), place)


def _cell(name: str, size: int, original: Pixels, rebuilt: Pixels, place: tuple[slice, slice]) -> Cell:
    rate = 8 * size / (original.shape[0] * original.shape[1])
    return Cell(name, f"{rate:.3f} bpp, {psnr(original, rebuilt):.2f} dB", rebuilt[place])


def _some(decoders: Sequence[Values]) -> list[Values]:
    """All, or the first, the last and some between them."""
    if len(decoders) <= MOST_DECODERS:
        return list(decoders)
    return [decoders[round(i * (len(decoders) - 1) / (MOST_DECODERS - 1))] for i in range(MOST_DECODERS)]


def _liveliest(pixels: Pixels) -> tuple[slice, slice]:
    """The place with the most detail, where codecs differ the most; of places that are alike the first."""
    height, width = (min(SIDE, side) for side in pixels.shape[:2])
    tops = np.arange(0, pixels.shape[0] - height + 1, _STEP)
    lefts = np.arange(0, pixels.shape[1] - width + 1, _STEP)
    # Sums of all that lies above and to the left, of which four give the sum of any place.
    above = np.pad(energies(pixels).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = tops // 2, lefts // 2
    lower, right = rows + height // 2, columns + width // 2
    sums = (
        above[np.ix_(lower, right)]
        - above[np.ix_(rows, right)]
        - above[np.ix_(lower, columns)]
        + above[np.ix_(rows, columns)]
    )
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    top, left = int(tops[row]), int(lefts[column])
    return slice(top, top + height), slice(left, left + width)
