"""The codecs that can be exported, one file each. A new family is a new file and a line here."""

from __future__ import annotations

from edgecodec_export.families.agustsson import Agustsson
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.families.crdr import Crdr
from edgecodec_export.families.fidelity import Fidelity
from edgecodec_export.families.hific import Hific
from edgecodec_export.families.hyperprior import Hyperprior
from edgecodec_export.families.scale_hyperprior import ScaleHyperprior
from edgecodec_export.families.tunable import Tunable

FAMILIES: dict[str, type[LearnedCodec]] = {
    family.FAMILY: family for family in (Agustsson, Crdr, Fidelity, Hific, Hyperprior, Tunable)
}

__all__ = [
    "FAMILIES",
    "Agustsson",
    "Crdr",
    "Fidelity",
    "Hific",
    "Hyperprior",
    "LearnedCodec",
    "ScaleHyperprior",
    "Tunable",
    "build",
]


def build(family: str, preset: str) -> LearnedCodec:
    """A freshly initialised model, for example build("hific", "compact")."""
    chosen = FAMILIES[family]
    return chosen(chosen.PRESETS[preset])
