"""Fused graphs of a bundle as files of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from edgecodec import files
from edgecodec.bundle import Bundle
from edgecodec.description import Knobs
from edgecodec.errors import BadModel, CannotWrite, InvalidArgument
from edgecodec.graph_choice import choose
from edgecodec.steps import Step
from edgecodec_export.fused import weights
from edgecodec_export.fused.file_names import file_name
from edgecodec_export.fused.graph import fuse
from edgecodec_export.options import FuseOptions
from edgecodec_export.text import Progress


@dataclass(frozen=True)
class FusedGraph:
    """A file that was written. model: id. size: bytes, with those of `file`.data where its weights are in that one."""

    file: str
    model: str
    knobs: Knobs
    precision: str
    size: int


def fuse_bundle(options: FuseOptions, progress: Progress = lambda line: None) -> tuple[FusedGraph, ...]:
    """Write decoders of a bundle as graphs from the bytes of a coded picture to its pixels.

    Each is a file `decode-....onnx` with the input "file" uint8 (bytes) and the output "image" uint8 (height, width,
    3), for sessions of ONNX Runtime from 1.17 on with which `edgecodec.custom_ops_library` is registered. progress:
    receives a `Step` before each file.

    Raises InvalidArgument, KnobUnavailable, OutputExists, CannotWrite, and what opening a bundle and its graphs raises.
    """
    _check_pixels(options.max_pixels)
    bundle = Bundle(options.bundle)
    chosen = choose(bundle.info, ["decode"], options.knobs, options.precision)
    folder = options.folder()
    names = [file_name(bundle.info, number) for number in chosen]
    for name in names if not options.force else ():
        files.refuse_existing(folder / name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(folder)) from error
    written = []
    for place, (number, name) in enumerate(zip(chosen, names, strict=True), 1):
        progress(Step(name, "fused graph", place, len(names)))
        size = write_fused(bundle, number, options.max_pixels, folder / name, options.force)
        baked = bundle.info.graphs[number]
        written.append(FusedGraph(name, bundle.info.models[baked.model].id, baked.knobs, baked.precision, size))
    return tuple(written)


def write_fused(bundle: Bundle, number: int, max_pixels: int, path: Path, force: bool) -> int:
    """Write the decoder of this number to `path`, in a folder that is there. Returns how many bytes were written.

    Raises InvalidArgument, OutputExists, CannotWrite, BundleChanged, LimitExceeded, BadModel.
    """
    _check_pixels(max_pixels)
    fused = fuse(bundle, number, max_pixels)
    size = 0
    if weights.fits(fused.model, fused.weights):
        weights.embed(fused.model, fused.weights)
    else:
        beside = path.with_name(f"{path.name}.data")
        outside = weights.move_out(fused.model, fused.weights, beside.name)
        files.write(beside, outside, force=force)
        size += len(outside)
    data = fused.model.SerializeToString(deterministic=True)
    if size == 0:
        _check(data, bundle.info.graphs[number].file)
    files.write(path, data, force=force)
    return size + len(data)


def _check_pixels(max_pixels: int) -> None:
    if not 1 <= max_pixels < 1 << 63:
        raise InvalidArgument(f"max_pixels is {max_pixels}", hint="give 1 or more")


def _check(data: bytes, file: str) -> None:
    """That the graph is valid ONNX. Raises BadModel with the bundle's file."""
    try:
        onnx.checker.check_model(data)
    except onnx.checker.ValidationError as error:
        raise BadModel(f"cannot be fused: {str(error).strip().splitlines()[0]}", where=file) from error
