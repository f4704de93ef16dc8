"""The shape of every tensor of a graph at one picture size, and the values of tensors that depend on shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Shape = tuple[int, ...]
_LARGEST_VALUE = 1 << 17  # elements; larger constants are weights, whose values are not needed


class GraphShapes:
    """nodes: in the order they run. shapes, types (ONNX element types): of every tensor, by name.

    values: of constants and of tensors computed from shapes alone, by name.
    """

    def __init__(self, graph: onnx.GraphProto, opset: int, inputs: Mapping[str, Shape]) -> None:
        """inputs: shapes of the graph's inputs, by name. Raises onnx.shape_inference.InferenceError, KeyError."""
        self.nodes = list(graph.node)
        self.inputs = {value.name: inputs[value.name] for value in graph.input}
        self.outputs = [value.name for value in graph.output]
        self.values: dict[str, npt.NDArray[Any]] = {}
        self._opset = helper.make_opsetid("", opset)
        self._proto: dict[str, onnx.TypeProto] = {}
        for value in graph.input:
            element = value.type.tensor_type.elem_type
            self._proto[value.name] = helper.make_tensor_type_proto(element, inputs[value.name])
        for tensor in graph.initializer:
            self._proto[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tuple(tensor.dims))
            if not tensor.external_data and np.prod(tensor.dims, dtype=np.int64) <= _LARGEST_VALUE:
                self.values[tensor.name] = numpy_helper.to_array(tensor)
        self.constants = frozenset(tensor.name for tensor in graph.initializer)
        for node in self.nodes:
            self._visit(node)
        self.types = {name: proto.tensor_type.elem_type for name, proto in self._proto.items()}
        self.shapes: dict[str, Shape] = {
            name: tuple(dimension.dim_value for dimension in proto.tensor_type.shape.dim)
            for name, proto in self._proto.items()
        }

    def _visit(self, node: onnx.NodeProto) -> None:
        present = [name for name in node.input if name]
        if node.op_type == "Shape":
            dimensions = [each.dim_value for each in self._proto[present[0]].tensor_type.shape.dim]
            options = attributes(node)
            value = np.array(dimensions[options.get("start", 0) : options.get("end")], np.int64)
            self._know(node.output[0], value)
        elif all(name in self.values for name in present):
            evaluated = ReferenceEvaluator(node, opsets={"": self._opset.version}).run(
                None, {name: self.values[name] for name in present}
            )
            for name, value in zip(node.output, evaluated, strict=True):
                self._know(name, np.asarray(value))
        else:
            inferred = onnx.shape_inference.infer_node_outputs(
                onnx.defs.get_schema(node.op_type, self._opset.version),
                node,
                {name: self._proto[name] for name in present},
                {name: numpy_helper.from_array(self.values[name], name) for name in present if name in self.values},
                opset_imports=[self._opset],
            )
            self._proto.update(inferred)

    def _know(self, name: str, value: npt.NDArray[Any]) -> None:
        self._proto[name] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        if value.size <= _LARGEST_VALUE:
            self.values[name] = value


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes that the node sets, by name; defaults are not included."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
