"""Pictures inside a page: as small as they get without the loss of a bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PIL import Image

from edgecodec.picture_writing import Upright, as_file
from edgecodec_evaluate.page.content import Embedded

_LARGEST_SIDE_OF_WEBP = 16383  # pixels (RFC 9649, section 2.6)


@dataclass(frozen=True)
class _Coloured:
    """The pixels of a picture and its ICC profile, by which a browser shows them; nothing of its other metadata."""

    image: Image.Image
    icc: bytes | None
    exif: None = None
    xmp: None = None

    def bare_image(self) -> Image.Image:
        return self.image


def embedded(picture: Upright) -> Embedded:
    """As PNG or as lossless WebP, whichever is smaller. Raises OutOfMemory."""
    bare = _Coloured(picture.bare_image(), picture.icc)
    # WebP stores grey as colours, for which a profile of greys means nothing.
    fits_webp = max(bare.image.size) <= _LARGEST_SIDE_OF_WEBP and not (bare.image.mode == "L" and bare.icc)
    formats: tuple[Literal["png", "webp"], ...] = ("webp", "png") if fits_webp else ("png",)
    files = [Embedded(each, as_file(bare, each).data, bare.icc is not None) for each in formats]
    return min(files, key=lambda file: len(file.data))
