"""The README.md of a bundle: a model card, made from the manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FAMILIES = {
    "hific": "HiFiC (Mentzer, Toderici, Tschannen, Agustsson: High-Fidelity Generative Image Compression, 2020)",
    "hyperprior": "the mean and scale hyperprior (Minnen, Balle, Toderici: Joint Autoregressive and Hierarchical "
    "Priors for Learned Image Compression, 2018, without the context model)",
}


def model_card(manifest: Mapping[str, Any]) -> str:
    """Markdown with the header that model hubs read."""
    return "\n".join(
        [*_header(manifest), *_use(manifest), *_decoders(manifest), *_numbers(manifest), *_origin(manifest)]
    )


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
        f"{_FAMILIES.get(family, family)}, preset `{preset}`.",
        "",
    ]


def _use(manifest: Mapping[str, Any]) -> list[str]:
    return [
        "## Use",
        "",
        "    edgecodec encode photo.png -b THIS_FOLDER -o photo.edgc",
        "    edgecodec decode photo.edgc -b THIS_FOLDER -o photo.png",
        "    edgecodec verify THIS_FOLDER",
        "",
        f"Files carry the model id `{manifest['model_id']}` and decode to the same latents on every machine.",
        "The pixels are the engine's own floating point, so two engines may differ by a grey level.",
        "",
    ]


def _decoders(manifest: Mapping[str, Any]) -> list[str]:
    lines = ["## Decoders", "", "| file | knobs | precision | largest error against PyTorch |", "|---|---|---|---|"]
    for graph in manifest["synthesis"]:
        error = graph["check"]["max_abs_error"]
        lines.append(f"| `{graph['file']}` | {_knobs(graph['knobs'])} | {graph['precision']} | {error:.1e} |")
    if manifest["default_knobs"]:
        lines += ["", f"Without a choice, decoding takes {_knobs(manifest['default_knobs'])}."]
        lines += ["alpha 0 is the decoder trained for fidelity, alpha 1 the one trained for realism."]
    return [*lines, ""]


def _numbers(manifest: Mapping[str, Any]) -> list[str]:
    cost = manifest["entropy_cost"]
    latents = ", ".join(
        f"`{each['name']}` with {each['channels']} channels at stride {each['stride']}"
        for each in manifest["decoder_latents"]
    )
    return [
        "## Numbers",
        "",
        f"* Latents: {latents}.",
        f"* Sides are padded to multiples of {manifest['image']['alignment']} pixels and cropped back.",
        f"* The integer scale network costs {cost['overhead_percent']:+.3f} % bits of `r` against the float one, on "
        f"{cost['pictures']} photographs that did not calibrate it.",
        "",
    ]


def _origin(manifest: Mapping[str, Any]) -> list[str]:
    provenance = manifest["provenance"]
    lines = ["## Origin", ""]
    lines += [
        f"* {each['role']} checkpoint: `{each['name']}`, SHA-256 `{each['sha256']}`"
        for each in provenance["checkpoints"]
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(provenance["versions"].items()))
    return [*lines, f"* Exported with {versions}", ""]


def _knobs(knobs: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in sorted(knobs.items())) or "none"
