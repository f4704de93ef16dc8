"""Freezing family agustsson: symbols -2..2, and in SC what is given with the picture.

Order of decoding in GC: the symbols, by their neighbours in the channel. In SC before them the label map, and the mask
as a map of two labels; both are coded without loss and learn from the picture itself. A position has symbols in all
channels where the mask is 1, and in none elsewhere.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgecodec import entropy
from edgecodec_export.entropy.coding_tables import PRECISION, CodingTable, IntArray
from edgecodec_export.entropy.entropy_file import Affine, Code, Context, EntropyModel, Labels, Values
from edgecodec_export.entropy.freezers.contexts import FrozenContexts, count_symbols, freeze_contexts
from edgecodec_export.families.agustsson import GENERATOR_STRIDE, LEVELS, LOWEST, Agustsson

MASK_SHIFT = 14  # a mask of 1 becomes more than any number of channels, and is clipped to it


@dataclass(frozen=True)
class Observation:
    """symbols: (C, h, w) of one picture. SC: labels (1, H, W), and mask (1, h, w), 1 where symbols are kept."""

    symbols: IntArray
    labels: IntArray | None = None
    mask: IntArray | None = None

    @property
    def latents(self) -> dict[str, IntArray]:
        """What an encoder is handed."""
        return self.given | {"symbols": self.symbols}

    @property
    def given(self) -> dict[str, IntArray]:
        """What of it does not come from the picture."""
        return {} if self.labels is None or self.mask is None else {"labels": self.labels, "mask": self.mask}


class FiniteAlphabetFreezer:
    """Observes pictures with a model and freezes its entropy side."""

    BOUND_PERCENT = 0.15

    def __init__(self, model: Agustsson) -> None:
        self._model = model
        self._symbols: FrozenContexts

    @torch.no_grad()
    def observe(self, image: Tensor, labels: Tensor | None = None, mask: Tensor | None = None) -> Observation:
        """image: (1, 3, H, W) float32 in [0, 1], sides multiples of 16.

        SC: labels (1, 1, H, W), all of class 0 without any; mask (1, 1, h, w), a random box as in training without one.
        """
        if self._model.preset.mode == "GC":
            (symbols,) = self._model.encode(image)
            return Observation(symbols[0].long().numpy())
        if labels is None:
            labels = torch.zeros_like(image[:, :1])
        if mask is None:
            mask = self._random_box(image)
        (symbols,) = self._model.encode(image, mask)
        return Observation(*(each[0].long().numpy() for each in (symbols, labels, mask)))

    def _random_box(self, image: Tensor) -> Tensor:
        """Anywhere, and half of either side or more, so that there are symbols to learn from."""
        # Seeded by the picture, so that it gets the same box in whatever order pictures come.
        drawn = np.random.default_rng(zlib.crc32(image.numpy().tobytes()))
        rows, columns = (side // self._model.latent_stride for side in image.shape[2:])
        mask = torch.zeros(1, 1, rows, columns)
        height, width = (int(drawn.integers(side // 2, side + 1)) for side in (rows, columns))
        top, left = (int(drawn.integers(room + 1)) for room in (rows - height, columns - width))
        mask[:, :, top : top + height, left : left + width] = 1
        return mask

    def count(self, observations: Sequence[Observation]) -> None:
        """Take the probabilities of symbols from pictures."""
        self._symbols = freeze_contexts(_counts(observations), LOWEST)

    def freeze(self, observations: Sequence[Observation]) -> EntropyModel:
        """The entropy model with tables for the observed pictures."""
        self.count(observations)
        model = self._model
        channels, stride = model.preset.latent_channels, model.latent_stride
        tensors, steps, limit = [*self._given_tensors()], [*self._given_steps()], None
        if model.preset.mode == "SC":
            limit = "kept_channels"
            tensors += [Values(limit, 1, stride)]
            steps += [Affine(limit, "mask", MASK_SHIFT, np.zeros(1, np.int64), 0, channels)]
        return EntropyModel(
            alignment=GENERATOR_STRIDE,
            tensors=(*tensors, Values("symbols", channels, stride, decoder_latent=True)),
            table_sets=(self._symbols.tables,),
            nets=(),
            steps=(*steps, Context("symbols", 0, LOWEST, self._symbols.numbers, limit=limit)),
        )

    def _given_tensors(self) -> tuple[Values, ...]:
        sides, given_on = self._model.side_latents(), self._model.decoder_latents()
        return tuple(Values(each.name, each.channels, each.stride, each in given_on) for each in sides)

    def _given_steps(self) -> tuple[Labels, ...]:
        classes = {"labels": self._model.preset.classes, "mask": 2}
        return tuple(Labels(each.name, classes[each.name]) for each in self._model.side_latents())

    def float_bits(self, observations: Sequence[Observation]) -> float:
        """Ideal bits under the probabilities that were counted, and of what is given, as it is coded.

        Call `count` or `freeze` before.
        """
        return self._symbols.float_bits(_counts(observations)) + sum(map(self._given_bits, observations))

    def compared_bits(self, observations: Sequence[Observation]) -> dict[str, float]:
        """The paper's bound: every kept symbol is coded as if all five were as likely."""
        kept = sum(each.symbols[0].size if each.mask is None else int(each.mask.sum()) for each in observations)
        return {"uniform_bound_bits": kept * self._model.preset.latent_channels * math.log2(LEVELS)}

    def _given_bits(self, observation: Observation) -> float:
        if not observation.given:
            return 0.0
        height, width = observation.given["labels"].shape[1:]
        certain = CodingTable((PRECISION - 1, 1))  # for a step of zeros, since a file cannot end in label maps
        alone = EntropyModel(
            alignment=GENERATOR_STRIDE,
            tensors=(*self._given_tensors(), Values("zeros", 1, GENERATOR_STRIDE, decoder_latent=True)),
            table_sets=((certain,),),
            nets=(),
            steps=(*self._given_steps(), Code("zeros", 0)),
        )
        coder = entropy.EntropyModel(alone.to_bytes())
        zeros = np.zeros(coder.encoder_shapes(width, height)["zeros"], np.int16)
        narrow = {name: values.astype(np.int16) for name, values in observation.given.items()}
        return coder.bits(narrow | {"zeros": zeros}, width=width, height=height)


def _counts(observations: Sequence[Observation]) -> IntArray:
    """Of symbols in their contexts."""
    counts = []
    for each in observations:
        limits = None if each.mask is None else each.mask[0] * len(each.symbols)
        counts.append(count_symbols(each.symbols, LOWEST, LEVELS, limits))
    return sum(counts)
