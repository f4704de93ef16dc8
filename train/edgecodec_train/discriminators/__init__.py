"""The discriminators of adversarial training, one file each. A new kind is a new file and a line here."""

from __future__ import annotations

import inspect
from typing import Any

from edgecodec.errors import InvalidArgument
from edgecodec_train.discriminators.base import Conditions, Discriminator, Inputs, Judgement, Judgements
from edgecodec_train.discriminators.by_level import (
    HybridBackboneDiscriminator,
    HybridHeadDiscriminator,
    IndependentDiscriminator,
    SharedDiscriminator,
)
from edgecodec_train.discriminators.conditional import ConditionalDiscriminator
from edgecodec_train.discriminators.detail import DetailDiscriminator
from edgecodec_train.discriminators.multiscale import MultiscaleDiscriminator
from edgecodec_train.discriminators.pyramid import PyramidDiscriminator

DISCRIMINATORS: dict[str, type[Discriminator]] = {
    "conditional": ConditionalDiscriminator,
    "detail": DetailDiscriminator,
    "multiscale": MultiscaleDiscriminator,
    "pyramid": PyramidDiscriminator,
    "independent": IndependentDiscriminator,
    "shared": SharedDiscriminator,
    "hybrid-head": HybridHeadDiscriminator,
    "hybrid-backbone": HybridBackboneDiscriminator,
}

__all__ = [
    "DISCRIMINATORS",
    "Conditions",
    "Discriminator",
    "Inputs",
    "Judgement",
    "Judgements",
    "build_discriminator",
]


def build_discriminator(kind: str, inputs: Inputs, **options: Any) -> Discriminator:
    """A freshly initialised discriminator, for example build_discriminator("multiscale", inputs, norm="instance").

    Raises InvalidArgument for an unknown kind, and for options that the kind does not have or whose values are wrong.
    """
    if kind not in DISCRIMINATORS:
        raise InvalidArgument(f"unknown discriminator {kind!r}", hint=f"known: {', '.join(DISCRIMINATORS)}")
    chosen = DISCRIMINATORS[kind]
    known = [name for name in inspect.signature(chosen).parameters if name != "inputs"]
    unknown = [name for name in options if name not in known]
    if unknown:
        message = f"the discriminator {kind!r} has no option {', '.join(map(repr, unknown))}"
        raise InvalidArgument(message, hint=f"known: {', '.join(known)}")
    return chosen(inputs, **options)
