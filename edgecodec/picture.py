"""Pictures that Pillow opens become upright 8-bit pixels, with their metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgecodec import files, picture_depth, picture_metadata
from edgecodec.errors import AlphaRefused, InvalidArgument
from edgecodec.exif import UPRIGHT
from edgecodec.limits import Limits
from edgecodec.picture_metadata import Metadata, of_profile
from edgecodec.picture_opening import Opened, held, opened

#: uint8 (height, width, 3), or (height, width) when greyscale.
Pixels = npt.NDArray[np.uint8]

#: What to do with transparency: refuse it, forget it, or lay the picture on white or black.
AlphaChannel = Literal["refuse", "drop", "white", "black"]
ALPHA_CHANNEL_CHOICES: tuple[str, ...] = get_args(AlphaChannel)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation


@dataclass(frozen=True, repr=False)
class Picture:
    """An upright picture. icc, exif (a TIFF structure), xmp: bytes or None. notes: what was changed to get here.

    orientation: EXIF's, 1 to 8, as it was before the picture was turned upright.
    """

    pixels: Pixels
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()
    orientation: int = UPRIGHT

    @property
    def greyscale(self) -> bool:
        return self.pixels.ndim == 2

    def bare_image(self) -> Image.Image:
        """The pixels alone in Pillow, of mode RGB or L."""
        return Image.fromarray(self.pixels)

    def without_metadata(self) -> Picture:
        return replace(self, icc=None, exif=None, xmp=None)

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        return f"<Picture {width}x{height}{' grey' * self.greyscale}>"


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

    Greyscale stays greyscale, palettes become colours, samples of more than 8 bits are reduced to 8, CMYK becomes RGB.
    Raises NotAnImage, CannotRead, LimitExceeded, OutOfMemory, AlphaRefused, and InvalidArgument for animations and for
    an `alpha_channel` that is none of ALPHA_CHANNEL_CHOICES.
    """
    _check_alpha_channel(alpha_channel)
    with opened(source, limits) as file:
        metadata = picture_metadata.of(file)
        notes = [*file.notes, *picture_depth.notes(file), *metadata.notes]
        _load_with_transparency(file.image)
        limits.check_size(*file.image.size)  # an icon may hold another size than it says
        return _convert(file, metadata, notes, alpha_channel)


def from_image(image: Image.Image, limits: Limits, alpha_channel: AlphaChannel = "refuse") -> Picture:
    """An image of Pillow's as `read` makes a picture of its file: upright by its EXIF data, with its metadata.

    The image is loaded where it was not, and stays open. Raises what `read` raises.
    """
    _check_alpha_channel(alpha_channel)
    with held(image, limits) as file:
        notes = picture_depth.notes(file)
        _load_with_transparency(image)
        metadata = picture_metadata.of_image(image)  # some files have them behind the pixels
        return _convert(file, metadata, [*notes, *metadata.notes], alpha_channel)


def read_numbers(source: files.Source, limits: Limits) -> npt.NDArray[Any]:
    """Whole numbers (height, width): the samples that a greyscale or palette picture stores, not its colours.

    Like a picture they are turned upright where the file has an EXIF orientation of its own. Raises what `read` raises,
    and InvalidArgument for pictures whose pixels are colours.
    """
    with opened(source, limits) as file:
        image, orientation = file.image, picture_metadata.of(file).orientation
        if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
            raise InvalidArgument(
                f"has pixels of mode {image.mode}", hint="numbers are stored as greyscale or as indices into a palette"
            )
        stored = _stored(image)
        image.load()
        limits.check_size(*image.size)
        samples = np.asarray(_upright(file, orientation))
        if stored.white_is_zero:
            samples = ~samples
        if image.mode == "1":
            return samples.astype(np.uint8)
        if stored.factor == stored.divisor:
            return samples
        doubled = 2 * stored.divisor * samples.astype(np.int64)
        numbers: npt.NDArray[Any] = (doubled + stored.factor) // (2 * stored.factor)
        return numbers


def _check_alpha_channel(alpha_channel: str) -> None:
    if alpha_channel not in ALPHA_CHANNEL_CHOICES:
        raise InvalidArgument(f"alpha_channel is {alpha_channel!r}", hint=f"use {', '.join(ALPHA_CHANNEL_CHOICES)}")


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


def _convert(file: Opened, metadata: Metadata, notes: list[str], alpha_channel: AlphaChannel) -> Picture:
    """Upright pixels of 8 bits, once they are loaded."""
    upright = _upright(file, metadata.orientation)
    if metadata.orientation != UPRIGHT:
        notes.append(f"applied EXIF orientation {metadata.orientation}")
    flat = _eight_bits(_flatten(upright, alpha_channel, notes), notes, picture_depth.grey_bits(file))
    icc, more = of_profile(metadata.icc, flat.mode == "L")
    notes.extend(more)
    return Picture(np.asarray(flat), icc, metadata.exif, metadata.xmp, tuple(notes), metadata.orientation)


def _upright(file: Opened, orientation: int) -> Image.Image:
    """A loaded picture as it is meant to be seen. Pillow has turned those of TIFF files already."""
    if orientation == UPRIGHT or file.tiff is not None:
        return file.image
    return file.image.transpose(_TURNS[orientation])


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


def _eight_bits(image: Image.Image, notes: list[str], grey_bits: int = 16) -> Image.Image:
    """Mode L or RGB. grey_bits: of a sample in modes of 16 bits."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "I" or image.mode.startswith("I;16"):
        samples = np.asarray(image).astype(np.int64)
        if samples.min() < 0 or samples.max() > 65535:
            raise InvalidArgument("has samples beyond 16 bits", hint="scale them to 8 or 16 bits first")
        notes.append(f"rounded {grey_bits}-bit samples to 8 bits")
        largest = (1 << grey_bits) - 1
        return Image.fromarray(((2 * 255 * samples + largest) // (2 * largest)).astype(np.uint8))
    if image.mode in ("F", "LAB"):
        raise InvalidArgument(
            f"has pixels of mode {image.mode}", hint="convert the picture to 8-bit RGB or greyscale first"
        )
    if image.mode not in ("P", "PA"):
        notes.append(f"converted {image.mode} to RGB")
    return image.convert("RGB")
