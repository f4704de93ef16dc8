"""Writing bundles: from a checkpoint to a folder that the runtime, a Jetson or a C program can use.

A bundle appears complete or not at all: it is built in a sibling folder and renamed. The same checkpoints, pictures
and versions give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import torch
from PIL import Image

import edgecodec
from edgecodec.errors import CannotWrite, InvalidArgument, OutputExists
from edgecodec.export.bake import interpolate, require_interpolation
from edgecodec.export.calibration import (
    CalibrationPictures,
    Picture,
    crop,
    load_calibration_pictures,
    to_tensor,
)
from edgecodec.export.card import model_card
from edgecodec.export.checkpoint import load_model, read_checkpoint
from edgecodec.export.entropy_cost import EntropyCost, measure
from edgecodec.export.entropy_file import EntropyModel, Values, model_id
from edgecodec.export.families.hyperprior import ALIGNMENT, ScaleHyperprior
from edgecodec.export.freeze import freeze, latents_of
from edgecodec.export.graphs import export_analysis, export_synthesis
from edgecodec.export.verify import verify_analysis, verify_synthesis

MANIFEST = "manifest.json"
SCHEMA = 1
TOLERANCE_LEVELS = 1  # grey levels by which engines may differ from the golden pixels
DEFAULT_ALPHAS = (0.0, 0.5, 1.0)
VERIFIED_SIZES = ((128, 192), (192, 64))  # pixels, height and width
GOLDEN_SIZE = (136, 200)  # not multiples of the alignment, so that padding is covered

Progress = Callable[[str], None]
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Where the weights come from, for the manifest."""

    family: str
    preset: str
    checkpoints: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Decoder:
    """One baked decoder. Its model shares encoder and entropy model with every other decoder of the bundle."""

    knobs: dict[str, float]
    model: ScaleHyperprior

    @property
    def name(self) -> str:
        return "".join(f"-{knob}{repr(value).removesuffix('.0')}" for knob, value in sorted(self.knobs.items()))


@dataclass(frozen=True)
class ExportReport:
    """What was written. errors: largest difference from PyTorch by graph file. size: bytes of the whole folder."""

    path: Path
    model_id: str
    errors: dict[str, float]
    entropy_cost: EntropyCost
    size: int


def export_bundle(
    checkpoint: Path,
    output: Path,
    mse_checkpoint: Path | None = None,
    alphas: Sequence[float] | None = None,
    calibration: Path | None = None,
    *,
    force: bool = False,
    progress: Progress = lambda message: None,
) -> ExportReport:
    """Export a checkpoint as the bundle `output`.

    mse_checkpoint: a decoder trained for fidelity on the same encoder; the bundle then holds one decoder for each of
    `alphas` (0: the mse decoder, 1: the main one; None: 0, 0.5 and 1). calibration: a folder of photographs. force:
    replace a bundle that is already there. progress: called with what is about to be done.

    Raises InvalidArgument, OutputExists, CannotRead, CannotWrite, CheckpointRejected, VerificationFailed.
    """
    if alphas is not None and mse_checkpoint is None:
        raise InvalidArgument("alpha needs two decoders", hint="give the second checkpoint with --ckpt-mse")
    _refuse_existing(output, force)
    progress("reading checkpoints")
    main = read_checkpoint(checkpoint)
    model = load_model(main)
    mse = None if mse_checkpoint is None else read_checkpoint(mse_checkpoint)
    baked = sorted(set(map(float, DEFAULT_ALPHAS if alphas is None else alphas)))
    if mse is not None:
        require_interpolation(main.tensors, mse.tensors, baked, model.DECODER_PREFIXES)

    def decoders() -> Iterator[Decoder]:
        if mse is None:
            yield Decoder({}, model)
            return
        for alpha in baked:
            mixed = interpolate(main.tensors, mse.tensors, alpha, model.DECODER_PREFIXES)
            yield Decoder({"alpha": alpha}, load_model(replace(main, tensors=mixed)))

    roles = {"main": checkpoint, "mse": mse_checkpoint}
    provenance = tuple(_provenance(role, path) for role, path in roles.items() if path is not None)
    source = Source(main.family, main.preset, provenance)
    pictures = load_calibration_pictures(calibration, ALIGNMENT)
    return write_bundle(output, source, model, decoders(), pictures, force=force, progress=progress)


def write_bundle(
    output: Path,
    source: Source,
    model: ScaleHyperprior,
    decoders: Iterable[Decoder],
    pictures: CalibrationPictures,
    *,
    force: bool = False,
    progress: Progress = lambda message: None,
) -> ExportReport:
    """Write a bundle of `model`'s encoder and entropy model, and of `decoders`, which are taken one at a time."""
    _refuse_existing(output, force)
    with _appearing_whole(output, force) as folder:
        progress("freezing the entropy model")
        entropy = freeze(model, [latents_of(model, to_tensor(picture)) for picture in pictures.calibrating])
        cost = measure(entropy, [latents_of(model, to_tensor(picture)) for picture in pictures.measuring])
        frozen = entropy.to_bytes()
        (folder / "entropy.bin").write_bytes(frozen)
        manifest = _manifest(source, model, entropy, model_id(frozen), cost)

        checked = [crop(pictures.measuring[0], *size) for size in VERIFIED_SIZES]
        progress("analysis.onnx")
        graph = export_analysis(model)
        errors = {"analysis.onnx": verify_analysis(graph, model, checked)}
        _write_graph(folder / "analysis.onnx", graph)
        with torch.no_grad():
            latents = [model.quantise(model.analysis(to_tensor(picture)))[:2] for picture in checked]
        for decoder in decoders:
            name = f"synthesis{decoder.name}.onnx"
            progress(name)
            graph = export_synthesis(decoder.model)
            errors[name] = verify_synthesis(graph, decoder.model, latents, name)
            _write_graph(folder / name, graph)
            manifest["synthesis"].append(_synthesis_entry(name, decoder.knobs, errors[name]))
        manifest["default_knobs"] = _default_knobs([entry["knobs"] for entry in manifest["synthesis"]])

        progress("golden pictures")
        _write_manifest(folder, manifest)
        manifest["golden"] = [_write_golden(folder, crop(pictures.measuring[0], *GOLDEN_SIZE), manifest["synthesis"])]
        (folder / "README.md").write_text(model_card(manifest), encoding="utf-8", newline="\n")
        _write_manifest(folder, manifest)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return ExportReport(output, manifest["model_id"], errors, cost, size)


def _manifest(
    source: Source, model: ScaleHyperprior, entropy: EntropyModel, identity: str, cost: EntropyCost
) -> Manifest:
    return {
        "schema": SCHEMA,
        "family": source.family,
        "preset": source.preset,
        "model_id": identity,
        "entropy": "entropy.bin",
        "encoder_latents": _latents(entropy.encoder_latents),
        "decoder_latents": _latents(entropy.decoder_latents),
        "image": {"alignment": entropy.alignment, "padding": "reflect"},
        "analysis": [{"file": "analysis.onnx", "knobs": {}, "input": "image", "outputs": {"z": "z", "r": "r"}}],
        "synthesis": [],
        "default_knobs": {},
        "golden": [],
        "entropy_cost": {
            "pictures": cost.pictures,
            "float_bits": round(cost.float_bits),
            "integer_bits": round(cost.integer_bits),
            "overhead_percent": round(cost.overhead_percent, 4),
        },
        "provenance": {
            "checkpoints": list(source.checkpoints),
            "versions": {
                "edgecodec": edgecodec.__version__,
                "onnx": onnx.__version__,
                "torch": torch.__version__,
            },
        },
        "files": {},
    }


def _latents(latents: Iterable[Values]) -> list[Manifest]:
    return [{"name": each.name, "channels": each.channels, "stride": each.stride} for each in latents]


def _synthesis_entry(name: str, knobs: dict[str, float], error: float) -> Manifest:
    return {
        "file": name,
        "knobs": knobs,
        "precision": "fp32",
        "inputs": {"z": "z", "r": "r"},
        "output": "image",
        "check": {"max_abs_error": float(f"{error:.1e}")},
        "tolerance": {"levels": TOLERANCE_LEVELS},
    }


def _default_knobs(baked: Sequence[dict[str, float]]) -> dict[str, float]:
    """The most realistic decoder, which is what the main checkpoint was trained for."""
    return max(baked, key=lambda knobs: knobs.get("alpha", 0.0))


def _write_golden(folder: Path, picture: Picture, synthesis: Sequence[Manifest]) -> Manifest:
    """Code one picture with the bundle as it stands, so that any device can check itself against the result."""
    golden = folder / "golden"
    golden.mkdir()
    engine = "onnxruntime"
    coded = golden / "photo.edgc"
    codec = edgecodec.open_bundle(folder, engine=engine)
    coded.write_bytes(codec.encode(picture).data)
    latents = codec.decode_latents(coded)
    digest = hashlib.sha256()
    for values in latents.values():
        digest.update(values.astype("<i2").tobytes())
    entries = []
    for graph in synthesis:
        decoded = edgecodec.open_bundle(folder, engine=engine, **graph["knobs"]).decode(coded)
        file = golden / f"photo{Path(graph['file']).stem.removeprefix('synthesis')}.png"
        Image.fromarray(decoded.pixels).save(file)
        entries.append({"knobs": graph["knobs"], "file": f"golden/{file.name}"})
    return {"file": "golden/photo.edgc", "latents_sha256": digest.hexdigest(), "pictures": entries}


def _write_graph(path: Path, graph: onnx.ModelProto) -> None:
    path.write_bytes(graph.SerializeToString(deterministic=True))


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    """The manifest, with the size and hash of every other file that is there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest["files"] = {
        path.relative_to(folder).as_posix(): {"sha256": _sha256(path), "size": path.stat().st_size} for path in files
    }
    text = json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8", newline="\n")


def _provenance(role: str, path: Path) -> dict[str, str]:
    return {"role": role, "name": path.name, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _refuse_existing(output: Path, force: bool) -> None:
    if not os.path.lexists(output):
        return
    if not force:
        raise OutputExists("exists already", where=str(output), hint="--force replaces a bundle")
    if not (output / MANIFEST).is_file():
        raise OutputExists("is not a bundle, so it is not replaced", where=str(output))


@contextmanager
def _appearing_whole(output: Path, force: bool) -> Iterator[Path]:
    """A folder beside `output` that takes its place at the end, or leaves no trace."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(output)) from error
    try:
        folder = room / "new"
        folder.mkdir()
        yield folder
        _refuse_existing(output, force)
        _take_place(folder, output, room / "old")
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(output)) from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _take_place(folder: Path, output: Path, aside: Path) -> None:
    replaces = output.exists()
    if replaces:
        output.rename(aside)
    try:
        folder.rename(output)
    except OSError:
        if replaces:
            aside.rename(output)
        raise
