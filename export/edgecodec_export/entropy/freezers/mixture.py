"""Freezing a causal mixture: the context model becomes one step of entropy.bin.

The gathered neighbours of a position go through an integer net of 1x1 convolutions, which gives the means, deviations
and logits of the mixture in fixed point. The step makes intervals of them with two tables: of the normal distribution's
tail, and of the softmax (docs/format.md, section 3, "mixture").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from edgecodec.description import LatentSpec
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import CheckpointRejected
from edgecodec_export.entropy.coding_tables import normal_tails, softmax_weights
from edgecodec_export.entropy.cost import integer_bits_of
from edgecodec_export.entropy.entropy_file import EntropyFile, Mixture, Values
from edgecodec_export.entropy.integer_net import IntArray, IntegerNet
from edgecodec_export.entropy.quantise import InputFormat, Quantiser, ValueOutput, cheapest_precision
from edgecodec_export.layers.causal_mixture import DEVIATION_BOUND, ContextModel, mixture_likelihood

# Share of the bits that narrower weights may cost on the calibration pictures before a layer gets wider ones.
PRECISION_BUDGET = 0.0005

# Inputs and outputs of the net may be this much larger than on the calibration pictures before they saturate.
HEADROOM = 2.0
# The least range of inputs: integers of one byte cost the first layer no precision.
LEAST_INPUT = 127

# Finer steps save no bits. With 6 of them the smallest deviation is a single step.
LARGEST_FRACTION = 12
LARGEST_LOGIT_FRACTION = 6
TAIL_FRACTION = 6
# Deviations from a mean within which values have intervals. With fewer, too many values are escaped; with more,
# intervals go to values that never occur.
REACH = 5

INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1


class MixtureCodec(Protocol):
    """What the freezer needs of a model: one latent of integers, and the context model that predicts it."""

    ALIGNMENT: int
    context: ContextModel

    def encoder_latents(self) -> tuple[LatentSpec, ...]: ...

    def encode(self, image: Tensor) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Observation:
    """One picture: y (1, C, h, w), and its bits under the mixture in floats."""

    y: IntArray
    float_bits: float

    @property
    def latents(self) -> dict[str, IntArray]:
        """(C, h, w) by name: the input of an entropy encoder."""
        return {"y": self.y[0]}


@dataclass(frozen=True)
class _Fractions:
    """Bits after the point of the outputs of the net."""

    mean: int
    deviation: int
    logit: int


class MixtureFreezer:
    """Observes pictures through a model and freezes its context model."""

    BOUND_PERCENT = 0.5

    def __init__(self, model: MixtureCodec) -> None:
        self._model = model
        self._context = model.context
        (self._latent,) = model.encoder_latents()

    @torch.no_grad()
    def observe(self, image: Tensor) -> Observation:
        """Encode one picture, (1, 3, H, W) float32 in [0, 1], sides multiples of the alignment."""
        (y,) = self._model.encode(image)
        return self.observe_latent(y)

    @torch.no_grad()
    def observe_latent(self, y: Tensor) -> Observation:
        """The observation of y (1, C, h, w), float32 integers."""
        mixture = (each.double() for each in self._context.mixture(y))
        bits = -mixture_likelihood(y.double(), *mixture).log2().sum()
        return Observation(y.long().numpy(), float(bits))

    def freeze(self, observations: Sequence[Observation]) -> EntropyFile:
        """The integer entropy model, ranged on the observed pictures.

        Raises CheckpointRejected where the context model gives infinities or NaN.
        """
        samples = [self._context.gather(torch.from_numpy(each.y).float()) for each in observations]
        largest = max(LEAST_INPUT, math.ceil(HEADROOM * max(float(sample.abs().max()) for sample in samples)))
        fractions = self._choose_fractions(samples)
        kinds = 2.0 ** -np.array([fractions.mean, fractions.deviation, fractions.logit])
        units = np.tile(np.repeat(kinds, self._latent.channels), self._context.components)
        quantiser = Quantiser(
            self._context.context_network(),
            samples,
            InputFormat(np.ones(1), -largest, largest),
            ValueOutput(units, INT16_MIN, INT16_MAX),
        )

        def bits(net: IntegerNet) -> int:
            entropy = EntropyModel(self._entropy_file(net, fractions).to_bytes())
            return sum(integer_bits_of(entropy, each) for each in observations)

        finest = bits(quantiser.build([2] * len(quantiser)))
        net = cheapest_precision(quantiser, lambda net: bits(net) / finest - 1, PRECISION_BUDGET)
        return self._entropy_file(net, fractions)

    def float_bits(self, observations: Sequence[Observation]) -> float:
        """Ideal bits of the observed pictures under the mixture in floats."""
        return sum(each.float_bits for each in observations)

    @torch.no_grad()
    def _choose_fractions(self, samples: Sequence[Tensor]) -> _Fractions:
        peaks = torch.zeros(3)
        for sample in samples:
            outputs = self._context.context_network()(sample)
            peaks = torch.maximum(peaks, outputs.reshape(self._context.components, 3, -1).abs().amax((0, 2)))
        if not peaks.isfinite().all():
            raise CheckpointRejected("the context model gives means, deviations or logits that are no numbers")
        mean, deviation, logit = (math.floor(math.log2(INT16_MAX / max(HEADROOM * float(each), 1))) for each in peaks)
        return _Fractions(
            mean=min(max(mean, 1), LARGEST_FRACTION),
            deviation=min(max(deviation, 0), LARGEST_FRACTION),
            logit=min(max(logit, 0), LARGEST_LOGIT_FRACTION),
        )

    def _entropy_file(self, net: IntegerNet, fractions: _Fractions) -> EntropyFile:
        latent, taps = self._latent, self._context.taps
        mixture = Mixture(
            tensor=latent.name,
            net=0,
            # The fewest columns by which a row must follow the one above, so that all taps are known.
            delay=max(across // up + 1 for up, across in taps if up > 0),
            taps=taps,
            components=self._context.components,
            mean_fraction=fractions.mean,
            scale_fraction=fractions.deviation,
            least_scale=max(1, round(DEVIATION_BOUND * 2**fractions.deviation)),
            reach=REACH,
            tail_fraction=TAIL_FRACTION,
            tails=normal_tails(TAIL_FRACTION),
            weights=softmax_weights(fractions.logit),
        )
        tensor = Values(latent.name, latent.channels, latent.stride, decoder_latent=True)
        return EntropyFile(self._model.ALIGNMENT, (tensor,), (), (net,), (mixture,))
