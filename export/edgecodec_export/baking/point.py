"""Encoders and decoders as modules, at fixed knobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from edgecodec.description import Knobs
from edgecodec_export.baking.knob import Range

if TYPE_CHECKING:  # families import their bakings, not the other way round
    from edgecodec_export.families.codec import LearnedCodec


@dataclass(frozen=True)
class Point:
    """An encoder or a decoder with its baked knobs.

    module: what is exported. An encoder maps (1, 3, H, W) in [0, 1] and one scalar per knob that is not baked to the
    codec's encoder latents; a decoder maps decoder latents, and noise where the codec has any, to the picture.
    reference: the model itself with the same inputs, which the graph is checked against.
    """

    knobs: Knobs
    module: nn.Module
    reference: nn.Module
    scalars: Mapping[str, Range] = field(default_factory=dict)


class Encoder(nn.Module):
    """`encode` of a codec as a module, with keywords fixed."""

    def __init__(self, model: LearnedCodec, fixed: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.fixed = model, dict(fixed or {})

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.model.encode(*inputs, **self.fixed)


class Decoder(nn.Module):
    """`decode` of a codec as a module, with keywords fixed."""

    def __init__(self, model: LearnedCodec, fixed: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.fixed = model, dict(fixed or {})

    def forward(self, *latents: Tensor) -> Tensor:
        return self.model.decode(*latents, **self.fixed)
