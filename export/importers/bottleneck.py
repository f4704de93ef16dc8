"""What CompressAI's entropy models put into a state dict, and which of it is to be believed."""

from __future__ import annotations

import re
from collections.abc import Mapping

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


def plain_bottlenecks(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the tables of entropy models, and with parameters of densities as `_matrix0`, `_bias0`, ...

    Raises CheckpointRejected for a bound of scales other than 0.11, which is the one the coding tables start at.
    """
    kept = {}
    for name, tensor in tensors.items():
        if _SCALE_BOUNDS.search(name):
            require_constant(name, tensor, SCALE_BOUND)
        elif not _TABLES.search(name):
            kept[_PARAMETER.sub(_old_spelling, name)] = tensor
    return kept


def require_constant(name: str, tensor: Tensor, value: float) -> None:
    """Raise CheckpointRejected where a stored constant is not the one that the family's layers are built with."""
    if not all(abs(stored / value - 1) < 1e-5 for stored in tensor.flatten().tolist()):
        raise CheckpointRejected(f"{name}: is {tensor.tolist()}, and only {value:g} is supported")


def _old_spelling(match: re.Match[str]) -> str:
    *stems, layer = match.groups()
    return "._" + _SINGULAR[next(filter(None, stems))] + layer
