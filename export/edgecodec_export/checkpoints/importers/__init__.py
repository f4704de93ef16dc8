"""Checkpoints of other origins. A new origin is a new module and a line in IMPORTERS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgecodec_export.checkpoints.importers.agustsson_tf1 import AgustssonTf1
from edgecodec_export.checkpoints.importers.compressai import CompressAI
from edgecodec_export.checkpoints.importers.crdr import CrdrCheckpoints
from edgecodec_export.checkpoints.importers.fidelity_controllable import FidelityControllable
from edgecodec_export.checkpoints.importers.importer import Importer
from edgecodec_export.checkpoints.importers.justin_tan import JustinTan
from edgecodec_export.checkpoints.importers.layout import state_dict_in, state_dict_keys
from edgecodec_export.checkpoints.importers.neural_compression import NeuralCompression

IMPORTERS: tuple[Importer, ...] = (
    AgustssonTf1(),
    CompressAI(),
    CrdrCheckpoints(),
    FidelityControllable(),
    JustinTan(),
    NeuralCompression(),
)

__all__ = ["IMPORTERS", "Importer", "closest"]


def closest(importers: Sequence[Importer], content: Mapping[str, Any]) -> Importer:
    """The importer whose prefixes most of the file's names have. There must be at least one importer."""

    def matching_names(importer: Importer) -> int:
        names = state_dict_keys(state_dict_in(content, importer.STATE))
        return sum(name.startswith(importer.ROOTS) for name in names)

    return max(importers, key=matching_names)
