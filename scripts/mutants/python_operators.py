"""Mutations of Python source by the positions of its syntax tree, so that every mutant is valid Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import accumulate

from scripts.mutants.mutation import BOOLEAN, BRANCHES, CAST, CHECK, COMPARISON, CONSTANT, TURNED, Mutation

#: Calls that change the type of their only argument.
CASTS = {"int", "float", "str", "bytes", "bool", "list", "tuple", "abs"}
_COMPARISON_TOKEN = re.compile(rb"is\s+not\b|is\b|not\s+in\b|in\b|[<>]=?|==|!=")

_Located = ast.expr | ast.stmt


def python_mutations(path: str, source: bytes) -> list[Mutation]:
    """Every mutation of the module at `path`, in the order of its lines."""
    found = _Finder(path, source).found(ast.parse(source))
    return sorted(set(found), key=lambda mutation: (mutation.start, mutation.end, mutation.replacement))


class _Finder:
    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        self._line_starts = [0, *accumulate(map(len, source.splitlines(keepends=True)))]

    def found(self, node: ast.AST) -> Iterator[Mutation]:
        # Positions inside f-strings are right only from Python 3.12 on.
        if isinstance(node, ast.JoinedStr):
            return
        yield from self._mutations_of(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns"):
                continue  # annotations are not evaluated
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self.found(child)

    def _mutations_of(self, node: ast.AST) -> Iterator[Mutation]:
        if isinstance(node, ast.Compare):
            for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
                yield from self._turned_comparison(left, right)
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            for value in (node.value - 1, node.value + 1):
                yield self._replaced(CONSTANT, node, str(value) if value >= 0 else f"({value})")
        elif isinstance(node, ast.If) and not node.orelse and isinstance(node.body[0], ast.Raise):
            yield self._replaced(CHECK, node.test, "False")
        elif isinstance(node, ast.If | ast.IfExp) and node.orelse:
            yield self._replaced(BRANCHES, node.test, f"(not ({self._text(node.test)}))")
        elif isinstance(node, ast.Raise):
            yield self._replaced(CHECK, node, "pass")
        elif isinstance(node, ast.BoolOp):
            yield self._turned_boolean(node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield self._replaced(BOOLEAN, node, f"({self._text(node.operand)})")
        elif isinstance(node, ast.Call):
            kept = _kept_without_cast(node)
            if kept is not None:
                yield self._replaced(CAST, node, f"({self._text(kept)})")

    def _turned_comparison(self, left: ast.expr, right: ast.expr) -> Iterator[Mutation]:
        start = self._end(left)
        token = _COMPARISON_TOKEN.search(self._source, start, self._start(right))
        if token is not None:
            turned = TURNED[" ".join(token[0].decode().split())]
            yield self._mutation(COMPARISON, token.start(), token.end(), turned)

    def _turned_boolean(self, node: ast.BoolOp) -> Mutation:
        """The first operator of a chain; parentheses that close or open on the way stay."""
        before, after = (b"and", "or") if isinstance(node.op, ast.And) else (b"or", "and")
        start = self._source.index(before, self._end(node.values[0]))
        return self._mutation(BOOLEAN, start, start + len(before), after)

    def _replaced(self, operator: str, node: _Located, text: str) -> Mutation:
        return self._mutation(operator, self._start(node), self._end(node), text)

    def _mutation(self, operator: str, start: int, end: int, text: str) -> Mutation:
        line = self._source.count(b"\n", 0, start) + 1
        return Mutation(self._path, line, operator, start, end, text.encode())

    def _start(self, node: _Located) -> int:
        return self._line_starts[node.lineno - 1] + node.col_offset

    def _end(self, node: _Located) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None  # the parser always gives them
        return self._line_starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: _Located) -> str:
        return self._source[self._start(node) : self._end(node)].decode()


def _kept_without_cast(call: ast.Call) -> ast.expr | None:
    """What is left of a call that only changes a type; None for any other call."""
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr == "astype":
        return function.value
    if isinstance(function, ast.Name) and function.id in CASTS and len(call.args) == 1 and not call.keywords:
        return None if isinstance(call.args[0], ast.GeneratorExp | ast.Starred) else call.args[0]
    return None
