"""Opening pictures with Pillow: under our limits, and with whatever Pillow raises turned into errors of ours."""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageFile

from edgecodec import files, jpeg_segments, jpegxl_size, picture_plugins, png_chunks, tiff_metadata
from edgecodec.errors import CannotRead, EdgecodecError, InvalidArgument, LimitExceeded, NotAnImage, OutOfMemory
from edgecodec.exif import MOST_BYTES
from edgecodec.limits import Limits
from edgecodec.png_chunks import Chunks
from edgecodec.tiff_structure import Structure

_FOLDERS = (0x8769, 0x8825, 0xA005)  # tags that point to EXIF's folders


@dataclass(frozen=True)
class Opened:
    """A still picture, not loaded yet. png, tiff: the parts of such a file, or None. notes: what is left out of it."""

    image: Image.Image
    file: bytes
    png: Chunks | None
    tiff: Structure | None
    notes: tuple[str, ...]


@contextmanager
def opened(source: files.Source, limits: Limits) -> Iterator[Opened]:
    """Open a still picture, for as long as it is worked on: what is raised meanwhile names it.

    Raises NotAnImage, CannotRead, LimitExceeded and OutOfMemory, and InvalidArgument for several pictures in one file.
    """
    where = files.name_of(source)
    with _failures_of_pillow(where, limits):
        data = files.read(source, limits)
        file = data if isinstance(data, bytes) else bytes(data)
        png, exif, pixels = None, None, file
        if file.startswith(png_chunks.SIGNATURE):
            png = png_chunks.split(file, MOST_BYTES)
            pixels = png.pixels
        elif file.startswith(jpeg_segments.START):
            pixels, exif = jpeg_segments.split(file)
        if picture_plugins.prepare(file) is picture_plugins.JPEG_XL:
            limits.check_size(*jpegxl_size.size_of(file))
        with _limit_of_pillow(limits.max_pixels), _open(pixels, where) as image:
            limits.check_size(*image.size)
            tiff = Structure(file) if image.format == "TIFF" else None
            if exif is not None:
                image.info["exif"] = exif
            if tiff is not None:
                _hide_metadata(image, tiff)
            yield Opened(image, file, png, tiff, _further_pictures(image, tiff))


@contextmanager
def held(image: Image.Image, limits: Limits) -> Iterator[Opened]:
    """An image of the caller's, loaded or not, as `opened` gives those of files; of several pictures the one at hand.

    Raises CannotRead, LimitExceeded and OutOfMemory, and InvalidArgument for an image without pixels.
    """
    if 0 in image.size:
        raise InvalidArgument(f"the image is empty: {image.size[0]}x{image.size[1]}")
    with _failures_of_pillow(str(getattr(image, "filename", "")) or None, limits):
        limits.check_size(*image.size)
        yield Opened(image, b"", None, None, ())


@contextmanager
def _failures_of_pillow(where: str | None, limits: Limits) -> Iterator[None]:
    """Whatever Pillow raises inside becomes an error of ours, which names the picture."""
    try:
        yield
    except EdgecodecError as error:
        error.locate(where)
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitExceeded(
            f"holds more than the limit of {limits.max_pixels} pixels",
            where=where,
            hint="raise max_pixels if the picture is meant to be this large",
        ) from error
    except MemoryError as error:
        raise OutOfMemory("no memory for the picture", where=where) from error
    except NotImplementedError as error:
        raise NotAnImage(f"is of a kind that Pillow cannot decode: {said(error)}", where=where) from error
    except Exception as error:  # plugins of Pillow raise anything for damaged files
        raise CannotRead(f"is a damaged picture: {said(error)}", where=where) from error


def said(error: Exception) -> str:
    """What an error of Pillow's says, in printable characters; its kind, where that says more."""
    text = str(error) if isinstance(error, OSError | SyntaxError | ValueError | EOFError) else ""
    text = text or f"{type(error).__name__}: {error}"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _open(file: bytes, where: str | None) -> ImageFile.ImageFile:
    """Image.open without its check of the size, which would come before ours. Raises NotAnImage."""
    stream = io.BytesIO(file)
    tried: set[str] = set()
    for prepare in (Image.preinit, Image.init):  # the usual formats, then all
        prepare()
        for name in [name for name in Image.ID if name not in tried]:
            tried.add(name)
            factory, accepts = Image.OPEN[name]
            try:
                if accepts is None or accepts(file[:16]) is True:
                    if name == "EPS":  # a program, which Pillow lets another program run, whatever the file is called
                        raise NotAnImage("is PostScript, not a picture", hint="convert it to PNG first")
                    stream.seek(0)
                    return factory(stream, "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue  # of another format
    from edgecodec.not_a_picture import no_picture

    raise no_picture(file, where)


def _further_pictures(image: ImageFile.ImageFile, tiff: Structure | None) -> tuple[str, ...]:
    """Notes on those that are left out. Raises InvalidArgument where one would have to be chosen."""
    if not getattr(image, "is_animated", False):
        return ()
    if image.format == "MPO":
        return (f"left out {getattr(image, 'n_frames', 2) - 1} further pictures of a multi-picture file",)
    copies = tiff_metadata.reduced_copies(tiff) if tiff is not None else None
    if copies is None:
        raise InvalidArgument("has several frames", hint="extract one of them: a coded picture is a still")
    return (f"left out {copies} reduced copies",)


def _hide_metadata(image: ImageFile.ImageFile, tiff: Structure) -> None:
    """Keep Pillow from looking into metadata when it loads a TIFF file; it fails where they are damaged.

    The orientation stays: Pillow turns the pixels of TIFF files by it.
    """
    _, xmp = tiff_metadata.profile_and_xmp(tiff)
    image.info.pop("xmp", None)
    if xmp is not None:
        image.info["xmp"] = xmp
    tags = image.getexif()
    for tag in _FOLDERS:
        if tag in tags:
            del tags[tag]


_lock = threading.Lock()
_limits: list[int] = []  # of the pictures that are being read
_before: int | None = None  # Pillow's limit, when the first of them was opened


@contextmanager
def _limit_of_pillow(max_pixels: int) -> Iterator[None]:
    """Lift or lower Pillow's limit of pixels, beyond which it warns and raises, to ours.

    It belongs to the process: threads share the largest of theirs, and the last to be done sets Pillow's again.
    """
    global _before
    with _lock:
        if not _limits:
            _before = Image.MAX_IMAGE_PIXELS
        _limits.append(max_pixels)
        Image.MAX_IMAGE_PIXELS = max(_limits)
    try:
        yield
    finally:
        with _lock:
            _limits.remove(max_pixels)
            Image.MAX_IMAGE_PIXELS = max(_limits) if _limits else _before
