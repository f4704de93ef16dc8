"""Optimization profiles: the shapes that a plan takes, from the sizes of the pictures that it is to work on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecodec.errors import InvalidArgument

if TYPE_CHECKING:
    from edgecodec.description import BakedGraph, Model

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ShapeRange:
    """The shapes that an input may have, and the one that a plan is fastest for."""

    smallest: Shape
    typical: Shape
    largest: Shape

    def holds(self, shape: Shape) -> bool:
        """Whether a plan takes an input of this shape."""
        return len(shape) == len(self.smallest) and all(
            low <= side <= high for low, side, high in zip(self.smallest, shape, self.largest, strict=True)
        )


#: By input of a graph, those with a fixed shape among them.
Profile = Mapping[str, ShapeRange]


@dataclass(frozen=True)
class Size:
    """Of a picture, in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class PictureSizes:
    """The pictures that a plan takes, and those that it is fastest for. smallest: None for the smallest that the codec
    takes at all.
    """

    smallest: Size | None
    typical: Size
    largest: Size


def covers(profile: Profile, shapes: Mapping[str, Shape]) -> bool:
    """Whether a plan takes inputs of these shapes at once."""
    return profile.keys() == shapes.keys() and all(profile[name].holds(shape) for name, shape in shapes.items())


def parse_size(text: str, option: str) -> Size:
    """ "768x512", width by height. Raises InvalidArgument, naming the option."""
    match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if match is None or not int(match[1]) or not int(match[2]):
        raise InvalidArgument(f"{text!r} is not a size", where=option, hint="give width and height, like 768x512")
    return Size(int(match[1]), int(match[2]))


def profile_of(graph: BakedGraph, model: Model, sizes: PictureSizes) -> Profile:
    """The shapes of every input of a graph for pictures of these sizes.

    Raises InvalidArgument where the smallest is not the smallest, or the largest not the largest.
    """
    side = smallest_side(model)
    ordered = (sizes.smallest or Size(side, side), sizes.typical, sizes.largest)
    for (name, one), (other_name, other) in zip(
        zip(("--min", "--opt"), ordered, strict=False), zip(("--opt", "--max"), ordered[1:], strict=True), strict=True
    ):
        if one.width > other.width or one.height > other.height:
            raise InvalidArgument(
                f"{one} of {name} does not fit into {other} of {other_name}",
                hint="give sizes that grow in both directions, as width and height",
            )
    shapes = [shapes_for(graph, model, size) for size in ordered]
    return {port.name: ShapeRange(*(each[port.name] for each in shapes)) for port in graph.inputs}


def smallest_side(model: Model) -> int:
    """In pixels, of the smallest picture that a model's networks take, after it was padded."""
    step = model.padding.alignment
    return -(-max(model.padding.smallest_side, step) // step) * step


def shapes_for(graph: BakedGraph, model: Model, size: Size) -> dict[str, Shape]:
    """The shape of every input of a graph that codes, or decodes, a picture of this size.

    An encoder is given the padded picture; a decoder's latents cover the picture, with sides rounded up to the model's
    alignment.
    """
    least, step = model.padding.smallest_side, model.padding.alignment
    padded = [-(-max(side, least) // step) * step for side in (size.height, size.width)]
    covered = [-(-side // model.alignment) * model.alignment for side in (size.height, size.width)]
    latents = {each.name: each for each in (*model.encoder_latents, *model.decoder_latents)}

    def planes(channels: int, stride: int) -> Shape:
        return (1, channels, *(side // stride for side in covered))

    shapes: dict[str, Shape] = {}
    for port in graph.inputs:
        match port.role:
            case "image":
                shapes[port.name] = (*padded, 3)
            case "latent":
                shapes[port.name] = planes(latents[port.of].channels, latents[port.of].stride)
            case "noise":
                assert model.noise is not None  # the index has its description where a graph takes it
                shapes[port.name] = planes(model.noise.channels, model.noise.stride)
            case "size":
                shapes[port.name] = (2,)
            case "knob":
                shapes[port.name] = ()
    return shapes
