"""What a bundle says of itself, in lines for people; `--json` has all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from edgecodec import knobs
from edgecodec.knobs import decimal

if TYPE_CHECKING:
    from edgecodec.bundle import BundleInfo
    from edgecodec.description import Background, BakedGraph, Knob, Model


def bundle_lines(info: BundleInfo, costs: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """costs: of decoding, by model id, as `edgecodec.inspection.entropy_cost` gives them."""
    yield f"family: {info.family}, preset {info.preset}"
    for knob in info.knobs:
        yield _knob(knob)
    yield f"precisions: encode {_listed(info.precisions('encode'))}; decode {_listed(info.precisions('decode'))}"
    for model in info.models:
        yield from _model(model, costs[model.id])
    for graph in info.graphs:
        yield _graph(graph, info)
    if info.background is not None:
        yield from _background(info.background)
    size = sum(file.size for file in info.files.values())
    yield f"files: {len(info.files)}, {size / 1e6:.1f} MB, schema {info.schema}"


def _knob(knob: Knob) -> str:
    values = (
        _listed([decimal(value) for value in knob.values])
        if knob.values
        else f"{decimal(knob.low)} to {decimal(knob.high)}"
    )
    fitted = ", with a fitted rate" if knob.rate_fit is not None else ""
    return f"knob: {knob.name} to {knob.side}, {values}, default {decimal(knob.default)}{fitted}. {knob.help}"


def _model(model: Model, cost: Mapping[str, float]) -> Iterator[str]:
    latents = [
        f"{each.name} ({_counted(each.channels, 'channel')}, stride {each.stride})" for each in model.encoder_latents
    ]
    yield f"model: {model.id}, sides in multiples of {model.alignment} pixels, codes {_listed(latents)}"
    work = f"{cost['bytes_per_pixel']} bytes and {cost['multiplications_per_pixel']} multiplications a pixel"
    yield f"cost: the entropy model decodes with {work}"
    for latent, given in model.side_inputs.items():
        classes = f", classes {_listed(given.classes)}" if given.classes else ""
        yield f"given: {given.kind} (latent {latent}){classes}"
    if model.noise is not None:
        yield f"noise: {model.noise.channels} channels at stride {model.noise.stride}, from the seed in a file"


def _graph(graph: BakedGraph, info: BundleInfo) -> str:
    parts = [graph.side, graph.precision]
    if graph.knobs:
        parts.append(knobs.describe(graph.knobs))
    model = info.models[graph.model]
    if len(info.models) > 1:
        parts.append(f"model {model.id}")
    if graph.tiling.halo is None:
        parts.append(f"no tiles: {graph.tiling.reason}" if graph.tiling.reason else "no tiles")
    else:
        before, after = (units * model.alignment for units in graph.tiling.halo)
        parts.append(f"tiles with a halo of {before} and {after} pixels")
    if graph.bytes_per_pixel is not None:
        parts.append(f"{graph.bytes_per_pixel:.0f} bytes of memory a pixel")
    background = info.background
    if background is not None and graph.file in background.parity:
        parts.append(f"largest error {background.parity[graph.file]:.1e}")
    if background is not None and graph.file in background.closeness:
        parts.append(f"{background.closeness[graph.file].psnr:.1f} dB to fp32 or more")
    return f"graph: {graph.file}, {', '.join(parts)}"


def _background(background: Background) -> Iterator[str]:
    for golden in background.golden:
        at = f" at {knobs.describe(golden.knobs)}" if golden.knobs else ""
        yield f"golden: {golden.file}{at}, {_counted(len(golden.pictures), 'picture')}"
    cost = background.entropy_cost
    if "overhead_percent" in cost:
        yield f"integers: {cost['overhead_percent']:+.3f} % bits on {cost.get('pictures')} photographs"
    for checkpoint in background.provenance.get("checkpoints", ()):
        yield f"checkpoint: {checkpoint.get('name')}, {checkpoint.get('role')}, SHA-256 {checkpoint.get('sha256')}"
    versions = background.provenance.get("versions", {})
    yield f"exported with: {_listed(f'{name} {version}' for name, version in versions.items())}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
