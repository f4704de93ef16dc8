"""Reads a page that `edgecodec compare` wrote as a browser would: elements, not text."""

from __future__ import annotations

import base64
import io
import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image


class PageFile(HTMLParser):
    """elements: name and attributes of each, in order. texts: what is in elements of a name."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(data.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data

    def of(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a name."""
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def content(self) -> dict[str, Any]:
        """What the page's script reads."""
        kinds = [attributes.get("type") for attributes in self.of("script")]
        content: dict[str, Any] = json.loads(self.texts["script"][kinds.index("application/json")])
        return content

    @property
    def files(self) -> list[bytes]:
        """The embedded pictures."""
        urls = [attributes["src"] or "" for attributes in self.of("img")]
        return [base64.b64decode(url.partition(";base64,")[2], validate=True) for url in urls]

    @property
    def pictures(self) -> list[npt.NDArray[np.uint8]]:
        """Their pixels, uint8 (height, width, 3), or (height, width) for a greyscale file."""
        return [np.asarray(Image.open(io.BytesIO(file))) for file in self.files]
