"""Writing bundles: from a checkpoint to a folder that the runtime, a Jetson or a C program can use.

A bundle appears complete or not at all. The same checkpoints, pictures, versions and kind of processor give the same
bytes, on any number of threads. Of the baked networks one is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgecodec.entropy import EntropyModel
from edgecodec.errors import CheckpointRejected
from edgecodec.manifest import Knobs
from edgecodec_export.baking import Baking, suffix
from edgecodec_export.bundle.card import model_card
from edgecodec_export.bundle.golden import write_golden
from edgecodec_export.bundle.manifest import (
    Manifest,
    Source,
    analysis_entry,
    new_manifest,
    sha256_of,
    synthesis_entry,
    write_manifest,
)
from edgecodec_export.bundle.output_folder import appearing_whole, refuse_existing
from edgecodec_export.bundle.sample_labels import side_latents
from edgecodec_export.calibration import CalibrationPictures, Picture, crop, load_calibration_pictures, to_tensor
from edgecodec_export.checkpoints.files import Checkpoint, load_model, read_checkpoint
from edgecodec_export.entropy.cost import as_int16, size_of
from edgecodec_export.entropy.freeze import Frozen, Progress, freeze_entropy
from edgecodec_export.entropy.freezer import Observation
from edgecodec_export.entropy.kept import KeptEntropy, keep_entropy
from edgecodec_export.families import LearnedCodec
from edgecodec_export.graphs.needs import analysis_needs, synthesis_needs
from edgecodec_export.graphs.onnx_export import export_analysis, export_synthesis
from edgecodec_export.graphs.parity import verify_analysis, verify_synthesis
from edgecodec_export.messages import printable
from edgecodec_export.one_thread import one_thread
from edgecodec_export.options import ExportOptions
from edgecodec_export.report import ExportReport

VERIFIED_SIZE = (128, 192)  # pixels, height and width; multiples of every alignment
GOLDEN_SIZE = (133, 203)  # no multiples of any alignment, so that padding is covered

DecoderLatents = dict[str, npt.NDArray[np.int16]]


def export_bundle(options: ExportOptions, progress: Progress = lambda line: None) -> ExportReport:
    """Export a checkpoint as a bundle. progress: told how far it is, what was rounded, and what an import left out.

    Raises InvalidArgument, OutputExists, CannotRead, CannotWrite, CheckpointRejected, VerificationFailed; for
    entropy_from, ModelMismatch and what opening a bundle raises.
    """
    refuse_existing(options.output, options.force)
    progress("reading checkpoints")
    model, mse, source = _opened(options.checkpoint, options.mse_checkpoint, options.family, progress)
    baking = model.baking(options.knobs, mse)
    for note in baking.notes():
        progress(note)
    earlier = options.entropy_from
    kept = None if earlier is None else keep_entropy(earlier, model, source.family, source.preset)
    pictures = load_calibration_pictures(options.calibration, model.latent_alignment(), model.SMALLEST_SIDE)
    return write_bundle(options.output, source, baking, pictures, kept=kept, force=options.force, progress=progress)


def _opened(
    checkpoint: Path, mse_checkpoint: Path | None, family: str | None, progress: Progress
) -> tuple[LearnedCodec, LearnedCodec | None, Source]:
    """Both models and where they come from; what an import left out is told. The files' own tensors are not kept."""
    paths = {"main": checkpoint} | ({} if mse_checkpoint is None else {"mse": mse_checkpoint})
    checkpoints = {role: read_checkpoint(path, family) for role, path in paths.items()}
    for role, path in paths.items():
        if parts := parts_left_out(checkpoints[role]):
            progress(f"{printable(path.name)}, left out: {parts}")
    models = {role: load_model(each) for role, each in checkpoints.items()}
    main = checkpoints["main"]
    files = tuple(
        {"role": role, "name": printable(path.name), "sha256": sha256_of(path), "notes": checkpoints[role].notes}
        for role, path in paths.items()
    )
    source = Source(main.family, main.preset, files, class_names(main, models["main"]))
    return models["main"], models.get("mse"), source


def write_bundle(
    output: Path,
    source: Source,
    baking: Baking,
    pictures: CalibrationPictures,
    *,
    kept: KeptEntropy | None = None,
    force: bool = False,
    progress: Progress = lambda line: None,
) -> ExportReport:
    """Write a bundle of everything that `baking` bakes. kept: what to take for its entropy model instead of a new one.

    Raises ModelMismatch where that does not fit the model.
    """
    refuse_existing(output, force)
    with one_thread() as workers, appearing_whole(output, force) as folder:
        frozen = freeze_entropy(baking, pictures, kept, workers, progress)
        (folder / "entropy.bin").write_bytes(frozen.data)
        manifest = new_manifest(source, baking, frozen.entropy, frozen.cost, kept)
        errors = _write_graphs(folder, baking, frozen, pictures.measuring[0], manifest, progress)

        progress("golden pictures")
        write_manifest(folder, manifest)
        manifest["golden"] = write_golden(folder, crop(pictures.measuring[0], *GOLDEN_SIZE), baking.encoder_knobs())
        (folder / "README.md").write_text(model_card(manifest), encoding="utf-8", newline="\n")
        write_manifest(folder, manifest)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return ExportReport(output, manifest["model_id"], errors, frozen.cost, size, kept is not None)


def _write_graphs(
    folder: Path,
    baking: Baking,
    frozen: Frozen,
    picture: Picture,
    manifest: Manifest,
    progress: Progress,
) -> dict[str, float]:
    """Write and check every graph, add its entry to `manifest`, and give its largest error by file name."""
    model, errors = baking.model, {}
    encoders, decoders = baking.encoder_knobs(), baking.decoder_knobs()
    share = max(len(encoders), len(decoders)) > 1
    checked = [crop(picture, *VERIFIED_SIZE), crop(picture, 3 * model.ALIGNMENT, 2 * model.ALIGNMENT)]
    for knobs in encoders:
        name = f"analysis{suffix(knobs)}.onnx"
        progress(name)
        point = baking.encoder(knobs)
        needs = analysis_needs(export_analysis(model, point, folder / name, share_weights=share), model)
        errors[name] = verify_analysis(folder / name, model, point, checked)
        manifest["analysis"].append(analysis_entry(name, model, point, errors[name], needs))

    grid = model.latent_alignment()
    checked = [crop(picture, *VERIFIED_SIZE), crop(picture, 3 * grid, 2 * grid)]
    coded = _coded(baking, frozen, checked)
    for knobs in decoders:
        name = f"synthesis{suffix(knobs)}.onnx"
        progress(name)
        point = baking.decoder(knobs)
        needs = synthesis_needs(export_synthesis(model, point, folder / name, share_weights=share), model)
        latents = [each for setting, each in coded if all(knobs.get(knob, at) == at for knob, at in setting.items())]
        errors[name] = verify_synthesis(folder / name, model, point, latents)
        manifest["synthesis"].append(synthesis_entry(name, model, point, errors[name], needs))
    return errors


def _covering(settings: Sequence[Knobs], pictures: Sequence[Picture]) -> Iterator[tuple[Knobs, Picture]]:
    """Pairs in which every setting and every picture comes at least once."""
    for i in range(max(len(settings), len(pictures))):
        yield settings[i % len(settings)], pictures[i % len(pictures)]


def _coded(baking: Baking, frozen: Frozen, pictures: Sequence[Picture]) -> list[tuple[Knobs, DecoderLatents]]:
    """At each setting and for each encoder, what the frozen model decodes of one picture at least."""
    settings = baking.settings()
    settings += [knobs for knobs in baking.encoder_knobs() if knobs not in settings]
    coded = []
    for knobs, picture in _covering(settings, pictures):
        given = side_latents(baking.model, *picture.shape[:2])
        observation = frozen.freezer.observe(to_tensor(picture), **knobs, **given)
        coded.append((knobs, _decoder_latents(frozen.entropy, observation)))
    return coded


def _decoder_latents(entropy: EntropyModel, observation: Observation) -> DecoderLatents:
    """What the frozen model decodes to."""
    width, height = size_of(entropy, observation)
    payload, lanes = entropy.encode(as_int16(observation), width=width, height=height)
    return entropy.decode(payload, width=width, height=height, lanes=lanes)


def parts_left_out(checkpoint: Checkpoint) -> str:
    """What the import left out on purpose and why, on one line. Empty where it took everything."""
    prefix = "left out "
    parts = {name.removeprefix(prefix): why for name, why in checkpoint.notes.items() if name.startswith(prefix)}
    return "; ".join(f"{name} ({why})" for name, why in sorted(parts.items()))


def class_names(checkpoint: Checkpoint, model: LearnedCodec) -> tuple[str, ...]:
    """Names of the labels: those of the checkpoint's notes, or their numbers. Raises CheckpointRejected."""
    numbers = tuple(map(str, range(model.classes())))
    names = tuple(filter(None, checkpoint.notes.get("classes", "").split(","))) or numbers
    if len(names) != len(numbers):
        raise CheckpointRejected(
            f"its notes name {len(names)} classes, its labels have {len(numbers)} values", where=checkpoint.where
        )
    return names
