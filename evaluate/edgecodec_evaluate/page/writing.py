"""The content of a page as one HTML file, which loads nothing and lets nothing else run in it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from importlib.resources import files as package_files
from string import Template
from typing import Any

from edgecodec_evaluate.page.content import Content, Point


def as_html(content: Content) -> bytes:
    """The page, in UTF-8. The same content gives the same bytes.

    Text of the content is escaped: names of files are anybody's. A browser is told to run the page's own script and
    style alone, by their hashes, and to fetch nothing (Content Security Policy, level 3).
    """
    style, script = _part("page.css"), _part("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = Template(_part("page.html")).substitute(
        policy=policy,
        title=html.escape(content.title),
        width=content.width,
        height=content.height,
        style=style,
        script=script,
        content=_as_script(_described(content)),
        pictures="\n".join(_picture(point) for point in content.points),
    )
    return page.encode("utf-8", "backslashreplace")  # a name that is no text is shown as Python shows it


def _part(name: str) -> str:
    return (package_files("edgecodec_evaluate.page") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _described(content: Content) -> dict[str, Any]:
    """For the page's script, with numbers as they are to be read."""
    return {
        "width": content.width,
        "height": content.height,
        "wide": any(point.picture.has_profile for point in content.points),
        "points": [{"name": point.name, "file": point.file, "facts": _facts(point)} for point in content.points],
    }


def _facts(point: Point) -> list[list[str]]:
    """Pairs of what a number is and the number with its unit."""
    facts = [["size", f"{point.file_bytes:,} bytes"], ["rate", f"{point.bits_per_pixel:.3f} bpp"]]
    if point.psnr is not None:
        facts.append(["PSNR", f"{point.psnr:.2f} dB" if math.isfinite(point.psnr) else "lossless"])
    if point.ms_ssim is not None:
        facts.append(["MS-SSIM", f"{point.ms_ssim:.4f}"])
    return facts


def _as_script(value: object) -> str:
    """JSON that ends no element, whatever text is in it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _picture(point: Point) -> str:
    data = base64.b64encode(point.picture.data).decode()
    return f'<img alt="" src="data:image/{point.picture.format};base64,{data}">'
