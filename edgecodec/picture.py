"""Pictures in and out: what Pillow opens becomes upright 8-bit pixels with their metadata, and goes back into files."""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from edgecodec import files
from edgecodec.errors import (
    AlphaRefused,
    CannotRead,
    InvalidArgument,
    LimitExceeded,
    NotAnImage,
    OutOfMemory,
)
from edgecodec.limits import Limits
from edgecodec.padding import Pixels

#: What to do with transparency: refuse it, forget it, or lay the picture on white or black.
AlphaChannel = Literal["refuse", "drop", "white", "black"]
ALPHA_CHANNEL_CHOICES: tuple[str, ...] = get_args(AlphaChannel)

EXIF_PREFIX = b"Exif\0\0"  # JPEG's marker in front of the TIFF structure; stored without it
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = 1  # its value for a picture that is upright
_TURNED = range(2, 9)  # its values for pictures to be turned or flipped
_XMP_KEYWORD = "XML:com.adobe.xmp"  # PNG's keyword for it


@dataclass(frozen=True)
class Picture:
    """An upright picture. icc, exif (a TIFF structure), xmp: bytes or None. notes: what was changed to get here.

    orientation: EXIF's, 1 to 8, as it was before the picture was turned upright.
    """

    pixels: Pixels
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()
    orientation: int = _UPRIGHT

    @property
    def greyscale(self) -> bool:
        return self.pixels.ndim == 2

    def without_metadata(self) -> Picture:
        return replace(self, icc=None, exif=None, xmp=None)


def from_pixels(pixels: npt.NDArray[Any]) -> Picture:
    """A bare array as a picture. Raises InvalidArgument unless it is uint8 (height, width, 3) or (height, width)."""
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise InvalidArgument(
            f"pixels are {pixels.dtype} {pixels.shape}", hint="give uint8 (height, width, 3) or (height, width)"
        )
    if pixels.size == 0:
        raise InvalidArgument(f"pixels are empty: {pixels.shape}")
    return Picture(pixels)


def read(source: files.Source, limits: Limits, alpha_channel: AlphaChannel = "refuse") -> Picture:
    """Read any still picture that Pillow opens, with the EXIF orientation applied and reset.

    Greyscale stays greyscale, palettes become colours, 16-bit samples are rounded to 8 bits, CMYK becomes RGB.
    Raises NotAnImage, CannotRead, LimitExceeded, AlphaRefused, and InvalidArgument for animations and for
    an `alpha_channel` that is none of ALPHA_CHANNEL_CHOICES.
    """
    if alpha_channel not in ALPHA_CHANNEL_CHOICES:
        raise InvalidArgument(f"alpha_channel is {alpha_channel!r}", hint=f"use {', '.join(ALPHA_CHANNEL_CHOICES)}")
    with _opened(source, limits) as image:
        _load_with_transparency(image)
        return _convert(image, alpha_channel)


def read_numbers(source: files.Source, limits: Limits) -> npt.NDArray[Any]:
    """Whole numbers (height, width): the samples that a greyscale or palette picture stores, not its colours.

    Like a picture they are turned upright where the file has an EXIF orientation of its own. Raises what `read` raises,
    and InvalidArgument for pictures whose pixels are colours.
    """
    with _opened(source, limits) as image:
        if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
            raise InvalidArgument(
                f"has pixels of mode {image.mode}", hint="numbers are stored as greyscale or as indices into a palette"
            )
        stored = _stored(image)
        image.load()
        upright, _ = _turned(image)
        samples = np.asarray(upright)
        if stored.white_is_zero:
            samples = ~samples
        if image.mode == "1":
            return samples.astype(np.uint8)
        if stored.factor == stored.divisor:
            return samples
        doubled = 2 * stored.divisor * samples.astype(np.int64)
        numbers: npt.NDArray[Any] = (doubled + stored.factor) // (2 * stored.factor)
        return numbers


class _Stored(NamedTuple):
    """What Pillow does to samples as it loads them.

    factor, divisor: what they are multiplied and divided by, to fill 8 or 16 bits. white_is_zero: they are inverted.
    """

    factor: int = 1
    divisor: int = 1
    white_is_zero: bool = False


def _stored(image: Image.Image) -> _Stored:
    """Known only until the pixels are loaded."""
    for decoder, _, _, layout in getattr(image, "tile", ()):
        kind, *more = layout if isinstance(layout, tuple) else (layout,)
        if decoder.startswith("ppm") and more:
            return _Stored(65535 if image.mode == "I" else 255, more[0])
        if kind == "RGB;16B":
            return _Stored(1, 256)
        if grey := re.fullmatch("(?:1|L);([24]?)(I?)R?", str(kind)):
            return _Stored({"2": 85, "4": 17}.get(grey[1], 1), white_is_zero=bool(grey[2]))
    return _Stored()


def _load_with_transparency(image: Image.Image) -> None:
    """Load the pixels, and scale the sample that means transparent as they are scaled, which Pillow does not do."""
    stored = _stored(image)
    image.load()
    match image.info.get("transparency"):
        case int(sample) if image.mode == "1":
            image.info["transparency"] = 255 if sample else 0
        case int(sample):
            image.info["transparency"] = sample * stored.factor // stored.divisor
        case tuple(samples):
            image.info["transparency"] = tuple(sample * stored.factor // stored.divisor for sample in samples)


@contextmanager
def _opened(source: files.Source, limits: Limits) -> Iterator[Image.Image]:
    """A still picture, not loaded yet. Failures while it is open become edgecodec errors."""
    where = files.name_of(source)
    data = files.read(source, limits)
    try:
        with Image.open(io.BytesIO(data)) as image:
            limits.check_size(*image.size)
            if getattr(image, "is_animated", False) and image.format != "MPO":
                raise InvalidArgument("has several frames", hint="extract one of them: a coded picture is a still")
            yield image
    except (InvalidArgument, AlphaRefused, LimitExceeded) as error:
        error.locate(where)
        raise
    except UnidentifiedImageError as error:
        raise NotAnImage("is not a picture that Pillow can open", where=where) from error
    except Image.DecompressionBombError as error:
        raise LimitExceeded(str(error), where=where, hint="raise PIL.Image.MAX_IMAGE_PIXELS") from error
    except MemoryError as error:
        raise OutOfMemory("no memory for the picture", where=where) from error
    except (OSError, SyntaxError, ValueError, struct.error, EOFError) as error:
        raise CannotRead(f"is a damaged picture: {error}", where=where) from error


def _convert(image: Image.Image, alpha_channel: AlphaChannel) -> Picture:
    notes: list[str] = []
    upright, orientation = _turned(image)
    exif = _exif(upright, orientation, notes)
    opaque = _flatten(upright, alpha_channel, notes)
    flat = _eight_bits(opaque, notes)
    icc = image.info.get("icc_profile") or None
    if icc is not None and icc[16:20] != (b"GRAY" if flat.mode == "L" else b"RGB "):
        notes.append("dropped an ICC profile of another colour space")
        icc = None
    return Picture(np.asarray(flat), icc, exif, _xmp(upright), tuple(notes), orientation or _UPRIGHT)


def _turned(image: Image.Image) -> tuple[Image.Image, int | None]:
    """A loaded picture as it is meant to be seen, and the EXIF orientation that it had and no longer has.

    That is None where the EXIF data are unreadable.
    """
    try:
        orientation = image.getexif().get(_ORIENTATION, _UPRIGHT)
        return (ImageOps.exif_transpose(image), orientation) if orientation in _TURNED else (image, _UPRIGHT)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error, OSError):
        return image, None


def _exif(upright: Image.Image, orientation: int | None, notes: list[str]) -> bytes | None:
    """EXIF without orientation; a note where it was applied, or nothing could be read."""
    if orientation is None:
        notes.append("dropped unreadable EXIF data")
        return None
    if orientation != _UPRIGHT:
        notes.append(f"applied EXIF orientation {orientation}")
    exif = upright.info.get("exif") or None
    return exif.removeprefix(EXIF_PREFIX) if exif else None


def _xmp(image: Image.Image) -> bytes | None:
    xmp = image.info.get("xmp") or image.info.get(_XMP_KEYWORD) or None
    return xmp.encode() if isinstance(xmp, str) else xmp


def _flatten(image: Image.Image, alpha_channel: AlphaChannel, notes: list[str]) -> Image.Image:
    if not image.has_transparency_data:
        return image
    if alpha_channel == "refuse":
        raise AlphaRefused(
            f"has transparency (mode {image.mode}), which a coded picture does not carry",
            hint="--alpha-channel drop, white or black (alpha_channel=) says what to make of it",
        )
    notes.append(f"transparency: {alpha_channel}")
    if image.mode == "I" or image.mode.startswith("I;16"):
        opaque = np.asarray(image) != image.info["transparency"]
        image = _eight_bits(image, notes)
        image.putalpha(Image.fromarray(opaque.astype(np.uint8) * np.uint8(255)))
    grey = image.mode in ("L", "LA", "La", "1")
    layered = image.convert("RGBA")
    if alpha_channel != "drop":
        layered = Image.alpha_composite(Image.new("RGBA", image.size, alpha_channel), layered)
    return layered.convert("RGB").getchannel(0) if grey else layered.convert("RGB")


def _eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    """Mode L or RGB."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "I" or image.mode.startswith("I;16"):
        samples = np.asarray(image).astype(np.int64)
        if samples.min() < 0 or samples.max() > 65535:
            raise InvalidArgument("has samples beyond 16 bits", hint="scale them to 8 or 16 bits first")
        notes.append("rounded 16-bit samples to 8 bits")
        return Image.fromarray(((samples + 128) // 257).astype(np.uint8))
    if image.mode in ("F", "LAB"):
        raise InvalidArgument(
            f"has pixels of mode {image.mode}", hint="convert the picture to 8-bit RGB or greyscale first"
        )
    if image.mode not in ("P", "PA"):
        notes.append(f"converted {image.mode} to RGB")
    return image.convert("RGB")


@dataclass(frozen=True)
class _Format:
    pillow: str
    options: Mapping[str, Any]


#: By extension. Everything but JPEG is lossless.
_FORMATS = {
    "png": _Format("PNG", {}),
    "ppm": _Format("PPM", {}),
    "pgm": _Format("PPM", {}),
    "pnm": _Format("PPM", {}),
    "bmp": _Format("BMP", {}),
    "tif": _Format("TIFF", {"compression": "tiff_lzw"}),
    "tiff": _Format("TIFF", {"compression": "tiff_lzw"}),
    "webp": _Format("WEBP", {"lossless": True}),
    "jpg": _Format("JPEG", {"quality": 95, "subsampling": 0}),
    "jpeg": _Format("JPEG", {"quality": 95, "subsampling": 0}),
}
_NUMPY = "npy"

#: Names of picture formats that can be written.
FORMATS = (*_FORMATS, _NUMPY)


def format_of(path: str | os.PathLike[str]) -> str:
    """Format by extension. Raises InvalidArgument with the list of known ones."""
    extension = PurePath(path).suffix[1:].lower()
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


def to_bytes(picture: Picture, picture_format: str) -> bytes:
    """A picture file of this format (one of FORMATS), with the metadata it can carry. Raises InvalidArgument."""
    check_format(picture_format)
    out = io.BytesIO()
    if picture_format == _NUMPY:
        np.save(out, picture.pixels, allow_pickle=False)
        return out.getvalue()
    chosen = _FORMATS[picture_format]
    pixels = picture.pixels
    if picture_format == "ppm" and picture.greyscale:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    try:
        Image.fromarray(pixels).save(out, chosen.pillow, **chosen.options, **_metadata(picture, chosen.pillow))
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"cannot be written as {chosen.pillow}: {error}", hint="choose another format") from error
    return out.getvalue()


def _metadata(picture: Picture, pillow_format: str) -> dict[str, Any]:
    """Pillow's keywords; formats that carry no metadata ignore them."""
    keywords: dict[str, Any] = {"icc_profile": picture.icc} if picture.icc else {}
    if picture.exif:
        keywords["exif"] = EXIF_PREFIX + picture.exif
    if picture.xmp and pillow_format == "PNG":
        keywords["pnginfo"] = PngImagePlugin.PngInfo()
        keywords["pnginfo"].add_itxt(_XMP_KEYWORD, picture.xmp.decode("utf-8", "replace"))
    elif picture.xmp:
        keywords["xmp"] = picture.xmp
    return keywords
