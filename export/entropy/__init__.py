"""From float entropy models to integer ones, one file for each kind. A new kind is a new file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecodec.errors import InternalError
from edgecodec.export.entropy.base import Counting, Freezer, Observation
from edgecodec.export.entropy.channel_slices import ChannelSlicesFreezer
from edgecodec.export.entropy.finite_alphabet import FiniteAlphabetFreezer
from edgecodec.export.entropy.masked_prefix import MaskedPrefixFreezer
from edgecodec.export.entropy.mixture import MixtureFreezer
from edgecodec.export.entropy.scale_hyperprior import ScaleHyperpriorFreezer
from edgecodec.export.families import Agustsson, Crdr, Fidelity, LearnedCodec, ScaleHyperprior, Tunable

FREEZERS: tuple[tuple[type[LearnedCodec], Callable[[Any], Freezer]], ...] = (
    (Agustsson, FiniteAlphabetFreezer),
    (Crdr, ChannelSlicesFreezer),
    (Fidelity, MixtureFreezer),
    (ScaleHyperprior, ScaleHyperpriorFreezer),
    (Tunable, MaskedPrefixFreezer),
)

__all__ = ["FREEZERS", "Counting", "Freezer", "Observation", "freezer_of"]


def freezer_of(model: LearnedCodec) -> Freezer:
    """What freezes the entropy side of `model`."""
    for family, freezer in FREEZERS:
        if isinstance(model, family):
            return freezer(model)
    raise InternalError(f"nothing freezes the entropy model of {model.FAMILY}")
