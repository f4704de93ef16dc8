"""How close a decoder in another precision comes to the one in single precision, on photographs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgecodec.errors import VerificationFailed
from edgecodec_export.graphs.onnx_export import SynthesisModule
from edgecodec_export.precisions import Precision

EQUAL_DB = 200.0  # of pictures without any difference


@torch.no_grad()
def least_psnr(
    precision: Precision, single: nn.Module, converted: nn.Module, inputs: Sequence[Sequence[Tensor]]
) -> float:
    """The least PSNR in dB between the bytes of both decoders, of all `inputs`.

    Raises VerificationFailed where it is below the precision's bound, and what its `run` raises.
    """
    least = min(_psnr(precision, single, converted, each) for each in inputs)
    if least < precision.LEAST_DB:
        raise VerificationFailed(f"is {least:.1f} dB from fp32 on a photograph, less than {precision.LEAST_DB:g}")
    return least


def _psnr(precision: Precision, single: nn.Module, converted: nn.Module, inputs: Sequence[Tensor]) -> float:
    (expected,) = (SynthesisModule(single)(*inputs),)
    (found,) = precision.run(SynthesisModule(converted), inputs)
    squares = (found.double() - expected.double()).square().mean()
    return EQUAL_DB if squares == 0 else float(20 * torch.tensor(255.0).log10() - 10 * squares.log10())
