"""Coded pictures as bytes (docs/format.md, section 1). Parsing needs no model and no engine."""

from __future__ import annotations

import ctypes
import math
import re
from dataclasses import dataclass, field

from edgecodec import interface, native
from edgecodec.errors import InvalidArgument

ICC, EXIF, XMP, NOISE_SEED = interface.ICC, interface.EXIF, interface.XMP, 128  # section tags

#: Version of the coded pictures that are written.
FORMAT_VERSION = 1
#: Quality is stored in this fraction of a level.
QUALITY_STEPS = 64
LARGEST_QUALITY = 0xFFFFFFFF / QUALITY_STEPS

_SEED_BYTES = 8


@dataclass(frozen=True)
class FileInfo:
    """What a coded picture says about itself.

    width, height: pixels. quality: level of the encoder, in steps of 1/64, or None. model_id: 8 hexadecimal digits, the
    CRC-32 of the entropy model. lanes: interleaved coder states. noise_seed: of the generator's noise. The sizes are in
    bytes.
    """

    version: int
    width: int
    height: int
    greyscale: bool
    quality: float | None
    model_id: str
    lanes: int
    noise_seed: int
    file_bytes: int
    payload_bytes: int
    icc_bytes: int
    exif_bytes: int
    xmp_bytes: int

    @property
    def bits_per_pixel(self) -> float:
        return 8 * self.file_bytes / (self.width * self.height)


@dataclass(frozen=True)
class Container:
    """A parsed file. `payload` is borrowed from the bytes that were parsed."""

    info: FileInfo
    payload: memoryview
    icc: bytes | None = field(repr=False)
    exif: bytes | None = field(repr=False)
    xmp: bytes | None = field(repr=False)


def quantised(quality: float) -> float:
    """The nearest quality that a file can hold, halves to even. What is not finite stays as it is."""
    return round(quality * QUALITY_STEPS) / QUALITY_STEPS if math.isfinite(quality) else quality


def check_noise_seed(seed: int) -> None:
    """Raise InvalidArgument for a seed that a file cannot hold."""
    if not 0 <= seed < 1 << 8 * _SEED_BYTES:
        raise InvalidArgument(f"a noise seed is 0 to 2^64 - 1, not {seed}")


def parse(data: native.Buffer) -> Container:
    """Split a file into its parts. Raises NotEdgc, UnsupportedVersion or Corrupt, each with the offset where known."""
    borrowed = native.view(data)
    found = interface.start(interface.FileInfo)
    native.call(native.library().ec_peek, borrowed.address, borrowed.size, ctypes.byref(found))
    sections = {each.tag: ctypes.string_at(each.data, each.size) for each in found.sections[: found.section_count]}
    info = FileInfo(
        version=found.version,
        width=found.width,
        height=found.height,
        greyscale=bool(found.greyscale),
        quality=found.quality if found.has_quality else None,
        model_id=f"{found.model_id:08x}",
        lanes=found.lanes,
        noise_seed=found.noise_seed,
        file_bytes=borrowed.size,
        payload_bytes=found.payload_bytes,
        icc_bytes=len(sections.get(ICC, b"")),
        exif_bytes=len(sections.get(EXIF, b"")),
        xmp_bytes=len(sections.get(XMP, b"")),
    )
    payload = memoryview(data).cast("B")[found.payload_offset : found.payload_offset + found.payload_bytes]
    return Container(info, payload, sections.get(ICC), sections.get(EXIF), sections.get(XMP))


def write(
    payload: native.Buffer,
    *,
    width: int,
    height: int,
    lanes: int,
    model_id: str,
    greyscale: bool = False,
    quality: float | None = None,
    noise_seed: int = 0,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> bytes:
    """The inverse of `parse`. Raises InvalidArgument for what the format cannot hold."""
    check_noise_seed(noise_seed)
    if quality is not None and not 0 <= quality <= LARGEST_QUALITY:
        raise InvalidArgument(f"a quality is 0 to {LARGEST_QUALITY:.0f}, not {quality}")
    if re.fullmatch("[0-9a-fA-F]{8}", model_id) is None:
        raise InvalidArgument(f"a model id is 8 hexadecimal digits, not {model_id!r}")
    # A picture without a seed has seed 0.
    seed = noise_seed.to_bytes(_SEED_BYTES, "little") if noise_seed else None
    tagged = ((ICC, icc), (EXIF, exif), (XMP, xmp), (NOISE_SEED, seed))
    sections = {tag: native.view(data) for tag, data in tagged if data}
    core = native.CoreContainer(
        version=FORMAT_VERSION,
        lanes=_uint32("lanes", lanes),
        width=_uint32("width", width),
        height=_uint32("height", height),
        greyscale=int(greyscale),
        has_quality=int(quality is not None),
        quality=round((quality or 0) * QUALITY_STEPS),
        model_id=int(model_id, 16),
        section_count=len(sections),
    )
    for i, (tag, section) in enumerate(sections.items()):
        core.section_tag[i], core.section[i].size = tag, section.size
    borrowed = native.view(payload)
    core.payload.size = borrowed.size
    around = 64 + sum(8 + section.size for section in sections.values())
    out = ctypes.create_string_buffer(borrowed.size + around)
    written = ctypes.c_size_t()
    native.call(
        native.library().ec_core_container_write,
        ctypes.byref(core),
        native.pointers(section.address for section in sections.values()),
        borrowed.address,
        ctypes.addressof(out),
        len(out),
        ctypes.byref(written),
    )
    return out.raw[: written.value]


def _uint32(name: str, value: int) -> int:
    """A number that the library is to judge, which would else be handed its last 32 bits."""
    if not 0 <= value < 1 << 32:
        raise InvalidArgument(f"{name} cannot be {value}")
    return value
