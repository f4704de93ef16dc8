"""From files to the content of a page: every coded picture at every point of the decoder's knobs, and its peers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath

import edgecodec
from edgecodec import picture
from edgecodec.bundle import BundleInfo
from edgecodec.codec import Codec
from edgecodec.container import FileInfo
from edgecodec.errors import InvalidArgument, LimitExceeded
from edgecodec.knobs import QUALITY, decimal
from edgecodec.limits import Limits
from edgecodec.picture import AlphaChannel, Picture, Pixels
from edgecodec.picture_writing import Upright
from edgecodec_evaluate.page.content import Content, Point
from edgecodec_evaluate.page.embedding import embedded
from edgecodec_evaluate.page.scores import ms_ssim, psnr

#: Bytes of all pictures of a page; what browsers open without trouble.
MOST_BYTES = 256 << 20

_CODED = ".edgc"
#: Names of formats by extension, where capitals alone do not make them.
_NAMES = {"jpg": "JPEG", "jxl": "JPEG XL", "tif": "TIFF", "webp": "WebP"}


def comparison(
    original: str,
    others: Sequence[str],
    codec: Codec,
    knobs: Mapping[str, Sequence[float]],
    limits: Limits,
    alpha_channel: AlphaChannel = "refuse",
    say: Callable[[str], None] = lambda line: None,
) -> Content:
    """What a page shows of the picture file `original` and `others`: coded pictures, and pictures in other formats.

    knobs: values of the decoder's knobs, by name. A coded picture is decoded at every combination of them; a knob that
    is not named takes every value that was baked, and its default where it takes any value of a range. say: hears what
    was changed in the pictures before they were compared, such as the turn that EXIF asks for.

    Raises InvalidArgument for a picture of another size, LimitExceeded for more than MOST_BYTES of pictures, and what
    `Codec.decode` and `edgecodec.picture.read` raise.
    """

    def read(path: str) -> Picture:
        found = picture.read(path, limits, alpha_channel)
        for note in found.notes:
            say(f"{path}: {note}")
        return found

    first = read(original)
    height, width = first.pixels.shape[:2]
    # All sizes before the first decode, which may take long.
    peers: dict[str, Picture] = {}
    coded: dict[str, FileInfo] = {}
    for path in others:
        if PurePath(path).suffix.lower() == _CODED:
            coded[path] = _described(path)
            _check_size(path, (coded[path].width, coded[path].height), (width, height))
        else:
            peers[path] = read(path)
            _check_size(path, (peers[path].pixels.shape[1], peers[path].pixels.shape[0]), (width, height))
    points = [_point("original", original, first.pixels, first, None)]
    for name, path, pixels, shown in _shown(others, codec, knobs, coded, peers):
        points.append(_point(name, path, pixels, shown, first.pixels))
        if sum(len(point.picture.data) for point in points) > MOST_BYTES:
            raise LimitExceeded(
                f"the pictures take more than {MOST_BYTES >> 20} MiB", hint="give fewer files or fewer values of knobs"
            )
    return Content(PurePath(original).name, width, height, tuple(points))


def knob_points(info: BundleInfo, knobs: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Every combination of values of the decoder's knobs, those of the first knob slowest.

    knobs: as for `comparison`. Names that the bundle does not have stay in, for `Codec.decode` to refuse.
    """
    baked = {
        knob.name: knob.values or (knob.default,)
        for knob in info.knobs
        if knob.side == "decode" and knob.name != QUALITY  # which the file brings
    }
    values = {name: dict.fromkeys(each) for name, each in {**baked, **knobs}.items()}
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


def _described(path: str) -> FileInfo:
    info = edgecodec.inspect(path)
    assert isinstance(info, FileInfo)  # a folder would be a bundle
    return info


def _check_size(path: str, size: tuple[int, int], original: tuple[int, int]) -> None:
    if size != original:
        raise InvalidArgument(
            f"is {size[0]}x{size[1]}, and the original {original[0]}x{original[1]}",
            where=path,
            hint="compare pictures of one size",
        )


def _shown(
    others: Sequence[str],
    codec: Codec,
    knobs: Mapping[str, Sequence[float]],
    coded: Mapping[str, FileInfo],
    peers: Mapping[str, Picture],
) -> Iterator[tuple[str, str, Pixels, Upright]]:
    """Name, path, pixels and picture of each point but the original."""
    for path in others:
        if path in peers:
            yield _format_of(path), path, peers[path].pixels, peers[path]
            continue
        quality = {} if (level := coded[path].quality) is None else {QUALITY: level}
        for point in knob_points(codec.info, knobs):
            decoded = codec.decode(path, knobs=point)
            settings = (f"{name} {decimal(value)}" for name, value in {**quality, **point}.items())
            yield " ".join((codec.info.family, *settings)), path, decoded.pixels, decoded


def _format_of(path: str) -> str:
    extension = PurePath(path).suffix[1:].lower()
    return _NAMES.get(extension, extension.upper())


def _point(name: str, path: str, pixels: Pixels, shown: Upright, original: Pixels | None) -> Point:
    size = os.path.getsize(path)
    return Point(
        name=name,
        file=PurePath(path).name,
        file_bytes=size,
        bits_per_pixel=8 * size / (pixels.shape[0] * pixels.shape[1]),
        psnr=None if original is None else psnr(original, pixels),
        ms_ssim=None if original is None else ms_ssim(original, pixels),
        picture=embedded(shown),
    )
