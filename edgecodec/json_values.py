"""JSON values with their place in a document, which errors name."""

from __future__ import annotations

import json
import math
from pathlib import PurePosixPath
from typing import Any, NoReturn

from edgecodec.errors import NotABundle


class JsonValue:
    """A JSON value that is taken apart strictly: every step raises NotABundle, with the place, for another kind."""

    def __init__(self, value: Any, where: str) -> None:
        self.value = value
        self.where = where

    @staticmethod
    def parse(data: bytes, where: str) -> JsonValue:
        """A document. Raises NotABundle for what is not JSON, among it numbers that are none and broken text."""
        try:
            value = json.loads(data, parse_constant=_refuse_constant)
            json.dumps(value, ensure_ascii=False).encode()  # an escape can stand for half of a surrogate pair
        except (ValueError, RecursionError) as error:
            raise NotABundle(f"is not JSON: {error}", where=where) from error
        return JsonValue(value, where)

    def fail(self, problem: str) -> NoReturn:
        raise NotABundle(problem, where=self.where)

    def _expect(self, kind: type, words: str) -> Any:
        if not isinstance(self.value, kind) or isinstance(self.value, bool):
            self.fail(f"is not {words}")
        return self.value

    def __getitem__(self, key: str) -> JsonValue:
        fields = self._expect(dict, "an object")
        if key not in fields:
            self.fail(f"has no {key!r}")
        return JsonValue(fields[key], f"{self.where}: {key}")

    def get(self, key: str, otherwise: Any) -> JsonValue:
        """A field that may be absent."""
        return self[key] if key in self._expect(dict, "an object") else JsonValue(otherwise, f"{self.where}: {key}")

    def fields(self) -> dict[str, JsonValue]:
        return {key: self[key] for key in self._expect(dict, "an object")}

    def elements(self) -> list[JsonValue]:
        return [JsonValue(value, f"{self.where}[{i}]") for i, value in enumerate(self._expect(list, "a list"))]

    def text(self) -> str:
        return str(self._expect(str, "text"))

    def integer(self, low: int, high: int) -> int:
        value = self._expect(int, "a whole number")
        if not low <= value <= high:
            self.fail(f"is {value}, not between {low} and {high}")
        return int(value)

    def number(self) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.fail("is not a number")
        try:
            value = float(self.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            self.fail("is not a number")
        return value

    def hexadecimal(self, digits: int) -> str:
        text = self.text()
        if len(text) != digits or not set(text) <= set("0123456789abcdef"):
            self.fail(f"is not {digits} hexadecimal digits")
        return text

    def file_name(self) -> str:
        """A path inside the bundle: relative, with forward slashes, never upwards.

        Symbolic links are allowed: model hubs keep a snapshot's files as links into a store, and the hash in the
        manifest binds the contents wherever they lie.
        """
        text = self.text()
        plain = PurePosixPath(text).parts
        if not plain or text != "/".join(plain) or text.startswith("/") or ".." in plain or set(text) & set("\\:\0"):
            self.fail(f"{text!r} is not a path inside the bundle")
        return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
