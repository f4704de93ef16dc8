"""The graphs of a bundle: every baked encoder and decoder is exported, compared with PyTorch, and described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecodec.description import BakedGraph, Knobs, Port
from edgecodec_export.baking import Baking
from edgecodec_export.calibration import Picture, crop
from edgecodec_export.entropy.freeze import Frozen
from edgecodec_export.graphs.needs import analysis_needs, synthesis_needs
from edgecodec_export.graphs.onnx_export import IMAGE, SIZE, export_analysis, export_synthesis, takes_size
from edgecodec_export.graphs.parity import check_analysis_parity, check_synthesis_parity
from edgecodec_export.graphs.sample_latents import SampleLatents, sample_latents
from edgecodec_export.text import Progress, suffix

CHECKED_SIZE = (128, 192)  # pixels, height and width; multiples of every alignment
PRECISION = "fp32"
TOLERANCE_LEVELS = 1  # of 255: how far another engine may be off the golden pixels


@dataclass(frozen=True)
class ExportedGraphs:
    """The graphs of a model in a bundle's folder, encoders first.

    errors: largest difference of each from PyTorch, by file.
    """

    graphs: tuple[BakedGraph, ...]
    errors: Mapping[str, float]


def export_graphs(folder: Path, baking: Baking, frozen: Frozen, picture: Picture, progress: Progress) -> ExportedGraphs:
    """Write the graph of every baked encoder and decoder to `folder` and compare it with PyTorch.

    frozen: codes the sample latents for the decoders. picture: (H, W, 3) bytes, from which sample inputs are cropped.
    One baked network is in memory at a time. Raises VerificationFailed.
    """
    model = baking.model
    encoders, decoders = baking.encoder_knobs(), baking.decoder_knobs()
    share_weights = max(len(encoders), len(decoders)) > 1

    exported = []
    pictures = _samples(picture, model.ALIGNMENT)
    for knobs in encoders:
        path = folder / f"analysis{suffix(knobs)}.onnx"
        progress(path.name)
        exported.append(_export_encoder(path, baking, knobs, pictures, share_weights=share_weights))

    samples = sample_latents(baking, frozen, _samples(picture, model.latent_alignment()))
    for knobs in decoders:
        path = folder / f"synthesis{suffix(knobs)}.onnx"
        progress(path.name)
        exported.append(_export_decoder(path, baking, knobs, samples, share_weights=share_weights))

    return ExportedGraphs(tuple(graph for graph, _ in exported), {graph.file: error for graph, error in exported})


def _samples(picture: Picture, alignment: int) -> list[Picture]:
    """Crops of two sizes, of which one is small and not square."""
    return [crop(picture, *CHECKED_SIZE), crop(picture, 3 * alignment, 2 * alignment)]


def _export_encoder(
    path: Path, baking: Baking, knobs: Knobs, pictures: Sequence[Picture], *, share_weights: bool
) -> tuple[BakedGraph, float]:
    """The description of an encoder's graph, and its largest error."""
    model, point = baking.model, baking.encoder(knobs)
    needs = analysis_needs(export_analysis(model, point, path, share_weights=share_weights), model)
    error = check_analysis_parity(path, model, point, pictures)
    inputs = [Port(IMAGE, "image")]
    if takes_size(model):
        inputs.append(Port(SIZE, "size"))
    inputs += [Port(name, "knob", name) for name in point.scalars]
    graph = BakedGraph(
        file=path.name,
        side="encode",
        model=0,
        precision=PRECISION,
        knobs=point.knobs,
        inputs=tuple(inputs),
        outputs=tuple(Port(latent.name, "latent", latent.name) for latent in model.encoder_latents()),
        tiling=needs.tiling,
        bytes_per_pixel=needs.bytes_per_pixel,
    )
    return graph, error


def _export_decoder(
    path: Path, baking: Baking, knobs: Knobs, samples: Sequence[SampleLatents], *, share_weights: bool
) -> tuple[BakedGraph, float]:
    """The description of a decoder's graph, and its largest error on the samples that it can decode."""
    model, point = baking.model, baking.decoder(knobs)
    needs = synthesis_needs(export_synthesis(model, point, path, share_weights=share_weights), model)
    error = check_synthesis_parity(path, model, point, [each.latents for each in samples if each.suit(knobs)])
    inputs = [Port(latent.name, "latent", latent.name) for latent in model.decoder_latents()]
    noise = model.noise()
    if noise is not None:
        inputs.append(Port(noise.name, "noise"))
    graph = BakedGraph(
        file=path.name,
        side="decode",
        model=0,
        precision=PRECISION,
        knobs=point.knobs,
        inputs=tuple(inputs),
        outputs=(Port(IMAGE, "image"),),
        tiling=needs.tiling,
        tolerance_levels=TOLERANCE_LEVELS,
        bytes_per_pixel=needs.bytes_per_pixel,
    )
    return graph, error
