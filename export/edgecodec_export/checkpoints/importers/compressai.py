"""The hyperpriors of CompressAI: `bmshj2018_hyperprior` (scales only) and `mbt2018_mean` (means and scales).

A file is a bare state dict, as in the model zoo, or a training state that holds one as `state_dict`.
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import replace

from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.importers.bottleneck import Bottlenecks, require_constant
from edgecodec_export.checkpoints.importers.importer import Importer
from edgecodec_export.checkpoints.importers.layout import (
    checkpoint,
    foreign_names,
    require_layout,
    width,
    widths_along,
)
from edgecodec_export.checkpoints.importers.state_dicts import StateDict
from edgecodec_export.checkpoints.tensor_mismatches import state_shapes
from edgecodec_export.families.hyperprior import Hyperprior, Preset
from edgecodec_export.layers.normalisation import GDN

PUBLISHED = Hyperprior.PRESETS["published"]

BOTTLENECKS = Bottlenecks(density="entropy_bottleneck", conditional="gaussian_conditional")

# Constants of GDN's reparametrisation that the origin stores as tensors. The family's layer has them built in.
_GDN_CONSTANTS = {
    f"{transform}.{i}.{constant}": value
    for transform in ("g_a", "g_s")
    for i in (1, 3, 5)
    for constant, value in (
        ("beta_reparam.pedestal", GDN.PEDESTAL),
        ("gamma_reparam.pedestal", GDN.PEDESTAL),
        ("beta_reparam.lower_bound.bound", math.sqrt(1e-6 + GDN.PEDESTAL)),
        ("gamma_reparam.lower_bound.bound", math.sqrt(GDN.PEDESTAL)),
    )
}

# The tensors and axes whose lengths are N and M.
_N = dict.fromkeys(("g_a.0.bias", "g_a.0.weight", "g_a.1.beta", "g_a.2.bias", "g_s.2.weight", "h_a.0.bias"), 0)
_M = {"g_a.6.bias": 0, "g_a.6.weight": 0, "g_s.0.weight": 0, "h_a.0.weight": 1}
_H_S = {"h_s.4.bias": 0, "h_s.4.weight": 0}


class CompressAI(Importer):
    """Importer of both layouts; the shapes tell them apart."""

    ORIGIN = "CompressAI (bmshj2018_hyperprior, mbt2018_mean)"
    FAMILY = "hyperprior"
    STATE = "state_dict"
    ROOTS = ("g_a.", "g_s.", "h_a.", "h_s.", "entropy_bottleneck.", "gaussian_conditional.")

    def has_layout(self, names: AbstractSet[str]) -> bool:
        return {"g_a.6.weight", "h_s.4.weight", "entropy_bottleneck.quantiles"} <= names

    def convert(self, stored: StateDict) -> Checkpoint:
        stored = _without_constants(BOTTLENECKS.plain(stored))
        found = stored.entries
        n = width(found, _N, PUBLISHED.transform_channels)
        m = width(found, _M, PUBLISHED.latent_channels)
        preset = Preset(n, m, predicts_means=m not in widths_along(found, _H_S))
        shapes = state_shapes(Hyperprior, preset)
        names = foreign_names(shapes, _MODULES)
        require_layout(self.ORIGIN, stored, {names[name]: shape for name, shape in shapes.items()})
        tensors = {name: found[foreign].float() for name, foreign in names.items()}
        model = "mbt2018_mean" if preset.predicts_means else "bmshj2018_hyperprior"
        return checkpoint(stored, self.FAMILY, model, {"origin": f"CompressAI {model}"}, names, tensors, preset)


def _without_constants(stored: StateDict) -> StateDict:
    for name in stored.entries.keys() & _GDN_CONSTANTS.keys():
        require_constant(stored.key(name), stored.entries[name], _GDN_CONSTANTS[name])
    entries = {name: entry for name, entry in stored.entries.items() if name not in _GDN_CONSTANTS}
    return replace(stored, entries=entries)


_MODULES = {
    **{f"analysis.{i}": f"g_a.{i}" for i in range(7)},
    **{f"synthesis.{i}": f"g_s.{i}" for i in range(7)},
    **{f"hyper_analysis.{i}": f"h_a.{i}" for i in (0, 2, 4)},
    **{f"hyper_synthesis.{i}": f"h_s.{i}" for i in (0, 2, 4)},
    "density": "entropy_bottleneck",
}
