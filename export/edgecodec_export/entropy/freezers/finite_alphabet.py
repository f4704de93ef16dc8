"""Freezing a codec of few symbols, with or without a label map and a mask as side inputs.

Order of decoding: the symbols, by their neighbours in the channel. Side inputs come before them: the label map, and the
mask as a map of two labels; both are coded without loss and adapt to the picture itself. A position has symbols in all
channels where the mask is 1, and in none elsewhere.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from edgecodec.description import LatentSpec
from edgecodec.entropy_model import EntropyModel
from edgecodec_export.entropy.coding_tables import PRECISION, CodingTable, IntArray
from edgecodec_export.entropy.entropy_file import Affine, Code, Context, EntropyFile, Labels, Step, TableIndices, Values
from edgecodec_export.entropy.freezers.contexts import FrozenContexts, count_symbols, freeze_contexts

MASK_SHIFT = 14  # a mask of 1 becomes more than any number of channels, and is clipped to it


class FiniteAlphabetCodec(Protocol):
    """What the freezer needs of a model: one latent, and perhaps the side inputs "labels" and "mask"."""

    ALIGNMENT: int

    def encoder_latents(self) -> tuple[LatentSpec, ...]: ...

    def side_latents(self) -> tuple[LatentSpec, ...]: ...

    def decoder_latents(self) -> tuple[LatentSpec, ...]: ...

    def classes(self) -> int: ...

    def encode(self, image: Tensor, *args: Any, **knobs: Any) -> tuple[Tensor, ...]:
        """The symbols; they are 0 where the second argument, the mask, is 0."""


@dataclass(frozen=True)
class Observation:
    """One picture: symbols (C, h, w), and side inputs: labels (1, H, W); mask (1, h, w), 1 where symbols are kept."""

    symbols: IntArray
    labels: IntArray | None = None
    mask: IntArray | None = None

    @property
    def latents(self) -> dict[str, IntArray]:
        """(C, h, w) by name: the input of an entropy encoder."""
        return self.side_inputs | {"symbols": self.symbols}

    @property
    def side_inputs(self) -> dict[str, IntArray]:
        """The latents that do not come from the model."""
        return {} if self.labels is None or self.mask is None else {"labels": self.labels, "mask": self.mask}


class FiniteAlphabetFreezer:
    """Observes pictures with a model and freezes its entropy side."""

    BOUND_PERCENT = 0.15

    def __init__(self, model: FiniteAlphabetCodec, lowest: int, levels: int) -> None:
        """Symbols are from `lowest` to lowest + levels - 1."""
        self._model, self._lowest, self._levels = model, lowest, levels
        (self._latent,) = model.encoder_latents()
        self._symbols: FrozenContexts

    @torch.no_grad()
    def observe(self, image: Tensor, labels: Tensor | None = None, mask: Tensor | None = None) -> Observation:
        """Encode one picture.

        image: (1, 3, H, W) float32 in [0, 1], sides multiples of the alignment. Side inputs: labels (1, 1, H, W), all
        of class 0 by default; mask (1, 1, h, w), a random box as in training by default.
        """
        if not self._model.side_latents():
            (symbols,) = self._model.encode(image)
            return Observation(symbols[0].long().numpy())
        if labels is None:
            labels = torch.zeros_like(image[:, :1])
        if mask is None:
            mask = self._random_box(image)
        (symbols,) = self._model.encode(image, mask)
        return Observation(*(each[0].long().numpy() for each in (symbols, labels, mask)))

    def _random_box(self, image: Tensor) -> Tensor:
        """A mask of one box anywhere, at least half as long as either side, so that there are symbols to learn from."""
        # Seeded by the picture, so that it gets the same box in whatever order pictures come.
        drawn = np.random.default_rng(zlib.crc32(image.numpy().tobytes()))
        rows, columns = (side // self._latent.stride for side in image.shape[2:])
        mask = torch.zeros(1, 1, rows, columns)
        height, width = (int(drawn.integers(side // 2, side + 1)) for side in (rows, columns))
        top, left = (int(drawn.integers(room + 1)) for room in (rows - height, columns - width))
        mask[:, :, top : top + height, left : left + width] = 1
        return mask

    def count(self, observations: Sequence[Observation]) -> None:
        """Take the probabilities of symbols from pictures."""
        self._symbols = freeze_contexts(self._counts(observations), self._lowest)

    def freeze(self, observations: Sequence[Observation]) -> EntropyFile:
        """The entropy model with tables for the observed pictures."""
        self.count(observations)
        channels, stride = self._latent.channels, self._latent.stride
        tensors: list[Values | TableIndices] = [*self._side_tensors()]
        steps: list[Step] = [*self._side_steps()]
        limit = "kept_channels" if steps else None
        if limit:
            tensors += [Values(limit, 1, stride)]
            steps += [Affine(limit, "mask", MASK_SHIFT, np.zeros(1, np.int64), 0, channels)]
        return EntropyFile(
            alignment=self._model.ALIGNMENT,
            tensors=(*tensors, Values("symbols", channels, stride, decoder_latent=True)),
            table_sets=(self._symbols.tables,),
            nets=(),
            steps=(*steps, Context("symbols", 0, self._lowest, self._symbols.numbers, limit=limit)),
        )

    def _side_tensors(self) -> tuple[Values, ...]:
        sides, decoded = self._model.side_latents(), self._model.decoder_latents()
        return tuple(Values(each.name, each.channels, each.stride, each in decoded) for each in sides)

    def _side_steps(self) -> tuple[Labels, ...]:
        classes = {"labels": self._model.classes(), "mask": 2}
        return tuple(Labels(each.name, classes[each.name]) for each in self._model.side_latents())

    def float_bits(self, observations: Sequence[Observation]) -> float:
        """Ideal bits of symbols under the probabilities that were counted, and of side inputs as they are coded.

        Call `count` or `freeze` before.
        """
        return self._symbols.float_bits(self._counts(observations)) + sum(map(self._side_bits, observations))

    def compared_bits(self, observations: Sequence[Observation]) -> dict[str, float]:
        """The bound of Agustsson et al. 2019: every kept symbol is coded as if all were as likely."""
        kept = sum(each.symbols[0].size if each.mask is None else int(each.mask.sum()) for each in observations)
        return {"uniform_bound_bits": kept * self._latent.channels * math.log2(self._levels)}

    def _side_bits(self, observation: Observation) -> float:
        """Ideal bits of the side inputs."""
        side_inputs = observation.side_inputs
        if not side_inputs:
            return 0.0
        height, width = side_inputs["labels"].shape[1:]
        alignment = self._model.ALIGNMENT
        certain = CodingTable((PRECISION - 1, 1))  # for a step of zeros, since a file cannot end in label maps
        alone = EntropyFile(
            alignment=alignment,
            tensors=(*self._side_tensors(), Values("zeros", 1, alignment, decoder_latent=True)),
            table_sets=((certain,),),
            nets=(),
            steps=(*self._side_steps(), Code("zeros", 0)),
        )
        coder = EntropyModel(alone.to_bytes())
        zeros = np.zeros(coder.encoder_shapes(width, height)["zeros"], np.int16)
        narrow = {name: values.astype(np.int16) for name, values in side_inputs.items()}
        return coder.bits(narrow | {"zeros": zeros}, width=width, height=height)

    def _counts(self, observations: Sequence[Observation]) -> IntArray:
        """How often each symbol comes in each context."""
        counts = []
        for each in observations:
            limits = None if each.mask is None else each.mask[0] * len(each.symbols)
            counts.append(count_symbols(each.symbols, self._lowest, self._levels, limits))
        return np.sum(counts, axis=0)
