"""The receptive field of a graph's outputs: the halo that a tile needs to come out as in the whole picture.

Computed exactly from the graph. For a picture of many units, each unit of the outputs is followed backwards through the
graph: which positions of each tensor it needs along each axis, up to the inputs. Units at the picture's edges, with
their mirrored borders, are followed like all others. Only intervals are computed.

Padding at a tile's own edges does no harm if all positions that a unit needs lie inside the tile: only outputs that
need positions beyond the edge depend on the padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from edgecodec_export.graphs.shapes import GraphShapes, attributes

UNITS = 256  # of a side of the picture that is followed; a halo may take up half of them

_POINTWISE_OPERATORS = """
    Abs Add And Cast Ceil Clip DequantizeLinear Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid
    HardSwish Identity LeakyRelu Less LessOrEqual Log Max Min Mod Mul Neg Not Or PRelu Pow QuantizeLinear Reciprocal
    Relu Round Sigmoid Sign Softplus Sqrt Sub Tanh Where Xor
"""
_POINTWISE = frozenset(_POINTWISE_OPERATORS.split())
_WHOLE_MAP = frozenset(("GlobalAveragePool", "GlobalMaxPool", "InstanceNormalization", "GroupNormalization"))
_RESIZE_REACH = {"nearest": 1, "linear": 1, "cubic": 2}  # input positions needed on either side

_Positions = npt.NDArray[np.int64]


class Interval(NamedTuple):
    """First and last position that each unit needs: int64 (units,) each."""

    first: _Positions
    last: _Positions

    def clipped(self, size: int) -> Interval:
        return Interval(self.first.clip(0, size - 1), self.last.clip(0, size - 1))

    def joined(self, other: Interval | None) -> Interval:
        """The smallest interval that contains both."""
        if other is None:
            return self
        return Interval(np.minimum(self.first, other.first), np.maximum(self.last, other.last))


@dataclass(frozen=True)
class Grid:
    """The layout of a map in its tensor: `axes` are rows and columns, with one position every `stride` pixels."""

    stride: int
    axes: tuple[int, int]


class NotTileableError(Exception):
    """The graph cannot be tiled. str() is the reason, as words that follow "cannot be tiled:"."""


def halo(
    graph: onnx.ModelProto, inputs: Mapping[str, Grid], outputs: Mapping[str, Grid], unit: int, alignment: int
) -> tuple[int, int]:
    """Units of `unit` pixels that a tile needs before and after itself, the larger of both axes.

    inputs, outputs: the maps among the graph's inputs and outputs. alignment: sides of the input are multiples of this
    many pixels; the graph itself pads its maps to whole units. Raises NotTileableError.
    """
    found = [
        _Follower(graph, inputs, outputs, unit, UNITS * unit - missing).halo() for missing in range(0, unit, alignment)
    ]
    before, after = (max(sides) for sides in zip(*found, strict=True))
    if before + after > UNITS // 2:
        raise NotTileableError(f"its outputs need {before} units before and {after} after a tile")
    return before, after


def shapes_at(graph: onnx.ModelProto, inputs: Mapping[str, Grid], height: int, width: int) -> GraphShapes:
    """Shapes of every tensor when the maps among the inputs cover a picture of `height` by `width` pixels."""
    shapes = {}
    for value in graph.graph.input:
        shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        if value.name in inputs:
            grid = inputs[value.name]
            for axis, side in zip(grid.axes, (height, width), strict=True):
                shape[axis] = side // grid.stride
        shapes[value.name] = tuple(shape)
    (opset,) = (each.version for each in graph.opset_import if each.domain == "")
    return GraphShapes(graph.graph, opset, shapes)


class _Follower:
    """Follows one graph at one picture size. Maps are the tensors that depend on a map among the inputs."""

    def __init__(
        self, graph: onnx.ModelProto, inputs: Mapping[str, Grid], outputs: Mapping[str, Grid], unit: int, side: int
    ) -> None:
        self._graph = shapes_at(graph, inputs, side, side)
        self._inputs, self._outputs, self._unit = inputs, outputs, unit
        self._axes = {name: grid.axes for name, grid in inputs.items()}
        # Inputs that are not maps, such as the picture's size, are adapted to each tile.
        self._per_tile = {value.name for value in graph.graph.input} - self._axes.keys()
        for node in self._graph.nodes:
            self._find_axes(node)

    def halo(self) -> tuple[int, int]:
        units = np.arange(UNITS)
        before, after = 0, 0
        for direction in (0, 1):
            needed: dict[str, Interval] = {}
            for name, grid in self._outputs.items():
                ratio = self._unit // grid.stride
                needed[name] = Interval(units * ratio, (units + 1) * ratio - 1)
            for node in reversed(self._graph.nodes):
                self._follow(node, direction, needed)
            for name, grid in self._inputs.items():
                if name in needed:
                    ratio = self._unit // grid.stride
                    before = max(before, int((units - needed[name].first // ratio).max()))
                    after = max(after, int((needed[name].last // ratio - units).max()))
        return before, after

    # ---- forwards: which tensors are maps, and along which axes ----------------------------------------------------

    def _find_axes(self, node: onnx.NodeProto) -> None:
        maps = [name for name in node.input if name in self._axes]
        if not maps:
            if any(name in self._per_tile for name in node.input):
                self._per_tile.update(node.output)
            return
        if node.op_type == "Shape":
            return
        if node.op_type in _WHOLE_MAP:
            raise NotTileableError(f"it takes statistics of whole maps ({node.op_type})")
        if node.op_type not in _POINTWISE and node.op_type not in _RULES:
            raise NotTileableError(f"the receptive field of {node.op_type} is not known")
        found = {self._axes_after(node, name) for name in maps}
        if len(found) > 1:
            raise NotTileableError(f"{node.op_type} mixes rows and columns")
        axes = found.pop()
        if node.op_type in _POINTWISE:
            self._refuse_position_dependence(node, axes)
        self._axes.update({name: axes for name in node.output if name})

    def _axes_after(self, node: onnx.NodeProto, name: str) -> tuple[int, int]:
        rows, columns = self._axes[name]
        rank = len(self._graph.shapes[name])
        kept = list(range(rank))
        if node.op_type == "Transpose":
            kept = list(attributes(node).get("perm", kept[::-1]))
        elif node.op_type == "Squeeze":
            gone = {axis % rank for axis in self._listed_axes(node, "squeezed")}
            kept = [axis for axis in kept if axis not in gone]
        elif node.op_type == "Unsqueeze":
            for axis in sorted(axis % (rank + 1) for axis in self._listed_axes(node, "unsqueezed")):
                kept.insert(axis, -1)
        elif node.op_type in _POINTWISE:
            missing = len(self._graph.shapes[node.output[0]]) - rank
            kept = [-1] * missing + kept
        return kept.index(rows), kept.index(columns)

    def _listed_axes(self, node: onnx.NodeProto, what: str) -> list[int]:
        if len(node.input) < 2 or node.input[1] not in self._graph.values:
            raise NotTileableError(f"axes that are {what} are not known")
        return [int(axis) for axis in self._graph.values[node.input[1]]]

    def _refuse_position_dependence(self, node: onnx.NodeProto, axes: tuple[int, int]) -> None:
        """Refuse constants that differ from position to position. Maps and per-tile inputs may."""
        rank = len(self._graph.shapes[node.output[0]])
        for name in node.input:
            if not name or name in self._axes or name in self._per_tile:
                continue
            shape = self._graph.shapes[name]
            aligned = (1,) * (rank - len(shape)) + shape
            if any(aligned[axis] > 1 for axis in axes):
                raise NotTileableError(f"{node.op_type} depends on the position in the picture")

    # ---- backwards: which positions of each map are needed ----------------------------------------------------------

    def _follow(self, node: onnx.NodeProto, direction: int, needed: dict[str, Interval]) -> None:
        wanted = None
        for name in node.output:
            if name in needed:
                wanted = needed[name].joined(wanted)
        if wanted is None:
            return
        for name in node.input:
            if name in self._axes:
                axis = self._axes[name][direction]
                size = self._graph.shapes[name][axis]
                rule = _RULES.get(node.op_type, _same)
                place = _Place(node, self._graph, name, axis, direction)
                needed[name] = rule(place, wanted).clipped(size).joined(needed.get(name))


@dataclass(frozen=True)
class _Place:
    """An input of a node and one of its two axes.

    name: of the input. axis: of that tensor. direction: 0 for rows, 1 for columns.
    """

    node: onnx.NodeProto
    graph: GraphShapes
    name: str
    axis: int
    direction: int

    @property
    def size(self) -> int:
        return self.graph.shapes[self.name][self.axis]

    def attribute(self, name: str, default: Any = None) -> Any:
        return attributes(self.node).get(name, default)

    def value(self, position: int) -> npt.NDArray[Any] | None:
        """The value of the node's operand at this position, None if it is omitted."""
        if len(self.node.input) <= position or not self.node.input[position]:
            return None
        if self.node.input[position] not in self.graph.values:
            raise NotTileableError(f"the operands of {self.node.op_type} are computed from the picture")
        return self.graph.values[self.node.input[position]]

    def window(self) -> tuple[int, int, int, int]:
        """Kernel, stride, dilation and leading padding of a convolution or pooling. Raises NotTileableError."""
        if self.attribute("auto_pad", b"NOTSET") != b"NOTSET":
            raise NotTileableError(f"{self.node.op_type} leaves its padding to the engine")
        kernel = self.attribute("kernel_shape") or self.graph.shapes[self.node.input[1]][2:]
        one_each = [1, 1]
        return (
            kernel[self.direction],
            self.attribute("strides", one_each)[self.direction],
            self.attribute("dilations", one_each)[self.direction],
            self.attribute("pads", [0, 0, 0, 0])[self.direction],
        )


def _same(place: _Place, wanted: Interval) -> Interval:
    return wanted


def _convolution(place: _Place, wanted: Interval) -> Interval:
    if place.name != place.node.input[0]:
        raise NotTileableError(f"{place.node.op_type} takes weights from the picture")
    kernel, stride, dilation, padding = place.window()
    return Interval(wanted.first * stride - padding, wanted.last * stride - padding + (kernel - 1) * dilation)


def _transposed_convolution(place: _Place, wanted: Interval) -> Interval:
    """Input position i contributes to i * stride - padding + k * dilation, for every k below kernel."""
    kernel, stride, dilation, padding = place.window()
    first = -((-wanted.first - padding + (kernel - 1) * dilation) // stride)
    return Interval(first, (wanted.last + padding) // stride)


def _pad(place: _Place, wanted: Interval) -> Interval:
    pads, axes = place.value(1), place.value(3)
    rank = len(place.graph.shapes[place.name])
    listed = list(range(rank)) if axes is None else [int(axis) % rank for axis in axes]
    if pads is None or place.axis not in listed:
        return wanted
    at = listed.index(place.axis)
    before, after = int(pads[at]), int(pads[at + len(listed)])
    mode = place.attribute("mode", b"constant").decode()
    if mode == "constant" or min(before, after) < 0:
        return Interval(wanted.first - before, wanted.last - before)
    return _sources(np.pad(np.arange(place.size), (before, after), mode=mode), wanted)


def _gather(place: _Place, wanted: Interval) -> Interval:
    indices = place.value(1)
    if place.attribute("axis", 0) % len(place.graph.shapes[place.name]) != place.axis:
        return wanted
    if indices is None or indices.ndim != 1:
        raise NotTileableError("Gather has indices with several axes along rows or columns")
    return _sources(indices % place.size, wanted)


def _sources(sources: npt.NDArray[Any], wanted: Interval) -> Interval:
    """The source positions of the wanted positions. sources: of every position of the output."""
    parts = [sources[first : last + 1] for first, last in zip(wanted.first, wanted.last, strict=True)]
    return Interval(np.array([part.min() for part in parts]), np.array([part.max() for part in parts]))


def _slice(place: _Place, wanted: Interval) -> Interval:
    starts, ends, axes, steps = (place.value(position) for position in (1, 2, 3, 4))
    assert starts is not None and ends is not None
    rank = len(place.graph.shapes[place.name])
    listed = list(range(len(starts))) if axes is None else [int(axis) % rank for axis in axes]
    if place.axis not in listed:
        return wanted
    at = listed.index(place.axis)
    taken = slice(int(starts[at]), int(ends[at]), None if steps is None else int(steps[at]))
    return _sources(np.arange(place.size)[taken], wanted)


def _depth_to_space(place: _Place, wanted: Interval) -> Interval:
    block = place.attribute("blocksize")
    return Interval(wanted.first // block, wanted.last // block)


def _space_to_depth(place: _Place, wanted: Interval) -> Interval:
    block = place.attribute("blocksize")
    return Interval(wanted.first * block, wanted.last * block + block - 1)


def _resize(place: _Place, wanted: Interval) -> Interval:
    mode = place.attribute("mode", b"nearest").decode()
    after = place.graph.shapes[place.node.output[0]][place.axis]
    if mode not in _RESIZE_REACH or place.attribute("antialias", 0):
        raise NotTileableError(f"the receptive field of Resize is not known for mode {mode}")
    if after % place.size and place.size % after:
        raise NotTileableError("Resize scales by a fraction")
    reach = _RESIZE_REACH[mode]
    return Interval(wanted.first * place.size // after - reach, -(-wanted.last * place.size // after) + reach)


def _along_other_axes(place: _Place, wanted: Interval) -> Interval:
    """For operators that join, split or compare values along an axis, which must not be rows or columns."""
    rank = len(place.graph.shapes[place.name])
    axis = place.attribute("axis", -1 if place.node.op_type == "Softmax" else 0) % rank
    if axis == place.axis:
        raise NotTileableError(f"{place.node.op_type} acts along whole rows or columns")
    return wanted


def _reduction(place: _Place, wanted: Interval) -> Interval:
    rank = len(place.graph.shapes[place.name])
    listed = place.value(1)
    if listed is None or place.axis in {int(axis) % rank for axis in listed}:
        raise NotTileableError(f"it takes statistics of whole maps ({place.node.op_type})")
    if not place.attribute("keepdims", 1):
        raise NotTileableError(f"{place.node.op_type} drops an axis")
    return wanted


#: For each operator that is not pointwise, the input interval that a wanted output interval needs.
_RULES: dict[str, Callable[[_Place, Interval], Interval]] = {
    "AveragePool": _convolution,
    "Concat": _along_other_axes,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "DepthToSpace": _depth_to_space,
    "Gather": _gather,
    "MaxPool": _convolution,
    "Pad": _pad,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _along_other_axes,
    "SpaceToDepth": _space_to_depth,
    "Split": _along_other_axes,
    "Squeeze": _same,
    "Transpose": _same,
    "Unsqueeze": _same,
    **{f"Reduce{kind}": _reduction for kind in ("L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")},
}
