"""What an engine gives back, compared with what the index promises: a graph may output anything under its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgecodec.errors import EngineFailed

if TYPE_CHECKING:
    import numpy.typing as npt


def require_output(
    outputs: Mapping[str, Any], name: str, dtype: str, shape: tuple[int, ...], where: str
) -> npt.NDArray[Any]:
    """The output `name`, which is an array of this dtype and shape. where: of the error.

    Raises EngineFailed for another array, for what is none (a sequence, a map, an optional without a value) and for an
    output that is missing.
    """
    import numpy as np

    promised = f"{dtype} {shape}"
    if name not in outputs:
        raise EngineFailed(f"gave no {name!r}, not {promised}", where=where)
    value = outputs[name]
    if not isinstance(value, np.ndarray):
        raise EngineFailed(f"gave a {type(value).__name__} for {name!r}, not {promised}", where=where)
    if value.dtype != np.dtype(dtype) or value.shape != shape:
        raise EngineFailed(f"gave {value.dtype} {value.shape} for {name!r}, not {promised}", where=where)
    return value
