"""Baking: every family's encoder and decoder at fixed knobs, as modules that are ready to become graphs.

A knob is baked, so that it costs nothing at run time; or it stays an input of the encoder's graph, where it cannot be
folded into weights; or the family has none.
"""

from __future__ import annotations

from edgecodec_export.baking.base import NOTHING, Asked, Baking, Knobs, Point, suffix
from edgecodec_export.baking.crdr import RateAndRealism
from edgecodec_export.baking.interpolation import Interpolation
from edgecodec_export.baking.tunable import ScalarRate
from edgecodec_export.families import Agustsson, Crdr, Fidelity, LearnedCodec, ScaleHyperprior, Tunable

__all__ = ["BAKINGS", "Asked", "Baking", "Knobs", "Point", "baking_of", "suffix"]

#: How each kind of codec is baked. A new kind is a class above and a line here.
BAKINGS: tuple[tuple[type[LearnedCodec], type[Baking]], ...] = (
    (ScaleHyperprior, Interpolation),
    (Fidelity, Interpolation),
    (Crdr, RateAndRealism),
    (Tunable, ScalarRate),
    (Agustsson, Baking),
)


def baking_of(model: LearnedCodec, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> Baking:
    """How `model` is baked. Raises InvalidArgument for knobs its family has not, and what the baking raises."""
    (kind,) = (baking for family, baking in BAKINGS if isinstance(model, family))
    return kind(model, asked, mse)
