"""GC models of Justin-Tan/generative-compression, whose TensorFlow 1 variables were saved as arrays by their names.

    generator/encoder_image/conv2d[_i]/{kernel,bias}            i = 1..5, none for 0
    generator/encoder_image/InstanceNorm[_i]/{gamma,beta}
    generator/decoder/{conv2d[_i],conv2d_transpose[_i]}/{kernel,bias}
    generator/decoder/InstanceNorm[_i]/{gamma,beta}

Kernels are (rows, columns, in, out), transposed ones (rows, columns, out, in). That origin has SAME convolutions,
instance norm with epsilon 1e-6, and instance norm and ReLU after the projection to C channels too. Its evaluation uses
these raw variables, not their moving averages. Its noise and conditional models are other networks and are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec.export.families.agustsson import Agustsson, Preset
from edgecodec.export.importers.base import Checkpoint

_ENCODER, _DECODER = "generator/encoder_image/", "generator/decoder/"
_LAST_KERNEL = _ENCODER + "conv2d_5/kernel"  # its outputs are the C channels


class AgustssonTf1:
    """Justin-Tan/generative-compression."""

    ORIGIN = "Justin-Tan/generative-compression"
    FAMILY = "agustsson"

    def recognises(self, content: Mapping[str, Any]) -> bool:
        return any(str(key).startswith((_ENCODER, _DECODER)) for key in content)

    def read(self, content: Mapping[str, Any]) -> Checkpoint:
        """content: arrays by variable name, nothing else."""
        projection = content.get(_LAST_KERNEL)
        channels = projection.shape[-1] if isinstance(projection, Tensor) and projection.ndim == 4 else 8
        preset = Preset("GC", channels, projection_norm=True, zero_border="trailing", epsilon=1e-6)
        with torch.device("meta"):
            expected = Agustsson(preset).state_dict()
        origins = {name: origin for origin, name in _names(preset)}
        problems = [f"{name}: unused" for name in sorted(map(str, set(content) - set(origins.values())))]
        tensors = {}
        for name, origin in sorted(origins.items(), key=lambda pair: pair[1]):
            wanted = _shape_at_origin(expected[name])
            given = content.get(origin)
            if given is None:
                problems.append(f"{origin}: missing")
            elif not isinstance(given, Tensor) or tuple(given.shape) != wanted:
                problems.append(f"{origin}: has shape {tuple(getattr(given, 'shape', ()))}, should have {wanted}")
            else:
                outermost_last = given.permute(3, 2, 0, 1) if given.ndim == 4 else given
                tensors[name] = outermost_last.reshape(expected[name].shape).float()
        if problems:
            listed = "\n  ".join(problems)
            raise CheckpointRejected(
                f"does not fit a GC model of {self.ORIGIN}:\n  {listed}",
                hint="give the raw variables under generator/encoder_image and generator/decoder, and no others",
            )
        return Checkpoint("agustsson", f"tensorflow1-c{channels}", {"origin": self.ORIGIN}, tensors, preset)


def _shape_at_origin(tensor: Tensor) -> tuple[int, ...]:
    """Vectors are flat there, and the two channel axes of kernels come last, in the opposite order."""
    if tensor.ndim < 4 or tensor.shape[0] == 1:
        return (tensor.numel(),)
    outer, inner, rows, columns = tensor.shape
    return rows, columns, inner, outer


def _names(preset: Preset) -> Iterator[tuple[str, str]]:
    """Every variable's name at its origin and in the family, in the order in which the origin builds its layers."""
    halvings = len(preset.widths) - 1
    encoder = _Scope(_ENCODER)
    for stage in (*(f"analysis.0.{i}" for i in range(halvings + 1)), "analysis.1"):
        yield from encoder.normalised(stage)
    decoder = _Scope(_DECODER)
    yield from decoder.normalised("synthesis.head")
    for i in range(preset.residual_blocks):
        block = f"synthesis.residual_blocks.{i}"
        yield from decoder.normalised(f"{block}.first")
        yield from decoder.layer("conv2d", f"{block}.second")
        yield from decoder.norm(f"{block}.norm")
    for i in range(halvings):
        yield from decoder.normalised(f"synthesis.doublings.{i}", "conv2d_transpose")
    yield from decoder.layer("conv2d", "synthesis.image")


class _Scope:
    """A TensorFlow variable scope: the second layer of a kind gets the suffix _1, and so on."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.counts: dict[str, int] = {}

    def _next(self, kind: str) -> str:
        index = self.counts.get(kind, 0)
        self.counts[kind] = index + 1
        return f"{self.prefix}{kind}_{index}" if index else f"{self.prefix}{kind}"

    def layer(self, kind: str, name: str) -> Iterator[tuple[str, str]]:
        origin = self._next(kind)
        yield f"{origin}/kernel", f"{name}.weight"
        yield f"{origin}/bias", f"{name}.bias"

    def norm(self, name: str) -> Iterator[tuple[str, str]]:
        origin = self._next("InstanceNorm")
        yield f"{origin}/gamma", f"{name}.gamma"
        yield f"{origin}/beta", f"{name}.beta"

    def normalised(self, name: str, kind: str = "conv2d") -> Iterator[tuple[str, str]]:
        yield from self.layer(kind, f"{name}.convolution")
        yield from self.norm(f"{name}.norm")
