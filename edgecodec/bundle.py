"""Bundles on disk as the native library sees them: what their index says, and their graphs.

Opening compares the size of every file with the index. Contents are hashed when they are used, from one opening, so
that what is used is what was hashed; all of them by `edgecodec verify`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgecodec import bundle_files, interface, native
from edgecodec.bundle_diagnosis import is_bundle, no_bundle
from edgecodec.description import (
    Background,
    BakedGraph,
    BundleFile,
    Description,
    Knob,
    LatentSpec,
    Model,
    NoiseSpec,
    Padding,
    Port,
    RateFit,
    Role,
    Side,
    SideInput,
    Tiling,
)
from edgecodec.errors import NotABundle

_SIDES: dict[int, Side] = {interface.ENCODE: "encode", interface.DECODE: "decode"}
_SOURCES: dict[int, Literal["labels", "mask"]] = {interface.LABELS: "labels", interface.MASK: "mask"}
_ROLES: dict[int, Role] = {
    interface.IMAGE: "image",
    interface.LATENT: "latent",
    interface.KNOB: "knob",
    interface.SIZE: "size",
    interface.NOISE: "noise",
}


@dataclass(frozen=True, repr=False)
class BundleInfo(Description):
    """What a bundle says of itself. path: its folder. schema: of its index.

    background: what its manifest adds for people, where that was read.
    """

    path: str
    schema: int
    background: Background | None = None

    def __repr__(self) -> str:
        name = " ".join(filter(None, (self.family, self.preset)))
        return f"<BundleInfo {name}, {len(self.graphs)} graphs, {len(self.files)} files: {self.path}>"


@dataclass(frozen=True)
class GraphContents:
    """A graph as an engine takes it, proven to lead out of the bundle nowhere.

    path: of its file, which may have changed since. weights: the contents of the files that hold weights of it, by the
    graph's names for them. Their memory is the library's, and lives as long as a view of it.
    """

    path: Path
    data: bytes = field(repr=False)
    weights: dict[str, memoryview] = field(repr=False)


class Bundle:
    """An opened bundle. May be used by several threads at a time. info: what its index says."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read the index, and check the sizes of all files.

        Raises NotABundle, UnsupportedVersion, BundleChanged, CannotRead.
        """
        library = native.library()
        handle = ctypes.c_void_p()
        try:
            native.call(library.ec_bundle_open, os.fsencode(path), ctypes.byref(handle))
        except NotABundle as error:
            if is_bundle(path):
                raise  # its index is at fault
            raise no_bundle(path) from error
        self._owned = native.Owned(library.ec_bundle_close, handle.value)
        found = interface.start(interface.BundleInfo)
        native.call(library.ec_bundle_describe, handle, ctypes.byref(found))
        self.root = Path(path)
        self.info = _described(found, str(self.root))

    @property
    def handle(self) -> int:
        """Of the library, for as long as this bundle lives."""
        return int(self._owned.value)

    def read(self, name: str) -> bytes:
        """The contents of a file of `info`, which are those that the index describes.

        Raises BundleChanged, LimitExceeded.
        """
        return bundle_files.read(self.root / name, self.info.files[name])

    def graph(self, number: int) -> GraphContents:
        """The graph of this number among those of `info`.

        Raises BundleChanged, LimitExceeded, and BadModel for what is not an ONNX graph and for one that leads out of
        the bundle.
        """
        library, found = native.library(), interface.start(interface.GraphData)
        native.call(library.ec_graph_open, self.handle, number, ctypes.byref(found))
        owned = native.Owned(library.ec_graph_close, found)
        weights = {
            _text(each.location): memoryview(native.lent(each.data, each.size, owned))
            for each in found.weights[: found.weight_count]
        }
        return GraphContents(Path(os.fsdecode(found.path)), ctypes.string_at(found.data, found.size), weights)


def _described(found: interface.BundleInfo, path: str) -> BundleInfo:
    models = tuple(_model(each) for each in _all(found.models, found.model_count))
    knobs = tuple(_knob(each) for each in _all(found.knobs, found.knob_count))
    return BundleInfo(
        family=_text(found.family),
        preset=_text(found.preset),
        models=models,
        knobs=knobs,
        graphs=tuple(_graph(each, models, knobs) for each in _all(found.graphs, found.graph_count)),
        files={
            _text(each.name): BundleFile(each.size, bytes(each.sha256).hex())
            for each in _all(found.files, found.file_count)
        },
        path=path,
        schema=found.schema,
    )


def _all(pointers: Any, count: int) -> Iterator[Any]:
    """What an array of pointers to structs points to."""
    return (pointers[i].contents for i in range(count))


def _text(text: bytes | None) -> str:
    return (text or b"").decode()


def _model(found: interface.Model) -> Model:
    encoder_latents = list(_all(found.encoder_latents, found.encoder_latent_count))
    return Model(
        id=f"{found.id:08x}",
        entropy=_text(found.file),
        rate=found.rate,
        alignment=found.alignment,
        padding=Padding(
            found.padding_alignment, "grey" if found.padding == interface.GREY else "reflect", found.smallest_side
        ),
        noise=NoiseSpec(found.noise_channels, found.noise_stride) if found.noise_channels else None,
        encoder_latents=tuple(map(_latent, encoder_latents)),
        decoder_latents=tuple(map(_latent, _all(found.decoder_latents, found.decoder_latent_count))),
        side_inputs={
            _text(each.name): SideInput(_SOURCES[each.source], tuple(map(_text, each.classes[: each.class_count])))
            for each in encoder_latents
            if each.source != interface.FROM_GRAPH
        },
    )


def _latent(found: interface.Latent) -> LatentSpec:
    return LatentSpec(_text(found.name), found.channels, found.stride)


def _knob(found: interface.Knob) -> Knob:
    values = tuple(found.values[: found.value_count])
    fit = tuple(found.fit[: found.fit_count])
    return Knob(
        name=_text(found.name),
        side=_SIDES[found.side],
        help=_text(found.help),
        values=values,
        low=values[0] if values else found.low,
        high=values[-1] if values else found.high,
        default=found.default_value,
        rate_fit=RateFit(found.fit_low, found.fit_high, fit, found.fit_residual) if fit else None,
    )


def _graph(found: interface.Graph, models: tuple[Model, ...], knobs: tuple[Knob, ...]) -> BakedGraph:
    model, side = models[found.model], _SIDES[found.side]
    latents = model.encoder_latents if side == "encode" else model.decoder_latents

    def port(each: interface.Port) -> Port:
        role = _ROLES[each.role]
        names = {"latent": latents, "knob": knobs}.get(role)
        return Port(_text(each.name), role, names[each.index].name if names else "")

    halo = (found.halo_before, found.halo_after)
    return BakedGraph(
        file=_text(found.file),
        side=side,
        model=found.model,
        precision=_text(found.precision),
        knobs={_text(each.name): each.value for each in found.knobs[: found.knob_count]},
        inputs=tuple(map(port, _all(found.inputs, found.input_count))),
        outputs=tuple(map(port, _all(found.outputs, found.output_count))),
        tiling=Tiling(halo) if found.not_tiled is None else Tiling(None, _text(found.not_tiled)),
        tolerance_levels=found.tolerance_levels,
        tolerance_db=found.tolerance_db,
        bytes_per_pixel=found.bytes_per_pixel or None,
    )
