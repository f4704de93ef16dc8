"""Freezing the scale hyperprior: its float densities and scale network become the integer model of entropy.bin.

Order of decoding: z with one table per channel; z plus its medians as fixed point; the scale net on that, which gives
the table of every r; r. The mean network stays in the engine's graph, because r is coded around zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from edgecodec.description import LatentSpec
from edgecodec_export.entropy.coding_tables import (
    GAUSSIAN,
    LOGISTIC,
    CodingTable,
    coded_bits,
    factorized_tables,
    gaussian_scale_boundaries,
    scale_tables,
)
from edgecodec_export.entropy.entropy_file import Affine, Apply, Code, EntropyFile, TableIndices, Values
from edgecodec_export.entropy.fitted_tables import fitted_tables
from edgecodec_export.entropy.integer_net import IntArray, IntegerNet
from edgecodec_export.entropy.quantise import IndexOutput, Quantiser, cheapest_precision, fixed_point_input
from edgecodec_export.layers.densities import FactorizedDensity

# Share of r's bits that narrower weights may cost on the calibration pictures before a layer gets wider ones.
PRECISION_BUDGET = 0.0005


class HyperpriorCodec(Protocol):
    """What the freezer needs of a model: the latents z and r, and the network that chooses a table for every r."""

    density: FactorizedDensity
    likelihood: Literal["gaussian", "logistic"]

    @property
    def analysis(self) -> nn.Module: ...

    def encoder_latents(self) -> tuple[LatentSpec, ...]: ...

    def latent_alignment(self) -> int: ...

    def quantise(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The latent that `analysis` gives to the symbols of z, r, and the latent that they rebuild."""

    def scale_network(self) -> nn.Sequential: ...


@dataclass(frozen=True)
class Observation:
    """Integers of one picture: z (1, N, h, w) and r (1, M, 4h, 4w), and the table the float network gives each r."""

    z: IntArray
    r: IntArray
    float_indices: IntArray

    @property
    def latents(self) -> dict[str, IntArray]:
        """(C, h, w) by name: the input of an entropy encoder."""
        return {"z": self.z[0], "r": self.r[0]}


class ScaleHyperpriorFreezer:
    """Observes pictures with a model and freezes its entropy side."""

    BOUND_PERCENT = 0.15

    def __init__(self, model: HyperpriorCodec) -> None:
        self._model = model
        self._medians = model.density.medians.reshape(1, -1, 1, 1)
        self._z_tables = tuple(factorized_tables(model.density))
        self._density = GAUSSIAN if model.likelihood == "gaussian" else LOGISTIC
        self._density_tables = self._r_tables = tuple(scale_tables(self._density))

    @torch.no_grad()
    def observe(self, image: Tensor) -> Observation:
        """Encode one picture, (1, 3, H, W) float32 in [0, 1], sides multiples of the alignment."""
        z, r, _ = self._model.quantise(self._model.analysis(image))
        scales = self._model.scale_network()(z + self._medians).double().numpy()
        indices = np.searchsorted(gaussian_scale_boundaries(), scales, side="right")
        return Observation(z.long().numpy(), r.long().numpy(), indices.astype(np.int64))

    def freeze(self, observations: Sequence[Observation]) -> EntropyFile:
        """The integer entropy model, with activations ranged on the observed pictures, and tables fitted to them."""
        residuals = ((each.float_indices, each.r) for each in observations)
        self._r_tables = r_tables = tuple(fitted_tables(self._density, residuals))
        samples = [torch.from_numpy(each.z).float() + self._medians for each in observations]
        network = self._model.scale_network()
        form = fixed_point_input([network], samples)
        quantiser = Quantiser(network, samples, form.format, IndexOutput(gaussian_scale_boundaries()))
        offsets = np.rint(np.ldexp(self._medians.flatten().double().numpy(), form.shift)).astype(np.int64)
        affine = Affine("z_fixed", "z", form.shift, offsets, form.low, form.high)
        float_bits = sum(coded_bits(r_tables, each.float_indices, each.r) for each in observations)

        def extra_share(net: IntegerNet) -> float:
            bits = sum(coded_bits(r_tables, net.run(fixed_point(affine, each.z)), each.r) for each in observations)
            return bits / float_bits - 1

        latent_z, latent_r = self._model.encoder_latents()
        return EntropyFile(
            alignment=self._model.latent_alignment(),
            tensors=(
                Values("z", latent_z.channels, latent_z.stride, decoder_latent=True),
                Values("z_fixed", latent_z.channels, latent_z.stride),
                TableIndices("r_table", latent_r.channels, latent_r.stride),
                Values("r", latent_r.channels, latent_r.stride, decoder_latent=True),
            ),
            table_sets=(self._z_tables, r_tables),
            nets=(cheapest_precision(quantiser, extra_share, PRECISION_BUDGET),),
            steps=(Code("z", 0), affine, Apply("r_table", "z_fixed", 0), Code("r", 1, "r_table")),
        )

    def float_bits(self, observations: Sequence[Observation]) -> float:
        """Ideal bits where the float network chooses the tables of r, which are those of `freeze` once it has run."""
        return self._bits(observations, self._r_tables)

    def density_bits(self, observations: Sequence[Observation]) -> float | None:
        """`float_bits` with tables of the checkpoint's own densities; None before `freeze`."""
        fitted = self._r_tables is not self._density_tables
        return self._bits(observations, self._density_tables) if fitted else None

    def _bits(self, observations: Sequence[Observation], r_tables: tuple[CodingTable, ...]) -> float:
        channels = np.arange(len(self._z_tables)).reshape(1, -1, 1, 1)
        return sum(
            coded_bits(self._z_tables, np.broadcast_to(channels, each.z.shape), each.z)
            + coded_bits(r_tables, each.float_indices, each.r)
            for each in observations
        )


def fixed_point(affine: Affine, z: IntArray) -> IntArray:
    """The output of the step `affine` for z (B, N, h, w)."""
    shifted: IntArray = (z << affine.shift) + affine.offsets.reshape(1, -1, 1, 1)
    return shifted.clip(affine.low, affine.high)
