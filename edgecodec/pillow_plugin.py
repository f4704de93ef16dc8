"""Coded pictures in Pillow: size, mode and metadata without an engine, pixels when they are first needed, and saving.

Pillow's own kinds of errors are raised, with what edgecodec found as their cause.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from edgecodec import container, files, picture_metadata
from edgecodec.codec import Codec, open_bundle
from edgecodec.errors import EdgecodecError, InvalidArgument, KnobUnavailable, ModelMismatch, OutOfMemory, UsageError
from edgecodec.limits import Limits
from edgecodec.native import Buffer

FORMAT = "EDGC"
MIME_TYPE = "image/x-edgc"
_MAGIC = bytes((0xEC, 0xDC))
#: What Image.save may be told of metadata, by the names that Pillow's own formats have for them.
_METADATA = ("icc_profile", "exif", "xmp")

_LIMITS = Limits()  # until the codec of the picture is known, whose own limits then apply

_codecs: dict[str, Codec] = {}


def register_opener(*bundles: Codec | str | os.PathLike[str]) -> None:
    """Let Pillow open and save coded pictures of these bundles from now on. Each file finds its own by the model id.

    A path is opened with `open_bundle` and its defaults. Registering a bundle again replaces it. Raises what
    `open_bundle` raises, and InvalidArgument without any bundle.

    `Image.open` reads size, mode and metadata, and the pixels are decoded when they are first needed.
    `image.save("a.edgc", bundle=..., quality=...)` takes a bundle, as a path or opened, and what `Codec.encode` takes
    by keyword; without `bundle` it takes the one that is registered, if it is only one. Metadata are kept as Pillow
    has them in `image.info`, unless icc_profile, exif or xmp say otherwise.

    Both raise Pillow's kinds of errors: UnidentifiedImageError for what is no readable coded picture, OSError for one
    that cannot be decoded or written, ValueError for an argument. Their `__cause__` is the error of edgecodec.

        >>> edgecodec.register_opener("hific.bundle")
        >>> with Image.open("photo.edgc") as image:
        ...     image.size, image.format
        ((96, 64), 'EDGC')
    """
    if not bundles:
        raise InvalidArgument("no bundle to decode with", hint="register_opener(bundle, ...)")
    for bundle in bundles:
        codec = _opened(bundle)
        _codecs.update((model.id, codec) for model in codec.info.models)
    Image.register_open(FORMAT, EdgcImageFile, lambda prefix: prefix[:2] == _MAGIC)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, ".edgc")
    Image.register_mime(FORMAT, MIME_TYPE)


class EdgcImageFile(ImageFile.ImageFile):
    """A coded picture as Pillow sees it."""

    format = FORMAT
    format_description = "edgecodec coded picture"

    def _open(self) -> None:
        assert self.fp is not None
        with _errors_of_pillow(files.name_of(self.fp), unreadable=UnidentifiedImageError):
            self._data: Buffer | None = files.read(self.fp, _LIMITS)
            file = container.parse(self._data)
        self._size = (file.info.width, file.info.height)
        self._mode = "L" if file.info.greyscale else "RGB"
        self._model_id = file.info.model_id
        # The pixels are upright already.
        self.info.update(picture_metadata.pillow_info(picture_metadata.neutral(file.icc, file.exif, file.xmp)))

    def load(self) -> Any:
        if self._data is not None:
            with _errors_of_pillow(str(self.filename) or None):
                codec = _codecs.get(self._model_id)
                if codec is None:
                    raise ModelMismatch(
                        f"was coded with model {self._model_id}, which is not registered",
                        hint="give its bundle to register_opener",
                    )
                self.im = codec.decode(self._data).bare_image().im
            self._data = None
        return super().load()


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """What Image.save calls, with its keyword arguments in `image.encoderinfo`."""
    options: dict[str, Any] = dict(image.encoderinfo)
    with _errors_of_pillow(os.fsdecode(filename) or None):
        codec = _opened(options.pop("bundle", None) or _only_codec())
        described = image.copy()
        described.info.update({name: options.pop(name) for name in _METADATA if name in options})
        if isinstance(exif := described.info.get("exif"), Image.Exif):
            described.info["exif"] = exif.tobytes()
        data = codec.encode(described, **options).data
    file.write(data)


def _opened(bundle: Codec | str | os.PathLike[str]) -> Codec:
    return bundle if isinstance(bundle, Codec) else open_bundle(bundle)


def _only_codec() -> Codec:
    registered = set(_codecs.values())
    if len(registered) != 1:
        raise InvalidArgument(
            f"{len(registered)} bundles are registered", hint='say which one codes: image.save("a.edgc", bundle=...)'
        )
    return registered.pop()


@contextmanager
def _errors_of_pillow(where: str | None, unreadable: type[OSError] = OSError) -> Iterator[None]:
    """unreadable: what is raised for a file that is damaged, or none of ours."""
    try:
        yield
    except EdgecodecError as error:
        error.locate(where)
        if isinstance(error, OutOfMemory):
            raise MemoryError(str(error)) from error
        if isinstance(error, UsageError | KnobUnavailable):
            raise ValueError(str(error)) from error
        raise (unreadable if error.exit_status in (3, 4) else OSError)(str(error)) from error
