"""What a precision is, and single precision, in which the families compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from edgecodec.description import Side


class Precision:
    """One number format of graphs. Stateless."""

    #: As bundles have it, like "fp16".
    name: ClassVar[str]
    #: The sides of which there are graphs in this precision.
    SIDES: ClassVar[tuple[Side, ...]] = ("encode", "decode")
    #: By how many levels of 255 an engine's golden picture may be off.
    LEVELS: ClassVar[int]
    #: Least PSNR in dB, of bytes, between a decoder's pictures and those of the one in fp32; 0 where none is asked for.
    LEAST_DB: ClassVar[float] = 0.0
    #: Largest difference of a graph from the model in PyTorch (`graphs.parity`).
    LARGEST_ERROR: ClassVar[float]

    def converted(self, module: nn.Module, side: Side, inputs: Sequence[Tensor]) -> nn.Module:
        """A copy of an encoder or decoder that computes in this precision, with the same types at both ends.

        inputs: what the module takes, as a sample. Raises VerificationFailed for weights that it cannot hold.
        """
        raise NotImplementedError

    def run(self, converted: nn.Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The outputs of a converted module, computed as engines do in this precision.

        Raises VerificationFailed where a value leaves the range of the format.
        """
        raise NotImplementedError


class Single(Precision):
    """IEEE 754 single precision: the module as it is."""

    name = "fp32"
    LEVELS = 1
    LARGEST_ERROR = 1e-4

    def converted(self, module: nn.Module, side: Side, inputs: Sequence[Tensor]) -> nn.Module:
        return module

    def run(self, converted: nn.Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        outputs = converted(*inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)
