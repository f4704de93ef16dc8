"""Image.open for coded pictures: size, mode and metadata without an engine, pixels when they are first needed."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image, ImageFile

from edgecodec import container, files, picture_metadata
from edgecodec.codec import Codec, open_bundle
from edgecodec.errors import InvalidArgument, ModelMismatch
from edgecodec.exif import PREFIX
from edgecodec.limits import Limits
from edgecodec.native import Buffer

FORMAT = "EDGC"
_MAGIC = bytes((0xEC, 0xDC))

_LIMITS = Limits()  # until the codec of the picture is known, whose own limits then apply

_codecs: dict[str, Codec] = {}


def register_opener(*bundles: Codec | str | os.PathLike[str]) -> None:
    """Let Pillow open coded pictures of these bundles from now on. Each file finds its own by the model id.

    A path is opened with `open_bundle` and its defaults. Registering a bundle again replaces it. Raises what
    `open_bundle` raises, and InvalidArgument without any bundle.
    """
    if not bundles:
        raise InvalidArgument("no bundle to decode with", hint="register_opener(bundle, ...)")
    for bundle in bundles:
        codec = bundle if isinstance(bundle, Codec) else open_bundle(bundle)
        _codecs.update((model.id, codec) for model in codec.info.models)
    Image.register_open(FORMAT, EdgcImageFile, lambda prefix: prefix[:2] == _MAGIC)
    Image.register_extension(FORMAT, ".edgc")


class EdgcImageFile(ImageFile.ImageFile):
    """A coded picture as Pillow sees it."""

    format = FORMAT
    format_description = "edgecodec coded picture"

    def _open(self) -> None:
        assert self.fp is not None
        self._data: Buffer | None = files.read(self.fp, _LIMITS)
        file = container.parse(self._data)
        self._size = (file.info.width, file.info.height)
        self._mode = "L" if file.info.greyscale else "RGB"
        self._model_id = file.info.model_id
        metadata = picture_metadata.neutral(file.icc, file.exif, file.xmp)  # the pixels are upright already
        if metadata.icc:
            self.info["icc_profile"] = metadata.icc
        if metadata.exif:
            self.info["exif"] = PREFIX + metadata.exif
        if metadata.xmp:
            self.info["xmp"] = metadata.xmp

    def load(self) -> Any:
        if self._data is not None:
            codec = _codecs.get(self._model_id)
            if codec is None:
                raise ModelMismatch(
                    f"was coded with model {self._model_id}, which is not registered",
                    where=str(self.filename) or None,
                    hint="give its bundle to register_opener",
                )
            self.im = codec.decode(self._data).image().im
            self._data = None
        return super().load()
