"""The base of every baking: points, which are encoders and decoders at fixed knobs.

Points are made one at a time, because decoders may be large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from edgecodec.description import Knobs
from edgecodec.errors import InvalidArgument
from edgecodec_export.baking.knob import Range
from edgecodec_export.baking.point import Decoder, Encoder, Point
from edgecodec_export.baking.rewrites import rewritten_decoder, rewritten_encoder

if TYPE_CHECKING:  # families import their bakings, not the other way round
    from edgecodec_export.families.codec import LearnedCodec

#: Values to bake, by knob; knobs that are not named get the family's own choice.
Asked = Mapping[str, Sequence[float]]

NOTHING: Asked = {}


class Baking:
    """One encoder and one decoder, as they are."""

    #: Whether a second model with the same encoder may be given.
    TAKES_SECOND_MODEL: ClassVar[bool] = False

    def __init__(self, model: LearnedCodec, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> None:
        """mse: the second model. Raises InvalidArgument for a knob that the model does not have."""
        self.model, self.asked, self.mse = model, asked, mse
        known = [*self.baked_knobs(), *(f"{name} (given when a picture is encoded)" for name in self.scalars())]
        hint = f"its knobs: {', '.join(known) or 'none'}"
        for knob, values in asked.items():
            if knob not in self.baked_knobs():
                raise InvalidArgument(f"{model.FAMILY} has no {knob} to bake", hint=hint)
            if not values:
                raise InvalidArgument(f"there is no {knob} to bake", hint="give one value or more")
        if mse is not None and not self.TAKES_SECOND_MODEL:
            raise InvalidArgument(f"{model.FAMILY} takes one checkpoint, not two", hint=hint)

    def baked_knobs(self) -> tuple[str, ...]:
        """Knobs that this model can be baked at."""
        return tuple(knob.name for knob in self.model.KNOBS if knob.range is None)

    def scalars(self) -> dict[str, Range]:
        """Knobs that stay inputs of the encoder's graph."""
        return {knob.name: knob.range for knob in self.model.KNOBS if knob.range is not None}

    def notes(self) -> list[str]:
        """Lines for people about values that could not be baked as asked."""
        return []

    def doubts(self, images: Sequence[Tensor]) -> list[str]:
        """Lines for people about decoders that do not do what they were baked for, judged by photographs.

        images: each (1, 3, H, W) in [0, 1], with sides that the model takes.
        """
        return []

    def encoder_knobs(self) -> list[Knobs]:
        """The knobs of every encoder to bake."""
        return [{}]

    def decoder_knobs(self) -> list[Knobs]:
        """The knobs of every decoder to bake."""
        return [{}]

    def default_knobs(self) -> Knobs:
        """The values at run time of knobs that a caller does not name."""
        return {}

    def settings(self) -> list[Knobs]:
        """Knobs, by their names in the model's `encode`, at which pictures are to be coded: what calibration covers."""
        return [{}]

    def encoder(self, knobs: Knobs) -> Point:
        """The encoder at one of `encoder_knobs`, in the form that is exported."""
        point = self.baked_encoder(knobs)
        return replace(point, module=rewritten_encoder(point.module))

    def decoder(self, knobs: Knobs) -> Point:
        """The decoder at one of `decoder_knobs`, in the form that is exported."""
        point = self.baked_decoder(knobs)
        module = rewritten_decoder(point.module, splits_doublings=self.model.SPLITS_DOUBLINGS)
        return replace(point, module=module)

    def baked_encoder(self, knobs: Knobs) -> Point:
        """The encoder at one of `encoder_knobs`, in the form of the model."""
        module = Encoder(self.model)
        return Point(knobs, module, module)

    def baked_decoder(self, knobs: Knobs) -> Point:
        """The decoder at one of `decoder_knobs`, in the form of the model."""
        module = Decoder(self.model)
        return Point(knobs, module, module)


def distinct(values: Iterable[float]) -> tuple[float, ...]:
    """Ascending, each once."""
    return tuple(sorted(set(map(float, values))))
