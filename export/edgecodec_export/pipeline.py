"""Export: from a checkpoint to a bundle, a folder that the runtime or a C program can use without torch.

    checkpoint -> model -> baking -> frozen entropy model -> graphs -> golden pictures -> bundle

A bundle appears complete or not at all. The same checkpoints, pictures, versions and kind of processor give the same
bytes, on any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgecodec.knob_names import check_name
from edgecodec.steps import Step
from edgecodec_export.baking import Baking
from edgecodec_export.bundle.card import write_card
from edgecodec_export.bundle.description import (
    ENTROPY,
    CheckpointFile,
    ExportedModel,
    Source,
    background,
    describe,
)
from edgecodec_export.bundle.files import indexed_files, listed_files
from edgecodec_export.bundle.golden import write_golden
from edgecodec_export.bundle.index import write_index
from edgecodec_export.bundle.manifest import write_manifest
from edgecodec_export.bundle.output_folder import appearing_whole, refuse_existing, refuse_inputs_inside
from edgecodec_export.calibration import CalibrationPictures, crop, load_calibration_pictures
from edgecodec_export.checkpoints import (
    WRAPPING,
    Checkpoint,
    class_names,
    load_model,
    rate_fits,
    read_checkpoint,
    stored_notes,
)
from edgecodec_export.entropy.freeze import freeze_entropy
from edgecodec_export.entropy.kept import KeptEntropy, keep_entropy
from edgecodec_export.families import LearnedCodec
from edgecodec_export.file_hash import sha256_of
from edgecodec_export.fused.writing import fuse_bundle
from edgecodec_export.graphs.export_graphs import export_graphs
from edgecodec_export.one_thread import one_thread
from edgecodec_export.options import FUSED, ExportOptions, FuseOptions, TritonOptions
from edgecodec_export.precisions import SINGLE, Precision, named
from edgecodec_export.report import ExportReport
from edgecodec_export.text import Progress, printable
from edgecodec_export.triton.repository import write_repository

GOLDEN_SIZE = (133, 203)  # pixels, height and width; multiples of no alignment, so that padding is covered


def export_bundle(options: ExportOptions, progress: Progress = lambda line: None) -> ExportReport:
    """Export a checkpoint as a bundle.

    progress: receives a `Step` before each, and lines about rounded knobs and parts of a file that are left out.

    Raises InvalidArgument, OutputExists, CannotRead, CannotWrite, CheckpointRejected, VerificationFailed; for
    entropy_from, ModelMismatch and what opening a bundle raises. A repository that cannot be written leaves the bundle.
    """
    precisions = named(options.precision)
    refuse_existing(options.output, options.force)
    inputs = (options.checkpoint, options.mse_checkpoint, options.calibration, options.entropy_from)
    refuse_inputs_inside(options.output, filter(None, inputs))
    progress(Step("reading checkpoints"))
    model, mse, source = _load(options.checkpoint, options.mse_checkpoint, options.family, progress)
    baking = model.baking(options.knobs, mse)
    for note in baking.notes():
        progress(note)
    earlier = options.entropy_from
    kept = None if earlier is None else keep_entropy(earlier, model, source.family, source.preset)
    pictures = load_calibration_pictures(options.calibration, model.latent_alignment(), model.SMALLEST_SIDE)
    report = write_bundle(
        options.output,
        source,
        baking,
        pictures,
        kept=kept,
        precisions=precisions,
        leave_out=options.precision is None,
        fused=options.fused,
        force=options.force,
        progress=progress,
    )
    if options.triton is None:
        return report
    models = write_repository(TritonOptions(options.output, options.triton, force=options.force), progress)
    return replace(report, triton=models)


def write_bundle(
    output: Path,
    source: Source,
    baking: Baking,
    pictures: CalibrationPictures,
    *,
    kept: KeptEntropy | None = None,
    precisions: Sequence[Precision] = (SINGLE,),
    leave_out: bool = False,
    fused: bool = False,
    force: bool = False,
    progress: Progress = lambda line: None,
) -> ExportReport:
    """Write a bundle of every encoder and decoder that `baking` bakes.

    kept: the entropy model to use instead of freezing a new one. precisions: of the graphs. leave_out: go without a
    precision other than fp32 whose graphs miss their bounds. fused: write fused graphs too. Raises ModelMismatch if the
    kept entropy model does not fit the model, and what `export_bundle` raises for `output` and for the networks.
    """
    refuse_existing(output, force)
    baked = (*baking.encoder_knobs(), *baking.decoder_knobs())
    for name in sorted({*baking.scalars()}.union(*baked)):
        check_name(name)
    for precision in precisions:
        precision.check(baking.model)
    photograph = pictures.measuring[0]
    with one_thread() as workers, appearing_whole(output, force) as folder:
        frozen = freeze_entropy(baking, pictures, kept, workers, progress)
        (folder / ENTROPY).write_bytes(frozen.data)
        graphs = export_graphs(folder, baking, frozen, pictures, progress, precisions, leave_out=leave_out)
        model = ExportedModel(baking, frozen, graphs)
        description = describe(source, [model], indexed_files(folder))
        progress(Step("golden pictures"))
        write_index(folder, description)  # golden pictures are made with the bundle itself
        golden = write_golden(folder, description, crop(photograph, *GOLDEN_SIZE))
        description = replace(description, files=indexed_files(folder))
        write_index(folder, description)
        fused_graphs = fuse_bundle(FuseOptions(folder, folder / FUSED), progress) if fused else ()
        write_card(folder, description, background(source, model, golden, {}))
        write_manifest(folder, description, background(source, model, golden, listed_files(folder)))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return ExportReport(
        output,
        frozen.entropy.model_id,
        graphs.errors,
        frozen.cost,
        size,
        kept_entropy=kept is not None,
        fused=fused_graphs,
        closeness=graphs.closeness,
        left_out=graphs.left_out,
    )


def _load(
    checkpoint: Path, mse_checkpoint: Path | None, family: str | None, progress: Progress
) -> tuple[LearnedCodec, LearnedCodec | None, Source]:
    """The model, the second model if there is one, and their source. Tensors as stored are released on return."""
    paths = {"main": checkpoint} | ({} if mse_checkpoint is None else {"mse": mse_checkpoint})
    checkpoints = {role: read_checkpoint(path, family) for role, path in paths.items()}
    for role, path in paths.items():
        for line in _what_was_taken(checkpoints[role]):
            progress(f"{printable(path.name)}, {line}")
    models = {role: load_model(each) for role, each in checkpoints.items()}
    files = tuple(_provenance(role, path, checkpoints[role]) for role, path in paths.items())
    main = checkpoints["main"]
    model = models["main"]
    source = Source(main.family, main.preset, files, class_names(main, model), rate_fits(main, model))
    return model, models.get("mse"), source


def _what_was_taken(checkpoint: Checkpoint) -> list[str]:
    """Which weights of the file the checkpoint is, where the file holds more than plain weights."""
    wrapped = [f"{topic}: {checkpoint.notes[topic]}" for topic in WRAPPING if topic in checkpoint.notes]
    left_out = "; ".join(f"{name} ({why})" for name, why in sorted(checkpoint.left_out.items()))
    return wrapped + ([f"left out: {left_out}"] if left_out else [])


def _provenance(role: str, path: Path, checkpoint: Checkpoint) -> CheckpointFile:
    return CheckpointFile(role, printable(path.name), sha256_of(path), stored_notes(checkpoint))
