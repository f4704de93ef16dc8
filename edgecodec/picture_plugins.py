"""HEIC and JPEG XL, which Pillow reads where a package for them is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from edgecodec.errors import NotAnImage


@dataclass(frozen=True)
class Plugin:
    """pillow: the format's name there. package: what is imported. extra: of edgecodec's, with which it is installed."""

    title: str
    pillow: str
    extensions: tuple[str, ...]
    package: str
    extra: str
    recognises: Callable[[bytes], bool]
    register: Callable[[Any], None] = lambda package: None

    @property
    def installed(self) -> bool:
        return find_spec(self.package) is not None


_HEVC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")  # brands: ISO/IEC 23008-12, annex B.4
_CODESTREAM, _CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"  # ISO/IEC 18181-2, clause 9


def _is_heic(file: bytes) -> bool:
    """By the brands of the first box, of which the major one may name the structure alone, as that of AVIF may."""
    if file[4:8] != b"ftyp":
        return False
    size = min(int.from_bytes(file[:4], "big"), 256)
    return any(file[at : at + 4] in _HEVC for at in (8, *range(16, size, 4)))


HEIC = Plugin(
    "HEIC", "HEIF", (".heic", ".heif", ".hif"), "pillow_heif", "heif", _is_heic,
    lambda package: package.register_heif_opener(),
)  # fmt: skip
JPEG_XL = Plugin(
    "JPEG XL", "JXL", (".jxl",), "pillow_jxl", "jxl", lambda file: file.startswith((_CODESTREAM, _CONTAINER))
)
PLUGINS = (HEIC, JPEG_XL)


def prepare(file: bytes) -> Plugin | None:
    """Let Pillow read `file` if it takes a plugin. Raises NotAnImage where that is not installed."""
    for plugin in PLUGINS:
        if plugin.recognises(file):
            try:
                plugin.register(import_module(plugin.package))
            except ImportError as error:
                raise NotAnImage(
                    f"is {plugin.title}, for which Pillow needs a plugin",
                    hint=f"pip install 'edgecodec[{plugin.extra}]'",
                ) from error
            return plugin
    return None
