"""A sheet of one picture: its middle as it is, as the model gives it back, and as other formats do at the same size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgecodec import picture
from edgecodec.codec import Codec
from edgecodec.limits import Limits
from edgecodec.picture import Pixels
from edgecodec_evaluate.metrics.channels import in_colour
from edgecodec_evaluate.metrics.psnr import psnr
from edgecodec_evaluate.peers import peers_named
from edgecodec_evaluate.peers.peer import encode_near
from edgecodec_evaluate.points import EncoderPoint, Values, label
from edgecodec_evaluate.sheet import Cell, draw, write

#: Sheets of a model: of so many pictures, the first by name.
SHEETS = 6
#: What is shown of a picture, in its middle and in its own pixels.
WIDTH, HEIGHT = 192, 144
COLUMNS = 4


def write_sheet(file: Path, codec: Codec, chosen: Sequence[EncoderPoint], source: Path, against: Sequence[str]) -> None:
    """The picture at the chosen points of the encoder. Raises what coding raises."""
    blocks = [rows_of(*block) for block in _blocks(codec, chosen, source, against)]
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, draw(blocks))


def some(decoders: Sequence[Values]) -> list[Values]:
    """All, or where they are more than go beside the original: the first, the middle one and the last."""
    if len(decoders) < COLUMNS:
        return list(decoders)
    return [decoders[0], decoders[len(decoders) // 2], decoders[-1]]


def middle(pixels: Pixels) -> Pixels:
    """What is shown of a picture."""
    top, left = (max(side - shown, 0) // 2 for side, shown in zip(pixels.shape, (HEIGHT, WIDTH), strict=False))
    return pixels[top : top + HEIGHT, left : left + WIDTH]


def _blocks(
    codec: Codec, chosen: Sequence[EncoderPoint], source: Path, against: Sequence[str]
) -> Iterator[tuple[list[Cell], list[Cell], list[Cell]]]:
    """For each point of the encoder the original, at the first alone, the model's cells, and those of formats."""
    original = picture.read(source, Limits()).without_metadata()
    pixels = in_colour(original.pixels)
    shown = [Cell("original", source.stem, middle(pixels))]
    for point in chosen:
        own = []
        encoded = codec.encode(original, knobs=point.knobs)
        for knobs in some(point.decoders):
            rebuilt = in_colour(codec.decode(encoded, knobs=knobs).pixels)
            name = " ".join(filter(None, (point.name, label(knobs)))) or f"{codec.info.family} {codec.info.preset}"
            own.append(_cell(name, len(encoded.data), pixels, rebuilt))
        peers = []
        for peer in peers_named(against):
            data = encode_near(peer, original, len(encoded.data))
            peers.append(_cell(peer.title, len(data), pixels, peer.decode(data)))
        yield shown, own, peers
        shown = []


def _cell(name: str, size: int, original: Pixels, rebuilt: Pixels) -> Cell:
    rate = 8 * size / (original.shape[0] * original.shape[1])
    return Cell(name, f"{rate:.3f} bpp, {psnr(original, rebuilt):.1f} dB", middle(rebuilt))


def rows_of(original: list[Cell], own: list[Cell], peers: list[Cell]) -> list[list[Cell]]:
    """The model's cells and those of other formats are rows of their own, unless one row has room for both.

    Where it has none for the original too, that one stands above them, so that every point has the same columns.
    """
    if len(own) + len(peers) > COLUMNS:
        return [original + own, peers]
    row = original + own + peers
    return [row] if len(row) <= COLUMNS else [original, own + peers]
