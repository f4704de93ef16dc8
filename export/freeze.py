"""Freezing the scale hyperprior: its float densities and scale network become the integer model of entropy.bin.

Order of decoding: z with one table per channel; z plus its medians as fixed point; the scale net on that, which gives
the table of every r; r. The mean network stays in the engine's graph, because r is coded around zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgecodec.export.coding_tables import (
    coded_bits,
    factorized_tables,
    gaussian_scale_boundaries,
    gaussian_tables,
    logistic_tables,
)
from edgecodec.export.entropy_file import Affine, Apply, Code, EntropyModel, TableIndices, Values
from edgecodec.export.families.hyperprior import ALIGNMENT, HYPERLATENT_STRIDE, LATENT_STRIDE, ScaleHyperprior
from edgecodec.export.integer_net import IntArray, IntegerNet
from edgecodec.export.quantise import Quantiser, cheapest_precision

# Share of r's bits that narrower weights may cost on the calibration pictures before a layer gets wider ones.
PRECISION_BUDGET = 0.0005


@dataclass(frozen=True)
class Latents:
    """Integers of one picture: z (1, N, h, w) and r (1, M, 4h, 4w), and the table the float network gives each r."""

    z: IntArray
    r: IntArray
    float_indices: IntArray


@torch.no_grad()
def latents_of(model: ScaleHyperprior, image: Tensor) -> Latents:
    """image: (1, 3, H, W) float32 in [0, 1], sides multiples of 64."""
    z, r, _ = model.quantise(model.analysis(image))
    scales = model.scale_network()(z + _medians(model)).double().numpy()
    indices = np.searchsorted(gaussian_scale_boundaries(), scales, side="right")
    return Latents(z.long().numpy(), r.long().numpy(), indices.astype(np.int64))


def freeze(model: ScaleHyperprior, calibration: Sequence[Latents]) -> EntropyModel:
    """The integer entropy model of `model`, with activations ranged on the calibration pictures' latents."""
    medians = _medians(model)
    samples = [torch.from_numpy(latents.z).float() + medians for latents in calibration]
    quantiser = Quantiser(model.scale_network(), samples, gaussian_scale_boundaries())
    form = quantiser.input_format
    offsets = np.rint(np.ldexp(medians.flatten().double().numpy(), form.shift)).astype(np.int64)
    affine = Affine("z_fixed", "z", form.shift, offsets, form.low, form.high)
    tables = tuple(gaussian_tables() if model.likelihood == "gaussian" else logistic_tables())
    float_bits = sum(coded_bits(tables, latents.float_indices, latents.r) for latents in calibration)

    def extra_share(net: IntegerNet) -> float:
        bits = sum(coded_bits(tables, net.run(fixed_point(affine, each.z)), each.r) for each in calibration)
        return bits / float_bits - 1

    return EntropyModel(
        alignment=ALIGNMENT,
        tensors=(
            Values("z", model.hyperlatent_channels, HYPERLATENT_STRIDE, decoder_latent=True),
            Values("z_fixed", model.hyperlatent_channels, HYPERLATENT_STRIDE),
            TableIndices("r_table", model.latent_channels, LATENT_STRIDE),
            Values("r", model.latent_channels, LATENT_STRIDE, decoder_latent=True),
        ),
        table_sets=(tuple(factorized_tables(model.density)), tables),
        nets=(cheapest_precision(quantiser, extra_share, PRECISION_BUDGET),),
        steps=(Code("z", 0), affine, Apply("r_table", "z_fixed", 0), Code("r", 1, "r_table")),
    )


def fixed_point(affine: Affine, z: IntArray) -> IntArray:
    """What the step `affine` makes of z (B, N, h, w)."""
    shifted: IntArray = (z << affine.shift) + affine.offsets.reshape(1, -1, 1, 1)
    return shifted.clip(affine.low, affine.high)


def _medians(model: ScaleHyperprior) -> Tensor:
    return model.density.medians.reshape(1, -1, 1, 1)
