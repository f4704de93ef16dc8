"""docs/models.md: all models in one table, and of each what was measured and what one sees."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgecodec_evaluate.peers import PEERS
from edgecodec_evaluate.sheet import WEBP_QUALITY
from scripts.models.record import Point, Record, height
from scripts.models.sheets import HEIGHT, SHEETS, WIDTH
from scripts.models.shipped import Home, Model, Said
from scripts.models.tables import percent, span, table, thousands

#: Columns of scores that points may have, with the decimals; others get their name in capitals.
_SCORES = {"psnr_db": ("PSNR, dB", 2), "ms_ssim": ("MS-SSIM", 4), "detail": ("detail", 2)}
#: Scores at which rates are compared.
_COMPARED = {"psnr_db": "PSNR", "ms_ssim": "MS-SSIM"}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def page(models: Sequence[Model], said: Mapping[str, Said], records: Mapping[str, Record | None], home: Home) -> str:
    """The whole page. said: what the checkpoint with the model's name says of itself, by that name."""
    lines = ["# Models", "", *_introduction(records), ""]
    lines += [*_overview(models, records, home), ""]
    lines += [*_reading(records)]
    for model in models:
        lines += [f"## {model.name}", "", *_section(model, said[model.name], records[model.name], home), ""]
    return "\n".join(lines).rstrip() + "\n"


def _introduction(records: Mapping[str, Record | None]) -> Iterator[str]:
    yield from _prose(
        "What the models in `checkpoints/` do with the Kodak set, and what that looks like. `python -m scripts.models"
        " KODAK --work DIR` exports each of them, runs [`edgecodec eval`](evaluation.md) with it, and writes this page"
        " and the facts of the cards. Nothing is chosen by hand. A model's card says what it is for, what one sees, and"
        " how it was trained; [checkpoints.md](checkpoints.md) has what is common to all."
    )


def _overview(models: Sequence[Model], records: Mapping[str, Record | None], home: Home) -> Iterator[str]:
    heads = [
        "model",
        "parameters, M",
        "decoder, kMAC per pixel",
        "bits per pixel",
        "PSNR, dB",
        "checkpoint, MB",
        "bundle, MB",
        "card",
    ]
    rows = []
    for model in models:
        record = records[model.name]
        size = sum(file.stat().st_size for file in model.checkpoints) / 1e6
        card = f"[card]({os.path.relpath(model.card, home.page.parent)})"
        if record is None:
            rows.append([f"[{model.name}](#{model.name})", *[""] * 4, f"{size:.1f}", "", card])
            continue
        shown = _at_default_decoder(record)
        rows.append(
            [
                f"[{model.name}](#{model.name})",
                f"{record.parameters / 1e6:.2f}",
                thousands(record.synthesis + record.entropy),
                span([point.bits_per_pixel for point in shown], 3),
                span([point.scores["psnr_db"] for point in shown], 1),
                f"{size:.1f}",
                f"{record.bundle_bytes / 1e6:.1f}",
                card,
            ]
        )
    yield from table(heads, rows)
    yield ""
    yield from _prose(
        "Parameters are those of an encoder, an entropy model and one decoder; the megabytes are of all files. The"
        " decoder's work is that of its network and of the entropy model, in thousands of multiplications. Rates and"
        " PSNR are those of all points of the encoder, with the decoder's knobs at their defaults. A bundle holds every"
        " encoder and decoder in fp32 and fp16."
    )


def _at_default_decoder(record: Record) -> list[Point]:
    decoder = record.points[record.default].decoder
    return [point for point in record.points if point.decoder == decoder]


def _reading(records: Mapping[str, Record | None]) -> Iterator[str]:
    measured = [record for record in records.values() if record is not None]
    if not measured:
        return
    count = len(measured[0].pictures)
    yield from _prose(
        f"**Numbers** are means over the {count} pictures, of whole files that were read back;"
        " [evaluation.md](evaluation.md#what-is-measured) defines the scores, and says how Pillow writes the other"
        " formats. Detail is relative to the original's: less than 1 is smoother."
    )
    yield ""
    yield from _prose(
        "**Plots.** The first shows scores over rates. The second shows PSNR over detail, at the encoder's default;"
        " other formats stand at the quality whose rate comes nearest, which is written beside them and can be higher."
    )
    yield ""
    yield from _prose(
        f"**Pictures** are the first {_NUMBERS[SHEETS]} of the set by name. What one sees of each is its middle,"
        f" {WIDTH}x{HEIGHT} of its own pixels: the original, the model's decoders, and each format at the quality whose"
        " file is nearest in size to the model's. Rates and PSNR are those of the whole picture. Of an encoder with"
        " several points the lowest rate, the default and the highest are shown, and of more than three decoders the"
        " first, the middle one and the last. A format that has no file so small shows its smallest. The sheets"
        f" themselves are WebP of quality {WEBP_QUALITY}."
    )
    yield ""


def _section(model: Model, said: Said, record: Record | None, home: Home) -> Iterator[str]:
    card = os.path.relpath(model.card, home.page.parent)
    yield from _prose(
        f"{said.paper[:1].upper()}{said.paper[1:]}, preset `{said.preset}`. [Its card]({card}) says more."
    )
    yield ""
    if record is None:
        yield "Not measured yet."
        return
    yield from _points(record)
    yield ""
    yield from _differences(record)
    yield ""
    for kind, file in record.plots.items():
        yield from _image(f"{model.name}: {kind.replace('_', ' ')}", file, home)
        yield ""
    for picture, file in record.sheets.items():
        yield from _image(f"{Path(picture).stem}: {model.name} and other formats", file, home)
        yield ""
    made_by = record.made_by
    yield from _prose(
        f"Measured with edgecodec {made_by['edgecodec']}, {made_by['engine']}, "
        + ", ".join(made_by[name] for name in record.peers)
        + f"; processor {made_by['processor']}."
    )


def _points(record: Record) -> Iterator[str]:
    names = list(dict.fromkeys(name for point in record.points for name in point.scores))
    columns = {name: _SCORES.get(name, (name.upper(), 4)) for name in [*_SCORES, *names] if name in names}
    heads = ["", "bits per pixel", *(title for title, _ in columns.values())]
    rows = []
    for number, point in enumerate(record.points):
        label = point.label or "its one point"
        cells = [
            f"{point.scores[name]:.{decimals}f}" if name in point.scores else ""
            for name, (_, decimals) in columns.items()
        ]
        rows.append(
            [
                f"{label}, the default" if number == record.default and point.label else label,
                f"{point.bits_per_pixel:.3f}",
                *cells,
            ]
        )
    yield from table(heads, rows)


def _differences(record: Record) -> Iterator[str]:
    """BD-rates, or where there are none because the model has too few rates, those at equal scores."""
    bd_rates = {(decoder, metric, peer): value for decoder, metric, peer, value in record.bd_rates}
    heads = ["", *(PEERS[name].title for name in record.peers)]
    if bd_rates:
        yield from _prose("BD-rate, by how much its files are larger at equal scores; below 0 they are smaller:")
        decoders = list(dict.fromkeys(point.decoder for point in record.points))
        found = {
            (decoder, metric): [bd_rates.get((decoder, metric, peer)) for peer in record.peers]
            for decoder in decoders
            for metric in _COMPARED
        }
    else:
        yield from _prose(
            "By how much its files are larger than those of a format with the same mean score; below 0 they are"
            " smaller. Without a BD-rate, which needs four rates, the format's curve is read at each of its points:"
        )
        found = {
            (point.label, metric): [larger_by(point, curve, metric) for curve in record.peers.values()]
            for point in record.points
            for metric in _COMPARED
        }
    yield ""
    yield from table(
        heads,
        [
            [" ".join(filter(None, (f"{label}," if label else "", _COMPARED[metric]))), *map(percent, row)]
            for (label, metric), row in found.items()
        ],
    )
    if any(value is None for row in found.values() for value in row):
        yield ""
        yield "Empty: " + (
            "the curves have no scores in common, or one of them falls while the rate rises."
            if bd_rates
            else "the format has no score so low, or none so high."
        )


def larger_by(point: Point, curve: Sequence[Point], metric: str) -> float | None:
    """By how many per cent a rate is higher than that of a format with the same score.

    Between the format's points the logarithm of its rate goes with the score in a straight line. None for a score that
    it does not reach, or does not go below.
    """
    heights = [height(each, metric) for each in curve]
    own = height(point, metric)
    known = sorted(
        (value, math.log10(each.bits_per_pixel))
        for value, each in zip(heights, curve, strict=True)
        if value is not None
    )
    if own is None or not known or not known[0][0] <= own <= known[-1][0]:
        return None
    rate = 10 ** float(np.interp(own, [each for each, _ in known], [each for _, each in known]))
    return 100 * (point.bits_per_pixel / rate - 1)


def _image(text: str, file: str, home: Home) -> Iterator[str]:
    yield from _prose(f"![{text}]({os.path.relpath(home.pictures / file, home.page.parent)})")


def _prose(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)
