"""The tensors of CompressAI's entropy models in a state dict: which are parameters, and which are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import torch

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints.importers.state_dicts import StateDict
from edgecodec_export.checkpoints.tensor_mismatches import unusable
from edgecodec_export.layers.densities import SCALE_BOUND

# A parameter of the factorised density is `_matrices.0`, `_matrix0` or, since 1.2.7, `matrices.0`.
_PARAMETER = re.compile(r"_?(?:(matri)x|(matri)ces\.|(bias)|(bias)es\.|(factor)|(factor)s\.)(\d)")
_SINGULAR = {"matri": "matrix", "bias": "bias", "factor": "factor"}

# Tables of frequencies and scales are filled by `update()` and may be older than the parameters beside them; export
# computes its own from the densities. Targets and likelihood bounds are for training only.
_TABLES = ("_offset", "_quantized_cdf", "_cdf_length", "likelihood_lower_bound.bound")
_OF_DENSITY = (*_TABLES, "target")
_OF_CONDITIONAL = (*_TABLES, "scale_table")

_SCALE_BOUNDS = ("scale_bound", "lower_bound_scale.bound")


@dataclass(frozen=True)
class Bottlenecks:
    """The paths of a layout's two entropy models.

    density: of the factorised one of the hyperlatent. conditional: of the Gaussian one of the latent.
    """

    density: str
    conditional: str

    def plain(self, stored: StateDict) -> StateDict:
        """The weights without tables, which are left out, and with the density's parameters named `_matrix0`, ...

        Raises CheckpointRejected for a parameter stored under two spellings, and for a bound of scales other than 0.11.
        """
        tables = {f"{self.density}.{leaf}" for leaf in _OF_DENSITY}
        tables |= {f"{self.conditional}.{leaf}" for leaf in _OF_CONDITIONAL}
        bounds = {f"{self.conditional}.{leaf}" for leaf in _SCALE_BOUNDS}
        kept: dict[str, Any] = {}
        keys: dict[str, str] = {}
        twice = []
        for name, entry in stored.entries.items():
            plain = self._old_spelling(name)
            if name in bounds:
                require_scale_bound(stored.key(name), entry)
            elif plain in kept:
                twice.append(plain)
            elif name not in tables:
                kept[plain], keys[plain] = entry, stored.key(name)
        if twice:
            raise CheckpointRejected(
                "holds parameters in two spellings:\n  " + "\n  ".join(f"{name}: there twice" for name in sorted(twice))
            )
        left_out = {**stored.left_out, **self._left_out(stored.entries.keys() & tables)}
        return replace(stored, entries=kept, keys=keys, left_out=left_out)

    def _left_out(self, tables: set[str]) -> dict[str, str]:
        counts = {
            path: sum(name.startswith(f"{path}.") for name in tables) for path in (self.density, self.conditional)
        }
        return {
            f"{path}.*": f"{count} tensors: tables, and what serves training only"
            for path, count in counts.items()
            if count
        }

    def _old_spelling(self, name: str) -> str:
        path, leaf = name[: len(self.density) + 1], name[len(self.density) + 1 :]
        match = _PARAMETER.fullmatch(leaf)
        if path != f"{self.density}." or not match:
            return name
        *stems, layer = match.groups()
        return f"{path}_{_SINGULAR[next(filter(None, stems))]}{layer}"


def require_scale_bound(name: str, stored: Any) -> None:
    """Raise CheckpointRejected for a bound of scales other than 0.11, the scale at which the coding tables start."""
    require_constant(name, stored, SCALE_BOUND)


def require_constant(name: str, stored: Any, value: float) -> None:
    """Raise CheckpointRejected if a stored constant differs from the one built into the family's layers.

    The built-in one is rounded to the type that the file has it in: 2^-36 is 0 in half precision.
    """
    if problem := unusable(stored):
        raise CheckpointRejected(f"{name}: {problem}")
    expected = torch.tensor(value, dtype=torch.float64).to(stored.dtype).item()
    tolerance = max(1e-5, torch.finfo(stored.dtype).eps) * abs(expected)
    if stored.numel() != 1 or not abs(stored.item() - expected) <= tolerance:
        given = stored.item() if stored.numel() == 1 else f"of shape {tuple(stored.shape)}"
        raise CheckpointRejected(f"{name}: is {given}, and only {value:g} is supported")
