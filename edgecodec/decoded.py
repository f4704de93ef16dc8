"""What a coded picture decodes to: pixels and metadata, for NumPy, for Pillow and as a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgecodec import files
from edgecodec.container import FileInfo
from edgecodec.engine import RunningEngine
from edgecodec.tiling import Tiles
from edgecodec.timings import Timings

if TYPE_CHECKING:
    from PIL.Image import Image

    from edgecodec.picture import Pixels


@dataclass(frozen=True, repr=False)
class Decoded:
    """pixels: uint8 (height, width, 3), or (height, width) when greyscale. icc, exif, xmp: bytes as stored, or None.

    memory: the bytes of the pixels, row by row, which need no NumPy. engine: what computed them. May be pickled.
    Notebooks show the picture.

        >>> decoded = codec.decode("photo.edgc")
        >>> decoded.image.size
        (96, 64)
        >>> decoded.save("photo.png")
        ()
    """

    memory: memoryview
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    info: FileInfo
    timings: Timings
    tiles: Tiles
    engine: RunningEngine

    @cached_property
    def pixels(self) -> Pixels:
        import numpy as np

        shape = (self.info.height, self.info.width, *(() if self.info.greyscale else (3,)))
        return np.frombuffer(self.memory, np.uint8).reshape(shape)

    @cached_property
    def image(self) -> Image:
        """The picture in Pillow, of mode RGB or L. Its `info` has icc_profile, exif and xmp, as Pillow names them."""
        from edgecodec.picture_metadata import neutral, pillow_info

        image = self.bare_image()
        image.info.update(pillow_info(neutral(self.icc, self.exif, self.xmp)))
        return image

    def bare_image(self) -> Image:
        """The pixels alone in Pillow, of mode RGB or L; another image with each call."""
        from PIL import Image

        size = (self.info.width, self.info.height)
        mode = "L" if self.info.greyscale else "RGB"
        return Image.frombuffer(mode, size, self.memory)  # type: ignore[arg-type]  # it takes any buffer

    def save(self, path: str | os.PathLike[str]) -> tuple[str, ...]:
        """Write a picture file, in the format that the extension names, as `edgecodec decode -o` writes it.

        A file that is there is replaced, by a whole one or not at all. All formats but JPEG hold exactly these pixels.
        Returns notes on the metadata that the format has no room for.

        Raises InvalidArgument for an extension of no format that can be written, CannotWrite, OutOfMemory.
        """
        from edgecodec.picture_writing import as_file, format_of

        data, notes = as_file(self, format_of(path))
        files.write(path, data, force=True)
        return notes

    def without_metadata(self) -> Decoded:
        return replace(self, icc=None, exif=None, xmp=None)

    def _repr_png_(self) -> bytes:
        """For notebooks, which show the picture."""
        from edgecodec.picture_writing import as_file

        return as_file(self, "png").data

    def __repr__(self) -> str:
        engine = f"{self.engine.name} on {self.engine.device}, {self.engine.precision}"
        return f"<Decoded {self.info.width}x{self.info.height}{' grey' * self.info.greyscale}, {engine}>"

    def __getstate__(self) -> dict[str, Any]:
        fields = {name: value for name, value in vars(self).items() if name not in ("pixels", "image")}
        return {**fields, "memory": bytes(self.memory)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, memory=memoryview(state["memory"]))
