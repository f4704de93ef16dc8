"""NumPy arrays and numbers in PyTorch files, rebuilt from a type, a shape and bytes.

NumPy's own unpickling trusts what a file says about the fields and flags of a type, so that bytes of the file may be
read as pointers. The replacements here know a few types by name and check every length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
            raise ValueError("unknown byte order")
        self.order = order

    def values(self, data: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The numbers that the bytes of `data` encode. Raises ValueError if their length is not the shape's."""
        stored = np.dtype(self.order + self.code)
        if not isinstance(data, bytes) or len(data) != math.prod(shape) * stored.itemsize:
            raise ValueError("an array whose length does not match its shape")
        return np.frombuffer(data, stored)


class PickledArray:
    """Stands in for `numpy.ndarray`. Pickle creates it with placeholder arguments, then sets `tensor`, the array."""

    tensor: Tensor

    def __init__(self, *placeholder: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, data = state
        if not isinstance(kind, PickledType):
            raise TypeError("an array without a type")
        self.tensor = as_tensor(kind.values(data, shape).reshape(shape, order="F" if by_columns else "C"))


def _number(kind: Any, data: Any) -> Any:
    """Stands in for NumPy's scalars: gives the Python number."""
    if not isinstance(kind, PickledType):
        raise TypeError("a number without a type")
    return kind.values(data, ()).item()


def _no_bytes() -> bytes:
    """Stands in for `bytes`: pickle stores an empty buffer as a call to bytes()."""
    return b""


#: What a file may call, with the name that it uses; NumPy 2 has moved its functions.
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (PickledType, "numpy.dtype"),
    (PickledArray, "numpy.ndarray"),
    (_no_bytes, "builtins.bytes"),
]
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    STAND_INS += [(PickledArray, f"{_module}._reconstruct"), (_number, f"{_module}.scalar")]


def with_tensors(content: Any) -> Any:
    """The content with a tensor in place of each pickled array, in nested mappings too.

    A mapping that is there many times is converted once, as few bytes can name one exponentially often.
    """
    converted: dict[int, Any] = {}

    def convert(each: Any) -> Any:
        if isinstance(each, PickledArray):
            return each.tensor
        if not isinstance(each, Mapping):
            return each
        if id(each) not in converted:
            converted[id(each)] = {key: convert(value) for key, value in each.items()}
        return converted[id(each)]

    return convert(content)


def as_tensor(array: npt.NDArray[Any]) -> Tensor:
    """A copy in the machine's byte order. Raises TypeError for arrays that do not hold numbers."""
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))
