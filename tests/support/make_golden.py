"""Adds what is missing to tests/data/golden: small coded pictures, their entropy models, and digests of their latents.

    PYTHONPATH=tests python -m support.make_golden [FOLDER]

Files that are there are left as they are. Models and payloads come from the plain implementations in this folder
(reference_*.py), not from the native library, which is held to these files. The latents are random, drawn from the
distributions that code them, or those of a photograph under the tiny bundle.
"""

from __future__ import annotations

import shutil
import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

import edgecodec
from support import reference_entropy_model, reference_picture
from support.golden_model_parts import Random
from support.golden_models import MODELS
from support.paths import DATA
from support.reference_coder import Bits, Distribution, Refused, varint
from support.reference_entropy_model import (
    Model,
    Residual,
    Tensors,
    decoder_latents,
    encoder_input,
    encoder_latents,
    model_bytes,
)
from support.reference_integer_net import Integers
from support.reference_model_file import parse_model
from support.reference_picture import InAlphabet, Mixed

GOLDEN, PHOTOS, TINY = DATA / "golden", DATA / "photos", DATA / "tiny.bundle"
DIGESTS = "digests.txt"
HEADING = """\
# Picture, entropy model, writer, digests.
# Writer: own, where the writer of this project, handed the decoder latents for its encoder latents, gives these very
# bytes; apart, where it gives them for encoder latents that the decoder latents do not tell; other, where only its
# reader takes them.
# Digest: CRC-32 of a decoder latent, little-endian 16-bit values in channel, row, column order.
"""

VERSION = 1
LANES = (2, 8, 32, 64)
ICC, EXIF, XMP, UNKNOWN_SECTION, NOISE_SEED = 1, 2, 3, 77, 128

#: One value of a distribution.
Draw = Callable[[Random, Distribution], int]


# ---- latents -------------------------------------------------------------------------------------------------------


def drawn(random: Random, distribution: Distribution) -> int:
    """A value drawn from the distribution, with more escapes, of any length."""
    slots = 1 << distribution.bits
    while True:
        slot = slots - 1 if random.randint(40) == 0 else random.randint(slots)
        try:
            return distribution.decode(slot, Bits(random.bytes(8)))[1]
        except Refused:
            continue


def near(random: Random, distribution: Distribution) -> int:
    """Like `drawn`, limited to 900 on both sides of zero."""
    while abs(value := drawn(random, distribution)) > 900:
        pass
    return value


def extreme(random: Random, distribution: Distribution) -> int:
    """One of the largest and smallest values that can be coded; for a mixture also the ends of its window."""
    candidates = [-32768, -32767, -32000, 0, 32000, 32766, 32767]
    if isinstance(distribution, Mixed):
        low, high = distribution.lowest, distribution.highest
        candidates += [value for value in (low - 1, low, high, high + 1) if -32768 <= value <= 32767]
    fitting = [value for value in candidates if fits(distribution, value)]
    return fitting[random.randint(len(fitting))]


def fits(distribution: Distribution, value: int) -> bool:
    try:
        distribution.encode(value, Bits())
    except Refused:
        return False
    return True


def zero(_random: Random, _distribution: Distribution) -> int:
    return 0


def lowest(_random: Random, distribution: Distribution) -> int:
    """The lowest value of a finite alphabet."""
    assert isinstance(distribution, InAlphabet)
    return distribution.lowest


def synthetic_latents(model: Model, width: int, height: int, seed: int, draw: Draw) -> Tensors:
    """Random encoder latents; `draw` chooses each symbol."""
    random = Random(seed)
    known = reference_picture.fill(
        model, width, height, lambda _symbols, _last: None, lambda distribution: draw(random, distribution)
    )
    latents = encoder_input(model, known)
    for step in model.steps:
        if isinstance(step, Residual):
            half = (1 << step.fraction) >> 1
            channels = slice(step.first_channel, step.first_channel + len(known[step.tensor]))
            target = latents[step.target][channels]
            beside = random.randint(-half, max(half, 1), target.shape)  # where rounding gives the same symbol
            target[:] = np.clip(target + beside, -32768, 32767)
    return latents


@cache
def photo_latents(name: str) -> Tensors:
    """Latents of a test photograph under the tiny bundle."""
    pixels = np.asarray(Image.open(PHOTOS / name))
    with edgecodec.open_bundle(TINY, engine="onnxruntime", threads=1) as codec:
        latents = codec.decode_latents(codec.encode(pixels).data)
    return {name: latent.astype(np.int64) for name, latent in latents.items()}


# ---- files ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """The contents of one file. latents: makes the encoder latents for the model."""

    name: str
    model: str
    width: int
    height: int
    lanes: int
    latents: Callable[[Model], Tensors]
    greyscale: bool = False
    quality: int | None = None  # in 1/64 of a level
    sections: dict[int, bytes] = field(default_factory=dict)
    ramp: bool = True

    def writer(self, model: Model, latents: Tensors) -> str:
        """The writer as HEADING defines it."""
        if not self.ramp or UNKNOWN_SECTION in self.sections:
            return "other"
        given = as_encoder_input(model, reference_entropy_model.run(model, latents))
        payload = reference_picture.encode(model, latents, self.lanes)
        return "own" if given is not None and reference_picture.encode(model, given, self.lanes) == payload else "apart"


def as_encoder_input(model: Model, known: Mapping[str, Integers]) -> Tensors | None:
    """The decoder latents under the names of the encoder latents, or None where their shapes differ."""
    names, given = encoder_latents(model), [known[name] for name in decoder_latents(model)]
    channels = [[model.tensor(name).channels for name in names], [len(values) for values in given]]
    strides = [[model.tensor(name).stride for name in each] for each in (names, decoder_latents(model))]
    if channels[0] != channels[1] or strides[0] != strides[1]:
        return None
    return dict(zip(names, given, strict=True))


def picture_bytes(picture: Picture, model: Model, latents: Tensors) -> bytes:
    """The file (docs/format.md, section 1)."""
    payload, lanes = reference_picture.encode(model, latents, picture.lanes, picture.ramp)
    has_quality = picture.quality is not None
    head = VERSION | LANES.index(lanes) << 3 | picture.greyscale << 5 | has_quality << 6 | bool(picture.sections) << 7
    body = b"\xec\xdc" + bytes([head]) + varint(picture.width) + varint(picture.height)
    if picture.quality is not None:
        body += varint(picture.quality)
    body += struct.pack("<I", zlib.crc32(model_bytes(model)))
    for tag, data in picture.sections.items():
        body += bytes([tag]) + varint(len(data)) + data
    if picture.sections:
        body += b"\0"
    body += payload
    return body + struct.pack("<I", zlib.crc32(body))


def digest(name: str, values: Integers) -> str:
    return f"{name}={zlib.crc32(values.astype('<i2').tobytes()):08x}"


def photographs() -> list[Picture]:
    """Pictures with latents of photographs, under the entropy model of the tiny bundle."""

    def photo(name: str, source: str, lanes: int = 0) -> Picture:
        with Image.open(PHOTOS / source) as picture:
            width, height = picture.size
        return Picture(f"{name}.edgc", "tiny.bin", width, height, lanes, lambda _model: photo_latents(source))

    sections = {ICC: bytes(range(256)) * 2, EXIF: b"MM\0*\0\0\0\x08\0\0\0\0\0\0", XMP: b"<x:xmpmeta/>"}
    return [
        *(photo(f"tiny-photo-{lanes}", "parrots.png", lanes) for lanes in LANES),
        photo("tiny-photo-chosen", "hat.png"),
        replace(photo("tiny-grey-sections", "motocross.png"), greyscale=True, quality=333, sections=sections),
    ]


def synthetics() -> list[Picture]:
    """Pictures with random latents, under all models."""

    def synthetic(name: str, width: int, height: int, lanes: int, draw: Draw = drawn) -> Picture:
        file = f"{name}-{lanes or 'chosen'}.edgc"

        def latents(model: Model) -> Tensors:
            return synthetic_latents(model, width, height, zlib.crc32(file.encode()), draw)

        return Picture(file, name.split("-")[0] + ".bin", width, height, lanes, latents)

    sections = {UNKNOWN_SECTION: b"of a later version", XMP: b"<x:xmpmeta/>"}
    seed = struct.pack("<Q", 0xFEDCBA9876543210)
    return [
        synthetic("tiny-pixel", 1, 1, 2),
        synthetic("channels-drawn", 9, 5, 2),
        synthetic("channels-drawn", 8, 8, 8),
        synthetic("channels-drawn", 61, 45, 32),
        synthetic("channels-drawn", 64, 65, 64),
        replace(synthetic("scales-drawn", 21, 37, 2), quality=0),
        synthetic("scales-drawn", 37, 21, 8),
        synthetic("scales-drawn", 130, 50, 32),
        synthetic("scales-drawn", 171, 211, 64),
        synthetic("scales-pixel", 1, 1, 64),
        synthetic("scales-extremes", 16, 33, 8, extreme),
        synthetic("scales-extremes", 33, 16, 32, extreme),
        synthetic("scales-extremes", 50, 31, 64, extreme),
        synthetic("scales-zeros", 80, 48, 32, zero),
        synthetic("scales-zeros", 48, 80, 64, zero),
        replace(synthetic("scales-other", 40, 40, 8), ramp=False),
        replace(synthetic("scales-other", 60, 40, 32), ramp=False, sections=sections),
        synthetic("chain-drawn", 33, 1, 2),
        synthetic("chain-drawn", 1, 97, 8),
        synthetic("chain-drawn", 63, 64, 32),
        replace(synthetic("chain-drawn", 100, 70, 64), quality=1 << 20),
        synthetic("chain-extremes", 50, 31, 64, extreme),
        synthetic("chain-zeros", 64, 64, 8, zero),
        replace(synthetic("chain-other", 60, 60, 64), ramp=False),
        synthetic("steps-drawn", 7, 9, 2),
        synthetic("steps-drawn", 40, 31, 8),
        synthetic("steps-drawn", 90, 41, 32),
        synthetic("steps-drawn", 97, 64, 64),
        synthetic("small-drawn", 3, 5, 2),
        synthetic("small-drawn", 99, 25, 64),
        replace(synthetic("slices-drawn", 20, 33, 2, near), quality=64),
        synthetic("slices-drawn", 40, 30, 8, near),
        replace(synthetic("slices-drawn", 60, 70, 32, near), quality=150),
        synthetic("slices-drawn", 180, 170, 64, near),
        synthetic("slices-zeros", 64, 48, 32, zero),
        synthetic("slices-extremes", 40, 40, 64, extreme),
        synthetic("slices-pixel", 1, 1, 8, near),
        replace(synthetic("slices-other", 64, 64, 32, near), ramp=False),
        synthetic("targets-drawn", 30, 30, 2),
        synthetic("targets-drawn", 70, 60, 64),
        synthetic("targets-extremes", 40, 40, 8, extreme),
        synthetic("mixture-drawn", 70, 90, 2),
        synthetic("mixture-drawn", 200, 150, 8),
        synthetic("mixture-drawn", 450, 330, 32),
        synthetic("mixture-drawn", 700, 500, 64),
        synthetic("mixture-drawn", 230, 150, 0),
        synthetic("mixture-extremes", 200, 150, 64, extreme),
        synthetic("mixture-column", 16, 600, 32),
        synthetic("mixture-narrow", 32, 400, 8),
        synthetic("mixture-pixel", 1, 1, 2),
        replace(synthetic("mixture-other", 200, 200, 32), ramp=False),
        synthetic("windows-drawn", 30, 20, 2),
        synthetic("windows-drawn", 50, 33, 8),
        synthetic("windows-drawn", 55, 70, 32),
        synthetic("windows-drawn", 150, 120, 64),
        synthetic("windows-extremes", 40, 32, 2, extreme),
        synthetic("windows-extremes", 90, 50, 64, extreme),
        synthetic("windows-pixel", 1, 1, 32),
        synthetic("alphabet-drawn", 21, 20, 2),
        synthetic("alphabet-drawn", 40, 41, 8),
        replace(synthetic("alphabet-drawn", 100, 60, 32), sections={NOISE_SEED: seed}),
        synthetic("alphabet-drawn", 120, 130, 64),
        synthetic("alphabet-lowest", 60, 60, 64, lowest),
        synthetic("alphabet-pixel", 1, 1, 8),
        synthetic("prefix-drawn", 60, 60, 2),
        synthetic("prefix-drawn", 100, 110, 8),
        synthetic("prefix-drawn", 200, 150, 32),
        synthetic("prefix-drawn", 300, 210, 64),
        synthetic("prefix-zeros", 150, 150, 8, zero),
        synthetic("prefix-zeros", 300, 300, 64, zero),
        synthetic("prefix-pixel", 1, 1, 2),
        replace(synthetic("prefix-other", 200, 140, 64), ramp=False),
        synthetic("masked-drawn", 40, 50, 2),
        synthetic("masked-drawn", 90, 90, 8),
        synthetic("masked-drawn", 150, 120, 32),
        synthetic("masked-drawn", 190, 200, 64),
        synthetic("masked-zeros", 30, 40, 2, zero),
        synthetic("masked-zeros", 80, 80, 8, zero),
        synthetic("masked-zeros", 80, 100, 64, zero),
        synthetic("masked-pixel", 1, 1, 32),
        synthetic("regions-drawn", 60, 50, 2),
        replace(synthetic("regions-drawn", 100, 100, 8), sections={XMP: b"<x:xmpmeta/>", NOISE_SEED: seed}),
        synthetic("regions-drawn", 200, 130, 32),
        synthetic("regions-drawn", 300, 240, 64),
        synthetic("regions-zeros", 120, 100, 2, zero),
        synthetic("regions-zeros", 200, 200, 64, zero),
        synthetic("regions-pixel", 1, 1, 8),
        replace(synthetic("regions-other", 180, 130, 64), ramp=False),
        synthetic("maps-drawn", 20, 20, 2),
        synthetic("maps-drawn", 40, 50, 8),
        synthetic("maps-drawn", 90, 80, 32),
        synthetic("maps-drawn", 120, 110, 64),
        synthetic("maps-zeros", 100, 100, 32, zero),
        synthetic("maps-pixel", 1, 1, 64),
    ]


def make_golden(folder: Path) -> None:
    """Write the files that are not in `folder` yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tiny.bin").exists():
        shutil.copyfile(TINY / "entropy.bin", folder / "tiny.bin")
    for name, make in MODELS.items():
        if not (folder / f"{name}.bin").exists():
            (folder / f"{name}.bin").write_bytes(model_bytes(make()))

    listing = folder / DIGESTS
    lines = listing.read_text(encoding="ascii") if listing.exists() else HEADING
    for picture in photographs() + synthetics():
        if (folder / picture.name).exists():
            continue
        model = parse_model((folder / picture.model).read_bytes())
        latents = picture.latents(model)
        (folder / picture.name).write_bytes(picture_bytes(picture, model, latents))
        known = reference_entropy_model.run(model, latents)
        digests = [digest(name, known[name]) for name in decoder_latents(model)]
        fields = [picture.name, picture.model, picture.writer(model, latents), *digests]
        lines += " ".join(fields) + "\n"
    listing.write_text(lines, encoding="ascii")


if __name__ == "__main__":
    make_golden(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
