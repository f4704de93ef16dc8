"""What it is that was given in the place of a picture. Looked at only when Pillow has found it to be none."""

from __future__ import annotations

import os

from PIL import Image

from edgecodec.bundle_diagnosis import CODED
from edgecodec.errors import NotAnImage
from edgecodec.picture_plugins import PLUGINS

_COMMON = ("PNG", "JPEG", "WebP", "TIFF", "BMP", "PPM", "GIF", "AVIF")  # as people name those that Pillow may have
_DOCUMENTS = {b"%PDF": "PDF", b"<svg": "SVG", b"PK\3\4": "a zip archive"}
_CONVERT = "convert it to PNG first"


def no_picture(file: bytes, name: str | None) -> NotAnImage:
    """The error for a file that no part of Pillow opens. name: of the file, where there is one."""
    message, hint = "is not a picture that Pillow can open", f"pictures are {_readable()}"
    extension = os.path.splitext(name or "")[1].lower()
    plugin = next((each for each in PLUGINS if extension in each.extensions), None)
    if not file:
        message, hint = "is empty", "look at what should have written it"
    elif file.startswith(CODED):
        message, hint = "is a coded picture", "edgecodec decode makes a picture of it"
    elif extension == ".edgc":
        message, hint = "is neither a picture nor a coded one", "edgecodec inspect says what is wrong with it"
    elif kind := next((kind for start, kind in _DOCUMENTS.items() if file.lstrip().startswith(start)), None):
        message, hint = f"is {kind}, not a picture", hint if kind == "a zip archive" else _CONVERT
    elif plugin is not None and not plugin.installed:
        hint = f"pip install 'edgecodec[{plugin.extra}]' reads {plugin.title}, if it is that"
    return NotAnImage(message, hint=hint)


def _readable() -> str:
    """Kinds that can be opened here, and what the others take."""
    kinds = [kind for kind in _COMMON if kind.upper() in Image.OPEN]
    kinds += [plugin.title for plugin in PLUGINS if plugin.installed]
    *others, last = kinds
    missing = [f"{plugin.title} with edgecodec[{plugin.extra}]" for plugin in PLUGINS if not plugin.installed]
    return f"{', '.join(others)} and {last}{''.join(f', {each}' for each in missing)}"
