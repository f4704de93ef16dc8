"""What any baking gives: points, which are encoders and decoders at fixed knobs, ready to become graphs.

Points are made one at a time, because decoders may be large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from edgecodec.errors import InvalidArgument
from edgecodec.knobs import decimal
from edgecodec.manifest import Scalar
from edgecodec_export.families import LearnedCodec

Knobs = dict[str, float]


@dataclass(frozen=True)
class Point:
    """An encoder or a decoder with its baked knobs.

    module: what is exported. An encoder maps (1, 3, H, W) in [0, 1] and one scalar per knob that is not to the codec's
    encoder latents; a decoder maps decoder latents, and noise where the codec has any, to the picture.
    reference: the model itself with the same inputs, which the graph is checked against.
    """

    knobs: Knobs
    module: nn.Module
    reference: nn.Module
    scalars: Mapping[str, Scalar] = field(default_factory=dict)


def suffix(knobs: Knobs) -> str:
    """What tells the files of baked points apart: "-beta3.84-quality2"."""
    return "".join(f"-{knob}{decimal(value)}" for knob, value in sorted(knobs.items()))


#: Values to bake, by knob; knobs that are not there get the family's own choice.
Asked = Mapping[str, Sequence[float]]

NOTHING: Asked = {}


class Baking:
    """One encoder and one decoder, as they are."""

    #: Knobs of the family that can be baked, and those that are inputs of its encoder.
    BAKED: ClassVar[tuple[str, ...]] = ()
    INPUTS: ClassVar[Mapping[str, Scalar]] = {}

    def __init__(self, model: LearnedCodec, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> None:
        """mse: a second model with the same encoder. Raises InvalidArgument for a knob there is not."""
        self.model, self.asked, self.mse = model, asked, mse
        known = [*self.baked_knobs(), *(f"{name} (given when a picture is encoded)" for name in self.INPUTS)]
        hint = f"its knobs: {', '.join(known) or 'none'}"
        for knob, values in asked.items():
            if knob not in self.baked_knobs():
                raise InvalidArgument(f"{model.FAMILY} has no {knob} to bake", hint=hint)
            if not values:
                raise InvalidArgument(f"there is no {knob} to bake", hint="give one value or more")
        if mse is not None and "alpha" not in self.BAKED:
            raise InvalidArgument(f"{model.FAMILY} takes one checkpoint, not two", hint=hint)

    def baked_knobs(self) -> tuple[str, ...]:
        """Knobs that this model can be baked at."""
        return self.BAKED

    def notes(self) -> list[str]:
        """What became of values that cannot be baked as asked, for people."""
        return []

    def encoder_knobs(self) -> list[Knobs]:
        """Those of every encoder to bake."""
        return [{}]

    def decoder_knobs(self) -> list[Knobs]:
        """Those of every decoder to bake."""
        return [{}]

    def default_knobs(self) -> Knobs:
        """What is meant where nothing is asked at run time."""
        return {}

    def settings(self) -> list[Knobs]:
        """Knobs, by their names in the model's `encode`, at which pictures are to be coded: what calibration covers."""
        return [{}]

    def encoder(self, knobs: Knobs) -> Point:
        """One of `encoder_knobs`."""
        module = Encoder(self.model)
        return Point(knobs, module, module)

    def decoder(self, knobs: Knobs) -> Point:
        """One of `decoder_knobs`."""
        module = Decoder(self.model)
        return Point(knobs, module, module)


class Encoder(nn.Module):
    """`encode` of a codec as a module, with keywords fixed."""

    def __init__(self, model: LearnedCodec, fixed: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.fixed = model, dict(fixed or {})

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.model.encode(*inputs, **self.fixed)


class Decoder(nn.Module):
    """`decode` of a codec as a module, with keywords fixed."""

    def __init__(self, model: LearnedCodec, fixed: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.fixed = model, dict(fixed or {})

    def forward(self, *latents: Tensor) -> Tensor:
        return self.model.decode(*latents, **self.fixed)


def distinct(values: Iterable[float]) -> tuple[float, ...]:
    """Ascending, each once."""
    return tuple(sorted(set(map(float, values))))
