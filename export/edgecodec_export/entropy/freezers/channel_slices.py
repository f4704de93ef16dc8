"""Freezing CRDR's channel slices: hyperprior, context networks and residual prediction as one integer model.

Order of decoding: z with one table per channel; its features, a set for the means and one for the scales; then slice by
slice, as families/crdr.py says. Means, slices and rounding errors are integers of LATENT_UNIT. What the context
networks hear of them has fewer bits, and units of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgecodec import entropy as native
from edgecodec_export.entropy.coding_tables import (
    CodingTable,
    coded_bits,
    factorized_tables,
    gaussian_scale_boundaries,
    gaussian_tables,
)
from edgecodec_export.entropy.cost import integer_bits_of
from edgecodec_export.entropy.entropy_file import (
    Add,
    Affine,
    Apply,
    Code,
    Concat,
    EntropyModel,
    Residual,
    Step,
    TableIndices,
    Values,
)
from edgecodec_export.entropy.input_units import Listener, Statistics, balanced_units
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
from edgecodec_export.families.crdr import LATENT_LIMIT, LATENT_UNIT, Crdr, Slice, fixed_point

FloatArray = npt.NDArray[np.float64]

LATENT_FRACTION = 6  # bits: LATENT_UNIT is 2^-6
TANH_UNIT = 1 / 128  # of the argument of the residual's tanh
TANH_REACH = 2.5  # beyond it 0.5 * tanh rounds to half a symbol
# Share of the bits that integers may cost on the calibration pictures before they get wider.
PRECISION_BUDGET = 0.001


@dataclass(frozen=True)
class Precision:
    """Of context networks: bits of what they hear, besides the sign; bits between layers; bytes of a weight."""

    heard_bits: int
    activation_bits: int
    weight_bytes: int

    @property
    def largest_heard(self) -> int:
        return (1 << self.heard_bits) - 1


BYTES = Precision(7, 8, 1)  # which processors multiply several times as fast
WIDE = Precision(11, 12, 1)  # 12,800 taps of 8-bit weights still fit 32-bit sums
WIDEST = Precision(11, 12, 2)  # weights get as many bits as fit

# For the mean and residual networks, and for the scale networks: scales span three orders of magnitude and matter by
# their logarithm, so bytes are too few for them.
PRECISIONS = ((BYTES, WIDE), (WIDE, WIDE), (WIDEST, WIDEST))


@dataclass(frozen=True)
class Observation:
    """One picture. z (1, N, h, w) and y (1, M, 4h, 4w), in LATENT_UNIT, are the integers an entropy encoder is handed.

    symbols and indices, as y, are what the float model codes y to when it does the rounding, and with which tables.
    """

    z: IntArray
    y: IntArray
    symbols: IntArray
    indices: IntArray

    @property
    def latents(self) -> dict[str, IntArray]:
        """What an encoder is handed."""
        return {"z": self.z[0], "y": self.y[0]}


class ChannelSlicesFreezer:
    """Observes pictures with a model and freezes its entropy side."""

    BOUND_PERCENT = 0.5

    def __init__(self, model: Crdr) -> None:
        self._model = model
        self._tables = tuple(factorized_tables(model.density)), tuple(gaussian_tables())

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
        """Ideal bits where the float networks choose means and tables, and round."""
        z_tables, y_tables = self._tables
        channels = np.arange(self._model.hyperlatent_channels).reshape(1, -1, 1, 1)
        return sum(
            coded_bits(z_tables, np.broadcast_to(channels, each.z.shape), each.z)
            + coded_bits(y_tables, each.indices, each.symbols)
            for each in observations
        )

    @torch.no_grad()
    def freeze(self, observations: Sequence[Observation]) -> EntropyModel:
        """The integer entropy model, with activations ranged on the observed pictures."""
        walks = [_Walk.along(self._model, observation) for observation in observations]
        budget = (1 + PRECISION_BUDGET) * self.float_bits(observations)
        for of_means, of_scales in PRECISIONS:
            frozen = _Writer(self._model, walks, {"mean": of_means, "scale": of_scales}).write(self._tables)
            opened = native.EntropyModel(frozen.to_bytes())
            if sum(integer_bits_of(opened, each) for each in observations) <= budget:
                break
        return frozen


@dataclass(frozen=True)
class _Walk:
    """What the float networks hear and say along one picture's symbols. features: for "mean" and for "scale"."""

    z: Tensor
    features: dict[str, Tensor]
    slices: list[Slice]

    @staticmethod
    def along(model: Crdr, observation: Observation) -> _Walk:
        z_symbols, symbols = torch.from_numpy(observation.z).float(), torch.from_numpy(observation.symbols).float()
        z = z_symbols + model.medians
        features = {"mean": model.hyper_synthesis_mean(z), "scale": model.hyper_synthesis_scale(z)}
        return _Walk(z, features, model.slices_of(z_symbols, symbols=symbols))

    def heard(self, use: str, supports: int) -> Tensor:
        """What the networks for `use` hear of the features and of so many slices."""
        return torch.cat([self.features[use], *(part.y_hat for part in self.slices[:supports])], 1)

    def rounded(self, i: int) -> Tensor:
        return self.slices[i].symbols + self.slices[i].mean


class _Writer:
    """Tensors, nets and steps in the order of decoding.

    There are two uses of what is decoded, "mean" (which the residual networks share) and "scale". Each hears features
    and slices in its own precision and units. Names of tensors end in the number of their slice.
    """

    def __init__(self, model: Crdr, walks: Sequence[_Walk], precisions: Mapping[str, Precision]) -> None:
        self._model, self._walks, self._precisions = model, walks, precisions
        self._width = model.latent_channels // model.slices
        self._tensors: list[Values | TableIndices] = []
        self._nets: list[IntegerNet] = []
        self._steps: list[Step] = []
        self._units: dict[str, FloatArray] = {}  # of what is heard: (channels,) real values of its 1
        for use, precision in precisions.items():
            self._units |= _units_heard(model, walks, use, precision.largest_heard / HEADROOM)

    def write(self, table_sets: tuple[tuple[CodingTable, ...], ...]) -> EntropyModel:
        """table_sets: for z, and for y."""
        model = self._model
        self._hyperprior()
        for i in range(model.slices):
            self._slice(i)
        self._tensors += [Values("y", model.latent_channels, 16), Values("y_hat", model.latent_channels, 16, True)]
        self._steps.append(Concat("y_hat", tuple(f"y{i}" for i in range(model.slices))))
        return EntropyModel(model.ALIGNMENT, tuple(self._tensors), table_sets, tuple(self._nets), tuple(self._steps))

    def _hyperprior(self) -> None:
        """z, and the features that both hyper-syntheses make of it."""
        model, samples = self._model, [walk.z for walk in self._walks]
        networks = {"mean": model.hyper_synthesis_mean, "scale": model.hyper_synthesis_scale}
        form = fixed_point_input(list(networks.values()), samples)
        offsets = np.rint(np.ldexp(model.medians.flatten().double().numpy(), form.shift)).astype(np.int64)
        self._tensors += [Values(name, model.hyperlatent_channels, 64) for name in ("z", "z_fixed")]
        self._steps += [Code("z", 0), Affine("z_fixed", "z", form.shift, offsets, form.low, form.high)]
        for use, network in networks.items():
            features = Values(f"{use}_features", model.latent_channels, 16)
            quantiser = Quantiser(network, samples, form.format, self._heard(use, features.name))
            self._apply(features, "z_fixed", quantiser, self._precisions[use].weight_bytes)

    def _slice(self, i: int) -> None:
        """Mean, scale, symbols, rounding error, and the slice as it is decoded."""
        context, width, walks = self._model.context, self._width, self._walks
        supports = min(i, self._model.supports)
        decoded = {
            use: self._join(f"{use}_context{supports}", f"{use}_features", *_heard_slices(use, supports))
            for use in self._precisions
        }

        samples = (walk.heard("mean", supports) for walk in walks)
        values = ValueOutput(LATENT_UNIT, -LATENT_LIMIT, LATENT_LIMIT)
        self._listen("mean", Values(f"mean{i}", width, 16), decoded["mean"], context.mean[i], samples, values)

        samples = (walk.heard("scale", supports) for walk in walks)
        tables = IndexOutput(gaussian_scale_boundaries())
        self._listen("scale", TableIndices(f"table{i}", width, 16), decoded["scale"], context.scale[i], samples, tables)

        self._tensors.append(Values(f"symbols{i}", width, 16))
        self._steps.append(Residual(f"symbols{i}", 1, f"table{i}", "y", i * width, f"mean{i}", LATENT_FRACTION))
        self._add(f"rounded{i}", f"symbols{i}", 1 << LATENT_FRACTION, f"mean{i}")

        self._reduce("mean", f"rounded_heard{i}", f"rounded{i}")
        heard = self._join(f"residual_context{i}", decoded["mean"], f"rounded_heard{i}")
        samples = (torch.cat([walk.heard("mean", supports), walk.rounded(i)], 1) for walk in walks)
        self._listen("mean", Values(f"residual{i}", width, 16), heard, context.residual[i], samples, _half_tanh())

        self._add(f"y{i}", f"rounded{i}", 1, f"residual{i}")
        if i < self._model.supports:
            for use in self._precisions:
                self._reduce(use, f"{use}_heard{i}", f"y{i}")

    def _join(self, name: str, *sources: str) -> str:
        """The tensor of all channels of the sources, which later slices may share."""
        if len(sources) == 1:
            return sources[0]
        if name not in self._units:
            self._units[name] = np.concatenate([self._units[source] for source in sources])
            self._tensors.append(Values(name, len(self._units[name]), 16))
            self._steps.append(Concat(name, sources))
        return name

    def _add(self, name: str, first: str, factor: int, second: str) -> None:
        """factor * first + second."""
        self._tensors.append(Values(name, self._width, 16))
        self._steps.append(Add(name, first, second, 2 * factor, 2, 1, -LATENT_LIMIT, LATENT_LIMIT))

    def _reduce(self, use: str, name: str, source: str) -> None:
        """What is heard of a slice: from LATENT_UNIT to units of its own, which only a net has for each channel."""
        identity = nn.Conv2d(self._width, self._width, 1, bias=False)
        identity.weight.copy_(torch.eye(self._width)[:, :, None, None])
        form = InputFormat(np.array([LATENT_UNIT]), -LATENT_LIMIT, LATENT_LIMIT)
        quantiser = Quantiser(nn.Sequential(identity), [], form, self._heard(use, name))
        self._apply(Values(name, self._width, 16), source, quantiser, weight_bytes=1)

    def _heard(self, use: str, name: str) -> ValueOutput:
        """The tensor `name` as networks for `use` hear it."""
        largest = self._precisions[use].largest_heard
        return ValueOutput(self._units[name], -largest, largest)

    def _listen(
        self,
        use: str,
        destination: Values | TableIndices,
        heard: str,
        network: nn.Sequential,
        samples: Iterable[Tensor],
        output: Output,
    ) -> None:
        precision = self._precisions[use]
        form = InputFormat(self._units[heard], -precision.largest_heard, precision.largest_heard)
        quantiser = Quantiser(network, samples, form, output, precision.activation_bits)
        self._apply(destination, heard, quantiser, precision.weight_bytes)

    def _apply(self, destination: Values | TableIndices, source: str, quantiser: Quantiser, weight_bytes: int) -> None:
        self._tensors.append(destination)
        self._steps.append(Apply(destination.name, source, len(self._nets)))
        self._nets.append(quantiser.build([weight_bytes] * len(quantiser)))


def _heard_slices(use: str, supports: int) -> list[str]:
    return [f"{use}_heard{k}" for k in range(supports)]


def _units_heard(model: Crdr, walks: Sequence[_Walk], use: str, reach: float) -> dict[str, FloatArray]:
    """Of each tensor that the context networks for `use` hear: (channels,) real values of its 1."""
    tensors = {f"{use}_features": Statistics.of(walk.features[use] for walk in walks)}
    for k, name in enumerate(_heard_slices(use, model.supports)):
        tensors[name] = Statistics.of(walk.slices[k].y_hat for walk in walks)
    listeners = []
    for i, network in enumerate(getattr(model.context, use)):
        heard = [f"{use}_features", *_heard_slices(use, min(i, model.supports))]
        listeners.append(Listener(network[0], heard))
        if use == "mean":
            tensors[f"rounded_heard{i}"] = Statistics.of(walk.rounded(i) for walk in walks)
            listeners.append(Listener(model.context.residual[i][0], [*heard, f"rounded_heard{i}"]))
    return balanced_units(tensors, listeners, reach)


def _half_tanh() -> TableOutput:
    """0.5 * tanh in LATENT_UNIT."""
    reach = round(TANH_REACH / TANH_UNIT)
    entries = np.rint(0.5 / LATENT_UNIT * np.tanh(np.arange(-reach, reach + 1) * TANH_UNIT)).astype(np.int64)
    return TableOutput(ValueOutput(TANH_UNIT, -reach, reach), entries)
