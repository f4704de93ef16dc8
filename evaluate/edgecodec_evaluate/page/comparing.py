"""From files to the content of a page: every coded picture at every point of the decoder's knobs, and its peers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import PurePath

import numpy as np

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
from edgecodec_evaluate.metrics.channels import in_colour
from edgecodec_evaluate.metrics.psnr import psnr
from edgecodec_evaluate.page.content import Content, Point
from edgecodec_evaluate.page.embedding import embedded

#: Bytes of all pictures of a page; what browsers open without trouble.
MOST_BYTES = 256 << 20

_CODED = ".edgc"
#: Names of formats by extension, where capitals alone do not make them.
_NAMES = {"jpg": "JPEG", "jxl": "JPEG XL", "tif": "TIFF", "webp": "WebP"}


def comparison(
    original: str,
    others: Sequence[str],
    codec: Codec | None,
    knobs: Mapping[str, Sequence[float]],
    limits: Limits,
    alpha_channel: AlphaChannel = "refuse",
    say: Callable[[str], None] = lambda line: None,
    done: Callable[[Point], None] = lambda point: None,
) -> Content:
    """What a page shows of the picture file `original` and `others`: coded pictures, and pictures in other formats.

    codec: decodes the coded pictures, and may be None where there are none. knobs: values of the decoder's knobs, by
    name. A coded picture is decoded at every combination of them; a knob that is not named takes every value that was
    baked, and its default where it takes any value of a range. say: hears what was changed in the pictures before they
    were compared, such as the turn that EXIF asks for. done: is given each point as soon as there is one, because a
    large picture takes a while.

    Raises InvalidArgument for a picture of another size, LimitExceeded for more than MOST_BYTES of pictures, and what
    `Codec.decode` and `edgecodec.picture.read` raise.
    """

    def read(path: str) -> Picture:
        found = picture.read(path, limits, alpha_channel)
        for note in found.notes:
            say(f"{path}: {note}")
        return found

    def add(name: str, path: str, shown: Upright, reference: Pixels | None) -> None:
        points.append(_point(name, path, shown, reference))
        if sum(len(point.picture.data) for point in points) > MOST_BYTES:
            raise LimitExceeded(
                f"the pictures take more than {MOST_BYTES >> 20} MiB", hint="give fewer files or fewer values of knobs"
            )
        done(points[-1])

    first = read(original)
    height, width = first.pixels.shape[:2]
    files: list[tuple[str, Picture | FileInfo]] = []
    for path in others:  # before the first decode, which may take long
        file = _inspected(path) if PurePath(path).suffix.lower() == _CODED else read(path)
        _check_size(path, file, (width, height))
        files.append((path, file))
    points: list[Point] = []
    add("original", original, first, None)
    for path, file in files:
        for name, shown in _versions(path, file, codec, knobs):
            add(name, path, shown, first.pixels)
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


def _inspected(path: str) -> FileInfo:
    info = edgecodec.inspect(path)
    if not isinstance(info, FileInfo):
        raise InvalidArgument("is a bundle, not a coded picture", where=path)
    return info


def _check_size(path: str, file: Picture | FileInfo, original: tuple[int, int]) -> None:
    size = (file.width, file.height) if isinstance(file, FileInfo) else file.bare_image().size
    if size != original:
        raise InvalidArgument(
            f"is {size[0]}x{size[1]}, and the original {original[0]}x{original[1]}",
            where=path,
            hint="compare pictures of one size",
        )


def _versions(
    path: str, file: Picture | FileInfo, codec: Codec | None, knobs: Mapping[str, Sequence[float]]
) -> Iterator[tuple[str, Upright]]:
    """What a file is shown as, by name: a coded picture at each point, another as it is."""
    if isinstance(file, Picture):
        extension = PurePath(path).suffix[1:].lower()
        yield _NAMES.get(extension, extension.upper()), file
        return
    if codec is None:
        raise InvalidArgument("is a coded picture, and there is no codec for it", where=path)
    quality = file.quality if file.quality is not None else _quality_of_model(codec.info, file.model_id)
    chosen = {} if quality is None else {QUALITY: quality}
    for point in knob_points(codec.info, knobs):
        settings = [f"{name} {decimal(value)}" for name, value in {**chosen, **point}.items()]
        yield " ".join((codec.info.family, *settings)), codec.decode(path, knobs=point)


def _quality_of_model(info: BundleInfo, model_id: str) -> float | None:
    """That which chose the model, in a bundle of several."""
    numbers = [number for number, model in enumerate(info.models) if model.id == model_id]
    return info.quality(numbers[0]) if numbers else None


def _point(name: str, path: str, shown: Upright, reference: Pixels | None) -> Point:
    """reference: the pixels of the original, or None for the original itself."""
    pixels = in_colour(np.asarray(shown.bare_image()))
    size = os.path.getsize(path)
    return Point(
        name=name,
        file=PurePath(path).name,
        file_bytes=size,
        bits_per_pixel=8 * size / (pixels.shape[0] * pixels.shape[1]),
        psnr=None if reference is None else psnr(in_colour(reference), pixels),
        ms_ssim=None if reference is None else _ms_ssim(in_colour(reference), pixels),
        picture=embedded(shown),
    )


def _ms_ssim(original: Pixels, other: Pixels) -> float | None:
    """None also where there is no torch: a page needs no more than a device has."""
    if not (find_spec("torch") and find_spec("pytorch_msssim")):
        return None
    from edgecodec_evaluate.metrics.ms_ssim import ms_ssim

    return ms_ssim(original, other)
