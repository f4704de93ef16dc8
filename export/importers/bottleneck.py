"""What CompressAI's entropy models put into a state dict, and which of it is to be believed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec.export.families.blocks import SCALE_BOUND

# A parameter of the factorised density is `_matrices.0`, `_matrix0` or, since 1.2.7, `matrices.0`.
_PARAMETER = re.compile(r"\._?(?:(matri)x|(matri)ces\.|(bias)|(bias)es\.|(factor)|(factor)s\.)(\d)$")
_SINGULAR = {"matri": "matrix", "bias": "bias", "factor": "factor"}

# Tables of frequencies and scales are filled by `update()` and may be older than the parameters beside them; they are
# made anew from the densities. Targets and likelihood bounds serve training only.
_TABLES = re.compile(r"\.(?:_offset|_quantized_cdf|_cdf_length|scale_table|target|likelihood_lower_bound\.bound)$")

_SCALE_BOUNDS = re.compile(r"\.(?:scale_bound|lower_bound_scale\.bound)$")


def plain_bottlenecks(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries without the tables of entropy models, and with parameters of densities as `_matrix0`, `_bias0`, ...

    Raises CheckpointRejected for parameters that are there in two spellings, and for a bound of scales other than 0.11.
    """
    kept: dict[str, Any] = {}
    twice = []
    for name, entry in entries.items():
        plain = _PARAMETER.sub(_old_spelling, name)
        if _SCALE_BOUNDS.search(name):
            require_scale_bound(name, entry)
        elif plain in kept:
            twice.append(plain)
        elif not _TABLES.search(name):
            kept[plain] = entry
    if twice:
        raise CheckpointRejected(
            "holds parameters in two spellings:\n  " + "\n  ".join(f"{name}: there twice" for name in sorted(twice))
        )
    return kept


def require_scale_bound(name: str, stored: Any) -> None:
    """Raise CheckpointRejected for a bound of scales other than 0.11, which is the one the coding tables start at."""
    require_constant(name, stored, SCALE_BOUND)


def require_constant(name: str, stored: Any, value: float) -> None:
    """Raise CheckpointRejected where a stored constant is not the one that the family's layers are built with."""
    given = stored.tolist() if isinstance(stored, Tensor) else stored
    if not isinstance(stored, Tensor) or not all(abs(each / value - 1) < 1e-5 for each in stored.flatten().tolist()):
        raise CheckpointRejected(f"{name}: is {given}, and only {value:g} is supported")


def _old_spelling(match: re.Match[str]) -> str:
    *stems, layer = match.groups()
    return "._" + _SINGULAR[next(filter(None, stems))] + layer
