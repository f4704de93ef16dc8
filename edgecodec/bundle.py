"""Bundles on disk: the manifest read and proven, and files that are what the manifest says they are.

Opening compares the size of every file. Contents are hashed when they are used, and all of them by `edgecodec verify`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from edgecodec.entropy import EntropyModel, LatentSpec
from edgecodec.errors import BundleChanged, CannotRead, EdgecodecError, NotABundle, UnsupportedVersion

MANIFEST = "manifest.json"
SCHEMA = 1
_LARGEST_MANIFEST = 1 << 24  # bytes
_LARGEST_SIZE = 1 << 48  # bytes of one file; only a bound on what is believed

Knobs = Mapping[str, float]


@dataclass(frozen=True)
class AnalysisGraph:
    """Encoder graph. outputs: the graph's name of each encoder latent, by latent."""

    file: str
    knobs: Knobs
    input: str
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class SynthesisGraph:
    """One baked decoder. inputs: the graph's name of each decoder latent, by latent.

    tolerance_levels: how far a golden pixel may be off on another engine, of 255.
    """

    file: str
    knobs: Knobs
    precision: str
    inputs: Mapping[str, str]
    output: str
    tolerance_levels: int


@dataclass(frozen=True)
class GoldenPicture:
    """What `Golden.file` decodes to with these knobs."""

    knobs: Knobs
    file: str


@dataclass(frozen=True)
class Golden:
    """A coded picture that every device must decode alike.

    latents_sha256: of all decoder latents as little-endian int16, in the model's order.
    """

    file: str
    latents_sha256: str
    pictures: tuple[GoldenPicture, ...]


@dataclass(frozen=True)
class BundleFile:
    """size: bytes. sha256: 64 hexadecimal digits."""

    size: int
    sha256: str


@dataclass(frozen=True)
class BundleInfo:
    """A manifest that has passed every check. alignment: pixels. entropy_cost and provenance are for people."""

    path: str
    schema: int
    family: str
    preset: str
    model_id: str
    entropy: str
    encoder_latents: tuple[LatentSpec, ...]
    decoder_latents: tuple[LatentSpec, ...]
    alignment: int
    analysis: tuple[AnalysisGraph, ...]
    synthesis: tuple[SynthesisGraph, ...]
    default_knobs: Knobs
    golden: tuple[Golden, ...]
    entropy_cost: Mapping[str, Any]
    provenance: Mapping[str, Any]
    files: Mapping[str, BundleFile]


class Bundle:
    """An opened bundle. info: its manifest."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read the manifest and look at the files. Raises NotABundle, UnsupportedVersion, BundleChanged, CannotRead."""
        self.root = Path(path)
        self.info = _read_manifest(self.root)
        for name, promised in self.info.files.items():
            try:
                size = (self.root / name).stat().st_size
            except OSError as error:
                raise self._changed(name, "is missing or cannot be read") from error
            if size != promised.size:
                raise self._changed(name, f"has {size} bytes, the manifest says {promised.size}")

    def entropy_model(self) -> EntropyModel:
        """Open entropy.bin and check it against the manifest. Raises BundleChanged, BadModel."""
        name = self.info.entropy
        try:
            data = (self.root / name).read_bytes()
        except OSError as error:
            raise self._changed(name, "cannot be read") from error
        self._compare(name, hashlib.sha256(data).hexdigest())
        try:
            model = EntropyModel(data)
        except EdgecodecError as error:
            error.locate(str(self.root / name))
            raise
        found = (model.model_id, model.alignment, model.encoder_latents, model.decoder_latents)
        info = self.info
        if found != (info.model_id, info.alignment, info.encoder_latents, info.decoder_latents):
            raise self._changed(name, "has another model id, alignment or latents than the manifest")
        return model

    def checked(self, name: str) -> Path:
        """Path of a file of the bundle whose contents have just been hashed. Raises BundleChanged."""
        digest = hashlib.sha256()
        try:
            with open(self.root / name, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise self._changed(name, "cannot be read") from error
        self._compare(name, digest.hexdigest())
        return self.root / name

    def _compare(self, name: str, sha256: str) -> None:
        if sha256 != self.info.files[name].sha256:
            raise self._changed(name, "does not have the SHA-256 of the manifest")

    def _changed(self, name: str, problem: str) -> BundleChanged:
        return BundleChanged(problem, where=str(self.root / name), hint="fetch or export the bundle again")


def _read_manifest(root: Path) -> BundleInfo:
    path = root / MANIFEST
    try:
        with open(path, "rb") as file:
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
    except (ValueError, RecursionError) as error:
        raise NotABundle(f"is not JSON: {error}", where=str(path)) from error
    return _validate(str(root), _Node(value, str(path)))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


class _Node:
    """A JSON value and its place in the manifest: whatever is wrong is reported with that place."""

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
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not math.isfinite(self.value):
            self.fail("is not a number")
        return float(self.value)

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


def _validate(root: str, manifest: _Node) -> BundleInfo:
    schema = manifest["schema"].integer(0, 1 << 31)
    if schema != SCHEMA:
        raise UnsupportedVersion(
            f"is of schema {schema}, this edgecodec reads {SCHEMA}", where=manifest.where, hint="update edgecodec"
        )
    files = {}
    for name, node in manifest["files"].fields().items():
        _Node(name, node.where).file_name()
        files[name] = BundleFile(node["size"].integer(0, _LARGEST_SIZE), node["sha256"].hexadecimal(64))

    def listed(node: _Node) -> str:
        name = node.file_name()
        if name not in files:
            node.fail(f"{name!r} is not listed under 'files'")
        return name

    def knobs(node: _Node) -> dict[str, float]:
        return {name: value.number() for name, value in node.fields().items()}

    def latents(node: _Node) -> tuple[LatentSpec, ...]:
        return tuple(
            LatentSpec(each["name"].text(), each["channels"].integer(1, 65535), each["stride"].integer(1, 65535))
            for each in node.elements()
        )

    encoder_latents, decoder_latents = latents(manifest["encoder_latents"]), latents(manifest["decoder_latents"])

    def ports(node: _Node, named: tuple[LatentSpec, ...]) -> dict[str, str]:
        names = {latent.name for latent in named}
        if set(node.fields()) != names:
            node.fail(f"does not name the latents {sorted(names)}")
        return {name: port.text() for name, port in node.fields().items()}

    padding = manifest["image"]["padding"]
    if padding.text() != "reflect":
        raise UnsupportedVersion(f"is {padding.text()!r}, not 'reflect'", where=padding.where, hint="update edgecodec")

    synthesis = tuple(
        SynthesisGraph(
            file=listed(node["file"]),
            knobs=knobs(node["knobs"]),
            precision=node["precision"].text(),
            inputs=ports(node["inputs"], decoder_latents),
            output=node["output"].text(),
            tolerance_levels=node["tolerance"]["levels"].integer(0, 255),
        )
        for node in manifest["synthesis"].elements()
    )
    if not synthesis:
        manifest["synthesis"].fail("is empty")

    return BundleInfo(
        path=root,
        schema=schema,
        family=manifest["family"].text(),
        preset=manifest["preset"].text(),
        model_id=manifest["model_id"].hexadecimal(8),
        entropy=listed(manifest["entropy"]),
        encoder_latents=encoder_latents,
        decoder_latents=decoder_latents,
        alignment=manifest["image"]["alignment"].integer(1, 65535),
        analysis=tuple(
            AnalysisGraph(
                listed(node["file"]),
                knobs(node["knobs"]),
                node["input"].text(),
                ports(node["outputs"], encoder_latents),
            )
            for node in manifest["analysis"].elements()
        ),
        synthesis=synthesis,
        default_knobs=knobs(manifest["default_knobs"]),
        golden=tuple(
            Golden(
                file=listed(node["file"]),
                latents_sha256=node["latents_sha256"].hexadecimal(64),
                pictures=tuple(
                    GoldenPicture(knobs(picture["knobs"]), listed(picture["file"]))
                    for picture in node["pictures"].elements()
                ),
            )
            for node in manifest["golden"].elements()
        ),
        entropy_cost={key: node.value for key, node in manifest.optional("entropy_cost", {}).fields().items()},
        provenance={key: node.value for key, node in manifest.optional("provenance", {}).fields().items()},
        files=files,
    )
