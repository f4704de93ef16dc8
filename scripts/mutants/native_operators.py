"""Mutations of C++ source by regular expressions, outside comments, strings and the preprocessor.

The expressions rely on the layout that clang-format gives: spaces around comparisons, none inside template arguments.
What does not compile is found out when it is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.mutants.mutation import BOOLEAN, BRANCHES, CAST, CHECK, COMPARISON, CONSTANT, TURNED, Mutation

_HIDDEN = re.compile(
    rb"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<!\w)'(?:\\.|[^'\\\n])+'|^[ \t]*\#(?:\\\n|[^\n])*"""
    rb"""|\bstatic_assert\((?:[^;])*;""",
    re.DOTALL | re.MULTILINE,
)
_COMPARISON = re.compile(rb"(?<= )(?:<=|>=|==|!=|<|>)(?= )")
_CONSTANT = re.compile(rb"(?<![\w.'])(0x[0-9a-fA-F]+|\d+)(?=[uU]?[lL]{0,2}(?![\w.']))")
_BOOLEAN = re.compile(rb"(?<= )(?:&&|\|\|)(?=\s)")
_IF = re.compile(rb"\bif (?:constexpr )?(?=\()")
_FAILS = re.compile(rb"\s*\{?\s*(?:throw\b|(?:\w+\.)?fail\()")
_FAILURE = re.compile(rb"(?m)(?:^[ \t]*|default: )((?:throw\b|(?:\w+\.)?fail\()[^;]*;)")
_SIMPLE = rb"[\w.]+(?:\[[^\]\n]*\])?"
_CONDITIONAL = re.compile(rb" \? (" + _SIMPLE + rb") : (" + _SIMPLE + rb")(?=[;,)\s])")
_CAST = re.compile(rb"\bstatic_cast<(?:[^<>]|<[^<>]*>)*>(?=\()")
_WHOLE = re.compile(rb"(?!.*\bauto\b).*(?:\breturn|[^=!<>]=) $")
_WIDENED = re.compile(rb"\bu?int(?:32|64)_t\{([\w.]+)\}")


def native_mutations(path: str, source: bytes) -> list[Mutation]:
    """Every mutation of the C++ file at `path`, in the order of its lines."""
    found = {mutation for mutation in _Finder(path, source).found() if mutation.applied(source) != source}
    return sorted(found, key=lambda mutation: (mutation.start, mutation.end, mutation.replacement))


class _Finder:
    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        #: The source with everything that is no code blanked; offsets stay the same.
        self._code = _HIDDEN.sub(lambda hidden: re.sub(rb"[^\n]", b" ", hidden[0]), source)

    def found(self) -> Iterator[Mutation]:
        for token in _COMPARISON.finditer(self._code):
            yield self._mutation(COMPARISON, token.span(), TURNED[token[0].decode()].encode())
        for token in _CONSTANT.finditer(self._code):
            for value in (int(token[0], 0) - 1, int(token[0], 0) + 1):
                yield self._mutation(CONSTANT, token.span(), b"%d" % value if value >= 0 else b"(%d)" % value)
        for token in _BOOLEAN.finditer(self._code):
            yield self._mutation(BOOLEAN, token.span(), b"||" if token[0] == b"&&" else b"&&")
        yield from self._conditions()
        for token in _FAILURE.finditer(self._code):
            yield self._mutation(CHECK, token.span(1), b";")
        for token in _CONDITIONAL.finditer(self._code):
            yield self._mutation(BRANCHES, token.span(), b" ? " + token[2] + b" : " + token[1])
        for token in _CAST.finditer(self._code):
            if not self._converted_anyway(token):
                yield self._mutation(CAST, token.span(), b"")
        for token in _WIDENED.finditer(self._code):
            yield self._mutation(CAST, token.span(), token[1])

    def _conditions(self) -> Iterator[Mutation]:
        for token in _IF.finditer(self._code):
            start = token.end()
            end = self._closing(start)
            condition = self._source[start:end]
            if _FAILS.match(self._code, end):
                yield self._mutation(CHECK, (start, end), b"(false && " + condition + b")")
            elif self._has_else(end):
                yield self._mutation(BRANCHES, (start, end), b"(!" + condition + b")")

    def _converted_anyway(self, cast: re.Match[bytes]) -> bool:
        """Whether the cast is all that is assigned, returned or put between braces.

        That is converted to its type without it as well; between braces the compiler may refuse to do so.
        """
        end = self._closing(cast.end())
        whole = _WHOLE.match(self._code, self._code.rfind(b"\n", 0, cast.start()) + 1, cast.start())
        if whole is not None and self._code.startswith(b";", end):
            return True
        element = self._code[: cast.start()].rstrip()[-1:] in (b"{", b",") and self._code[end : end + 1] in (b"}", b",")
        return element and self._code[self._opening(cast.start())] == ord("{")

    def _has_else(self, at: int) -> bool:
        """Whether `else` follows the statement that begins at `at`."""
        opening = re.compile(rb"\s*\{").match(self._code, at)
        end = self._closing(opening.end() - 1) if opening else self._code.find(b";", at) + 1
        return re.compile(rb"\s*else\b").match(self._code, end) is not None

    def _closing(self, opening: int) -> int:
        """The offset behind the bracket that closes the one at `opening`."""
        depth = 0
        for at in range(opening, len(self._code)):
            depth += self._code[at : at + 1] in (b"(", b"{")
            depth -= self._code[at : at + 1] in (b")", b"}")
            if depth == 0:
                return at + 1
        return len(self._code)

    def _opening(self, inside: int) -> int:
        """The offset of the bracket around the code at `inside`."""
        depth = 1
        for at in range(inside - 1, -1, -1):
            depth += self._code[at : at + 1] in (b")", b"}")
            depth -= self._code[at : at + 1] in (b"(", b"{")
            if depth == 0:
                return at
        return 0

    def _mutation(self, operator: str, span: tuple[int, int], replacement: bytes) -> Mutation:
        line = self._source.count(b"\n", 0, span[0]) + 1
        return Mutation(self._path, line, operator, *span, replacement)
