"""Adds what is missing to tests/data/golden: small coded pictures, their entropy models, and digests of their latents.

    python tests/make_golden.py [FOLDER]

Files that are there are left as they are. Models and payloads come from the plain implementations in this folder
(reference_*.py), not from the native library, which is held to these files. The latents are random, drawn from the
tables that code them, or those of a photograph under the tiny bundle.
"""

from __future__ import annotations

import math
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import reference_entropy_model
import reference_integer_net
import reference_model_file
import reference_picture
from PIL import Image
from reference_coder import Bits, Distribution, Ranked, Refused, Table, varint, zigzag
from reference_entropy_model import (
    Add,
    Affine,
    Apply,
    Code,
    Concat,
    Context,
    Labels,
    Mixture,
    Model,
    Residual,
    Tensor,
    Tensors,
    model_bytes,
)
from reference_integer_net import Crop, Index, Integers, Layer, Net, PixelShuffle, Requantise
from reference_integer_net import Table as ValueTable

import edgecodec

DATA = Path(__file__).parent / "data"
GOLDEN, PHOTOS, TINY = DATA / "golden", DATA / "photos", DATA / "tiny.bundle"
DIGESTS = "digests.txt"
HEADING = """\
# Picture, entropy model, writer, digests.
# Writer: own, where the writer of this project gives these very bytes; other, where only its reader takes them.
# Digest: CRC-32 of a decoder latent, little-endian 16-bit values in channel, row, column order. Latents as decoded.
"""

VERSION = 1
PROBABILITY_SUM = 1 << 14
LANES = (2, 8, 32, 64)
ICC, EXIF, XMP, UNKNOWN_SECTION = 1, 2, 3, 77

# The stream of this generator is frozen by NumPy, unlike that of its successors.
Random = np.random.RandomState
Draw = Callable[[Random, Distribution], int]


# ---- entropy models ------------------------------------------------------------------------------------------------


def falling(ranks: int, share: int) -> tuple[int, ...]:
    """Frequencies where every rank takes share / 256 of what is left, and the escape the rest."""
    left, frequencies = PROBABILITY_SUM, []
    for after in range(ranks - 1, 0, -1):
        frequencies.append(max(1, min(left - after, left * share // 256)))
        left -= frequencies[-1]
    return (*frequencies, left)


def scale_tables(count: int) -> list[Table]:
    """From narrow to wide, centred on zero: what residuals are coded with. The wide half sends raw bits."""
    return [
        Table(falling(2 + 62 * i // (count - 1), 250 - 226 * i // (count - 1)), raw_bits=max(0, 24 * i // count - 12))
        for i in range(count)
    ]


def shifted_tables(count: int) -> list[Table]:
    """Of all kinds: modes apart from zero, both signs, 2 to 64 ranks, 0 to 12 raw bits."""
    return [
        Table(
            falling(2 + i * 11 % 63, 20 + i * 37 % 230),
            mode=(i * 97) % 601 - 300,
            sign=-1 if i % 3 == 1 else 1,
            raw_bits=i % 13 if i % 2 else 0,
        )
        for i in range(count)
    ]


@dataclass(frozen=True)
class Geometry:
    """Of a layer, but for its channels."""

    transposed: bool
    kernel: int
    stride: int
    padding: int
    output_padding: int
    weight_bytes: int


def layer(random: Random, geometry: Geometry, inputs: int, outputs: int, epilogue: Requantise | Index) -> Layer:
    """Weights are all that one byte holds, or as large as two bytes may be for sums that fit 32 bits."""
    largest = 127 if geometry.weight_bytes == 1 else 900
    return Layer(
        geometry.transposed,
        geometry.stride,
        geometry.padding,
        geometry.output_padding,
        geometry.weight_bytes,
        random.randint(-20000, 20000, outputs).astype(np.int64),
        random.randint(-largest - 1, largest + 1, (outputs, geometry.kernel, geometry.kernel, inputs)).astype(np.int64),
        epilogue,
    )


def hidden_epilogue(random: Random, outputs: int, shift: int, low: int, high: int) -> Requantise:
    """Shifts by `shift` and a little more what is multiplied by up to 2^24."""
    return Requantise(
        random.randint(1 << 20, 1 << 24, outputs),
        random.randint(-(1 << 22), 1 << 22, outputs),
        random.randint(shift, shift + 6, outputs),
        low,
        high,
    )


def hidden_layer(random: Random, geometry: Geometry, inputs: int, outputs: int) -> Layer:
    """Gives values from 0 to 255."""
    epilogue = hidden_epilogue(random, outputs, 28 if geometry.weight_bytes == 1 else 36, 0, 255)
    return layer(random, geometry, inputs, outputs, epilogue)


def index_layer(random: Random, geometry: Geometry, sample: Integers, outputs: int, thresholds: int) -> Layer:
    """Thresholds are quantiles of the accumulators of a sample of its input, so that all indices occur."""
    made = layer(random, geometry, len(sample), outputs, Index(np.zeros((outputs, 1), np.int64)))
    sums = np.sort(reference_integer_net.accumulate(made, sample).reshape(outputs, -1), 1)
    places = np.arange(1, thresholds + 1) * sums.shape[1] // (thresholds + 1)
    return replace(made, epilogue=Index(sums[:, places]))


def sample(random: Random, channels: int, low: int, high: int) -> Integers:
    return random.randint(low, high + 1, (channels, 10, 10)).astype(np.int64)


@cache
def channels_model() -> Model:
    """One tensor with a table for every channel, in two blocks of channels."""
    return Model(8, [Tensor("y", 40, 8, decoder_latent=True)], [shifted_tables(40)], [], [Code("y", 0)])


@cache
def scales_model() -> Model:
    """A hyperprior: z names, through a net with weights of one byte, which of 64 scales codes every value of y."""
    random = Random(1)
    low, high = -128, 127
    first = hidden_layer(random, Geometry(True, 5, 2, 2, 1, 1), 5, 12)
    hidden = reference_integer_net.run(Net(low, high, [first]), sample(random, 5, low, high))
    last = index_layer(random, Geometry(True, 4, 2, 1, 0, 1), hidden, 7, 63)
    offset = random.randint(-30, 30, 5).astype(np.int64)
    return Model(
        16,
        [
            Tensor("z", 5, 16, decoder_latent=True),
            Tensor("z_fixed", 5, 16),
            Tensor("table", 7, 4, True),
            Tensor("y", 7, 4, decoder_latent=True),
        ],
        [shifted_tables(13)[8:], scale_tables(64)],
        [Net(low, high, [first, last])],
        [
            Code("z", 0),
            Affine("z_fixed", "z", 2, offset, low, high),
            Apply("table", "z_fixed", 0),
            Code("y", 1, "table"),
        ],
    )


@cache
def chain_model() -> Model:
    """Three coded tensors, each the source of the next one's tables, from a coarse grid to a fine one and back.

    The nets have weights of two bytes and more input values than a byte holds; their table sets are those without a
    common centre, and of more than 64 tables.
    """
    random = Random(2)
    up_low, up_high, down_low, down_high = -2000, 2000, -300, 1200
    up = index_layer(random, Geometry(True, 3, 2, 1, 1, 2), sample(random, 3, up_low, up_high), 20, 255)
    first = hidden_layer(random, Geometry(False, 3, 2, 1, 0, 2), 20, 17)
    hidden = reference_integer_net.run(Net(down_low, down_high, [first]), sample(random, 20, down_low, down_high))
    last = index_layer(random, Geometry(False, 1, 1, 0, 0, 2), hidden, 6, 69)
    return Model(
        32,
        [
            Tensor("a", 3, 32, decoder_latent=True),
            Tensor("a_fixed", 3, 32),
            Tensor("b_table", 20, 16, True),
            Tensor("b", 20, 16, decoder_latent=True),
            Tensor("b_fixed", 20, 16),
            Tensor("c_table", 6, 32, True),
            Tensor("c", 6, 32, decoder_latent=True),
        ],
        [
            [Table(falling(24, 24), mode=mode, sign=1 - 2 * (mode & 1)) for mode in (-7, 0, 6)],
            [Table(falling(2 + i % 9, 40 + i * 5 % 170), mode=i - 128, raw_bits=i % 4) for i in range(256)],
            shifted_tables(70),
        ],
        [Net(up_low, up_high, [up]), Net(down_low, down_high, [first, last])],
        [
            Code("a", 0),
            Affine("a_fixed", "a", 7, np.array([-5, 300, 70000]), up_low, up_high),
            Apply("b_table", "a_fixed", 0),
            Code("b", 1, "b_table"),
            Affine("b_fixed", "b", 0, np.arange(-10, 10) * 9, down_low, down_high),
            Apply("c_table", "b_fixed", 1),
            Code("c", 2, "c_table"),
        ],
    )


@cache
def steps_model() -> Model:
    """Every kind of step and layer: sums, joined tensors, values looked up, pixels shuffled, edges cropped."""
    random = Random(3)
    low, high = -100, 100
    shuffled = layer(random, Geometry(False, 3, 1, 1, 0, 1), 3, 8, hidden_epilogue(random, 8, 27, -20, 20))
    entries = random.randint(-90, 111, 41).astype(np.int64)
    looked_up = replace(shuffled, epilogue=ValueTable(shuffled.epilogue, entries))
    cropped = layer(random, Geometry(True, 4, 2, 0, 0, 2), 3, 2, hidden_epilogue(random, 2, 30, -50, 60))
    last = index_layer(random, Geometry(False, 1, 1, 0, 0, 1), sample(random, 4, low, 110), 2, 19)
    return Model(
        8,
        [
            Tensor("a", 3, 8, decoder_latent=True),
            Tensor("a_fixed", 3, 8),
            Tensor("shuffled", 2, 4),
            Tensor("cropped", 2, 4),
            Tensor("sum", 2, 4),
            Tensor("joined", 4, 4),
            Tensor("table", 2, 4, True),
            Tensor("y", 2, 4, decoder_latent=True),
        ],
        [shifted_tables(9)[6:], scale_tables(20)],
        [
            Net(low, high, [looked_up, PixelShuffle(2, 8)]),
            Net(low, high, [cropped, Crop(1, 0, 1, 2, 2)]),
            Net(low, 110, [last]),
        ],
        [
            Code("a", 0),
            Affine("a_fixed", "a", 1, np.array([3, 0, -9]), low, high),
            Apply("shuffled", "a_fixed", 0),
            Apply("cropped", "a_fixed", 1),
            Add("sum", "shuffled", "cropped", 3, -5, 2, low, high),
            Concat("joined", ["shuffled", "sum"]),
            Apply("table", "joined", 2),
            Code("y", 1, "table"),
        ],
    )


@cache
def small_model() -> Model:
    """A hyperprior of the fewest bytes: one channel, one multiplication, two tables of two ranks."""
    index = Index(np.array([[5]], np.int64))
    doubling = Layer(True, 2, 0, 0, 1, np.array([-7]), np.array([[[[3], [-1]], [[2], [4]]]]), index)
    tables = [Table((PROBABILITY_SUM - 100, 100)), Table((PROBABILITY_SUM - 3000, 3000), raw_bits=3)]
    return Model(
        2,
        [
            Tensor("z", 1, 2, decoder_latent=True),
            Tensor("z_fixed", 1, 2),
            Tensor("table", 1, 1, True),
            Tensor("y", 1, 1, decoder_latent=True),
        ],
        [[Table(falling(9, 80), mode=1, sign=-1)], tables],
        [Net(-9, 9, [doubling])],
        [
            Code("z", 0),
            Affine("z_fixed", "z", 0, np.array([1]), -9, 9),
            Apply("table", "z_fixed", 0),
            Code("y", 1, "table"),
        ],
    )


@cache
def slices_model() -> Model:
    """Residuals of two channel slices of one target; the second one's mean and tables know what the first became.

    Corrections are less than half a step, so that what a decoder gives is also a target of the same symbols.
    """
    random = Random(4)
    low, high = -128, 127
    fraction, widest = 5, 1 << 4
    hidden = Geometry(True, 5, 2, 2, 1, 1)
    branches = [
        layer(random, hidden, 3, 6, hidden_epilogue(random, 6, 26, -255, 255)),
        layer(random, hidden, 3, 5, hidden_epilogue(random, 5, 26, -255, 255)),
    ]
    tensors = [
        Tensor("z", 3, 16, decoder_latent=True),
        Tensor("y", 7, 8, decoder_latent=True),
        Tensor("target", 7, 8),
        Tensor("z_fixed", 3, 16),
        Tensor("means", 6, 8),
        Tensor("scales", 5, 8),
    ]
    nets = [Net(low, high, [branch]) for branch in branches]
    steps = [
        Code("z", 0),
        Affine("z_fixed", "z", 1, np.array([1, 0, -3]), low, high),
        Apply("means", "z_fixed", 0),
        Apply("scales", "z_fixed", 1),
    ]
    done: list[str] = []
    first = 0
    for name, channels in (("a", 3), ("b", 4)):
        for part in ("mean", "symbols", "decoded", "correction", "refined"):
            tensors.append(Tensor(f"{name}_{part}", channels, 8))
        tensors.append(Tensor(f"{name}_table", channels, 8, indices=True))
        inputs = {"mean": ["means", *done], "scale": ["scales", *done], "rest": ["means", *done, f"{name}_decoded"]}
        widths = {tensor.name: tensor.channels for tensor in tensors}
        for kind, sources in inputs.items():
            tensors.append(Tensor(f"{name}_{kind}_input", sum(widths[source] for source in sources), 8))
        taken = {kind: sum(widths[source] for source in sources) for kind, sources in inputs.items()}
        bound = 8000
        rounded = hidden_epilogue(random, channels, 30, -widest * 8, widest * 8)
        squashed = np.array([15 * v // (abs(v) + 20) for v in range(-widest * 8, widest * 8 + 1)])
        geometry = Geometry(False, 3, 1, 1, 0, 1)
        mean = layer(random, geometry, taken["mean"], channels, hidden_epilogue(random, channels, 28, -2000, 2000))
        table = index_layer(random, geometry, sample(random, taken["scale"], -255, 255), channels, 31)
        correction = layer(random, geometry, taken["rest"], channels, rounded)
        correction = replace(correction, epilogue=ValueTable(rounded, squashed))
        nets += [Net(-bound, bound, [each]) for each in (mean, table, correction)]
        steps += [
            Concat(f"{name}_mean_input", inputs["mean"]),
            Apply(f"{name}_mean", f"{name}_mean_input", len(nets) - 3),
            Concat(f"{name}_scale_input", inputs["scale"]),
            Apply(f"{name}_table", f"{name}_scale_input", len(nets) - 2),
            Residual(f"{name}_symbols", 1, f"{name}_table", "target", first, f"{name}_mean", fraction),
            Add(f"{name}_decoded", f"{name}_symbols", f"{name}_mean", 2 << fraction, 2, 1, -bound, bound),
            Concat(f"{name}_rest_input", inputs["rest"]),
            Apply(f"{name}_correction", f"{name}_rest_input", len(nets) - 1),
            Add(f"{name}_refined", f"{name}_decoded", f"{name}_correction", 2, 2, 1, -bound, bound),
        ]
        done.append(f"{name}_refined")
        first += channels
    steps.append(Concat("y", done))
    tables = [Table(falling(2 + i, 240 - 7 * i)) for i in range(32)]
    return Model(16, tensors, [shifted_tables(9)[6:], tables], nets, steps)


@cache
def mixture_model() -> Model:
    """Three components from what is known of three rows and five columns; the hidden layer's values are looked up."""
    random = Random(5)
    low, high = -200, 200
    taps = [(up, across) for up in (2, 1, 0) for across in range(-2, 3) if up or across < 0]
    channels, components, hidden = 2, 3, 9
    pointwise = Geometry(False, 1, 1, 0, 0, 1)
    first = layer(random, pointwise, len(taps) * channels, hidden, hidden_epilogue(random, hidden, 26, -100, 100))
    squashed = np.array([120 * v // (abs(v) + 50) for v in range(-100, 101)])
    first = replace(first, epilogue=ValueTable(first.epilogue, squashed))
    parameters = 3 * components * channels
    second = layer(random, pointwise, hidden, parameters, hidden_epilogue(random, parameters, 25, -4000, 4000))
    tails = [round(65536 * 0.5 * math.erfc(j / 16 / math.sqrt(2))) for j in range(71)]
    weights = [round(65535 * 2 ** (-k / 64)) for k in range(900)] + [0]
    mixture = Mixture("y", 0, 3, taps, components, 5, 6, 7, 8, 4, tails, weights)
    return Model(8, [Tensor("y", channels, 8, decoder_latent=True)], [], [Net(low, high, [first, second])], [mixture])


@cache
def regions_model() -> Model:
    """A label map; a mask; of five channels how many are coded where the mask is set; and their values."""
    random = Random(6)
    tables = [
        Table(falling(ranks, share), mode=mode, sign=1 - 2 * (mode & 1))
        for mode in (-2, -1, 0, 1, 2)
        for ranks, share in ((6, 60), (3, 200))
    ]
    tensors = [
        Tensor("labels", 2, 16, decoder_latent=True),
        Tensor("mask", 1, 4, decoder_latent=True),
        Tensor("counts", 1, 4),
        Tensor("y", 5, 4, decoder_latent=True),
    ]

    def chosen(ends: int, channels: int, symbols: int) -> Integers:
        return random.randint(0, len(tables), (1 + ends, channels, symbols + 1, symbols + 1)).astype(np.int64)

    steps = [
        Labels("labels", 11),
        Context("mask", 0, 0, chosen(0, 1, 2)),
        Context("counts", 0, 0, chosen(0, 1, 6), "mask", "y"),
        Context("y", 0, -2, chosen(1, 5, 5), "counts"),
    ]
    return Model(16, tensors, [tables], [], steps)


# ---- latents -------------------------------------------------------------------------------------------------------


def drawn(random: Random, distribution: Distribution) -> int:
    """A value as likely as its distribution has it; behind an escape of any length."""
    while True:
        slot = random.randint(1 << distribution.bits)
        try:
            return distribution.decode(slot, escapes(random, random.randint(17)))[1]
        except Refused:
            continue


def drawn_near(random: Random, distribution: Distribution) -> int:
    """The same, but escapes are short."""
    while True:
        slot = random.randint(1 << distribution.bits)
        try:
            return distribution.decode(slot, escapes(random, random.randint(9)))[1]
        except Refused:
            continue


def escapes(random: Random, length: int) -> Bits:
    """A side stream of any raw bits, or of an escape of so many bits."""
    bits = Bits(random.bytes(4))
    bits.text = f"{max(length - 1, 0):04b}"[::-1] + bits.text
    return bits


def extreme(random: Random, distribution: Distribution) -> int:
    """One of the largest and smallest values that 16 bits and the table hold."""
    assert isinstance(distribution, Ranked)
    table = distribution.table
    candidates = (-32768, -32767, 32766, 32767, table.mode + 32000, table.mode - 32000, table.mode)
    fitting = [v for v in candidates if -32768 <= v <= 32767 and zigzag(table.sign * (v - table.mode)) < 1 << 16]
    return fitting[random.randint(len(fitting))]


def zero(_random: Random, _distribution: Distribution) -> int:
    return 0


def synthetic_latents(model: Model, width: int, height: int, seed: int, draw: Draw) -> Tensors:
    """Encoder latents; `draw` gives each symbol from its distribution."""
    random = Random(seed)
    known = reference_picture.fill(
        model, width, height, lambda _symbols, _last: None, lambda distribution: draw(random, distribution)
    )
    return reference_entropy_model.handed(model, known)


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
    """What goes into one file. latents: encoder latents of the model."""

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

    @property
    def own(self) -> bool:
        """Whether the writer of this project would write it so."""
        return self.ramp and UNKNOWN_SECTION not in self.sections


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


def digests(model: Model, latents: Tensors) -> list[str]:
    """name=digest of every decoder latent."""
    known = reference_entropy_model.run(model, latents)
    names = reference_entropy_model.decoder_latents(model)
    return [f"{name}={zlib.crc32(known[name].astype('<i2').tobytes()):08x}" for name in names]


def photographs() -> list[Picture]:
    """Real latents, under the entropy model of the tiny bundle."""

    def photo(name: str, source: str, lanes: int = 0) -> Picture:
        width, height = Image.open(PHOTOS / source).size
        return Picture(f"{name}.edgc", "tiny.bin", width, height, lanes, lambda _model: photo_latents(source))

    sections = {ICC: bytes(range(256)) * 2, EXIF: b"MM\0*\0\0\0\x08\0\0\0\0\0\0", XMP: b"<x:xmpmeta/>"}
    return [
        *(photo(f"tiny-photo-{lanes}", "parrots.png", lanes) for lanes in LANES),
        photo("tiny-photo-chosen", "hat.png"),
        replace(photo("tiny-grey-sections", "motocross.png"), greyscale=True, quality=333, sections=sections),
    ]


def synthetics() -> list[Picture]:
    """Random latents, under all models."""

    def synthetic(name: str, width: int, height: int, lanes: int, draw: Draw = drawn) -> Picture:
        file = f"{name}-{lanes}.edgc"

        def latents(model: Model) -> Tensors:
            return synthetic_latents(model, width, height, zlib.crc32(file.encode()), draw)

        return Picture(file, name.split("-")[0] + ".bin", width, height, lanes, latents)

    sections = {UNKNOWN_SECTION: b"of a later version", XMP: b"<x:xmpmeta/>"}
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
        synthetic("slices-pixel", 1, 1, 8, drawn_near),
        synthetic("slices-drawn", 50, 40, 2, drawn_near),
        synthetic("slices-drawn", 33, 70, 8, drawn_near),
        synthetic("slices-drawn", 90, 64, 32, drawn_near),
        synthetic("slices-drawn", 120, 80, 64, drawn_near),
        synthetic("mixture-drawn", 40, 9, 2),
        synthetic("mixture-drawn", 9, 70, 8),
        synthetic("mixture-drawn", 90, 81, 32),
        synthetic("mixture-drawn", 150, 101, 64),
        replace(synthetic("mixture-other", 60, 60, 32), ramp=False),
        synthetic("regions-drawn", 20, 30, 2),
        synthetic("regions-drawn", 40, 50, 8),
        synthetic("regions-drawn", 64, 65, 32),
        synthetic("regions-drawn", 100, 90, 64),
        synthetic("regions-zeros", 60, 33, 8, zero),
    ]


def make_golden(folder: Path) -> None:
    """Write to `folder` what is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    models = {
        "tiny.bin": (TINY / "entropy.bin").read_bytes,
        "channels.bin": lambda: model_bytes(channels_model()),
        "scales.bin": lambda: model_bytes(scales_model()),
        "chain.bin": lambda: model_bytes(chain_model()),
        "steps.bin": lambda: model_bytes(steps_model()),
        "small.bin": lambda: model_bytes(small_model()),
        "slices.bin": lambda: model_bytes(slices_model()),
        "mixture.bin": lambda: model_bytes(mixture_model()),
        "regions.bin": lambda: model_bytes(regions_model()),
    }
    for name, make in models.items():
        if not (folder / name).exists():
            (folder / name).write_bytes(make())

    listing = folder / DIGESTS
    lines = listing.read_text(encoding="ascii") if listing.exists() else HEADING
    for picture in photographs() + synthetics():
        if (folder / picture.name).exists():
            continue
        model = reference_model_file.parse_model((folder / picture.model).read_bytes())
        latents = picture.latents(model)
        (folder / picture.name).write_bytes(picture_bytes(picture, model, latents))
        writer = "own" if picture.own else "other"
        lines += " ".join([picture.name, picture.model, writer, *digests(model, latents)]) + "\n"
    listing.write_text(lines, encoding="ascii")


if __name__ == "__main__":
    make_golden(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
