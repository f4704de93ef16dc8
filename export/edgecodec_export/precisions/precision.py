"""What a precision is, and single precision, in which the families compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from edgecodec.description import Side
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.graphs.receptive_field import Grid

#: What a graph takes, by name and in its order.
Inputs = Mapping[str, npt.NDArray[np.float32]]
#: From a graph with its weights in it to another.
Finish = Callable[[onnx.ModelProto], onnx.ModelProto]
#: What a synthesis graph computes: (H, W, 3) bytes.
Decoder = Callable[[Inputs], npt.NDArray[np.uint8]]


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
    #: By how much a decoder's PSNR to the originals may fall, in dB: over all photographs, and on any.
    LARGEST_MEAN_LOSS: ClassVar[float] = math.inf
    LARGEST_LOSS: ClassVar[float] = math.inf
    #: Largest difference of a graph from the model in PyTorch (`graphs.parity`).
    LARGEST_ERROR: ClassVar[float]

    def check(self, model: LearnedCodec) -> None:
        """Raise VerificationFailed for a model whose decoders have no such form: before the work, which takes minutes.

        A model that passes may still turn out to have none.
        """

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

    def finish(self, maps: Mapping[str, Grid], samples: Callable[[], Sequence[Inputs]]) -> Finish | None:
        """What makes the graph that is written of that of a converted decoder; None where it is the same.

        maps: where the graph's inputs lie. samples: makes inputs of photographs other than those it is measured on. The
        result raises VerificationFailed for a graph that has no such form.
        """
        return None

    def decoder(self, converted: nn.Module, path: Path) -> Decoder:
        """What the graph in `path` computes, which was made of `converted`, as engines compute it in this precision.

        converted: the whole graph as a module. The decoder raises VerificationFailed as `run` does.
        """

        @torch.no_grad()
        def decode(inputs: Inputs) -> npt.NDArray[np.uint8]:
            (image,) = self.run(converted, [torch.from_numpy(each) for each in inputs.values()])
            return image.numpy()

        return decode


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
