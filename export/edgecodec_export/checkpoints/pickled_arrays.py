"""NumPy's arrays and numbers in PyTorch files, made anew from a type, a shape and bytes.

NumPy's own unpickling believes what a file says about the fields and flags of a type, so that bytes may be taken for
pointers. What stands in for it here knows a few types by name and checks every length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected

_TYPES = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"))


class PickledType:
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: Any, *conversions: Any) -> None:
        if code not in _TYPES:
            raise CheckpointRejected(f"holds NumPy arrays of type {code!r}", hint="save numbers only")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        _, order, *_ = state
        if order not in ("<", ">", "=", "|"):
            raise ValueError("a byte order that there is not")
        self.order = order

    def values(self, data: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The numbers that lie in `data` as bytes. Raises ValueError for a length that is not the shape's."""
        stored = np.dtype(self.order + self.code)
        if not isinstance(data, bytes) or len(data) != math.prod(shape) * stored.itemsize:
            raise ValueError("an array of another length than its shape's")
        return np.frombuffer(data, stored)


class PickledArray:
    """Stands in for `numpy.ndarray`, whatever the arguments it is first made with; `tensor` is the whole array."""

    tensor: Tensor

    def __init__(self, *placeholder: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, data = state
        if not isinstance(kind, PickledType):
            raise TypeError("an array without a type")
        self.tensor = as_tensor(kind.values(data, shape).reshape(shape, order="F" if by_columns else "C"))


def _number(kind: Any, data: Any) -> Any:
    """Stands in for NumPy's numbers: one of Python's."""
    if not isinstance(kind, PickledType):
        raise TypeError("a number without a type")
    return kind.values(data, ()).item()


def _no_bytes() -> bytes:
    """Stands in for `bytes`, which the contents of an empty array are pickled as a call of."""
    return b""


#: What a file may call, by the names that it calls it by; NumPy 2 has moved its functions.
STAND_INS: list[tuple[Any, str]] = [
    (PickledType, "numpy.dtype"),
    (PickledArray, "numpy.ndarray"),
    (_no_bytes, "builtins.bytes"),
]
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    STAND_INS += [(PickledArray, f"{_module}._reconstruct"), (_number, f"{_module}.scalar")]


def with_tensors(content: Any) -> Any:
    """The content with a tensor for each pickled array, in mappings within mappings."""
    if isinstance(content, PickledArray):
        return content.tensor
    return {key: with_tensors(each) for key, each in content.items()} if isinstance(content, Mapping) else content


def as_tensor(array: npt.NDArray[Any]) -> Tensor:
    """A copy in the machine's byte order. Raises TypeError for what is no numbers."""
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))
