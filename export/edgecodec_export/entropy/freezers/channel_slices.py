"""Freezing a hyperprior with a context over channel slices: all of it becomes one integer model.

Order of decoding: z with one table per channel; its features, a set for the means and one for the scales; then slice by
slice, as layers/channel_context.py says. Means, slices and rounding errors are integers of LATENT_UNIT. Before they
become inputs of the context networks they are requantised to fewer bits and to units per channel. Each slice has coding
tables of its own: what the float model gets wrong about its scales differs between slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgecodec.description import LatentSpec
from edgecodec.entropy_model import EntropyModel
from edgecodec_export.entropy.coding_tables import (
    GAUSSIAN,
    CodingTable,
    coded_bits,
    factorized_tables,
    gaussian_scale_boundaries,
    scale_tables,
)
from edgecodec_export.entropy.cost import integer_bits_of
from edgecodec_export.entropy.entropy_file import (
    Add,
    Affine,
    Apply,
    Code,
    Concat,
    EntropyFile,
    Residual,
    Step,
    TableIndices,
    Values,
)
from edgecodec_export.entropy.fitted_tables import fitted_tables
from edgecodec_export.entropy.input_units import Consumer, Statistics, balanced_units
from edgecodec_export.entropy.integer_net import IntArray, IntegerNet
from edgecodec_export.entropy.quantise import (
    HEADROOM,
    IndexOutput,
    InputFormat,
    Output,
    Quantiser,
    TableOutput,
    ValueOutput,
    fixed_point_input,
)
from edgecodec_export.layers.channel_context import ChannelContext, Slice
from edgecodec_export.layers.densities import FactorizedDensity
from edgecodec_export.layers.fixed_point import LATENT_LIMIT, LATENT_UNIT, fixed_point

FloatArray = npt.NDArray[np.float64]
TableSets = tuple[tuple[CodingTable, ...], ...]  # of z, and of the residuals of each slice of y

LATENT_FRACTION = 6  # bits: LATENT_UNIT is 2^-6
TANH_UNIT = 1 / 128  # of the argument of the residual's tanh
TANH_REACH = 2.5  # beyond it 0.5 * tanh rounds to half a symbol
# Share of the bits that integers may cost on the calibration pictures before they get wider.
PRECISION_BUDGET = 0.001

Use = Literal["mean", "scale"]
USES: tuple[Use, Use] = ("mean", "scale")


class SlicedCodec(Protocol):
    """What the freezer needs of a model. Latents z and y are coded; y comes as a real number from `analyse`."""

    ALIGNMENT: int
    slices: int
    supports: int
    density: FactorizedDensity
    hyper_synthesis_mean: nn.Sequential
    hyper_synthesis_scale: nn.Sequential
    context: ChannelContext

    @property
    def medians(self) -> Tensor: ...

    def encoder_latents(self) -> tuple[LatentSpec, ...]: ...

    def analyse(self, image: Tensor, quality: float) -> Tensor: ...

    def hyperlatent_symbols(self, y: Tensor) -> Tensor: ...

    def slices_of(
        self, z_symbols: Tensor, y: Tensor | None = None, symbols: Tensor | None = None
    ) -> Sequence[Slice]: ...


@dataclass(frozen=True)
class Precision:
    """Integers of context networks: bits of inputs, besides the sign; bits between layers; bytes of a weight."""

    input_bits: int
    activation_bits: int
    weight_bytes: int

    @property
    def largest_input(self) -> int:
        return (1 << self.input_bits) - 1


BYTES = Precision(7, 8, 1)  # processors multiply bytes several times as fast
WIDE = Precision(11, 12, 1)  # 12,800 taps of 8-bit weights still fit 32-bit sums
WIDEST = Precision(11, 12, 2)  # weights get as many bits as fit

# For the mean and residual networks, and for the scale networks: scales span three orders of magnitude and matter by
# their logarithm, so bytes are too few for them.
PRECISIONS = ((BYTES, WIDE), (WIDE, WIDE), (WIDEST, WIDEST))


@dataclass(frozen=True)
class Observation:
    """One picture. z (1, N, h, w) and y (1, M, 4h, 4w), in LATENT_UNIT, are the input of an entropy encoder.

    symbols, indices: shaped as y, the symbols that the float model codes for it, and with which tables.
    """

    z: IntArray
    y: IntArray
    symbols: IntArray
    indices: IntArray

    def in_slices(self, count: int) -> tuple[list[IntArray], list[IntArray]]:
        """Indices and symbols of each slice."""
        return np.split(self.indices, count, axis=1), np.split(self.symbols, count, axis=1)

    @property
    def latents(self) -> dict[str, IntArray]:
        """(C, h, w) by name: the input of an entropy encoder."""
        return {"z": self.z[0], "y": self.y[0]}


class ChannelSlicesFreezer:
    """Observes pictures with a model and freezes its entropy side."""

    BOUND_PERCENT = 0.5

    def __init__(self, model: SlicedCodec) -> None:
        self._model = model
        of_z, of_slice = tuple(factorized_tables(model.density)), tuple(scale_tables(GAUSSIAN))
        self._density_tables: TableSets = (of_z, *(of_slice for _ in range(model.slices)))
        self._tables = self._density_tables

    @torch.no_grad()
    def observe(self, image: Tensor, quality: float = 0.0) -> Observation:
        """image: (1, 3, H, W) float32 in [0, 1], sides multiples of 64."""
        y = self._model.analyse(image, quality)
        z = self._model.hyperlatent_symbols(y)
        slices = self._model.slices_of(z, y)
        scales = torch.cat([part.scale for part in slices], 1).double().numpy()
        indices = np.searchsorted(gaussian_scale_boundaries(), scales, side="right").astype(np.int64)
        symbols = torch.cat([part.symbols for part in slices], 1)
        return Observation(z.long().numpy(), fixed_point(y).long().numpy(), symbols.long().numpy(), indices)

    def float_bits(self, observations: Sequence[Observation]) -> float:
        """Ideal bits where the float networks choose means and tables, those of `freeze` once it has run, and round."""
        return self._bits(observations, self._tables)

    def density_bits(self, observations: Sequence[Observation]) -> float | None:
        """`float_bits` with tables of the checkpoint's own densities; None before `freeze`."""
        fitted = self._tables is not self._density_tables
        return self._bits(observations, self._density_tables) if fitted else None

    @staticmethod
    def _bits(observations: Sequence[Observation], table_sets: TableSets) -> float:
        z_tables, *slice_tables = table_sets
        channels = np.arange(len(z_tables)).reshape(1, -1, 1, 1)
        return sum(
            coded_bits(z_tables, np.broadcast_to(channels, each.z.shape), each.z)
            + sum(map(coded_bits, slice_tables, *each.in_slices(len(slice_tables))))
            for each in observations
        )

    @torch.no_grad()
    def freeze(self, observations: Sequence[Observation]) -> EntropyFile:
        """The integer entropy model, with activations ranged on the observed pictures, and tables fitted to them."""
        z_tables, *_ = self._density_tables
        # For each slice, of every observation the indices and the symbols.
        slices = zip(*(zip(*each.in_slices(self._model.slices), strict=True) for each in observations), strict=True)
        self._tables = (z_tables, *(tuple(fitted_tables(GAUSSIAN, residuals)) for residuals in slices))
        walks = [_Walk.along(self._model, observation) for observation in observations]
        budget = (1 + PRECISION_BUDGET) * self.float_bits(observations)
        for of_means, of_scales in PRECISIONS:
            frozen = _Writer(self._model, walks, {"mean": of_means, "scale": of_scales}).write(self._tables)
            opened = EntropyModel(frozen.to_bytes())
            if sum(integer_bits_of(opened, each) for each in observations) <= budget:
                break
        return frozen


@dataclass(frozen=True)
class _Walk:
    """Inputs and outputs of the float networks along one picture's symbols. features: those of each hyper-synthesis."""

    z: Tensor
    features: dict[Use, Tensor]
    slices: Sequence[Slice]

    @staticmethod
    def along(model: SlicedCodec, observation: Observation) -> _Walk:
        z_symbols, symbols = torch.from_numpy(observation.z).float(), torch.from_numpy(observation.symbols).float()
        z = z_symbols + model.medians
        features: dict[Use, Tensor] = {"mean": model.hyper_synthesis_mean(z), "scale": model.hyper_synthesis_scale(z)}
        return _Walk(z, features, model.slices_of(z_symbols, symbols=symbols))

    def context(self, use: Use, supports: int) -> Tensor:
        """The input of the networks for `use`: the features and so many slices."""
        return torch.cat([self.features[use], *(part.y_hat for part in self.slices[:supports])], 1)

    def rounded(self, i: int) -> Tensor:
        """Slice i before its rounding error is predicted."""
        return self.slices[i].symbols + self.slices[i].mean


class _Writer:
    """Tensors, nets and steps in the order of decoding.

    Decoded values have two uses, "mean" (which the residual networks share) and "scale". The networks of each use take
    features and slices in a precision and units of their own; the tensors of such inputs are called "..._heard". Names
    of tensors, which the file holds, end in the number of their slice.
    """

    def __init__(self, model: SlicedCodec, walks: Sequence[_Walk], precisions: Mapping[Use, Precision]) -> None:
        self._model, self._walks, self._precisions = model, walks, precisions
        self._z, self._y = model.encoder_latents()
        self._width = self._y.channels // model.slices
        self._tensors: list[Values | TableIndices] = []
        self._nets: list[IntegerNet] = []
        self._steps: list[Step] = []
        self._units: dict[str, FloatArray] = {}  # (channels,) real values of the 1 of every input
        for use, precision in precisions.items():
            self._units |= _input_units(model, walks, use, precision.largest_input / HEADROOM)

    def write(self, table_sets: TableSets) -> EntropyFile:
        """The whole file."""
        model = self._model
        self._hyperprior()
        for i in range(model.slices):
            self._slice(i)
        channels, stride = self._y.channels, self._y.stride
        self._tensors += [Values("y", channels, stride), Values("y_hat", channels, stride, decoder_latent=True)]
        self._steps.append(Concat("y_hat", tuple(f"y{i}" for i in range(model.slices))))
        return EntropyFile(model.ALIGNMENT, tuple(self._tensors), table_sets, tuple(self._nets), tuple(self._steps))

    def _hyperprior(self) -> None:
        """z, and the features that both hyper-syntheses make of it."""
        model, samples = self._model, [walk.z for walk in self._walks]
        networks: dict[Use, nn.Sequential] = {"mean": model.hyper_synthesis_mean, "scale": model.hyper_synthesis_scale}
        form = fixed_point_input(list(networks.values()), samples)
        offsets = np.rint(np.ldexp(model.medians.flatten().double().numpy(), form.shift)).astype(np.int64)
        self._tensors += [Values(name, self._z.channels, self._z.stride) for name in ("z", "z_fixed")]
        self._steps += [Code("z", 0), Affine("z_fixed", "z", form.shift, offsets, form.low, form.high)]
        for use, network in networks.items():
            features = Values(f"{use}_features", self._y.channels, self._y.stride)
            quantiser = Quantiser(network, samples, form.format, self._as_input(use, features.name))
            self._apply(features, "z_fixed", quantiser, self._precisions[use].weight_bytes)

    def _slice(self, i: int) -> None:
        """Mean, scale, symbols, rounding error, and the slice as it is decoded."""
        context, width, stride, walks = self._model.context, self._width, self._y.stride, self._walks
        supports = min(i, self._model.supports)
        decoded = {
            use: self._join(f"{use}_context{supports}", f"{use}_features", *_input_slices(use, supports))
            for use in USES
        }

        mean = Values(f"mean{i}", width, stride)
        samples = (walk.context("mean", supports) for walk in walks)
        values = ValueOutput(LATENT_UNIT, -LATENT_LIMIT, LATENT_LIMIT)
        self._predict("mean", mean, decoded["mean"], context.network("mean", i), samples, values)

        table = TableIndices(f"table{i}", width, stride)
        samples = (walk.context("scale", supports) for walk in walks)
        indices = IndexOutput(gaussian_scale_boundaries())
        self._predict("scale", table, decoded["scale"], context.network("scale", i), samples, indices)

        self._tensors.append(Values(f"symbols{i}", width, stride))
        self._steps.append(Residual(f"symbols{i}", 1 + i, f"table{i}", "y", i * width, f"mean{i}", LATENT_FRACTION))
        self._add(f"rounded{i}", f"symbols{i}", 1 << LATENT_FRACTION, f"mean{i}")

        self._requantise("mean", f"rounded_heard{i}", f"rounded{i}")
        residual = Values(f"residual{i}", width, stride)
        source = self._join(f"residual_context{i}", decoded["mean"], f"rounded_heard{i}")
        samples = (torch.cat([walk.context("mean", supports), walk.rounded(i)], 1) for walk in walks)
        self._predict("mean", residual, source, context.network("residual", i), samples, _half_tanh())

        self._add(f"y{i}", f"rounded{i}", 1, f"residual{i}")
        if i < self._model.supports:
            for use in USES:
                self._requantise(use, f"{use}_heard{i}", f"y{i}")

    def _join(self, name: str, *sources: str) -> str:
        """The tensor of all channels of the sources, which later slices may share."""
        if len(sources) == 1:
            return sources[0]
        if name not in self._units:
            self._units[name] = np.concatenate([self._units[source] for source in sources])
            self._tensors.append(Values(name, len(self._units[name]), self._y.stride))
            self._steps.append(Concat(name, sources))
        return name

    def _add(self, name: str, first: str, factor: int, second: str) -> None:
        """The tensor factor * first + second."""
        self._tensors.append(Values(name, self._width, self._y.stride))
        self._steps.append(Add(name, first, second, 2 * factor, 2, 1, -LATENT_LIMIT, LATENT_LIMIT))

    def _requantise(self, use: Use, name: str, source: str) -> None:
        """Bring a slice from LATENT_UNIT to the units of an input, per channel, with a 1x1 identity net."""
        identity = nn.Conv2d(self._width, self._width, 1, bias=False)
        identity.weight.copy_(torch.eye(self._width)[:, :, None, None])
        form = InputFormat(np.array([LATENT_UNIT]), -LATENT_LIMIT, LATENT_LIMIT)
        quantiser = Quantiser(nn.Sequential(identity), [], form, self._as_input(use, name))
        self._apply(Values(name, self._width, self._y.stride), source, quantiser, weight_bytes=1)

    def _as_input(self, use: Use, name: str) -> ValueOutput:
        """The tensor `name` in the units that networks for `use` take it in."""
        largest = self._precisions[use].largest_input
        return ValueOutput(self._units[name], -largest, largest)

    def _predict(
        self,
        use: Use,
        destination: Values | TableIndices,
        source: str,
        network: nn.Sequential,
        samples: Iterable[Tensor],
        output: Output,
    ) -> None:
        """Make an integer net of a context network, and `destination` its output for `source`."""
        precision = self._precisions[use]
        form = InputFormat(self._units[source], -precision.largest_input, precision.largest_input)
        quantiser = Quantiser(network, samples, form, output, precision.activation_bits)
        self._apply(destination, source, quantiser, precision.weight_bytes)

    def _apply(self, destination: Values | TableIndices, source: str, quantiser: Quantiser, weight_bytes: int) -> None:
        self._tensors.append(destination)
        self._steps.append(Apply(destination.name, source, len(self._nets)))
        self._nets.append(quantiser.build([weight_bytes] * len(quantiser)))


def _input_slices(use: Use, supports: int) -> list[str]:
    """Names of the first slices as inputs of the networks for `use`."""
    return [f"{use}_heard{k}" for k in range(supports)]


def _input_units(model: SlicedCodec, walks: Sequence[_Walk], use: Use, reach: float) -> dict[str, FloatArray]:
    """(channels,) real values of the 1 of each tensor that is an input of the context networks for `use`."""
    tensors = {f"{use}_features": Statistics.of(walk.features[use] for walk in walks)}
    for k, name in enumerate(_input_slices(use, model.supports)):
        tensors[name] = Statistics.of(walk.slices[k].y_hat for walk in walks)
    consumers = []
    for i in range(model.slices):
        inputs = [f"{use}_features", *_input_slices(use, min(i, model.supports))]
        consumers.append(Consumer(_first_layer(model.context.network(use, i)), inputs))
        if use == "mean":
            tensors[f"rounded_heard{i}"] = Statistics.of(walk.rounded(i) for walk in walks)
            first = _first_layer(model.context.network("residual", i))
            consumers.append(Consumer(first, [*inputs, f"rounded_heard{i}"]))
    return balanced_units(tensors, consumers, reach)


def _first_layer(network: nn.Sequential) -> nn.Conv2d:
    convolution = network[0]
    assert isinstance(convolution, nn.Conv2d)
    return convolution


def _half_tanh() -> TableOutput:
    """The output 0.5 * tanh in LATENT_UNIT."""
    reach = round(TANH_REACH / TANH_UNIT)
    entries = np.rint(0.5 / LATENT_UNIT * np.tanh(np.arange(-reach, reach + 1) * TANH_UNIT)).astype(np.int64)
    return TableOutput(ValueOutput(TANH_UNIT, -reach, reach), entries)
