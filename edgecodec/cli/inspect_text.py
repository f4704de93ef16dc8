"""What files and bundles say of themselves, for people: a few lines for one, a table for several."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from textwrap import wrap

from edgecodec.bundle import BundleInfo
from edgecodec.container import FileInfo
from edgecodec.description import Knob, Model, Side, Tiling
from edgecodec.knobs import decimal

_INDENT = "  "
_COLUMNS = 100
_SIDES: tuple[Side, ...] = ("encode", "decode")
#: What changes the bits of pictures, by the field of `Background.entropy_cost` that says by how much.
_COSTS = {
    "overhead_percent": "integers instead of floats",
    "fitting_percent": "tables that were fitted to photographs",
}


def file_lines(name: str, info: FileInfo) -> Iterator[str]:
    """One coded picture."""
    colour = ", greyscale" if info.greyscale else ""
    yield f"{name}: {_size(info)}{colour}, {info.file_bytes:,} bytes, {info.bits_per_pixel:.3f} bits per pixel"
    facts = {
        "knobs": "" if info.quality is None else f"quality {decimal(info.quality)}",
        "noise": f"seed {info.noise_seed}" if info.noise_seed else "",
        "model": info.model_id,
        "sections": ", ".join(f"{name} {size:,}" for name, size in sections(info).items() if size) + " bytes",
        "format": f"version {info.version}, {info.lanes} interleaved coder states",
    }
    yield from _table([(_INDENT + name, fact) for name, fact in facts.items() if fact])


def files_table(files: Mapping[str, FileInfo]) -> Iterator[str]:
    """Several coded pictures by name, a line each, and their sum."""
    rows: list[tuple[str, ...]] = [("file", "size", "bytes", "bpp", "quality", "model", "metadata")]
    for name, info in files.items():
        rows.append(
            (
                name,
                _size(info) + " grey" * info.greyscale,
                f"{info.file_bytes:,}",
                f"{info.bits_per_pixel:.3f}",
                "" if info.quality is None else decimal(info.quality),
                info.model_id,
                " ".join(name for name, size in sections(info).items() if size and name.isupper()),
            )
        )
    pixels = sum(info.width * info.height for info in files.values())
    total = sum(info.file_bytes for info in files.values())
    rows.append((f"{len(files):,} files", f"{pixels / 1e6:.3g} MP", f"{total:,}", f"{8 * total / pixels:.3f}"))
    yield from _table(rows, right={1, 2, 3, 4})


def sections(info: FileInfo) -> dict[str, int]:
    """Bytes of each section of a file, and of the header and the checksum between them."""
    named = {"payload": info.payload_bytes, "ICC": info.icc_bytes, "EXIF": info.exif_bytes, "XMP": info.xmp_bytes}
    return {**named, "header": info.file_bytes - sum(named.values())}


def bundle_lines(
    name: str, info: BundleInfo, costs: Mapping[str, Mapping[str, float]], engines: Sequence[str]
) -> Iterator[str]:
    """A bundle. costs: of each of its entropy models (`edgecodec.inspection.entropy_cost`). engines: installed here."""
    yield f"{name}: {' '.join(filter(None, (info.family, info.preset)))}, schema {info.schema}"
    rows: list[tuple[str, str]] = []
    for number, model in enumerate(info.models):
        rows += [("model" if len(info.models) == 1 else "models", line) for line in _model(model, info.quality(number))]
    rows += [("knobs", _knob(knob)) for knob in info.knobs] or [("knobs", "none")]
    rows += [("graphs", line) for line in _graphs(info)]
    rows += [("tiles", line) for line in _tiles(info)]
    for model in info.models:
        rows.append(("entropy", _cost(model.id if len(info.models) > 1 else "", costs[model.id])))
    told = {} if info.background is None else info.background.entropy_cost
    for name, reason in _COSTS.items():
        if name in told:
            percent = round(told[name], 2) + 0.0  # no -0.00
            rows.append(("entropy", f"{percent:+.2f} % bits for {reason}"))
    rows.append(("engines", (", ".join(engines) or "none") + " installed here; `edgecodec doctor` tries them"))
    files = info.files if info.background is None else info.background.files
    rows.append(("files", f"{len(files)}, {sum(each.size for each in files.values()):,} bytes"))
    width = max(len(label) for label, _ in rows)
    for at, (label, fact) in enumerate(rows):
        shown = label if at == 0 or rows[at - 1][0] != label else ""
        yield from wrap(
            fact,
            _COLUMNS,
            initial_indent=f"{_INDENT}{shown:{width}}  ",
            subsequent_indent=" " * (len(_INDENT) + width + 4),
            break_on_hyphens=False,
        )


def _model(model: Model, quality: float | None) -> Iterator[str]:
    """quality: that chooses it, where there are several."""
    latents = ", ".join(
        f"{latent.name} {latent.channels} channels at 1/{latent.stride}"
        for latent in model.encoder_latents
        if latent.name not in model.side_inputs
    )
    noise = f", noise {model.noise.channels} channels at 1/{model.noise.stride}" if model.noise else ""
    chosen = "" if quality is None else f"quality {decimal(quality)}, about {model.rate:.3g} bits per pixel, "
    yield f"{chosen}{model.id}: {latents}{noise}; sides in multiples of {model.alignment} pixels"
    for side_input in model.side_inputs.values():
        if side_input.kind == "mask":
            yield "takes a mask of what to keep"
        else:
            yield f"takes labels of {len(side_input.classes)} classes: {', '.join(side_input.classes)}"


def _knob(knob: Knob) -> str:
    ends = f"{decimal(knob.low)} to {decimal(knob.high)}"
    values = ", ".join(map(decimal, knob.values)) or ends
    fit = f", rate fitted within {knob.rate_fit.residual_percent:.1f} %" if knob.rate_fit else ""
    return f"{knob.name} to {knob.side}: {values}; default {decimal(knob.default)}{fit}"


def _graphs(info: BundleInfo) -> Iterator[str]:
    for side in _SIDES:
        precisions = [graph.precision for graph in info.graphs if graph.side == side]
        counts = (f"{precisions.count(each)} in {each}" for each in info.precisions(side))
        yield f"to {side}: {', '.join(counts) or 'none'}"


def _tiles(info: BundleInfo) -> Iterator[str]:
    """How graphs work in tiles: those of one side all alike, as a rule."""
    for side in _SIDES:
        yield from dict.fromkeys(f"to {side}: {_tiling(graph.tiling)}" for graph in info.graphs if graph.side == side)


def _tiling(tiling: Tiling) -> str:
    if tiling.halo is None:
        return f"none, because {tiling.reason}"
    before, after = tiling.halo
    return f"with a halo of {before} and {after}"


def _cost(model: str, cost: Mapping[str, float]) -> str:
    of = f"{model}: " if model else ""
    return f"{of}{cost['bytes_per_pixel']:g} bytes and {cost['multiplications_per_pixel']:,.0f} multiplications a pixel"


def _size(info: FileInfo) -> str:
    return f"{info.width}x{info.height}"


def _table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """Rows in columns, some of them aligned to the right."""
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(map(len, rows)))]
    for row in rows:
        cells = (cell.rjust(widths[at]) if at in right else cell.ljust(widths[at]) for at, cell in enumerate(row))
        yield "  ".join(cells).rstrip()
