"""From float entropy models to integer ones, one file for each kind. A new kind is a new file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecodec.errors import InternalError
from edgecodec_export.entropy.freezer import Counting, Freezer, Observation
from edgecodec_export.entropy.freezers.channel_slices import ChannelSlicesFreezer
from edgecodec_export.entropy.freezers.finite_alphabet import FiniteAlphabetFreezer
from edgecodec_export.entropy.freezers.masked_prefix import MaskedPrefixFreezer
from edgecodec_export.entropy.freezers.mixture import MixtureFreezer
from edgecodec_export.entropy.freezers.scale_hyperprior import ScaleHyperpriorFreezer
from edgecodec_export.families import Agustsson, Crdr, Fidelity, LearnedCodec, ScaleHyperprior, Tunable

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
