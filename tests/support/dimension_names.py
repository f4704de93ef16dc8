"""The shapes that graphs give their inputs: numbers, and names that are formulas of the picture's height and width."""

from __future__ import annotations

import ast
import math
from fractions import Fraction
from pathlib import Path

import pytest

try:
    import onnx
except ModuleNotFoundError:
    pytest.skip("graphs are read with onnx, which is not installed", allow_module_level=True)


def input_shapes(path: Path, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """Of every input of a graph, for a picture of this size."""
    graph = onnx.load(path, load_external_data=False).graph
    return {
        each.name: tuple(
            evaluate(side.dim_param, height=height, width=width) if side.dim_param else side.dim_value
            for side in each.type.tensor_type.shape.dim
        )
        for each in graph.input
    }


def evaluate(name: str, **sides: int) -> int:
    """ "2*ceil(height/64)" and the like, exactly. Raises ValueError for anything else, and where no whole number comes
    out.
    """
    value = _value(ast.parse(name, mode="eval").body, sides)
    if value.denominator != 1:
        raise ValueError(f"{name} is {value}")
    return int(value)


def _value(node: ast.expr, sides: dict[str, int]) -> Fraction:
    match node:
        case ast.Constant(value=int() as number):
            return Fraction(number)
        case ast.Name(id=side) if side in sides:
            return Fraction(sides[side])
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _value(left, sides) * _value(right, sides)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _value(left, sides) / _value(right, sides)
        case ast.Call(func=ast.Name(id="ceil"), args=[argument], keywords=[]):
            return Fraction(math.ceil(_value(argument, sides)))
    raise ValueError(f"{ast.unparse(node)} is no formula of a side")
