"""Freezing family tunable: symbols 0..3 of which each position keeps the first few channels.

Order of decoding: how many channels there are at each position up to the last that is not 0, by the counts to the left
and above; then the symbols of those channels, by their neighbours in the channel. The mask itself is never coded, since
a masked entry is 0 like others. The last coded symbol of a position is not 0, and has tables of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgecodec_export.entropy.coding_tables import IntArray
from edgecodec_export.entropy.entropy_file import Context, EntropyModel, Values
from edgecodec_export.entropy.freezers.contexts import FrozenContexts, count_symbols, freeze_contexts
from edgecodec_export.entropy.freezers.static_huffman import code_lengths, count_scanned
from edgecodec_export.families.tunable import LEVELS, LOWEST, STRIDE, Tunable


@dataclass(frozen=True)
class Observation:
    """symbols: (K, h, w) of one picture at one n."""

    symbols: IntArray

    @property
    def latents(self) -> dict[str, IntArray]:
        """What an encoder is handed."""
        return {"symbols": self.symbols}


class MaskedPrefixFreezer:
    """Observes pictures with a model and freezes its entropy side."""

    BOUND_PERCENT = 0.15

    def __init__(self, model: Tunable) -> None:
        self._model = model
        self._lengths: FrozenContexts
        self._symbols: FrozenContexts
        self._huffman: IntArray

    @torch.no_grad()
    def observe(self, image: Tensor, n: float = 0.0) -> Observation:
        """image: (1, 3, H, W) float32 in [0, 1], sides multiples of 8. n: in [-2, 2]."""
        (symbols,) = self._model.encode(image, n)
        return Observation(symbols[0].long().numpy())

    def count(self, observations: Sequence[Observation]) -> None:
        """Take the probabilities of symbols from pictures, which should come at several n: one model serves all."""
        pictures = [each.symbols for each in observations]
        lengths, symbols = _counts(pictures)
        self._lengths, self._symbols = freeze_contexts(lengths, 0), freeze_contexts(symbols, LOWEST)
        self._huffman = code_lengths(sum(count_scanned(each, LEVELS) for each in pictures))

    def freeze(self, observations: Sequence[Observation]) -> EntropyModel:
        """The entropy model with tables for the observed pictures."""
        self.count(observations)
        channels = self._model.preset.latent_channels
        return EntropyModel(
            alignment=STRIDE,
            tensors=(Values("lengths", 1, STRIDE), Values("symbols", channels, STRIDE, decoder_latent=True)),
            table_sets=(self._lengths.tables, self._symbols.tables),
            nets=(),
            steps=(
                Context("lengths", 0, 0, self._lengths.numbers, prefix_of="symbols"),
                Context("symbols", 1, LOWEST, self._symbols.numbers, limit="lengths"),
            ),
        )

    def float_bits(self, observations: Sequence[Observation]) -> float:
        """Ideal bits under the probabilities that were counted. Call `count` or `freeze` before."""
        lengths, symbols = _counts([each.symbols for each in observations])
        return self._lengths.float_bits(lengths) + self._symbols.float_bits(symbols)

    def compared_bits(self, observations: Sequence[Observation]) -> dict[str, float]:
        """What the paper's own entropy coder would take. Call `count` or `freeze` before."""
        scanned = sum(count_scanned(each.symbols, LEVELS) for each in observations)
        return {"static_huffman_bits": float((scanned * self._huffman).sum())}


def _counts(pictures: Sequence[IntArray]) -> tuple[IntArray, IntArray]:
    """Of lengths and of symbols (K, h, w), in their contexts."""
    limits = [_lengths(symbols) for symbols in pictures]
    return (
        sum(count_symbols(each[None], 0, len(pictures[0]) + 1) for each in limits),
        sum(
            count_symbols(symbols, LOWEST, LEVELS, limit, ends=True)
            for symbols, limit in zip(pictures, limits, strict=True)
        ),
    )


def _lengths(symbols: IntArray) -> IntArray:
    """(h, w): how many channels there are up to the last that is not 0."""
    numbers = np.arange(1, len(symbols) + 1).reshape(-1, 1, 1)
    return (numbers * (symbols != 0)).max(0)
