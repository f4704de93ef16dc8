"""A bundle's decoders as a model repository of Triton.

REPOSITORY/NAME/config.pbtxt         what the server must know
REPOSITORY/NAME/1/model.onnx         the fused graph
REPOSITORY/NAME/libedgecodec.so.0    the operator in it
REPOSITORY/NAME/warmup/NAME.edgc     a golden picture, which the server decodes before the first request
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import edgecodec
from edgecodec import bundle_files, container, files
from edgecodec.bundle import Bundle
from edgecodec.description import BakedGraph, Knobs
from edgecodec.errors import CannotRead, CannotWrite, InvalidArgument, VerificationFailed
from edgecodec.graph_choice import choose
from edgecodec.manifest import Manifest, read_manifest
from edgecodec.steps import Step
from edgecodec_export.fused.file_names import point_name
from edgecodec_export.fused.writing import write_fused
from edgecodec_export.options import TritonOptions
from edgecodec_export.text import Progress
from edgecodec_export.triton.configuration import KINDS, Configuration, text

CONFIGURATION, GRAPH, WARMUP = "config.pbtxt", "1/model.onnx", "warmup"
LIBRARY = "libedgecodec.so.0"


@dataclass(frozen=True)
class TritonModel:
    """A model that was written. name: by which clients ask for it. size: of its folder, in bytes."""

    name: str
    model: str
    knobs: Knobs
    precision: str
    size: int


def write_repository(options: TritonOptions, progress: Progress = lambda line: None) -> tuple[TritonModel, ...]:
    """Write decoders of a bundle as models for Triton, one for each point that is baked.

    Raises InvalidArgument, KnobUnavailable, OutputExists, CannotRead, CannotWrite, VerificationFailed where the bundle
    has no golden picture for a decoder, and what opening a bundle and its graphs raises.
    """
    _check(options)
    bundle = Bundle(options.bundle)
    manifest = read_manifest(bundle.root)
    library = _library(options.library)
    prefix = options.name or _prefix(options.bundle)
    chosen = choose(bundle.info, ["decode"], options.knobs, options.precision)
    names = [prefix + point_name(bundle.info, number) for number in chosen]
    for name in names if not options.force else ():
        files.refuse_existing(options.output / name)
    written = []
    for place, (number, name) in enumerate(zip(chosen, names, strict=True), 1):
        progress(Step(name, "model", place, len(names)))
        written.append(_write(options, bundle, manifest, number, name, library))
    return tuple(written)


def _write(
    options: TritonOptions, bundle: Bundle, manifest: Manifest, number: int, name: str, library: bytes
) -> TritonModel:
    baked = bundle.info.graphs[number]
    warmup, picture = _golden(bundle, manifest, baked)
    folder = options.output / name
    configuration = Configuration(
        name=name,
        library=f"{options.mounted_at.rstrip('/')}/{name}/{LIBRARY}",
        device=options.device,
        instances=options.instances,
        threads=options.threads,
        warmup=(warmup, len(picture)),
    )
    try:
        for inner in (folder, folder / GRAPH, folder / WARMUP / warmup):
            (inner if inner == folder else inner.parent).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(folder)) from error
    size = write_fused(bundle, number, options.max_pixels, folder / GRAPH, options.force)
    contents = {
        LIBRARY: library,
        f"{WARMUP}/{warmup}": picture,
        # Last: a folder without it is no model, so that a server that polls the repository does not take half of one.
        CONFIGURATION: text(configuration).encode(),
    }
    for file, data in contents.items():
        files.write(folder / file, data, force=options.force)
        size += len(data)
    return TritonModel(name, bundle.info.models[baked.model].id, baked.knobs, baked.precision, size)


def _golden(bundle: Bundle, manifest: Manifest, baked: BakedGraph) -> tuple[str, bytes]:
    """The name and the bytes of a golden file that this decoder decodes."""
    model = bundle.info.models[baked.model].id
    for golden in manifest.background.golden:
        if any(baked.knobs.get(name, value) != value for name, value in golden.knobs.items()):
            continue
        data = bundle_files.read(bundle.root / golden.file, manifest.background.files[golden.file])
        if container.parse(data).info.model_id == model:
            return Path(golden.file).name, data
    raise VerificationFailed("the bundle has no golden picture for it", where=baked.file, hint="export it again")


def _library(path: Path | None) -> bytes:
    file = Path(edgecodec.custom_ops_library()) if path is None else path
    try:
        return file.read_bytes()
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=str(file)) from error


def _prefix(bundle: Path) -> str:
    name = Path(os.path.abspath(bundle)).name.removesuffix(".bundle")
    # A folder may be called "...bundle", and a model then "..", which is outside the repository.
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII).lstrip(".") or "bundle"


def _check(options: TritonOptions) -> None:
    if options.device not in KINDS:
        raise InvalidArgument(f"there is no device {options.device!r}", hint=f"the devices are {', '.join(KINDS)}")
    if options.instances < 1:
        raise InvalidArgument(f"{options.instances} instances", hint="give 1 or more")
    if options.name is not None and not re.fullmatch(r"\w[\w.-]*", options.name, flags=re.ASCII):
        raise InvalidArgument(
            f"{options.name!r} is no name for a model",
            hint="begin with a letter, and use digits, dots, dashes and _",
        )
    if not options.mounted_at.startswith("/"):
        raise InvalidArgument(
            f"{options.mounted_at!r} is no absolute path", hint="give the path of the repository on the server"
        )
