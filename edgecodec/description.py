"""What a bundle says of itself: the types of its index (docs/format.md, section 6) and of what its manifest adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = 2
INDEX = "index.bin"
MANIFEST = "manifest.json"
LARGEST_RATE_FIT = 8  # coefficients
#: The precision of graphs that every other is measured against.
SINGLE = "fp32"

Knobs = Mapping[str, float]
Side = Literal["encode", "decode"]

#: What lies beyond a picture's edge for the analysis graph: the picture mirrored without its edge, or mid grey, which
#: the graph itself puts there when it is told the picture's size.
PaddingRule = Literal["reflect", "grey"]

#: What an input or output of a graph carries (`Port`).
Role = Literal["image", "latent", "knob", "size", "noise"]


@dataclass(frozen=True)
class LatentSpec:
    """`channels` planes of integers, one every `stride` pixels."""

    name: str
    channels: int
    stride: int


@dataclass(frozen=True)
class Padding:
    """How a picture is padded for the analysis graph: each side to a multiple of `alignment` that is at least
    `smallest_side`, in pixels.
    """

    alignment: int
    rule: PaddingRule
    smallest_side: int


@dataclass(frozen=True)
class NoiseSpec:
    """Normal noise that decoders take (`edgecodec.noise`): `channels` planes, one value every `stride` pixels."""

    channels: int
    stride: int


@dataclass(frozen=True)
class SideInput:
    """An encoder latent that comes from the user and not from a graph.

    labels: the class of every pixel, as a number from 0 up; `classes` are their names. mask: 1 where a picture is to be
    coded, 0 where it may be made up.
    """

    kind: Literal["labels", "mask"]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """An entropy model, and what belongs to it.

    id: 8 hexadecimal digits. entropy: its file. rate: about the bits per pixel of photographs, in a bundle that has
    several models. alignment: a picture's sides are rounded up to a multiple of it for the latents. side_inputs: by
    encoder latent.
    """

    id: str
    entropy: str
    rate: float
    alignment: int
    padding: Padding
    noise: NoiseSpec | None
    encoder_latents: tuple[LatentSpec, ...]
    decoder_latents: tuple[LatentSpec, ...]
    side_inputs: Mapping[str, SideInput] = field(default_factory=dict)


@dataclass(frozen=True)
class RateFit:
    """The rate as a function of a scalar knob, fitted to the files of photographs (Wu, Huang, Shen 2020).

    coefficients: 1 to LARGEST_RATE_FIT; log2(bits per pixel) is the sum of coefficients[k] * value**k. low, high: the
    range of values that were coded. residual_percent: root mean square by which the mean rate of the photographs at
    those values is off the curve. The rate of a single picture is about the curve times a factor of its own.
    """

    low: float
    high: float
    coefficients: tuple[float, ...]
    residual_percent: float


@dataclass(frozen=True)
class Knob:
    """A knob of encoders or of decoders.

    values: those that were baked into graphs, ascending; empty for a knob that is an input of graphs and takes what
    lies from low to high. For baked values low and high are the least and the largest. help: a line for people.
    """

    name: str
    side: Side
    help: str
    values: tuple[float, ...]
    low: float
    high: float
    default: float
    rate_fit: RateFit | None = None


@dataclass(frozen=True)
class Port:
    """An input or output of a graph. name: the graph's. of: the latent or knob that it carries, or ""."""

    name: str
    role: Role
    of: str = ""


@dataclass(frozen=True)
class Tiling:
    """halo: receptive field before and after a tile, in units of the entropy model's alignment.

    None where tiles would not come out as the whole does; reason: why not.
    """

    halo: tuple[int, int] | None
    reason: str = ""


@dataclass(frozen=True)
class BakedGraph:
    """A network of an encoder or a decoder, at one value of each of `knobs`.

    model: its number among the bundle's models. tolerance_levels: how far a golden pixel may be off on another engine,
    of 255. tolerance_db: least PSNR to the fp32 graph, and to golden pictures on another engine, both of bytes; 0 where
    none is stated. bytes_per_pixel: of memory, weights not among
    them, or None where it was not estimated.
    """

    file: str
    side: Side
    model: int
    precision: str
    knobs: Knobs
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    tiling: Tiling
    tolerance_levels: int = 0
    tolerance_db: float = 0.0
    bytes_per_pixel: float | None = None


@dataclass(frozen=True)
class GoldenPicture:
    """What `Golden.file` decodes to with these knobs, in this precision."""

    knobs: Knobs
    file: str
    precision: str = SINGLE


@dataclass(frozen=True)
class Golden:
    """A coded picture that every device must decode alike.

    knobs: with which it was encoded. latents_sha256: of all decoder latents as little-endian int16, in the model's
    order.
    """

    file: str
    knobs: Knobs
    latents_sha256: str
    pictures: tuple[GoldenPicture, ...]


@dataclass(frozen=True)
class Closeness:
    """What a decoder's precision costs, on photographs that calibrated nothing, in dB.

    psnr: to the pictures of fp32, the least of all. mean_loss, largest_loss: by how much the PSNR to the originals
    falls, over all and on any; below 0 where it rises.
    """

    psnr: float
    mean_loss: float
    largest_loss: float


@dataclass(frozen=True)
class BundleFile:
    """size: bytes. sha256: 64 hexadecimal digits."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Description:
    """What the index holds. files: all that a runtime may open, by name."""

    family: str
    preset: str
    models: tuple[Model, ...]
    knobs: tuple[Knob, ...]
    graphs: tuple[BakedGraph, ...]
    files: Mapping[str, BundleFile]

    def precisions(self, side: Side, model: int | None = None) -> list[str]:
        """Those of the graphs of one side and model, by its number, or of all models; each once."""
        graphs = (graph for graph in self.graphs if graph.side == side and model in (None, graph.model))
        return list(dict.fromkeys(graph.precision for graph in graphs))

    def quality(self, model: int) -> float | None:
        """By which encoding chooses this model, by its number; None where a quality does not choose among models."""
        encoders = (graph for graph in self.graphs if graph.side == "encode" and graph.model == model)
        qualities = {graph.knobs.get("quality") for graph in encoders}
        return qualities.pop() if len(self.models) > 1 and len(qualities) == 1 else None

    def knobs_of(self, graph: BakedGraph) -> Knobs:
        """Those that the graph is baked at, and the quality that chooses its model."""
        quality = self.quality(graph.model)
        return graph.knobs if quality is None else {**graph.knobs, "quality": quality}


@dataclass(frozen=True)
class Background:
    """What the manifest adds for people and for `verify`.

    parity: largest difference of each graph from PyTorch, by file. closeness: of decoders in other precisions than
    fp32, by file. entropy_cost: ideal bits of `pictures` photographs that did not calibrate the entropy model,
    under the float model and the integer one; `bound_percent` how many more the integer one takes at most, as a
    rule; `by_setting` the same at each value of the encoder's knobs, and the whole their sum; `fitting_percent` by how
    much tables fitted to photographs, which both have, change the bits of the densities that the checkpoint learned,
    and `density_bits` what those take, both absent where no tables were fitted. provenance: checkpoints with their
    notes, versions, and `entropy` where the entropy model was kept from another export. files: every file of the bundle
    but the manifest.
    """

    golden: tuple[Golden, ...]
    parity: Mapping[str, float]
    entropy_cost: Mapping[str, Any]
    provenance: Mapping[str, Any]
    files: Mapping[str, BundleFile]
    closeness: Mapping[str, Closeness] = field(default_factory=dict)
