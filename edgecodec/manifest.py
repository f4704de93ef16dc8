"""The manifest of a bundle: its types, and a reader that refuses everything else."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NoReturn

from edgecodec.container import LARGEST_QUALITY, QUALITY_STEPS
from edgecodec.entropy_model import LatentSpec
from edgecodec.errors import CannotRead, InvalidArgument, NotABundle, UnsupportedVersion
from edgecodec.knob_names import check_name
from edgecodec.regular_file import open_regular

MANIFEST = "manifest.json"
SCHEMA = 1
_LARGEST_MANIFEST = 1 << 24  # bytes
_LARGEST_SIZE = 1 << 48  # bytes of one file; a bound on what is plausible
_LARGEST_SIDE = 65535  # pixels
LARGEST_RATE_FIT = 8  # coefficients

Knobs = Mapping[str, float]

#: What lies beyond a picture's edge for the analysis graph: the picture mirrored without its edge, or mid grey, which
#: the graph itself puts there when it is told the picture's size.
PaddingRule = Literal["reflect", "grey"]


@dataclass(frozen=True)
class Padding:
    """How a picture is padded for the analysis graph: each side to a multiple of `alignment` that is at least
    `smallest_side`, in pixels.
    """

    alignment: int
    rule: PaddingRule
    smallest_side: int


@dataclass(frozen=True)
class RateFit:
    """The rate as a function of a scalar knob, fitted to the files of photographs (Wu, Huang, Shen 2020).

    coefficients: 1 to LARGEST_RATE_FIT; log2(bits per pixel) is the sum of coefficients[k] * value**k. low, high: the
    range of values that were coded. residual_percent: root mean square by which the mean rate of the photographs at
    those values is off the curve. The rate of a single picture is about the curve times a factor of its own.
    """

    low: float
    high: float
    coefficients: tuple[float, ...]
    residual_percent: float

    def bits_per_pixel(self, value: float) -> float:
        """The rate at a value of the knob; beyond low and high, where a polynomial knows nothing, that at the end.

        Never an error, whatever the coefficients: an absurd curve gives 0, infinity or NaN.
        """
        value = min(max(value, self.low), self.high)
        exponent = 0.0
        for coefficient in reversed(self.coefficients):
            exponent = exponent * value + coefficient
        return math.inf if exponent >= sys.float_info.max_exp else 2.0**exponent


@dataclass(frozen=True)
class Scalar:
    """A knob that is an input of the graph, from low to high. rate_fit: how it changes the rate, if that was fitted."""

    low: float
    high: float
    default: float
    rate_fit: RateFit | None = None


@dataclass(frozen=True)
class Tiling:
    """halo: receptive field before and after a tile, in units of the entropy model's alignment.

    None where tiles would not come out as the whole does; reason: why not.
    """

    halo: tuple[int, int] | None
    reason: str = ""


@dataclass(frozen=True)
class AnalysisGraph:
    """Encoder graph. outputs: the graph's name of each latent it makes, by latent; the others are side inputs.

    size_input: the graph's name of the picture's height and width, if it wants them. scalars: by knob, which is also
    the graph's name. bytes_per_pixel: of memory, weights not among them, or None where it was not estimated.
    """

    file: str
    knobs: Knobs
    input: str
    size_input: str | None
    scalars: Mapping[str, Scalar]
    outputs: Mapping[str, str]
    tiling: Tiling
    bytes_per_pixel: float | None


@dataclass(frozen=True)
class Noise:
    """An input of normal noise (`edgecodec.noise`): `channels` planes, one value every `stride` pixels."""

    input: str
    channels: int
    stride: int


@dataclass(frozen=True)
class SynthesisGraph:
    """One baked decoder. inputs: the graph's name of each decoder latent, by latent.

    tolerance_levels: how far a golden pixel may be off on another engine, of 255. bytes_per_pixel: as above.
    """

    file: str
    knobs: Knobs
    precision: str
    inputs: Mapping[str, str]
    noise: Noise | None
    output: str
    tolerance_levels: int
    tiling: Tiling
    bytes_per_pixel: float | None


@dataclass(frozen=True)
class SideInput:
    """An encoder latent that comes from the user and not from a graph.

    labels: the class of every pixel, as a number from 0 up; `classes` are their names. mask: 1 where a picture is to be
    coded, 0 where it may be made up.
    """

    kind: Literal["labels", "mask"]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class GoldenPicture:
    """What `Golden.file` decodes to with these knobs."""

    knobs: Knobs
    file: str


@dataclass(frozen=True)
class Golden:
    """A coded picture that every device must decode alike.

    knobs: with which it was encoded. latents_sha256: of all decoder latents as little-endian int16, in the model's
    order.
    """

    file: str
    knobs: Knobs
    latents_sha256: str
    pictures: tuple[GoldenPicture, ...]


@dataclass(frozen=True)
class BundleFile:
    """size: bytes. sha256: 64 hexadecimal digits."""

    size: int
    sha256: str


@dataclass(frozen=True)
class BundleInfo:
    """A manifest that has passed every check.

    entropy_cost and provenance are for people. entropy_cost: ideal bits of `pictures` photographs that did not
    calibrate the entropy model, under the float model and the integer one; `bound_percent` how many more the integer
    one takes at most, as a rule; `by_setting` the same at each value of the encoder's knobs, and the whole their sum.
    provenance: checkpoints with their notes, versions, and `entropy` where the entropy model was kept from another
    export.
    """

    path: str
    schema: int
    family: str
    preset: str
    model_id: str
    entropy: str
    encoder_latents: tuple[LatentSpec, ...]
    decoder_latents: tuple[LatentSpec, ...]
    image: Padding
    analysis: tuple[AnalysisGraph, ...]
    given: Mapping[str, SideInput]
    synthesis: tuple[SynthesisGraph, ...]
    default_knobs: Knobs
    golden: tuple[Golden, ...]
    entropy_cost: Mapping[str, Any]
    provenance: Mapping[str, Any]
    files: Mapping[str, BundleFile]


def read_manifest(root: Path) -> BundleInfo:
    """The manifest of the bundle in folder `root`. Raises NotABundle, UnsupportedVersion, CannotRead."""
    path = root / MANIFEST
    try:
        with open_regular(path) as file:
            data = file.read(_LARGEST_MANIFEST + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotABundle(
            f"has no {MANIFEST}", where=str(root), hint="a bundle is a folder that export wrote"
        ) from error
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=str(path)) from error
    if len(data) > _LARGEST_MANIFEST:
        raise NotABundle(f"is larger than {_LARGEST_MANIFEST} bytes", where=str(path))
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # an escape can stand for half of a surrogate pair
    except (ValueError, RecursionError) as error:
        raise NotABundle(f"is not JSON: {error}", where=str(path)) from error
    return _Manifest(_Node(value, str(path))).info(str(root))


def read_rate_fit(value: Any, where: str) -> RateFit:
    """The fit in a JSON value, the form that `dataclasses.asdict` gives it. where: of the value, for messages.

    Raises NotABundle, which names the field.
    """
    node = _Node(value, where)
    coefficients = tuple(each.number() for each in node["coefficients"].elements())
    if not 1 <= len(coefficients) <= LARGEST_RATE_FIT:
        node["coefficients"].fail(f"has {len(coefficients)} numbers, not 1 to {LARGEST_RATE_FIT}")
    fit = RateFit(node["low"].number(), node["high"].number(), coefficients, node["residual_percent"].number())
    if fit.low >= fit.high:
        node.fail(f"goes from {fit.low:g} to {fit.high:g}")
    if fit.residual_percent < 0:
        node["residual_percent"].fail(f"is {fit.residual_percent:g}")
    return fit


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


class _Node:
    """A JSON value and its place in the manifest, which errors name."""

    def __init__(self, value: Any, where: str) -> None:
        self.value = value
        self.where = where

    def fail(self, problem: str) -> NoReturn:
        raise NotABundle(problem, where=self.where)

    def _expect(self, kind: type, words: str) -> Any:
        if not isinstance(self.value, kind) or isinstance(self.value, bool):
            self.fail(f"is not {words}")
        return self.value

    def __getitem__(self, key: str) -> _Node:
        fields = self._expect(dict, "an object")
        if key not in fields:
            self.fail(f"has no {key!r}")
        return _Node(fields[key], f"{self.where}: {key}")

    def fields(self) -> dict[str, _Node]:
        return {key: self[key] for key in self._expect(dict, "an object")}

    def elements(self) -> list[_Node]:
        return [_Node(value, f"{self.where}[{i}]") for i, value in enumerate(self._expect(list, "a list"))]

    def optional(self, key: str, default: Any) -> _Node:
        return self[key] if key in self._expect(dict, "an object") else _Node(default, f"{self.where}: {key}")

    def text(self) -> str:
        return str(self._expect(str, "text"))

    def integer(self, low: int, high: int) -> int:
        value = self._expect(int, "a whole number")
        if not low <= value <= high:
            self.fail(f"is {value}, not between {low} and {high}")
        return int(value)

    def number(self) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.fail("is not a number")
        try:
            value = float(self.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            self.fail("is not a number")
        return value

    def hexadecimal(self, digits: int) -> str:
        text = self.text()
        if len(text) != digits or not set(text) <= set("0123456789abcdef"):
            self.fail(f"is not {digits} hexadecimal digits")
        return text

    def file_name(self) -> str:
        """A path inside the bundle: relative, with forward slashes, never upwards.

        Symbolic links are allowed: model hubs keep a snapshot's files as links into a store, and the hash in the
        manifest binds the contents wherever they lie.
        """
        text = self.text()
        plain = PurePosixPath(text).parts
        if not plain or text != "/".join(plain) or text.startswith("/") or ".." in plain or set(text) & set("\\:\0"):
            self.fail(f"{text!r} is not a path inside the bundle")
        return text


class _Manifest:
    """Reads the parts of a manifest that refer to each other."""

    def __init__(self, node: _Node) -> None:
        self._node = node
        schema = node["schema"].integer(0, 1 << 31)
        if schema != SCHEMA:
            raise UnsupportedVersion(
                f"is of schema {schema}, this edgecodec reads {SCHEMA}", where=node.where, hint="update edgecodec"
            )
        self._files = {
            _Node(name, each.where).file_name(): BundleFile(
                each["size"].integer(0, _LARGEST_SIZE), each["sha256"].hexadecimal(64)
            )
            for name, each in node["files"].fields().items()
        }
        self._encoder_latents = _latents(node["encoder_latents"])
        self._decoder_latents = _latents(node["decoder_latents"])
        self._padding = _padding(node["image"])
        self._side_inputs = self._read_side_inputs(node.optional("given", {}))

    def info(self, root: str) -> BundleInfo:
        node = self._node
        synthesis = tuple(self._synthesis(each) for each in node["synthesis"].elements())
        if not synthesis:
            node["synthesis"].fail("is empty")
        return BundleInfo(
            path=root,
            schema=SCHEMA,
            family=node["family"].text(),
            preset=node["preset"].text(),
            model_id=node["model_id"].hexadecimal(8),
            entropy=self._listed(node["entropy"]),
            encoder_latents=self._encoder_latents,
            decoder_latents=self._decoder_latents,
            image=self._padding,
            analysis=tuple(self._analysis(each) for each in node["analysis"].elements()),
            given=self._side_inputs,
            synthesis=synthesis,
            default_knobs=_knobs(node["default_knobs"]),
            golden=tuple(self._golden(each) for each in node["golden"].elements()),
            entropy_cost={key: each.value for key, each in node.optional("entropy_cost", {}).fields().items()},
            provenance={key: each.value for key, each in node.optional("provenance", {}).fields().items()},
            files=self._files,
        )

    def _listed(self, node: _Node) -> str:
        name = node.file_name()
        if name not in self._files:
            node.fail(f"{name!r} is not listed under 'files'")
        return name

    def _analysis(self, node: _Node) -> AnalysisGraph:
        size = node.optional("size_input", None)
        size_input = None if size.value is None else size.text()
        if self._padding.rule == "grey" and size_input is None:
            size.fail("is missing, and pictures are padded with grey, which only the graph can do")
        made = [latent for latent in self._encoder_latents if latent.name not in self._side_inputs]
        return AnalysisGraph(
            file=self._listed(node["file"]),
            knobs=_knobs(node["knobs"]),
            input=node["input"].text(),
            size_input=size_input,
            scalars=_scalars(node.optional("scalars", {})),
            outputs=_ports(node["outputs"], made),
            tiling=_tiling(node),
            bytes_per_pixel=_bytes_per_pixel(node),
        )

    def _read_side_inputs(self, node: _Node) -> dict[str, SideInput]:
        side_inputs = {name: _side_input(each) for name, each in node.fields().items()}
        specs = {latent.name: latent for latent in self._encoder_latents}
        for name, each in node.fields().items():
            if name not in specs:
                each.fail("is not an encoder latent")
            spec, kind = specs[name], side_inputs[name].kind
            if spec.channels != 1 or (kind == "labels" and spec.stride != 1):
                each.fail(f"cannot be {kind}: it has {spec.channels} channels, stride {spec.stride}")
        if len({each.kind for each in side_inputs.values()}) < len(side_inputs):
            node.fail("has several latents of one kind")
        return side_inputs

    def _synthesis(self, node: _Node) -> SynthesisGraph:
        inputs = _ports(node["inputs"], self._decoder_latents)
        noise = node.optional("noise", None)
        if noise.value is not None and noise["input"].text() in inputs.values():
            noise["input"].fail("is the input of a latent")
        return SynthesisGraph(
            file=self._listed(node["file"]),
            knobs=_knobs(node["knobs"]),
            precision=node["precision"].text(),
            inputs=inputs,
            noise=None if noise.value is None else _noise(noise),
            output=node["output"].text(),
            tolerance_levels=node["tolerance"]["levels"].integer(0, 255),
            tiling=_tiling(node),
            bytes_per_pixel=_bytes_per_pixel(node),
        )

    def _golden(self, node: _Node) -> Golden:
        return Golden(
            file=self._listed(node["file"]),
            knobs=_knobs(node.optional("knobs", {})),
            latents_sha256=node["latents_sha256"].hexadecimal(64),
            pictures=tuple(
                GoldenPicture(_knobs(each["knobs"]), self._listed(each["file"])) for each in node["pictures"].elements()
            ),
        )


def _latents(node: _Node) -> tuple[LatentSpec, ...]:
    return tuple(
        LatentSpec(each["name"].text(), each["channels"].integer(1, 65535), each["stride"].integer(1, 65535))
        for each in node.elements()
    )


def _padding(node: _Node) -> Padding:
    rule = node["padding"]
    known: dict[str, PaddingRule] = {"reflect": "reflect", "grey": "grey"}
    if rule.text() not in known:
        raise UnsupportedVersion(
            f"is {rule.text()!r}, not {' or '.join(known)}", where=rule.where, hint="update edgecodec"
        )
    return Padding(
        alignment=node["alignment"].integer(1, _LARGEST_SIDE),
        rule=known[rule.text()],
        smallest_side=node.optional("smallest_side", 1).integer(1, _LARGEST_SIDE),
    )


def _knobs(node: _Node) -> dict[str, float]:
    knobs = {name: value.number() for name, value in node.fields().items()}
    for name in knobs:
        _check_knob_name(name, node)
    quality = knobs.get("quality", 0)
    if not 0 <= quality <= LARGEST_QUALITY or quality * QUALITY_STEPS % 1:
        node["quality"].fail(f"is {quality}, and coded pictures hold multiples of 1/{QUALITY_STEPS} from 0 up")
    return knobs


def _check_knob_name(name: str, node: _Node) -> None:
    try:
        check_name(name)
    except InvalidArgument as error:
        node.fail(error.message)


def _scalars(node: _Node) -> dict[str, Scalar]:
    scalars = {name: _scalar(each) for name, each in node.fields().items()}
    for name in scalars:
        _check_knob_name(name, node)
    return scalars


def _scalar(node: _Node) -> Scalar:
    fit = node.optional("rate_fit", None)
    scalar = Scalar(
        low=node["low"].number(),
        high=node["high"].number(),
        default=node["default"].number(),
        rate_fit=None if fit.value is None else read_rate_fit(fit.value, fit.where),
    )
    if not scalar.low <= scalar.default <= scalar.high:
        node.fail(f"is {scalar.default:g} by default, not between {scalar.low:g} and {scalar.high:g}")
    return scalar


def _side_input(node: _Node) -> SideInput:
    kind = node["kind"]
    if kind.text() == "mask":
        return SideInput("mask", ())
    if kind.text() == "labels":
        classes = tuple(each.text() for each in node["classes"].elements())
        if not 1 <= len(classes) <= 256:
            node["classes"].fail(f"has {len(classes)} names, not 1 to 256")
        return SideInput("labels", classes)
    raise UnsupportedVersion(f"is {kind.text()!r}, not labels or mask", where=kind.where, hint="update edgecodec")


def _noise(node: _Node) -> Noise:
    return Noise(node["input"].text(), node["channels"].integer(1, 65535), node["stride"].integer(1, 65535))


def _tiling(node: _Node) -> Tiling:
    tiling = node.optional("tiling", {"reason": "its export did not say how far it looks"})
    if "reason" in tiling.fields():
        return Tiling(None, tiling["reason"].text())
    sides = [each.integer(0, _LARGEST_SIDE) for each in tiling["halo"].elements()]
    if len(sides) != 2:
        tiling["halo"].fail("is not two numbers, of units before a tile and after it")
    return Tiling((sides[0], sides[1]))


def _bytes_per_pixel(node: _Node) -> float | None:
    memory = node.optional("memory", None)
    if memory.value is None:
        return None
    amount = memory["bytes_per_pixel"].number()
    if not 0 < amount <= _LARGEST_SIZE:
        memory["bytes_per_pixel"].fail(f"is {amount:g}")
    return amount


def _ports(node: _Node, latents: Iterable[LatentSpec]) -> dict[str, str]:
    names = {latent.name for latent in latents}
    if set(node.fields()) != names:
        node.fail(f"does not name the latents {sorted(names)}")
    return {name: port.text() for name, port in node.fields().items()}
