"""The hyperpriors of CompressAI: `bmshj2018_hyperprior` (scales only) and `mbt2018_mean` (means and scales).

A file is a bare state dict, as the model zoo has it, or a training state that holds one as `state_dict`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from edgecodec.export.families.blocks import GDN
from edgecodec.export.families.hyperprior import Hyperprior, Preset
from edgecodec.export.importers.base import Checkpoint
from edgecodec.export.importers.bottleneck import plain_bottlenecks, require_constant
from edgecodec.export.importers.layout import (
    entries_of,
    foreign_names,
    require_layout,
    state_dict_keys,
    state_shapes,
    width,
)

PUBLISHED = Hyperprior.PRESETS["published"]

# What GDN stores of its parameters' domain. The layer has these numbers built in.
_GDN_CONSTANTS = {
    re.compile(r"_reparam\.pedestal$"): GDN.PEDESTAL,
    re.compile(r"beta_reparam\.lower_bound\.bound$"): math.sqrt(1e-6 + GDN.PEDESTAL),
    re.compile(r"gamma_reparam\.lower_bound\.bound$"): math.sqrt(GDN.PEDESTAL),
}


class CompressAI:
    """Importer of both layouts; the shapes tell which it is."""

    ORIGIN = "CompressAI (bmshj2018_hyperprior, mbt2018_mean)"
    FAMILY = "hyperprior"

    def recognises(self, content: Mapping[str, Any]) -> bool:
        keys = state_dict_keys(content.get("state_dict", content))
        return {"g_a.6.weight", "h_s.4.weight", "entropy_bottleneck.quantiles"} <= keys

    def read(self, content: Mapping[str, Any]) -> Checkpoint:
        found = _without_constants(plain_bottlenecks(entries_of(content.get("state_dict", content))))
        n = width(found, "g_a.0.bias", PUBLISHED.transform_channels)
        m = width(found, "g_a.6.bias", PUBLISHED.latent_channels)
        preset = Preset(n, m, predicts_means=width(found, "h_s.4.bias", 2 * m) == 2 * m)
        shapes = state_shapes(Hyperprior, preset)
        names = foreign_names(shapes, _MODULES)
        require_layout(self.ORIGIN, found, {names[name]: shape for name, shape in shapes.items()})
        tensors = {name: found[foreign].float() for name, foreign in names.items()}
        model = "mbt2018_mean" if preset.predicts_means else "bmshj2018_hyperprior"
        return Checkpoint("hyperprior", model, {"origin": f"CompressAI {model}"}, tensors, preset)


def _without_constants(entries: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(entries)
    for pattern, value in _GDN_CONSTANTS.items():
        for name in filter(pattern.search, entries):
            require_constant(name, kept.pop(name), value)
    return kept


_MODULES = {
    **{f"analysis.{i}": f"g_a.{i}" for i in range(7)},
    **{f"synthesis.{i}": f"g_s.{i}" for i in range(7)},
    **{f"hyper_analysis.{i}": f"h_a.{i}" for i in (0, 2, 4)},
    **{f"hyper_synthesis.{i}": f"h_s.{i}" for i in (0, 2, 4)},
    "density": "entropy_bottleneck",
}
