"""Measuring one model: its bundle, its rates and scores over a folder of pictures, and the pictures of its page."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from PIL import Image

import edgecodec
from edgecodec.codec import Codec
from edgecodec.description import Description
from edgecodec.errors import KnobUnavailable
from edgecodec.knobs import decimal
from edgecodec_evaluate.points import EncoderPoint, label, points
from edgecodec_evaluate.run import CONTACT_SHEET, SETTINGS, evaluation
from edgecodec_evaluate.settings import Settings
from edgecodec_evaluate.summary import Summary
from edgecodec_export import ExportOptions, export_bundle
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.graphs.work import work_of
from edgecodec_train.curves import write_curve
from edgecodec_train.run_folder import read_rows
from scripts.models.formats import begin_with_formats
from scripts.models.record import Record, point_of
from scripts.models.sheets import SHEETS, write_sheet
from scripts.models.shipped import Home, Model

AGAINST = ("jpeg", "webp", "avif")
#: Of plots: lines, and the steps between them and white.
COLOURS = 64

#: Who is told what is going on, a line each time.
Say = Callable[[str], object]


def measure(
    model: Model,
    pictures: Mapping[str, Path],
    work: Path,
    home: Home,
    say: Say,
    *,
    threads: int = 1,
    weights: Mapping[str, Path] | None = None,
) -> Record:
    """Export, evaluate and draw. What an earlier run left in `work` is not done again.

    pictures: paths by name. weights: of the networks whose scores are wanted too, as in `Settings`.

    Raises what exporting and evaluating raise.
    """
    hashes = model.hashes()
    folder = work / f"{model.name}-{hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:12]}"
    bundle, evaluated, drawn = folder / "bundle", folder / "evaluated", folder / "drawn"
    drawn.mkdir(parents=True, exist_ok=True)
    if not bundle.exists():
        say(f"{model.name}: exporting to {bundle}")
        export_bundle(ExportOptions([model.main], bundle, [model.mse] if model.mse else None))
    settings = Settings(against=AGAINST, threads=threads, weights=weights or {})
    begin_with_formats(evaluated, sorted(work.glob(f"*/{evaluated.name}")), bundle, pictures, settings)
    with evaluation(bundle, pictures, evaluated, settings) as run:
        for name in run.pictures:
            run.measure(name)
            say(f"{model.name}: {name}, {run.done} of {run.total} measurements")
        summary = run.finish()
        sheets = dict(_sheets(model, run.codec, summary, pictures, home, say))
        knobs = list(_knobs(run.codec.info))
        default = _default(run.codec.info, summary)
    counted = work_of(load_model(read_checkpoint(model.main)))
    contents = json.loads((evaluated / SETTINGS).read_bytes())["pictures"]
    return Record(
        checkpoints=hashes,
        **asdict(counted),
        bundle_bytes=sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file()),
        knobs=knobs,
        pictures=list(summary.pictures),
        set_id=hashlib.sha256("".join(sorted(contents.values())).encode()).hexdigest(),
        points=[point_of(mean) for mean in summary.own],
        default=default,
        peers={name: [point_of(mean) for mean in summary.of_peer(name)] for name in summary.peers},
        bd_rates=[
            (each.decoder, each.metric, each.against, round(each.bd_rate.percent, 1))
            for each in summary.bd_rates
            if each.bd_rate.percent is not None
        ],
        made_by=_made_by(summary),
        sheets=sheets,
        plots=dict(_plots(model, evaluated, home)),
        curves=dict(_curves(model, drawn, home)),
    )


def _sheets(
    model: Model, codec: Codec, summary: Summary, pictures: Mapping[str, Path], home: Home, say: Say
) -> Iterator[tuple[str, str]]:
    """The file of each picture's sheet, by the picture's name."""
    rates = {mean.encoder: mean.bits_per_pixel for mean in summary.own}
    by_rate = sorted(points(codec.info), key=lambda point: rates[point.name])
    chosen = _ends_and_default(by_rate)
    for name in summary.pictures[:SHEETS]:
        file = home.pictures / f"{model.name}-{Path(name).stem}.webp"
        write_sheet(file, codec, chosen, pictures[name], AGAINST)
        say(f"{model.name}: {file.name}, {file.stat().st_size} bytes")
        yield name, file.name


def _ends_and_default(by_rate: list[EncoderPoint]) -> list[EncoderPoint]:
    """The points of the lowest and of the highest rate, and the default between them."""
    numbers = {0, len(by_rate) - 1, *(i for i, point in enumerate(by_rate) if point.default)}
    return [by_rate[i] for i in sorted(numbers)]


def _plots(model: Model, evaluated: Path, home: Home) -> Iterator[tuple[str, str]]:
    for file in sorted(evaluated.glob("*.png")):
        if file.name != CONTACT_SHEET:
            yield file.stem, _kept(file, home.pictures / f"{model.name}-{file.stem}.webp")


def _curves(model: Model, drawn: Path, home: Home) -> Iterator[tuple[str, str]]:
    for checkpoint in model.checkpoints:
        if rows := read_rows(checkpoint.with_suffix(".csv")):
            stem = drawn / checkpoint.stem
            write_curve(rows, stem, checkpoint.stem)
            output = home.pictures / f"{checkpoint.stem}-training.webp"
            yield checkpoint.name, _kept(stem.with_name(f"{stem.name}.png"), output)


def _kept(drawing: Path, output: Path) -> str:
    """Keep a plot in a third of the bytes of its PNG: its few colours need no more. Returns the file's name."""
    content = io.BytesIO()
    with Image.open(drawing) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.convert("RGB").save(content, "WEBP", lossless=True, quality=100, method=6)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(content.getbuffer())
    return output.name


def _knobs(bundle: Description) -> Iterator[str]:
    for knob in bundle.knobs:
        values = ", ".join(map(decimal, knob.values)) if knob.values else f"{decimal(knob.low)} to {decimal(knob.high)}"
        yield f"{knob.name} to {knob.side}: {values}; default {decimal(knob.default)}"


def _default(bundle: Description, summary: Summary) -> int:
    """The number of the point at which encoder and decoder have their defaults."""
    defaults = {knob.name: knob.default for knob in bundle.knobs}
    for point in points(bundle):
        for decoder in point.decoders:
            if {**point.knobs, **decoder}.items() <= defaults.items():
                wanted = point.name, label(decoder)
                return next(i for i, mean in enumerate(summary.own) if (mean.encoder, mean.decoder) == wanted)
    raise KnobUnavailable("no point of the bundle has the defaults of all knobs", where=bundle.family)


def _made_by(summary: Summary) -> dict[str, str]:
    """Versions, engine and machine, each in words."""
    about = summary.about
    engine, machine = about["engine"], about["machine"]
    peers = {name: peer["encoder"] for name, peer in about["run"]["against"].items()}
    return {
        "edgecodec": edgecodec.__version__,
        "engine": " ".join(str(engine[name]) for name in ("name", "version") if engine and engine.get(name)),
        "processor": str((machine["processor"] or {}).get("model", "unknown")),
        **peers,
    }
