"""Export: from checkpoints to a bundle, a folder that the runtime or a C program can use without torch.

    checkpoint -> model -> baking -> frozen entropy model -> graphs -> golden pictures -> bundle

A bundle appears complete or not at all. The same checkpoints, pictures, versions and kind of processor give the same
bytes, on any number of threads. Of several checkpoints one is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from edgecodec import files
from edgecodec.errors import InvalidArgument
from edgecodec.knob_names import check_name
from edgecodec.steps import Step
from edgecodec_export.bundle.card import write_card
from edgecodec_export.bundle.description import (
    ExportedModel,
    Source,
    background,
    describe,
    entropy_cost,
    exported_model,
)
from edgecodec_export.bundle.files import indexed_files, listed_files
from edgecodec_export.bundle.golden import write_golden
from edgecodec_export.bundle.index import write_index
from edgecodec_export.bundle.manifest import write_manifest
from edgecodec_export.bundle.output_folder import appearing_whole, refuse_existing, refuse_inputs_inside
from edgecodec_export.calibration import Picture, crop, to_tensor
from edgecodec_export.entropy.freeze import freeze_entropy
from edgecodec_export.fused.writing import fuse_bundle
from edgecodec_export.graphs.export_graphs import export_graphs
from edgecodec_export.graphs.shared_precisions import keep_shared_precisions
from edgecodec_export.one_thread import one_thread
from edgecodec_export.options import FUSED, ExportOptions, FuseOptions, TritonOptions
from edgecodec_export.originals import Original, load_originals
from edgecodec_export.precisions import SINGLE, Precision, named
from edgecodec_export.report import ExportReport, ReportedModel
from edgecodec_export.text import Progress
from edgecodec_export.triton.repository import write_repository

JUDGED, JUDGED_SIDE = 4, 256  # photographs by which decoders are judged, and pixels of each
GOLDEN_SIZE = (133, 203)  # pixels, height and width; multiples of no alignment, so that padding is covered


def export_bundle(options: ExportOptions, progress: Progress = lambda line: None) -> ExportReport:
    """Export checkpoints as a bundle.

    progress: receives a `Step` before each, and lines about rounded knobs, parts of a file that are left out and
        decoders that cannot be mixed.

    Raises InvalidArgument, OutputExists, CannotRead, CannotWrite, CheckpointRejected, VerificationFailed; for
    entropy_from, ModelMismatch and what opening a bundle raises. A repository that cannot be written leaves the bundle.
    """
    precisions = named(options.precision)
    files.refuse_long_name(options.output)
    refuse_existing(options.output, options.force)
    others = (options.calibration, options.entropy_from)
    inputs = (*options.checkpoints, *(options.mse_checkpoints or ()), *filter(None, others))
    refuse_inputs_inside(options.output, inputs)
    progress(Step("reading checkpoints"))
    report = write_bundle(
        options.output,
        load_originals(options, progress),
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
    originals: Sequence[Callable[[], Original]],
    *,
    precisions: Sequence[Precision] = (SINGLE,),
    leave_out: bool = False,
    fused: bool = False,
    force: bool = False,
    progress: Progress = lambda line: None,
) -> ExportReport:
    """Write a bundle of every encoder and decoder that the originals' bakings bake.

    originals: each is called once; several are of one family and of one rate each. precisions: of the graphs.
    leave_out: go without a precision other than fp32 whose graphs miss their bounds. fused: write fused graphs too.
    Raises ModelMismatch if a kept entropy model does not fit its model, InvalidArgument for two models with the same
    entropy model, and what `export_bundle` raises for `output` and for the networks.
    """
    refuse_existing(output, force)
    with one_thread() as workers, appearing_whole(output, force) as folder:
        exporting = _Exporting(folder, len(originals) > 1, precisions, leave_out, workers, progress)
        for original in originals:
            exporting.add(original)
        models = exporting.in_order()
        description = describe(models, indexed_files(folder))
        progress(Step("golden pictures"))
        write_index(folder, description)  # golden pictures are made with the bundle itself
        golden = write_golden(folder, description, exporting.photographs[models[0].described.id])
        description = replace(description, files=indexed_files(folder))
        write_index(folder, description)
        fused_graphs = fuse_bundle(FuseOptions(folder, folder / FUSED), progress) if fused else ()
        write_card(folder, description, background(models, golden, {}))
        adding = background(models, golden, listed_files(folder))
        write_manifest(folder, description, adding)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return ExportReport(
        output,
        tuple(map(ReportedModel.of, models)),
        adding.parity,
        entropy_cost(models),
        size,
        kept_entropy=models[0].kept is not None,
        fused=fused_graphs,
        closeness=adding.closeness,
        left_out=tuple(line for each in models for line in each.exported.left_out),
        doubts=tuple(exporting.doubts),
    )


@dataclass
class _Exporting:
    """Exports models to `folder`, one after the other. several: whether there is more than one.

    photographs: by model id, the picture that may become the golden one. doubts: as the report has them.
    """

    folder: Path
    several: bool
    precisions: Sequence[Precision]
    leave_out: bool
    workers: Executor
    progress: Progress
    models: list[ExportedModel] = field(default_factory=list)
    photographs: dict[str, Picture] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)

    def add(self, load: Callable[[], Original]) -> None:
        """The networks of the original are released on return."""
        original = load()
        source, baking, pictures = original.source, original.baking, original.pictures
        baked = (*baking.encoder_knobs(), *baking.decoder_knobs())
        for name in sorted({*baking.scalars()}.union(*baked)):
            check_name(name)
        for precision in self.precisions:
            precision.check(baking.model)
        frozen = freeze_entropy(baking, pictures, original.kept, self.workers, partial(self._say, source))
        number = frozen.entropy.model_id
        self._refuse_twin(number, source)
        ending = f"-{number}" if self.several else ""
        entropy = f"entropy{ending}.bin"
        (self.folder / entropy).write_bytes(frozen.data)
        judged = [to_tensor(crop(each, JUDGED_SIDE, JUDGED_SIDE)) for each in pictures.measuring[:JUDGED]]
        doubts = baking.doubts(judged)
        for line in doubts:
            self._say(source, line)
        self.doubts += [f"{source.name()}: {line}" if self.several else line for line in doubts]
        graphs = export_graphs(
            self.folder,
            baking,
            frozen,
            pictures,
            partial(self._say, source),
            self.precisions,
            leave_out=self.leave_out,
            ending=ending,
        )
        pixels = sum(picture.shape[0] * picture.shape[1] for picture in pictures.measuring)
        rate = frozen.cost.integer_bits / pixels if self.several else 0.0
        self.models.append(exported_model(source, baking, frozen, graphs, entropy=entropy, rate=rate))
        self.photographs[number] = crop(pictures.measuring[0], *GOLDEN_SIZE)

    def in_order(self) -> list[ExportedModel]:
        """The models by their rates, whatever the order in which they were added."""
        self.models.sort(key=lambda each: (each.described.rate, each.described.id))
        shared = keep_shared_precisions(self.folder, [each.exported for each in self.models])
        return [replace(each, exported=graphs) for each, graphs in zip(self.models, shared, strict=True)]

    def _say(self, source: Source, line: str) -> None:
        """Names the checkpoint where there are several."""
        if not self.several:
            self.progress(line)
        elif isinstance(line, Step):
            self.progress(line.of(source.name()))
        else:
            self.progress(f"{source.name()}: {line}")

    def _refuse_twin(self, number: str, source: Source) -> None:
        for other in self.models:
            if other.described.id == number:
                raise InvalidArgument(
                    f"has the same entropy model as {other.source.name()}",
                    where=source.name(),
                    hint="give a decoder of the same encoder with --ckpt-mse, or leave one out",
                )
