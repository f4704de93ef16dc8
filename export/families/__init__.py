"""The codecs that can be exported, one file each. A new family is a new file and a line here."""

from __future__ import annotations

from edgecodec.export.families.crdr import Crdr
from edgecodec.export.families.hific import Hific
from edgecodec.export.families.hyperprior import Hyperprior, ScaleHyperprior

FAMILIES: dict[str, type[Crdr] | type[Hific] | type[Hyperprior]] = {
    family.FAMILY: family for family in (Crdr, Hific, Hyperprior)
}

__all__ = ["FAMILIES", "Crdr", "Hific", "Hyperprior", "ScaleHyperprior", "build"]


def build(family: str, preset: str) -> Crdr | Hific | Hyperprior:
    """A freshly initialised model, for example build("hific", "compact")."""
    chosen = FAMILIES[family]
    return chosen(chosen.PRESETS[preset])  # type: ignore[arg-type]
