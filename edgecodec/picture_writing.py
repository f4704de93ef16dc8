"""Pictures as files: the pixels alone decide how they are stored; metadata are added where the format has room."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NamedTuple, Protocol

from PIL import Image, PngImagePlugin

from edgecodec import picture_metadata, tiff_metadata
from edgecodec.errors import InvalidArgument, OutOfMemory
from edgecodec.exif import MOST_BYTES, PREFIX
from edgecodec.picture_metadata import Metadata
from edgecodec.picture_opening import said
from edgecodec.png_chunks import XMP_KEYWORD


class Upright(Protocol):
    """An upright picture with its metadata: a `Picture`, or what was decoded."""

    @property
    def icc(self) -> bytes | None: ...
    @property
    def exif(self) -> bytes | None: ...
    @property
    def xmp(self) -> bytes | None: ...
    def bare_image(self) -> Image.Image:
        """Of mode RGB or L."""


class PictureFile(NamedTuple):
    """data: the whole file. notes: which metadata it does not hold, and why."""

    data: bytes
    notes: tuple[str, ...]


# Bytes of JPEG's markers: Exif 3.0, section 4.5.4; ICC.1, annex B.4; XMP specification, part 3, section 1.1.3.
_ROOM_IN_JPEG = {"icc": 255 * 65519, "exif": 65527, "xmp": 65502}
_ROOM = {"icc": MOST_BYTES, "exif": MOST_BYTES, "xmp": MOST_BYTES}


@dataclass(frozen=True)
class _Format:
    """pillow: its name there. options: of Image.save. room: the largest icc, exif and xmp it holds, in bytes."""

    pillow: str
    options: Mapping[str, Any] = field(default_factory=dict)
    room: Mapping[str, int] = field(default_factory=dict)


#: By extension. Everything but JPEG is lossless.
_FORMATS = {
    "png": _Format("PNG", room=_ROOM),
    "ppm": _Format("PPM"),
    "pgm": _Format("PPM"),
    "pnm": _Format("PPM"),
    "bmp": _Format("BMP"),
    "tif": _Format("TIFF", {"compression": "tiff_lzw"}, _ROOM),
    "tiff": _Format("TIFF", {"compression": "tiff_lzw"}, _ROOM),
    "webp": _Format("WEBP", {"lossless": True}, _ROOM),
    "jpg": _Format("JPEG", {"quality": 95, "subsampling": 0}, _ROOM_IN_JPEG),
    "jpeg": _Format("JPEG", {"quality": 95, "subsampling": 0}, _ROOM_IN_JPEG),
}
_NUMPY = "npy"

#: Names of picture formats that can be written.
FORMATS = (*_FORMATS, _NUMPY)


def format_of(path: str | os.PathLike[str]) -> str:
    """Format by extension. Raises InvalidArgument with the list of known ones."""
    extension = PurePath(path).suffix[1:].lower()
    if not extension:
        raise InvalidArgument(
            "has no extension to say which format the picture is to have",
            where=os.fspath(path),
            hint=f"one of {', '.join(FORMATS)}, as in {os.fspath(path)}.png",
        )
    if extension not in FORMATS:
        raise InvalidArgument(
            f"no picture format has the extension {extension!r}",
            where=os.fspath(path),
            hint=f"use {', '.join(FORMATS)}",
        )
    return extension


def check_format(picture_format: str) -> None:
    """Raise InvalidArgument unless it is one of FORMATS."""
    if picture_format not in FORMATS:
        raise InvalidArgument(f"there is no picture format {picture_format!r}", hint=f"use {', '.join(FORMATS)}")


def as_file(picture: Upright, picture_format: str) -> PictureFile:
    """A picture as a file of this format (one of FORMATS), with those metadata that it can hold.

    All formats but JPEG hold exactly these pixels, whatever the metadata say. Raises InvalidArgument, OutOfMemory.
    """
    check_format(picture_format)
    chosen = _FORMATS.get(picture_format, _Format(picture_format))
    out = io.BytesIO()
    try:
        image = picture.bare_image()
        metadata = _fitting(picture, image.mode == "L", picture_format, chosen.room)
        notes = metadata.notes
        if picture_format == _NUMPY:
            import numpy as np  # which no other format needs

            np.save(out, np.asarray(image), allow_pickle=False)
            return PictureFile(out.getvalue(), notes)
        keywords = {} if chosen.pillow == "TIFF" else _keywords(metadata, chosen.pillow)
        if picture_format == "ppm":
            image = image.convert("RGB")
        image.save(out, chosen.pillow, **chosen.options, **keywords)
        data = out.getvalue()
        if chosen.pillow == "TIFF":
            data, more = tiff_metadata.added(data, metadata.exif, metadata.icc, metadata.xmp)
            notes += more
    except MemoryError as error:
        raise OutOfMemory(f"no memory to write {chosen.pillow}") from error
    except Exception as error:  # Pillow's writers raise anything
        raise InvalidArgument(
            f"cannot be written as {chosen.pillow}: {said(error)}", hint="choose another format"
        ) from error
    return PictureFile(data, notes)


def _fitting(picture: Upright, greyscale: bool, picture_format: str, room: Mapping[str, int]) -> Metadata:
    """What of a picture's metadata goes into a file with so much room."""
    metadata = picture_metadata.neutral(picture.icc, picture.exif, picture.xmp)
    notes = list(metadata.notes)
    kept: dict[str, bytes | None] = {}
    for field_name, name in (("icc", "an ICC profile"), ("exif", "EXIF data"), ("xmp", "XMP")):
        kept[field_name] = data = getattr(metadata, field_name)
        if data is not None and len(data) > room.get(field_name, 0):
            most = f" of more than {room[field_name]} bytes" if field_name in room else ""
            notes.append(f"dropped {name}: {picture_format} holds none{most}")
            kept[field_name] = None
    kept["icc"], more = picture_metadata.of_profile(kept["icc"], greyscale)
    if (xmp := kept["xmp"]) is not None and picture_format == "png" and not _is_text(xmp):
        more += ("dropped XMP: png holds none that is not UTF-8",)
        kept["xmp"] = None
    return Metadata(kept["icc"], kept["exif"], kept["xmp"], notes=(*notes, *more))


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _keywords(metadata: Metadata, pillow_format: str) -> dict[str, Any]:
    """Metadata as Pillow's writers take them."""
    keywords: dict[str, Any] = {"icc_profile": metadata.icc} if metadata.icc else {}
    if metadata.exif:
        keywords["exif"] = PREFIX + metadata.exif
    if metadata.xmp and pillow_format == "PNG":
        keywords["pnginfo"] = PngImagePlugin.PngInfo()
        keywords["pnginfo"].add_itxt(XMP_KEYWORD, metadata.xmp)
    elif metadata.xmp:
        keywords["xmp"] = metadata.xmp
    return keywords
