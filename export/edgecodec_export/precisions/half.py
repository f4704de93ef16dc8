"""Half precision: convolutions and what lies between them in IEEE 754 half precision, all that is delicate in single.

In single precision stay:

* norms, affine maps and other layers with numbers of their own that are no convolutions: squares overflow early;
* the ports, and the arithmetic up to the first convolution: integers above 2048 are not exact in half precision;
* what follows the last convolution of a decoder;
* of an encoder the last convolutions too, and with them everything from the last layer that makes a latent through its
  rounding, where an error of half precision may be as large as a step.

The module itself is converted, and exported as it then is; no tool changes the graph.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from edgecodec.description import Side
from edgecodec.errors import VerificationFailed
from edgecodec_export.precisions.last_convolutions import last_convolutions
from edgecodec_export.precisions.precision import Precision

LARGEST = torch.finfo(torch.float16).max  # 65504
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


class Half(Precision):
    """IEEE 754 half precision with sums in single precision, as tensor cores compute it."""

    name = "fp16"
    LEVELS = 8
    LEAST_DB = 55.0
    LARGEST_ERROR = LEVELS / 255

    @torch.no_grad()
    def converted(self, module: nn.Module, side: Side, inputs: Sequence[Tensor]) -> nn.Module:
        half = copy.deepcopy(module)
        last = last_convolutions(half, inputs)
        for name, layer in half.named_modules():
            if isinstance(layer, _CONVOLUTIONS):
                if layer not in last or side == "decode":
                    _require_range(name, layer)
                    layer.half()
                layer.register_forward_pre_hook(_as_the_weights)
                if layer in last:
                    layer.register_forward_hook(_in_single)
            elif _has_numbers(layer) and not any(isinstance(each, _CONVOLUTIONS) for each in layer.modules()):
                types = _InSingle()
                layer.register_forward_pre_hook(types.before)
                layer.register_forward_hook(types.after)
        return half

    @torch.no_grad()
    def run(self, converted: nn.Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        with _TensorCores():
            outputs = converted(*inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)


def _has_numbers(layer: nn.Module) -> bool:
    return any(True for _ in layer.parameters()) or any(True for _ in layer.buffers())


def _require_range(name: str, layer: nn.Module) -> None:
    largest = max(float(parameter.abs().max()) for parameter in layer.parameters())
    if not largest <= LARGEST:
        raise VerificationFailed(f"has a weight of {largest:.3g} in {name}, and half precision ends at {LARGEST:.0f}")


def _as_the_weights(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Hook in front of a convolution: its input in the type of its weights."""
    x, *others = args
    return x.to(layer.weight.dtype), *others


def _in_single(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    """Hook behind a convolution: its output in single precision."""
    return output.float()


class _InSingle:
    """Hooks of a layer that computes in single precision and gives back the type that it was given."""

    def __init__(self) -> None:
        self._type = torch.float32

    def before(self, layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *others = args
        self._type = x.dtype
        return x.float(), *others

    def after(self, layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output.to(self._type)


class _TensorCores(TorchDispatchMode):
    """While active, convolutions of halves sum in single precision, and every half that is not finite is an error.

    Engines on processors compute halves in single precision between their casts, where nothing overflows; so a graph
    that works there may not on a GPU.
    """

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten.convolution.default and args[0].dtype == torch.float16:
            x, weight, bias, *others = args
            single = function(x.float(), weight.float(), None if bias is None else bias.float(), *others)
            result = single.half()
        else:
            result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dtype == torch.float16 and not result.isfinite().all():
            raise VerificationFailed(f"leaves the range of half precision, which ends at {LARGEST:.0f}")
        return result
