"""The README.md of a bundle: a model card, made from the manifest alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgecodec.knobs import decimal
from edgecodec_export.families import FAMILIES


def model_card(manifest: Mapping[str, Any]) -> str:
    """Markdown with the header that model hubs read."""
    return "\n".join([*_header(manifest), *_use(manifest), *_graphs(manifest), *_numbers(manifest), *_origin(manifest)])


def _header(manifest: Mapping[str, Any]) -> list[str]:
    family, preset = manifest["family"], manifest["preset"]
    return [
        "---",
        "library_name: edgecodec",
        "pipeline_tag: image-to-image",
        "tags: [image-compression, onnx]",
        "---",
        "",
        f"# {family} {preset}",
        "",
        "A learned image codec, ready to run with edgecodec. The networks are those of",
        f"{FAMILIES[family].PAPER}, preset `{preset}`.",
        "",
    ]


def _use(manifest: Mapping[str, Any]) -> list[str]:
    return [
        "## Use",
        "",
        f"    edgecodec encode photo.png -b THIS_FOLDER -o photo.edgc{_options(manifest, 'analysis')}",
        f"    edgecodec decode photo.edgc -b THIS_FOLDER -o decoded.png{_options(manifest, 'synthesis')}",
        "    edgecodec verify THIS_FOLDER",
        "",
        *_classes(manifest["given"]),
        f"Files carry the model id `{manifest['model_id']}` and decode to the same latents on every machine.",
        "The pixels are the engine's own floating point, so two engines may differ by a grey level.",
        "",
    ]


def _options(manifest: Mapping[str, Any], role: str) -> str:
    """What may be asked for with the graphs of a role, at its defaults; and what must be given."""
    heard = {knob for graph in manifest[role] for knob in (*graph["knobs"], *graph.get("scalars", ()))}
    if role == "synthesis":
        heard -= {"quality"}  # which a file brings with it
    options = [
        f" --{knob} {decimal(value)}" for knob, value in sorted(manifest["default_knobs"].items()) if knob in heard
    ]
    if role == "analysis" and manifest["given"]:
        options.append(" --labels map.png")
    return "".join(options)


def _classes(given: Mapping[str, Any]) -> list[str]:
    names = [name for each in given.values() for name in each.get("classes", ())]
    if not names:
        return []
    return [
        f"`map.png` has a class for every pixel: {', '.join(f'{i} {name}' for i, name in enumerate(names))}.",
        "What neither `--keep mask.png` nor `--keep-classes` names is painted from the map alone.",
        "",
    ]


def _graphs(manifest: Mapping[str, Any]) -> list[str]:
    lines = ["## Graphs", "", "| file | knobs | precision | largest error against PyTorch |", "|---|---|---|---|"]
    for graph in (*manifest["analysis"], *manifest["synthesis"]):
        error = graph["check"]["max_abs_error"]
        lines.append(
            f"| `{graph['file']}` | {_knobs(graph['knobs'])} | {graph.get('precision', 'fp32')} | {error:.1e} |"
        )
    if manifest["default_knobs"]:
        lines += ["", f"Without a choice, {_knobs(manifest['default_knobs'])}."]
        help_lines = {knob.name: knob.help for knob in FAMILIES[manifest["family"]].KNOBS}
        lines += [help_lines[knob] for knob in sorted(manifest["default_knobs"])]
    return [*lines, ""]


def _numbers(manifest: Mapping[str, Any]) -> list[str]:
    cost, image = manifest["entropy_cost"], manifest["image"]
    coded, decoded = manifest["encoder_latents"], manifest["decoder_latents"]
    lines = ["## Numbers", "", f"* Coded: {_latents(coded)}."]
    if decoded != coded:
        lines.append(f"* Decoded: {_latents(decoded)}.")
    border = "mirrored" if image["padding"] == "reflect" else "grey"
    kept = manifest["provenance"].get("entropy")
    if kept:
        lines.append(f"* The entropy model is that of `{kept['bundle']}`, whose files decode with this one too.")
    # A kept model may have been calibrated on these very photographs.
    unseen = "" if kept else " that did not calibrate it"
    return [
        *lines,
        f"* Sides are padded to multiples of {image['alignment']} pixels, {border}, and cropped back.",
        f"* The integer entropy model costs {cost['overhead_percent']:+.3f} % bits against the float one, on "
        f"{cost['pictures']} photographs{unseen}{_by_setting(cost)}.",
        "",
    ]


def _by_setting(cost: Mapping[str, Any]) -> str:
    settings = [f"{each['overhead_percent']:+.3f} % at {_knobs(each['knobs'])}" for each in cost.get("by_setting", [])]
    return f": {', '.join(settings)}" if settings else ""


def _latents(latents: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"`{each['name']}` with {each['channels']} channels at stride {each['stride']}" for each in latents
    )


def _origin(manifest: Mapping[str, Any]) -> list[str]:
    provenance = manifest["provenance"]
    lines = ["## Origin", ""]
    lines += [
        f"* {each['role']} checkpoint: `{each['name']}`, SHA-256 `{each['sha256']}`"
        for each in provenance["checkpoints"]
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(provenance["versions"].items()))
    return [*lines, f"* Exported with {versions}, on a processor with {provenance['processor']}", ""]


def _knobs(knobs: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {decimal(value)}" for name, value in sorted(knobs.items())) or "none"
