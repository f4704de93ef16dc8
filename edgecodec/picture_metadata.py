"""Metadata of pictures: what a file holds of them, and none that turns a picture whose pixels are upright."""

from __future__ import annotations

import re
from typing import NamedTuple

from PIL.Image import Image

from edgecodec import exif as exif_data
from edgecodec import tiff_metadata
from edgecodec.exif import MOST_BYTES, TURNED, UPRIGHT
from edgecodec.picture_opening import Opened

_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>\s*))([2-8])""")


class Metadata(NamedTuple):
    """icc, exif (without the prefix of JPEG), xmp: bytes or None. orientation: 1 to 8, in which the pixels are stored.

    notes: what was left out.
    """

    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    orientation: int = UPRIGHT
    notes: tuple[str, ...] = ()


def of(opened: Opened) -> Metadata:
    """The metadata of an open file, which hold for its picture turned upright. Called before the pixels are loaded."""
    image = opened.image
    if opened.png is not None:
        png = opened.png
        return _noting(neutral(png.icc, png.exif, png.xmp), *png.notes)
    if opened.tiff is not None:
        icc, xmp = tiff_metadata.profile_and_xmp(opened.tiff)
        exif = exif_data.of_tiff(opened.tiff)
        found = neutral(icc, exif.data, xmp)
        orientation = image.getexif().get(0x0112, UPRIGHT)  # Pillow turns the pixels, so what it finds counts
        orientation = int(orientation) if orientation in TURNED else UPRIGHT
        return _noting(found._replace(orientation=orientation), *exif.notes)
    found = of_image(image)
    # In other formats it is the name of the program that wrote the file.
    commented = image.format in ("JPEG", "MPO", "GIF") and image.info.get("comment")
    return _noting(found, "dropped text comments") if commented else found


def of_image(image: Image) -> Metadata:
    """The metadata that an image of Pillow has in its `info`, which hold for its picture turned upright."""
    found = neutral(*(_bytes(image.info.get(name)) for name in ("icc_profile", "exif", "xmp")))
    if image.format == "HEIF" or (image.format == "JXL" and not getattr(image, "jpeg", False)):
        # Their own headers say how a picture is turned, which their plugins do; what EXIF says does not count.
        return found._replace(orientation=UPRIGHT)
    return found


def pillow_info(metadata: Metadata) -> dict[str, bytes]:
    """Metadata as `info` of an image of Pillow has them."""
    exif = metadata.exif and exif_data.PREFIX + metadata.exif
    named = {"icc_profile": metadata.icc, "exif": exif, "xmp": metadata.xmp}
    return {name: data for name, data in named.items() if data}


def neutral(icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> Metadata:
    """Metadata that do not turn the picture and are no larger than MOST_BYTES each."""
    notes: list[str] = []
    icc, exif, xmp = (
        _of_bearable_size(data, name, notes) for data, name in ((icc, "ICC profile"), (exif, "EXIF data"), (xmp, "XMP"))
    )
    orientation: int | None = None
    if exif is not None:
        exif, orientation, more = exif_data.cleaned(exif)
        notes.extend(more)
    if xmp is not None:
        if orientation is None and (stated := _XMP_ORIENTATION.search(xmp)):
            orientation = int(stated[2])
        xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
        if b"xmpNote:HasExtendedXMP" in xmp:
            notes.append("dropped the extended part of XMP")
    return Metadata(icc, exif, xmp, orientation if orientation and orientation in TURNED else UPRIGHT, tuple(notes))


def of_profile(icc: bytes | None, greyscale: bool) -> tuple[bytes | None, tuple[str, ...]]:
    """An ICC profile if it is for pictures of such pixels, and a note if it is not."""
    if icc is None or icc[16:20] == (b"GRAY" if greyscale else b"RGB "):
        return icc, ()
    return None, ("dropped an ICC profile of another colour space",)


def _of_bearable_size(data: bytes | None, name: str, notes: list[str]) -> bytes | None:
    if data is None or len(data) <= MOST_BYTES:
        return data or None
    notes.append(f"dropped {name} of more than {MOST_BYTES >> 20} MiB")
    return None


def _bytes(value: object) -> bytes | None:
    """What Pillow gives as metadata, whose types depend on the file."""
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None


def _noting(metadata: Metadata, *notes: str) -> Metadata:
    return metadata._replace(notes=(*metadata.notes, *notes))
