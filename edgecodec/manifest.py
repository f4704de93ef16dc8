"""manifest.json: what the index says, for people and hubs, and what `verify` needs beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecodec.container import LARGEST_QUALITY, QUALITY_STEPS
from edgecodec.description import (
    MANIFEST,
    SCHEMA,
    SINGLE,
    Background,
    BakedGraph,
    BundleFile,
    Closeness,
    Description,
    Golden,
    GoldenPicture,
    Knob,
    Knobs,
    Model,
    Port,
    SideInput,
)
from edgecodec.errors import CannotRead, InvalidArgument, NotABundle, UnsupportedVersion
from edgecodec.json_values import JsonValue
from edgecodec.knob_names import check_name
from edgecodec.regular_file import open_regular

_LARGEST_MANIFEST = 1 << 24  # bytes
_LARGEST_SIZE = 1 << 48  # bytes of one file; a bound on what is plausible


@dataclass(frozen=True)
class Manifest:
    """described: what the index says too, as the JSON values of `description_values`; not looked at yet."""

    described: Mapping[str, Any]
    background: Background


def read_manifest(root: Path) -> Manifest:
    """The manifest of the bundle in the folder `root`.

    Raises NotABundle, UnsupportedVersion, CannotRead.
    """
    path = root / MANIFEST
    try:
        with open_regular(path) as stream:
            data = stream.read(_LARGEST_MANIFEST + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotABundle(
            f"has no {MANIFEST}", where=str(root), hint="a bundle is a folder that export wrote"
        ) from error
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=str(path)) from error
    if len(data) > _LARGEST_MANIFEST:
        raise NotABundle(f"is larger than {_LARGEST_MANIFEST} bytes", where=str(path))
    return _manifest(JsonValue.parse(data, str(path)))


def differences(manifest: Manifest, description: Description) -> list[str]:
    """Where the manifest says something else than the index; none for a bundle as it was exported.

    Each is a place such as "graphs[0]: tiling"; files of the index that the manifest lacks or describes otherwise are
    named as "files: synthesis.onnx".
    """
    places = _differences(dict(manifest.described), description_values(description), "")
    listed = manifest.background.files
    return places + [f"files: {name}" for name, file in description.files.items() if listed.get(name) != file]


def _differences(one: Any, other: Any, place: str) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        absent = object()
        keys = sorted({*one, *other})
        pairs = {f"{place}: {key}" if place else key: (one.get(key, absent), other.get(key, absent)) for key in keys}
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = {f"{place}[{i}]": pair for i, pair in enumerate(zip(one, other, strict=True))}
    else:
        return [] if one == other and isinstance(one, bool) == isinstance(other, bool) else [place]
    return [each for name, pair in pairs.items() for each in _differences(*pair, name)]


# ---- the description ----


def description_values(description: Description) -> dict[str, Any]:
    """What the index says as JSON values, without its files."""
    return {
        "schema": SCHEMA,
        "family": description.family,
        "preset": description.preset,
        "models": [_model_values(model) for model in description.models],
        "knobs": [_knob_values(knob) for knob in description.knobs],
        "graphs": [_graph_values(graph) for graph in description.graphs],
    }


def _model_values(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "entropy": model.entropy,
        "rate": model.rate,
        "alignment": model.alignment,
        "padding": asdict(model.padding),
        "noise": None if model.noise is None else asdict(model.noise),
        "encoder_latents": [
            {**asdict(latent), **_source_values(model.side_inputs.get(latent.name))} for latent in model.encoder_latents
        ],
        "decoder_latents": [asdict(latent) for latent in model.decoder_latents],
    }


def _source_values(side_input: SideInput | None) -> dict[str, Any]:
    if side_input is None:
        return {"source": "graph"}
    if side_input.kind == "mask":
        return {"source": "mask"}
    return {"source": "labels", "classes": list(side_input.classes)}


def _knob_values(knob: Knob) -> dict[str, Any]:
    fit = knob.rate_fit
    return {
        "name": knob.name,
        "side": knob.side,
        "help": knob.help,
        "values": list(knob.values),
        "low": knob.low,
        "high": knob.high,
        "default": knob.default,
        "rate_fit": None if fit is None else {**asdict(fit), "coefficients": list(fit.coefficients)},
    }


def _graph_values(graph: BakedGraph) -> dict[str, Any]:
    halo = graph.tiling.halo
    return {
        "file": graph.file,
        "side": graph.side,
        "model": graph.model,
        "precision": graph.precision,
        "knobs": dict(graph.knobs),
        "inputs": [_port_values(port) for port in graph.inputs],
        "outputs": [_port_values(port) for port in graph.outputs],
        "tiling": {"reason": graph.tiling.reason} if halo is None else {"halo": list(halo)},
        "tolerance": {"levels": graph.tolerance_levels, "psnr_db": graph.tolerance_db},
        "bytes_per_pixel": graph.bytes_per_pixel,
    }


def _port_values(port: Port) -> dict[str, str]:
    return {"name": port.name, "role": port.role, "of": port.of}


# ---- what is read back ----

_DESCRIBED = ("schema", "family", "preset", "models", "knobs", "graphs")


def _manifest(value: JsonValue) -> Manifest:
    schema = value["schema"].integer(0, 1 << 31)
    if schema != SCHEMA:
        raise UnsupportedVersion(
            f"is of schema {schema}, this edgecodec reads {SCHEMA}",
            where=value.where,
            hint="export the bundle again" if schema < SCHEMA else "update edgecodec",
        )
    files = {
        JsonValue(name, each.where).file_name(): BundleFile(
            each["size"].integer(0, _LARGEST_SIZE), each["sha256"].hexadecimal(64)
        )
        for name, each in value["files"].fields().items()
    }
    return Manifest(
        {name: value[name].value for name in _DESCRIBED},
        Background(
            golden=tuple(_golden(each, files) for each in value["golden"].elements()),
            parity={
                _listed(JsonValue(name, each.where), files): each.number()
                for name, each in value["parity"].fields().items()
            },
            entropy_cost=_entropy_cost(value["entropy_cost"]),
            closeness={
                _listed(JsonValue(name, each.where), files): _closeness(each)
                for name, each in value.get("closeness", {}).fields().items()
            },
            provenance={key: each.value for key, each in value["provenance"].fields().items()},
            files=files,
        ),
    )


def _entropy_cost(value: JsonValue) -> dict[str, Any]:
    """What people are shown must be numbers; the rest is for them to read."""
    fields = value.fields()
    shown = {name: fields[name].number() for name in ("overhead_percent", "fitting_percent") if name in fields}
    return {name: each.value for name, each in fields.items()} | shown


def _golden(value: JsonValue, files: Mapping[str, BundleFile]) -> Golden:
    return Golden(
        file=_listed(value["file"], files),
        knobs=_knobs(value["knobs"]),
        latents_sha256=value["latents_sha256"].hexadecimal(64),
        pictures=tuple(
            GoldenPicture(_knobs(each["knobs"]), _listed(each["file"], files), each.get("precision", SINGLE).text())
            for each in value["pictures"].elements()
        ),
    )


def _closeness(value: JsonValue) -> Closeness:
    return Closeness(**{name: value[name].number() for name in ("psnr", "mean_loss", "largest_loss")})


def _listed(value: JsonValue, files: Mapping[str, BundleFile]) -> str:
    name = value.file_name()
    if name not in files:
        value.fail(f"{name!r} is not listed under 'files'")
    return name


def _knobs(value: JsonValue) -> Knobs:
    knobs = {name: each.number() for name, each in value.fields().items()}
    for name in knobs:
        try:
            check_name(name)
        except InvalidArgument as error:
            value.fail(error.message)
    quality = knobs.get("quality", 0)
    if not 0 <= quality <= LARGEST_QUALITY or quality * QUALITY_STEPS % 1:
        value["quality"].fail(f"is {quality}, and coded pictures hold multiples of 1/{QUALITY_STEPS} from 0 up")
    return knobs
