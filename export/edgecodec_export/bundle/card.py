"""The README.md of a bundle: a model card with the header that model hubs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecodec.description import Background, Description, Knobs, LatentSpec, Model, Side
from edgecodec.knobs import QUALITY, decimal
from edgecodec_export.bundle.files import CARD
from edgecodec_export.families import FAMILIES
from edgecodec_export.options import FUSED


def write_card(folder: Path, description: Description, background: Background) -> None:
    """Write the model card of the bundle in `folder`."""
    fused = sorted(path.name for path in folder.glob(f"{FUSED}/*.onnx"))
    (folder / CARD).write_text(model_card(description, background, fused), encoding="utf-8", newline="\n")


def model_card(description: Description, background: Background, fused: Sequence[str] = ()) -> str:
    """The card as Markdown. The files of the background are not looked at. fused: names of the fused graphs."""
    sections = [
        _header(description),
        _use(description),
        _rates(description, background.provenance),
        _graphs(description, background),
        _fused(fused),
        _numbers(description, background),
        _origin(background.provenance),
    ]
    return "\n".join(line for section in sections for line in section)


def _header(description: Description) -> list[str]:
    return [
        "---",
        "library_name: edgecodec",
        "pipeline_tag: image-to-image",
        "tags: [image-compression, onnx]",
        "---",
        "",
        f"# {description.family} {description.preset}",
        "",
        "A learned image codec, ready to run with edgecodec. The networks are those of",
        f"{FAMILIES[description.family].PAPER}, preset `{description.preset}`.",
        "",
    ]


def _use(description: Description) -> list[str]:
    ids = " or ".join(f"`{model.id}`" for model in description.models)
    return [
        "## Use",
        "",
        f"    edgecodec encode photo.png -b THIS_FOLDER -o photo.edgc{_encode_options(description)}",
        f"    edgecodec decode photo.edgc -b THIS_FOLDER -o decoded.png{_decode_options(description)}",
        "    edgecodec verify THIS_FOLDER",
        "",
        *_classes(description),
        f"Files carry the model id {ids} and decode to the same latents on every machine.",
        "The pixels are the engine's own floating point: two engines may differ by a grey level in `fp32`, and by the",
        "tolerance that the index gives a graph in another precision.",
        "",
    ]


def _encode_options(description: Description) -> str:
    """The knobs of the encoders at their defaults, and the side inputs that must be given."""
    needs_labels = any(model.side_inputs for model in description.models)
    return _options(_defaults(description, "encode")) + (" --labels map.png" if needs_labels else "")


def _decode_options(description: Description) -> str:
    """The knobs of the decoders at their defaults, without the quality, which the file says."""
    defaults = _defaults(description, "decode")
    return _options({name: value for name, value in defaults.items() if name != QUALITY})


def _options(knobs: Knobs) -> str:
    return "".join(f" --{name} {decimal(value)}" for name, value in sorted(knobs.items()))


def _defaults(description: Description, side: Side | None = None) -> Knobs:
    return {knob.name: knob.default for knob in description.knobs if side in (None, knob.side)}


def _classes(description: Description) -> list[str]:
    side_inputs = [each for model in description.models for each in model.side_inputs.values()]
    names = next((each.classes for each in side_inputs if each.kind == "labels"), ())
    if not names:
        return []
    return [
        f"`map.png` has a class for every pixel: {', '.join(f'{i} {name}' for i, name in enumerate(names))}.",
        "What neither `--keep mask.png` nor `--keep-classes` names is synthesised from the map alone.",
        "",
    ]


def _rates(description: Description, provenance: Mapping[str, Any]) -> list[str]:
    """The models of a bundle that has several."""
    if len(description.models) == 1:
        return []
    names = {each.get("model"): each["name"] for each in reversed(provenance["checkpoints"])}
    lines = ["## Rates", "", "| quality | model | bits per pixel | checkpoint |", "|---|---|---|---|"]
    for number, model in enumerate(description.models):
        lines.append(f"| {number} | `{model.id}` | {model.rate:.3f} | `{names.get(model.id, '')}` |")
    return [*lines, "", "Bits per pixel are those of the photographs that did not calibrate the entropy models.", ""]


def _graphs(description: Description, background: Background) -> list[str]:
    lines = ["## Graphs", "", "| file | knobs | precision | largest error against PyTorch |", "|---|---|---|---|"]
    for graph in description.graphs:
        error = f"{background.parity[graph.file]:.1e}"
        if graph.file in background.closeness:
            close = background.closeness[graph.file]
            error += f", {close.psnr:.1f} dB to fp32 or more, {-close.mean_loss:+.3f} dB to the originals"
        lines.append(f"| `{graph.file}` | {_knobs(description.knobs_of(graph))} | {graph.precision} | {error} |")
    if description.knobs:
        lines += ["", f"Without a choice, {_knobs(_defaults(description))}."]
        help_lines = {knob.name: knob.help for knob in description.knobs}
        lines += [help_lines[name] for name in sorted(help_lines)]
    return [*lines, ""]


def _fused(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return [
        "## Fused graphs",
        "",
        f"Graphs in `{FUSED}/` take the bytes of a coded picture and give its pixels, in any program with ONNX Runtime",
        f"and the operator of libedgecodec: {', '.join(f'`{name}`' for name in names)}.",
        "",
    ]


def _numbers(description: Description, background: Background) -> list[str]:
    lines = ["## Numbers", ""]
    numbers = [_model_numbers(model) for model in description.models]
    for model, some in zip(description.models, numbers, strict=True):
        lines += some if len(numbers) == 1 else [f"* `{model.id}`:", *(f"  {line}" for line in some)]
    kept = background.provenance.get("entropy")
    if kept:
        lines.append(f"* The entropy model is that of `{kept['bundle']}`, whose files decode with this one too.")
    # A kept model may have been calibrated on these very photographs.
    unseen = "" if kept else " that did not calibrate it"
    cost = background.entropy_cost
    return [
        *lines,
        f"* The integer entropy model costs {cost['overhead_percent']:+.3f} % bits against the float one, on "
        f"{cost['pictures']} photographs{unseen}{_by_setting(cost)}.",
        *_fitting(cost),
        "",
    ]


def _model_numbers(model: Model) -> list[str]:
    lines = [f"* Coded: {_latents(model.encoder_latents)}."]
    if model.decoder_latents != model.encoder_latents:
        lines.append(f"* Decoded: {_latents(model.decoder_latents)}.")
    border = "mirrored" if model.padding.rule == "reflect" else "grey"
    return [*lines, f"* Sides are padded to multiples of {model.padding.alignment} pixels, {border}, and cropped back."]


def _fitting(cost: Mapping[str, Any]) -> list[str]:
    if "fitting_percent" not in cost:
        return []
    return [
        "* Its tables are fitted to other photographs, which changes the bits of these by "
        f"{cost['fitting_percent']:+.1f} %, against the densities that the checkpoint learned."
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
