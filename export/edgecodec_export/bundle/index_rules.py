"""The rules that a description must keep to be an index (docs/format.md, section 6), whatever the numbers' sizes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NoReturn

from edgecodec.container import LARGEST_QUALITY, QUALITY_STEPS
from edgecodec.description import (
    LARGEST_RATE_FIT,
    BakedGraph,
    BundleFile,
    Description,
    Knob,
    LatentSpec,
    Model,
    Port,
    RateFit,
    Role,
    Side,
)
from edgecodec.errors import InvalidArgument

LARGEST_SIZE = 1 << 48  # bytes of a file, and of memory for a pixel
LARGEST_CLASSES = 256
LARGEST_TOLERANCE_DB = 200.0
_QUALITY = "quality"


def place_of_model(number: int) -> str:
    return f"model {number}"


def place_of_knob(knob: Knob) -> str:
    return f"knob {knob.name!r} to {knob.side}"


def place_of_graph(graph: BakedGraph) -> str:
    return f"graph {graph.file!r}"


def refuse(where: str, problem: str, hint: str | None = None) -> NoReturn:
    raise InvalidArgument(problem, where=where, hint=hint)


def check_description(description: Description) -> None:
    """Raise InvalidArgument, which names the part and what to change, for a description that no index can hold."""
    for name, file in description.files.items():
        _check_file(name, file)
    models = description.models
    _require_distinct((model.id for model in models), "models", "id", "freeze a second entropy model, or leave one out")
    for number, model in enumerate(models):
        _check_model(place_of_model(number), model, description)
    for side in ("encode", "decode"):
        names = (knob.name for knob in description.knobs if knob.side == side)
        _require_distinct(names, f"knobs to {side}", "name", "give each knob a name of its own")
    for knob in description.knobs:
        _check_knob(place_of_knob(knob), knob)
    for graph in description.graphs:
        _check_graph(place_of_graph(graph), graph, description)
    for number in range(len(models)):
        if not any(graph.side == "decode" and graph.model == number for graph in description.graphs):
            refuse(place_of_model(number), "has no decoder", "bake one decoder or more")


def _require_distinct(values: Iterable[str], where: str, what: str, hint: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            refuse(where, f"the {what} {value!r} occurs twice", hint)
        seen.add(value)


def _check_file(name: str, file: BundleFile) -> None:
    where = f"file {name!r}"
    control = "Cc" in map(unicodedata.category, name)
    if control or set(name) & set("\\:") or not {"", ".", ".."}.isdisjoint(name.split("/")):
        refuse(where, "is not a path inside the bundle", "rename it: parts between / without .. and without \\ and :")
    if not 0 <= file.size <= LARGEST_SIZE:
        refuse(where, f"has {file.size} bytes, not 0 to {LARGEST_SIZE}")
    if re.fullmatch("[0-9a-f]{64}", file.sha256) is None:
        refuse(where, f"has the SHA-256 {file.sha256!r}", "give 64 hexadecimal digits")


# ---- models ----


def _check_model(where: str, model: Model, description: Description) -> None:
    if re.fullmatch("[0-9a-f]{8}", model.id) is None:
        refuse(where, f"has the id {model.id!r}", "give 8 hexadecimal digits")
    _require_listed(where, model.entropy, description)
    if not _divides(model.padding.alignment, model.alignment):
        refuse(
            where,
            f"pads pictures to multiples of {model.padding.alignment}, which does not divide the alignment of its "
            f"latents, {model.alignment}",
        )
    if model.noise is not None and not _divides(model.noise.stride, model.alignment):
        refuse(where, f"has noise of stride {model.noise.stride}, which does not divide {model.alignment}")
    for latents in (model.encoder_latents, model.decoder_latents):
        _require_distinct(
            (latent.name for latent in latents), f"{where}, latents", "name", "give each latent a name of its own"
        )
    _check_side_inputs(where, model)


def _check_side_inputs(where: str, model: Model) -> None:
    specs = {latent.name: latent for latent in model.encoder_latents}
    kinds = [each.kind for each in model.side_inputs.values()]
    if len(set(kinds)) < len(kinds):
        refuse(where, "takes labels or a mask twice", "let a model have one latent of each at most")
    for name, side_input in model.side_inputs.items():
        if name not in specs:
            refuse(where, f"has a side input {name!r}, which is no encoder latent")
        spec, kind = specs[name], side_input.kind
        if spec.channels != 1 or (kind == "labels" and spec.stride != 1):
            refuse(where, f"has {kind} {name!r} with {spec.channels} channels, stride {spec.stride}", _PLANES)
        if kind == "labels" and not 1 <= len(side_input.classes) <= LARGEST_CLASSES:
            refuse(where, f"has {len(side_input.classes)} classes, not 1 to {LARGEST_CLASSES}", "name each class once")
        if kind == "mask" and side_input.classes:
            refuse(where, f"has classes for the mask {name!r}")


def _divides(part: int, whole: int) -> bool:
    return part > 0 and whole % part == 0


_PLANES = "labels have 1 channel and stride 1, masks have 1 channel"


def _require_listed(where: str, file: str, description: Description) -> None:
    if file not in description.files:
        refuse(where, f"{file!r} is not among the files of the bundle")


# ---- knobs ----


def _check_knob(where: str, knob: Knob) -> None:
    if re.fullmatch("[a-z][a-z0-9_]*", knob.name) is None:
        refuse(where, "cannot have this name", "use small letters, digits and _, a letter first")
    values = knob.values
    if any(low >= high for low, high in pairwise(values)):
        refuse(where, f"has the values {_words(values)}", "list each value once, ascending")
    if not knob.low <= knob.default <= knob.high:
        refuse(where, f"is {knob.default:g} by default, not between {knob.low:g} and {knob.high:g}")
    if values and knob.default not in values:
        refuse(where, f"is {knob.default:g} by default, not one of {_words(values)}", "bake the default too")
    if values and (knob.low, knob.high) != (values[0], values[-1]):
        refuse(where, f"goes from {knob.low:g} to {knob.high:g}, and its values are {_words(values)}")
    if knob.name == _QUALITY and not all(map(_is_quality, (*values, knob.default))):
        refuse(where, f"has the values {_words((*values, knob.default))}", f"give multiples of 1/{QUALITY_STEPS}")
    if knob.rate_fit is not None:
        _check_rate_fit(where, knob, knob.rate_fit)


def _check_rate_fit(where: str, knob: Knob, fit: RateFit) -> None:
    if knob.values:
        refuse(where, "has a fitted rate, and is baked", "fit the rate of a knob that is an input of the encoder")
    if not 1 <= len(fit.coefficients) <= LARGEST_RATE_FIT:
        refuse(where, f"has {len(fit.coefficients)} coefficients of the rate, not 1 to {LARGEST_RATE_FIT}")
    if not fit.low < fit.high:
        refuse(where, f"has a fitted rate from {fit.low:g} to {fit.high:g}", "fit it over a range")
    if not fit.residual_percent >= 0:
        refuse(where, f"has a fitted rate with the residual {fit.residual_percent:g} percent")


def _is_quality(value: float) -> bool:
    return 0 <= value <= LARGEST_QUALITY and value * QUALITY_STEPS % 1 == 0


def _words(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


# ---- graphs ----


def _check_graph(where: str, graph: BakedGraph, description: Description) -> None:
    _require_listed(where, graph.file, description)
    if not 0 <= graph.model < len(description.models):
        refuse(where, f"is of model {graph.model}, and there are {len(description.models)}")
    knobs = {knob.name: knob for knob in description.knobs if knob.side == graph.side}
    for name, value in graph.knobs.items():
        if name not in knobs or value not in knobs[name].values:
            refuse(where, f"is baked at {name} {value:g}, which is not a value of a knob to {graph.side}")
    if not 0 <= graph.tolerance_db <= LARGEST_TOLERANCE_DB:
        refuse(where, f"has a tolerance of {graph.tolerance_db:g} dB, not 0 to {LARGEST_TOLERANCE_DB:g}")
    if graph.bytes_per_pixel is not None and not 0 < graph.bytes_per_pixel <= LARGEST_SIZE:
        refuse(where, f"takes {graph.bytes_per_pixel:g} bytes a pixel", "leave it out where it is not known")
    for ports, what in ((graph.inputs, "input"), (graph.outputs, "output")):
        _require_distinct((port.name for port in ports), where, f"{what} name", f"give each {what} a name of its own")
    model = description.models[graph.model]
    if graph.side == "encode":
        _check_encoder(where, graph, model, knobs)
    else:
        _check_decoder(where, graph, model)


def _check_encoder(where: str, graph: BakedGraph, model: Model, knobs: dict[str, Knob]) -> None:
    _check_roles(where, graph.inputs, "input", {"image": (1, 1), "size": (0, 1), "knob": (0, len(knobs))})
    if model.padding.rule == "grey" and not _carried(graph.inputs, "size"):
        refuse(where, "does not take the picture's size", "only a graph that knows it can pad with grey")
    free = {name for name, knob in knobs.items() if not knob.values}
    _check_carried(where, graph.inputs, "knob", free)
    made = {latent.name for latent in model.encoder_latents if latent.name not in model.side_inputs}
    _check_roles(where, graph.outputs, "output", {"latent": (len(made), len(made))})
    _check_carried(where, graph.outputs, "latent", made)


def _check_decoder(where: str, graph: BakedGraph, model: Model) -> None:
    latents = _names(model.decoder_latents)
    noise = 0 if model.noise is None else 1
    _check_roles(where, graph.inputs, "input", {"latent": (len(latents), len(latents)), "noise": (0, noise)})
    _check_carried(where, graph.inputs, "latent", latents)
    _check_roles(where, graph.outputs, "output", {"image": (1, 1)})


def _check_roles(where: str, ports: Sequence[Port], what: str, allowed: dict[Role, tuple[int, int]]) -> None:
    """allowed: how many ports of each role there are, at least and at most."""
    roles = [port.role for port in ports]
    for role in sorted({*roles, *allowed}):
        low, high = allowed.get(role, (0, 0))
        if not low <= roles.count(role) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            refuse(where, f"has {roles.count(role)} {what}s of the role {role}, not {wanted}")
    for port in ports:
        if port.of and port.role not in ("latent", "knob"):
            refuse(where, f"has the {what} {port.name!r} of the role {port.role} for {port.of!r}", "leave that out")


def _check_carried(where: str, ports: Sequence[Port], role: Role, known: set[str]) -> None:
    """Ports of a role carry what is known, each once."""
    carried = _carried(ports, role)
    for name in carried:
        if name not in known:
            refuse(where, f"has a port for the {role} {name!r}, which there is not", f"one of: {sorted(known)}")
    _require_distinct(carried, where, role, "give each one port")


def _carried(ports: Sequence[Port], role: Role) -> list[str]:
    return [port.of for port in ports if port.role == role]


def _names(latents: Sequence[LatentSpec]) -> set[str]:
    return {latent.name for latent in latents}


def latents_of(model: Model, side: Side) -> tuple[LatentSpec, ...]:
    return model.encoder_latents if side == "encode" else model.decoder_latents
