"""The README.md of a bundle: a model card with the header that model hubs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecodec.entropy_model import LatentSpec
from edgecodec.knobs import QUALITY, decimal
from edgecodec.manifest import AnalysisGraph, BundleInfo, Knobs, SynthesisGraph
from edgecodec_export.families import FAMILIES

CARD = "README.md"


def write_card(folder: Path, info: BundleInfo, errors: Mapping[str, float]) -> None:
    """Write the model card of the bundle in `folder`. errors: as of `model_card`."""
    (folder / CARD).write_text(model_card(info, errors), encoding="utf-8", newline="\n")


def model_card(info: BundleInfo, errors: Mapping[str, float]) -> str:
    """The card as Markdown. errors: largest difference of each graph from PyTorch, by file."""
    return "\n".join([*_header(info), *_use(info), *_graphs(info, errors), *_numbers(info), *_origin(info.provenance)])


def _header(info: BundleInfo) -> list[str]:
    return [
        "---",
        "library_name: edgecodec",
        "pipeline_tag: image-to-image",
        "tags: [image-compression, onnx]",
        "---",
        "",
        f"# {info.family} {info.preset}",
        "",
        "A learned image codec, ready to run with edgecodec. The networks are those of",
        f"{FAMILIES[info.family].PAPER}, preset `{info.preset}`.",
        "",
    ]


def _use(info: BundleInfo) -> list[str]:
    return [
        "## Use",
        "",
        f"    edgecodec encode photo.png -b THIS_FOLDER -o photo.edgc{_encode_options(info)}",
        f"    edgecodec decode photo.edgc -b THIS_FOLDER -o decoded.png{_decode_options(info)}",
        "    edgecodec verify THIS_FOLDER",
        "",
        *_classes(info),
        f"Files carry the model id `{info.model_id}` and decode to the same latents on every machine.",
        "The pixels are the engine's own floating point, so two engines may differ by a grey level.",
        "",
    ]


def _encode_options(info: BundleInfo) -> str:
    """The knobs of the encoders at their defaults, and the side inputs that must be given."""
    knobs = {knob for graph in info.analysis for knob in (*graph.knobs, *graph.scalars)}
    return _defaults(info, knobs) + (" --labels map.png" if info.given else "")


def _decode_options(info: BundleInfo) -> str:
    """The knobs of the decoders at their defaults, without the quality, which the file says."""
    return _defaults(info, {knob for graph in info.synthesis for knob in graph.knobs} - {QUALITY})


def _defaults(info: BundleInfo, knobs: set[str]) -> str:
    defaults = sorted(info.default_knobs.items())
    return "".join(f" --{knob} {decimal(value)}" for knob, value in defaults if knob in knobs)


def _classes(info: BundleInfo) -> list[str]:
    names = [name for each in info.given.values() for name in each.classes]
    if not names:
        return []
    return [
        f"`map.png` has a class for every pixel: {', '.join(f'{i} {name}' for i, name in enumerate(names))}.",
        "What neither `--keep mask.png` nor `--keep-classes` names is synthesised from the map alone.",
        "",
    ]


def _graphs(info: BundleInfo, errors: Mapping[str, float]) -> list[str]:
    lines = ["## Graphs", "", "| file | knobs | precision | largest error against PyTorch |", "|---|---|---|---|"]
    graphs: list[AnalysisGraph | SynthesisGraph] = [*info.analysis, *info.synthesis]
    for graph in graphs:
        precision = "fp32" if isinstance(graph, AnalysisGraph) else graph.precision
        lines.append(f"| `{graph.file}` | {_knobs(graph.knobs)} | {precision} | {errors[graph.file]:.1e} |")
    if info.default_knobs:
        lines += ["", f"Without a choice, {_knobs(info.default_knobs)}."]
        help_lines = {knob.name: knob.help for knob in FAMILIES[info.family].KNOBS}
        lines += [help_lines[knob] for knob in sorted(info.default_knobs)]
    return [*lines, ""]


def _numbers(info: BundleInfo) -> list[str]:
    lines = ["## Numbers", "", f"* Coded: {_latents(info.encoder_latents)}."]
    if info.decoder_latents != info.encoder_latents:
        lines.append(f"* Decoded: {_latents(info.decoder_latents)}.")
    border = "mirrored" if info.image.rule == "reflect" else "grey"
    kept = info.provenance.get("entropy")
    if kept:
        lines.append(f"* The entropy model is that of `{kept['bundle']}`, whose files decode with this one too.")
    # A kept model may have been calibrated on these very photographs.
    unseen = "" if kept else " that did not calibrate it"
    cost = info.entropy_cost
    return [
        *lines,
        f"* Sides are padded to multiples of {info.image.alignment} pixels, {border}, and cropped back.",
        f"* The integer entropy model costs {cost['overhead_percent']:+.3f} % bits against the float one, on "
        f"{cost['pictures']} photographs{unseen}{_by_setting(cost)}.",
        "",
    ]


def _by_setting(cost: Mapping[str, Any]) -> str:
    settings = [f"{each['overhead_percent']:+.3f} % at {_knobs(each['knobs'])}" for each in cost.get("by_setting", [])]
    return f": {', '.join(settings)}" if settings else ""


def _latents(latents: Sequence[LatentSpec]) -> str:
    return ", ".join(f"`{each.name}` with {each.channels} channels at stride {each.stride}" for each in latents)


def _origin(provenance: Mapping[str, Any]) -> list[str]:
    lines = ["## Origin", ""]
    lines += [
        f"* {each['role']} checkpoint: `{each['name']}`, SHA-256 `{each['sha256']}`"
        for each in provenance["checkpoints"]
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(provenance["versions"].items()))
    return [*lines, f"* Exported with {versions}, on a processor with {provenance['processor']}", ""]


def _knobs(knobs: Knobs) -> str:
    return ", ".join(f"{name} = {decimal(value)}" for name, value in sorted(knobs.items())) or "none"
