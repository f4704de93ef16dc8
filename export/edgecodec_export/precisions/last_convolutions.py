"""Which convolutions of a network are its last: their results reach an output through no other convolution.

Found by following the tensors of one run, so that branches, skips and comparisons need no rule of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_NONE: frozenset[int] = frozenset()


@torch.no_grad()
def last_convolutions(module: nn.Module, inputs: Sequence[Tensor]) -> set[nn.Module]:
    """Those of `module`, run on `inputs`. More than one where they are added, or where there are several outputs.

    A convolution whose filters are no weights of the module, such as the mean of a norm, is arithmetic like any other.
    """
    convolutions = {
        _memory(layer.weight): layer for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
    }
    with _Following(convolutions.keys()) as following:
        outputs = module(*inputs)
    return {convolutions[each] for output in tree_leaves(outputs) for each in following.origins(output)}


def _memory(tensor: Tensor) -> int:
    """What tells the weights of layers apart, and not a layer from another that views its weights."""
    return tensor.untyped_storage().data_ptr()


class _Following(TorchDispatchMode):
    """While active, remembers of every tensor which convolutions it comes from without another in between."""

    def __init__(self, weights: Iterable[int]) -> None:
        super().__init__()
        self._weights = frozenset(weights)
        self._found: dict[int, frozenset[int]] = {}
        self._kept: list[Tensor] = []  # alive, because another tensor could get the identity of one that is not

    def origins(self, tensor: Tensor) -> frozenset[int]:
        return self._found.get(id(tensor), _NONE)

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        origins = _NONE.union(*map(self.origins, given))
        if function is torch.ops.aten.convolution.default and _memory(args[1]) in self._weights:
            origins = frozenset((_memory(args[1]),))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self._found[id(each)] = origins
                self._kept.append(each)
        return result
