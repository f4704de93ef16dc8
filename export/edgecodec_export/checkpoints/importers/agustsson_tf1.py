"""GC models of Justin-Tan/generative-compression: TensorFlow 1 variables, saved as arrays under their names.

    generator/encoder_image/conv2d[_i]/{kernel,bias}            i = 1..5, none for 0
    generator/encoder_image/InstanceNorm[_i]/{gamma,beta}
    generator/decoder/{conv2d[_i],conv2d_transpose[_i]}/{kernel,bias}
    generator/decoder/InstanceNorm[_i]/{gamma,beta}

Kernels are (rows, columns, in, out), those of transposed convolutions (rows, columns, out, in). The origin has SAME
padding, instance norm with epsilon 1e-6, and instance norm and ReLU after the projection to C channels too. Its
evaluation uses these raw variables, not their moving averages. Its noise and conditional models are other networks and
are refused.

A TensorFlow checkpoint is several files, model.ckpt.index and model.ckpt.data-00000-of-00001; docs/families.md shows
how to convert one to .npz.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from torch import Tensor

from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.importers.importer import Importer
from edgecodec_export.checkpoints.importers.layout import checkpoint, require_layout, width
from edgecodec_export.checkpoints.importers.state_dicts import StateDict
from edgecodec_export.checkpoints.tensor_mismatches import Shape, state_shapes
from edgecodec_export.families.agustsson import Agustsson, Preset

_ENCODER, _DECODER = "generator/encoder_image/", "generator/decoder/"

# The variables and axes whose length is C.
_CHANNELS = {
    f"{_ENCODER}conv2d_5/kernel": 3,
    f"{_ENCODER}conv2d_5/bias": 0,
    f"{_ENCODER}InstanceNorm_5/gamma": 0,
    f"{_DECODER}conv2d/kernel": 2,
}


class AgustssonTf1(Importer):
    """Importer of this layout."""

    ORIGIN = "Justin-Tan/generative-compression"
    FAMILY = "agustsson"
    STATE = None
    ROOTS = (_ENCODER, _DECODER)

    def has_layout(self, names: AbstractSet[str]) -> bool:
        return any(name.startswith(self.ROOTS) for name in names)

    def convert(self, stored: StateDict) -> Checkpoint:
        """Takes arrays by variable name, nothing else."""
        found = stored.entries
        channels = width(found, _CHANNELS, 8)
        preset = Preset("GC", channels, projection_norm=True, zero_border="trailing", epsilon=1e-6)
        shapes = state_shapes(Agustsson, preset)
        names = {name: origin for origin, name in _names(preset)}
        require_layout(
            self.ORIGIN,
            stored,
            {origin: _shape_at_origin(shapes[name]) for name, origin in names.items()},
            hint="give the raw variables under generator/encoder_image and generator/decoder, and no others",
        )
        tensors = {name: _outermost_first(found[origin]).reshape(shapes[name]) for name, origin in names.items()}
        notes = {"origin": self.ORIGIN}
        return checkpoint(stored, self.FAMILY, f"tensorflow1-c{channels}", notes, names, tensors, preset)


def _shape_at_origin(own: Shape) -> Shape:
    """The origin's shape: vectors are flat, and the two channel axes of kernels come last, in the opposite order."""
    if len(own) < 4 or own[0] == 1:
        return (math.prod(own),)
    outer, inner, rows, columns = own
    return rows, columns, inner, outer


def _outermost_first(stored: Tensor) -> Tensor:
    return (stored.permute(3, 2, 0, 1) if stored.ndim == 4 else stored).float()


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
