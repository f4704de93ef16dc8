"""What an index says, as the runtime's types, by the independent reader of tests/support/index_file.py."""

from __future__ import annotations

from edgecodec import description
from edgecodec.description import BakedGraph, BundleFile, Description, LatentSpec, NoiseSpec, Padding, SideInput, Tiling
from support import index_file
from support.index_file import ENCODER, GREY, KNOB, LABELS, LATENT, MASK, Graph, Index, Knob, Latent, Model, Port

_ROLES: tuple[description.Role, ...] = ("image", "latent", "knob", "size", "noise")


def described(data: bytes) -> Description:
    """Raises index_file.Refused for an index that breaks a rule."""
    index = index_file.decode(data)
    return Description(
        index.family,
        index.preset,
        tuple(_model(model, index) for model in index.models),
        tuple(_knob(knob) for knob in index.knobs),
        tuple(_graph(graph, index) for graph in index.graphs),
        {file.name: BundleFile(file.size, file.sha256.hex()) for file in index.files},
    )


def _side(number: int) -> description.Side:
    return "encode" if number == ENCODER else "decode"


def _model(model: Model, index: Index) -> description.Model:
    return description.Model(
        id=f"{model.id:08x}",
        entropy=index.files[model.file].name,
        rate=model.rate,
        alignment=model.alignment,
        padding=Padding(model.padding_alignment, "grey" if model.padding == GREY else "reflect", model.smallest_side),
        noise=NoiseSpec(model.noise_channels, model.noise_stride) if model.noise_channels else None,
        encoder_latents=_latents(model.encoder_latents),
        decoder_latents=_latents(model.decoder_latents),
        side_inputs={
            latent.name: SideInput("labels", tuple(latent.classes)) if latent.source == LABELS else SideInput("mask")
            for latent in model.encoder_latents
            if latent.source in (LABELS, MASK)
        },
    )


def _latents(latents: list[Latent]) -> tuple[LatentSpec, ...]:
    return tuple(LatentSpec(latent.name, latent.channels, latent.stride) for latent in latents)


def _knob(knob: Knob) -> description.Knob:
    fit = knob.fit
    return description.Knob(
        knob.name,
        _side(knob.side),
        knob.help,
        tuple(knob.values),
        knob.low,
        knob.high,
        knob.default,
        None if fit is None else description.RateFit(fit.low, fit.high, tuple(fit.coefficients), fit.residual),
    )


def _graph(graph: Graph, index: Index) -> BakedGraph:
    model = index.models[graph.model]
    latents = model.encoder_latents if graph.side == ENCODER else model.decoder_latents

    def ports(listed: list[Port]) -> tuple[description.Port, ...]:
        carried = {LATENT: [latent.name for latent in latents], KNOB: [knob.name for knob in index.knobs]}
        return tuple(
            description.Port(
                port.name, _ROLES[port.role], carried[port.role][port.number] if port.role in carried else ""
            )
            for port in listed
        )

    return BakedGraph(
        file=index.files[graph.file].name,
        side=_side(graph.side),
        model=graph.model,
        precision=graph.precision,
        knobs={index.knobs[number].name: value for number, value in graph.knobs},
        inputs=ports(graph.inputs),
        outputs=ports(graph.outputs),
        tiling=Tiling(None, graph.halo) if isinstance(graph.halo, str) else Tiling(graph.halo),
        tolerance_levels=graph.levels,
        tolerance_db=graph.decibels,
        bytes_per_pixel=graph.bytes_per_pixel or None,
    )
