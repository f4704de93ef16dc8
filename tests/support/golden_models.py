"""The entropy models of the golden files (tests/data/golden), for make_golden.py. They must never change.

Their numbers are random, not trained, and chosen so that every feature of a step, a layer and a table is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from support import reference_integer_net
from support.golden_model_parts import (
    AROUND,
    POINT,
    PROBABILITY_SUM,
    Geometry,
    Random,
    alphabet_tables,
    constant_layer,
    correction_layer,
    exponential_weights,
    falling,
    hidden_epilogue,
    hidden_layer,
    index_layer,
    layer,
    neighbour_tables,
    normal_tails,
    sample,
    scale_tables,
    shifted_tables,
    spread,
)
from support.reference_coder import Table
from support.reference_entropy_model import (
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
    Step,
    Tensor,
)
from support.reference_integer_net import Crop, Index, Layer, Net, PixelShuffle, Requantise
from support.reference_integer_net import Table as ValueTable


def latent(name: str, channels: int, stride: int) -> Tensor:
    return Tensor(name, channels, stride, decoder_latent=True)


# ---- coding tables, alone and chosen by nets -----------------------------------------------------------------------


@cache
def channels_model() -> Model:
    """One tensor with a table for every channel, in two blocks of channels."""
    return Model(8, [latent("y", 40, 8)], [shifted_tables(40)], [], [Code("y", 0)])


@cache
def scales_model() -> Model:
    """A hyperprior: z chooses one of 64 scales for every value of y, through a net with 8-bit weights."""
    random = Random(1)
    low, high = -128, 127
    first = hidden_layer(random, Geometry(True, 5, 2, 2, 1, 1), 5, 12)
    hidden = reference_integer_net.run(Net(low, high, [first]), sample(random, 5, low, high))
    last = index_layer(random, Geometry(True, 4, 2, 1, 0, 1), hidden, 7, 63)
    offset = random.randint(-30, 30, 5).astype(np.int64)
    return Model(
        16,
        [latent("z", 5, 16), Tensor("z_fixed", 5, 16), Tensor("table", 7, 4, True), latent("y", 7, 4)],
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
    """Three coded tensors: each chooses the tables of the next, from a coarse grid to a fine one and back.

    The nets have 16-bit weights and inputs beyond 8 bits. The table sets have no common centre, or over 64 tables.
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
            latent("a", 3, 32),
            Tensor("a_fixed", 3, 32),
            Tensor("b_table", 20, 16, True),
            latent("b", 20, 16),
            Tensor("b_fixed", 20, 16),
            Tensor("c_table", 6, 32, True),
            latent("c", 6, 32),
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
    """Every kind of step and layer: sums, concatenation, lookup tables, pixel shuffle, crop."""
    random = Random(3)
    low, high = -100, 100
    shuffled = layer(random, Geometry(False, 3, 1, 1, 0, 1), 3, 8, hidden_epilogue(random, 8, 27, -20, 20))
    entries = random.randint(-90, 111, 41).astype(np.int64)
    assert isinstance(shuffled.epilogue, Requantise)
    looked_up = replace(shuffled, epilogue=ValueTable(shuffled.epilogue, entries))
    cropped = layer(random, Geometry(True, 4, 2, 0, 0, 2), 3, 2, hidden_epilogue(random, 2, 30, -50, 60))
    last = index_layer(random, Geometry(False, 1, 1, 0, 0, 1), sample(random, 4, low, 110), 2, 19)
    return Model(
        8,
        [
            latent("a", 3, 8),
            Tensor("a_fixed", 3, 8),
            Tensor("shuffled", 2, 4),
            Tensor("cropped", 2, 4),
            Tensor("sum", 2, 4),
            Tensor("joined", 4, 4),
            Tensor("table", 2, 4, True),
            latent("y", 2, 4),
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
    """The smallest hyperprior: one channel, one multiplication, two tables of two ranks."""
    index = Index(np.array([[5]], np.int64))
    doubling = Layer(True, 2, 0, 0, 1, np.array([-7]), np.array([[[[3], [-1]], [[2], [4]]]]), index)
    tables = [Table((PROBABILITY_SUM - 100, 100)), Table((PROBABILITY_SUM - 3000, 3000), raw_bits=3)]
    return Model(
        2,
        [latent("z", 1, 2), Tensor("z_fixed", 1, 2), Tensor("table", 1, 1, True), latent("y", 1, 1)],
        [[Table(falling(9, 80), mode=1, sign=-1)], tables],
        [Net(-9, 9, [doubling])],
        [
            Code("z", 0),
            Affine("z_fixed", "z", 0, np.array([1]), -9, 9),
            Apply("table", "z_fixed", 0),
            Code("y", 1, "table"),
        ],
    )


# ---- channel slices ------------------------------------------------------------------------------------------------


@cache
def slices_model() -> Model:
    """Three slices of y, in 1/16: the means and tables of each come from z and the refined slices before it.

    Refinement moves a value by less than half a unit, so that coding it again gives the same symbols.
    """
    random = Random(4)
    fraction, channels, widths = 4, 7, (2, 2, 3)
    unit, low, high = 1 << fraction, -127, 127
    tensors = [latent("z", 3, 16), Tensor("z_fixed", 3, 16), Tensor("about_mean", 4, 8), Tensor("about_scale", 5, 8)]
    up = layer(random, Geometry(True, 5, 2, 2, 1, 1), 3, 4, spread(random, 4, [26] * 4, -600, 600))
    shuffled = layer(random, AROUND, 3, 20, hidden_epilogue(random, 20, 29, -200, 255))
    nets = [Net(low, high, [up]), Net(low, high, [shuffled, PixelShuffle(2, 20)])]
    table_sets = [shifted_tables(12)[9:]]
    steps: list[Step] = [
        Code("z", 0),
        Affine("z_fixed", "z", 2, np.array([7, -20, 0]), low, high),
        Apply("about_mean", "z_fixed", 0),
        Apply("about_scale", "z_fixed", 1),
    ]

    def define(step: Affine | Apply | Concat | Add, channels: int, *, indices: bool = False) -> str:
        tensors.append(Tensor(step.destination, channels, 8, indices))
        steps.append(step)
        return step.destination

    def apply(name: str, source: str, layers: Sequence[Layer], width: int, *, indices: bool = False) -> str:
        nets.append(Net(-32768, 32767, layers))
        return define(Apply(name, source, len(nets) - 1), width, indices=indices)

    refined: list[str] = []
    for number, width in enumerate(widths):
        first = sum(widths[:number])
        of_mean = define(Concat(f"of_mean{number}", ["about_mean", *refined]), 4 + first)
        of_scale = define(Concat(f"of_scale{number}", ["about_scale", *refined]), 5 + first)
        mean_layer = layer(random, AROUND, 4 + first, width, spread(random, width, [27] * width, -9000, 9000))
        mean = apply(f"mean{number}", of_mean, [mean_layer], width)
        thresholds = index_layer(random, AROUND, sample(random, 5 + first, -250, 250), width, 31)
        table = apply(f"table{number}", of_scale, [thresholds], width, indices=True)
        coded, decoded = f"symbols{number}", f"decoded{number}"
        tensors.append(Tensor(coded, width, 8))
        table_sets.append(scale_tables(48)[:32])
        steps.append(Residual(coded, len(table_sets) - 1, table, "y", first, mean, fraction))
        define(Add(decoded, coded, mean, 2 * unit, 2, 1, -32768, 32767), width)
        both = define(Concat(f"both{number}", [of_mean, decoded]), 4 + first + width)
        hidden = hidden_layer(random, AROUND, 4 + first + width, 6)
        corrected = apply(f"correction{number}", both, [hidden, correction_layer(random, 6, width, unit)], width)
        refined.append(define(Add(f"refined{number}", decoded, corrected, 2, 2, 1, -32768, 32767), width))
    steps.append(Concat("y_hat", refined))
    return Model(16, [*tensors, latent("y_hat", channels, 8), Tensor("y", channels, 8)], table_sets, nets, steps)


@cache
def targets_model() -> Model:
    """Channels of two targets, in whole numbers and in 2^-14, with unused channels; z is no decoder latent.

    The means are z without its fraction, so that residuals exceed 16 bits and are clamped.
    """
    random = Random(5)
    offset = np.zeros(2, np.int64)
    thresholds = index_layer(random, POINT, sample(random, 2, -100, 100), 2, 15)
    return Model(
        8,
        [
            Tensor("z", 2, 8),
            Tensor("z_fixed", 2, 8),
            Tensor("table", 2, 8, True),
            Tensor("mean", 2, 8),
            Tensor("whole", 2, 8),
            Tensor("fine", 2, 8),
            latent("whole_hat", 2, 8),
            latent("fine_hat", 2, 8),
            Tensor("whole_target", 4, 8),
            Tensor("fine_target", 2, 8),
        ],
        [shifted_tables(7)[5:], shifted_tables(24)[8:], scale_tables(16)],
        [Net(-100, 100, [thresholds])],
        [
            Code("z", 0),
            Affine("z_fixed", "z", 1, np.array([9, -9]), -100, 100),
            Apply("table", "z_fixed", 0),
            Affine("mean", "z", 0, offset, -32768, 32767),
            Residual("whole", 1, "table", "whole_target", 1, "mean", 0),
            Residual("fine", 2, "table", "fine_target", 0, "mean", 14),
            Add("whole_hat", "whole", "mean", 1 << 30, 1 << 30, 30, -32768, 32767),
            Add("fine_hat", "fine", "mean", 1 << 14, 1, 3, -32768, 32767),
        ],
    )


# ---- mixtures ------------------------------------------------------------------------------------------------------

#: The causal neighbours in a window of 3 rows and 5 columns.
CAUSAL_3X5 = [*((up, across) for up in (2, 1) for across in range(-2, 3)), (0, -2), (0, -1)]


@cache
def mixture_model() -> Model:
    """Two channels coded along a wavefront; means, scales and logits of three components depend on the neighbours."""
    random = Random(6)
    channels, components, hidden = 2, 3, 10
    wide_weights = replace(POINT, weight_bytes=2)
    epilogue = hidden_epilogue(random, hidden, 29, 0, 255)
    first = layer(random, wide_weights, len(CAUSAL_3X5) * channels, hidden, epilogue)
    shifts = np.repeat([25, 27, 26] * components, channels)
    last = layer(random, POINT, hidden, len(shifts), spread(random, len(shifts), shifts, -32768, 32767))
    curves = (normal_tails(4), exponential_weights(60))
    step = Mixture("y", 0, 3, CAUSAL_3X5, components, 6, 5, 4, 9, 4, *curves)
    return Model(16, [latent("y", channels, 16)], [], [Net(-100, 100, [first, last])], [step])


@cache
def windows_model() -> Model:
    """Mixtures with parameters at the ends of their ranges, and a tensor whose tables the first mixture chooses.

    The first has channels with one component, with windows wider than 255 values, and with components far apart, alike
    and of weight zero. The second has the coarsest fractions and reaches half of the 16-bit range; the third has the
    finest fractions and 16 components.
    """
    random = Random(7)
    nets: list[Net] = []

    def net(taps: int, channels: Sequence[Sequence[tuple[int, int, int]]], largest: int) -> int:
        """The number of a new net. channels: the components of each channel, as (mean, scale, logit)."""
        outputs = [channel[k][i] for k in range(len(channels[0])) for i in range(3) for channel in channels]
        nets.append(Net(-50, 50, [constant_layer(random, taps * len(channels), outputs, largest)]))
        return len(nets) - 1

    near = [
        [(700, 300, 9), (700, 300, -32768), (700, 300, 0)],
        [(-2000, -9000, 0), (90, 700, 200), (0, 1, -500)],
        [(32767, 30, 7), (-32768, 30, 7), (5, 5, -900)],
        [(100, 50, 7), (100, 50, 7), (100, 50, 7)],
        [(-5000, 40, 0), (3000, 2000, 255), (0, 0, 258)],
    ]
    coarse = [[(16383 * 2, 0, 0), (16380 * 2, -3, 0)], [(-32768, 1, 5), (-32768, 0, 4)], [(-1, 2, 0), (400, -1, -1)]]
    fine = [[(i * 1500 - 12000, 32767, i % 3) for i in range(16)], [(0, -32768, -i) for i in range(16)]]
    weights = [65535, 30000, *([0] * 99), 20000, *([9000] * 200), 0]
    first = Mixture("near", net(2, near, 2), 1, [(0, -1), (1, 0)], 3, 8, 6, 12, 8, 4, normal_tails(4), weights)
    second = Mixture(
        "coarse", net(3, coarse, 1), 128, [(255, -1), (1, 127), (0, -128)], 2, 1, 0, 1, 16, 0, [32768, 9000, 40, 0], [7]
    )
    third = Mixture(
        "fine", net(1, fine, 40), 255, [(3, 1)], 16, 14, 14, 65535, 1, 10, [32768] * 700 + [9, 9, 1], [1] * 9
    )
    indices = index_layer(random, AROUND, sample(random, 5, -100, 100), 3, 19)
    nets.append(Net(-32768, 32767, [indices]))
    return Model(
        8,
        [
            latent("near", 5, 8),
            latent("coarse", 3, 8),
            latent("fine", 2, 8),
            Tensor("table", 3, 8, True),
            latent("after", 3, 8),
        ],
        [scale_tables(20)],
        nets,
        [first, second, third, Apply("table", "near", len(nets) - 1), Code("after", 0, "table")],
    )


# ---- finite alphabets, masks and label maps ------------------------------------------------------------------------

#: Tables of a binary mask: 0 is likely, 1 is likely, both are as likely.
MASK_TABLES = [Table(falling(3, 245), 0), Table(falling(3, 245), 1, -1), Table(falling(3, 150), 0)]
#: Table numbers by the left and the upper neighbour; 2 stands for outside.
MASK_CHOICES = np.array([[[[0, 2, 0], [2, 1, 1], [0, 1, 2]]]])


@cache
def alphabet_model() -> Model:
    """Three finite alphabets: five values about zero, the three lowest of 16 bits, and 64 at the upper end."""
    return Model(
        8,
        [latent("low", 1, 8), latent("high", 1, 8), latent("y", 8, 8)],
        [alphabet_tables(-32768, 3, 4), alphabet_tables(32704, 64, 90), alphabet_tables(-2, 5, 9)],
        [],
        [
            Context("low", 0, -32768, neighbour_tables(1, 3, 4)),
            Context("high", 1, 32704, neighbour_tables(1, 64, 90)),
            Context("y", 2, -2, neighbour_tables(8, 5, 9)),
        ],
    )


@cache
def prefix_model() -> Model:
    """A prefix length for each of 12 channels' positions, then the channels; the last one has tables of its own."""
    return Model(
        16,
        [Tensor("lengths", 1, 16), latent("y", 12, 16)],
        [alphabet_tables(0, 13, 13), alphabet_tables(-1, 3, 8)],
        [],
        [
            Context("lengths", 0, 0, neighbour_tables(1, 13, 13), prefix_of="y"),
            Context("y", 1, -1, neighbour_tables(12, 3, 8, ends=True), "lengths"),
        ],
    )


@cache
def masked_model() -> Model:
    """The same for 6 channels, only where a mask is 1, between tensors that are coded everywhere."""
    return Model(
        8,
        [latent("z", 2, 8), latent("mask", 1, 8), Tensor("lengths", 1, 8), latent("y", 6, 8)],
        [scale_tables(3)[:2], MASK_TABLES, alphabet_tables(0, 7, 7), alphabet_tables(-3, 6, 9)],
        [],
        [
            Code("z", 0),
            Context("mask", 1, 0, MASK_CHOICES),
            Context("lengths", 2, 0, neighbour_tables(1, 7, 7), "mask", "y"),
            Context("y", 3, -3, neighbour_tables(6, 6, 9, ends=True), "lengths"),
        ],
    )


@cache
def regions_model() -> Model:
    """A region mask, a label map on a finer grid, and an alphabet of five values in 4 channels where the mask is 1."""
    channels = 4
    return Model(
        16,
        [latent("mask", 1, 16), latent("labels", 1, 4), Tensor("limit", 1, 16), latent("y", channels, 16)],
        [MASK_TABLES, alphabet_tables(-2, 5, 7)],
        [],
        [
            Context("mask", 0, 0, MASK_CHOICES),
            Labels("labels", 19),
            Affine("limit", "mask", 4, np.zeros(1, np.int64), 0, channels),
            Context("y", 1, -2, neighbour_tables(channels, 5, 7), "limit"),
        ],
    )


@cache
def maps_model() -> Model:
    """Label maps with the most classes, with one, and two maps with three; the first chooses the tables of a tensor."""
    random = Random(8)
    read_out = index_layer(random, POINT, sample(random, 1, 0, 255), 2, 15)
    return Model(
        4,
        [
            latent("many", 1, 4),
            latent("one", 1, 4),
            latent("three", 2, 4),
            Tensor("table", 2, 4, True),
            latent("after", 2, 4),
        ],
        [scale_tables(16)],
        [Net(0, 255, [read_out])],
        [
            Labels("many", 256),
            Labels("one", 1),
            Labels("three", 3),
            Apply("table", "many", 0),
            Code("after", 0, "table"),
        ],
    )


#: The models by file name, without the extension.
MODELS: dict[str, Callable[[], Model]] = {
    "channels": channels_model,
    "scales": scales_model,
    "chain": chain_model,
    "steps": steps_model,
    "small": small_model,
    "slices": slices_model,
    "targets": targets_model,
    "mixture": mixture_model,
    "windows": windows_model,
    "alphabet": alphabet_model,
    "prefix": prefix_model,
    "masked": masked_model,
    "regions": regions_model,
    "maps": maps_model,
}
