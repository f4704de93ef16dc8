"""Freezing a codec of few symbols, from 0 up, of which each position keeps the first few channels.

Order of decoding: the number of channels at each position up to the last that is not 0, by those numbers to the left
and above; then the symbols of those channels, by their neighbours in the channel. The mask itself is never coded, since
a masked entry is 0 like others. The last coded symbol of a position is not 0, and has tables of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from edgecodec.description import LatentSpec
from edgecodec_export.entropy.coding_tables import IntArray
from edgecodec_export.entropy.entropy_file import Context, EntropyFile, Values
from edgecodec_export.entropy.freezers.contexts import FrozenContexts, count_symbols, freeze_contexts
from edgecodec_export.entropy.freezers.static_huffman import code_lengths, count_scanned


class MaskedPrefixCodec(Protocol):
    """What the freezer needs of a model: one latent, coded at the rate n."""

    ALIGNMENT: int

    def encoder_latents(self) -> tuple[LatentSpec, ...]: ...

    def encode(self, image: Tensor, n: float) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Observation:
    """symbols: (K, h, w) of one picture at one n."""

    symbols: IntArray

    @property
    def latents(self) -> dict[str, IntArray]:
        """(C, h, w) by name: the input of an entropy encoder."""
        return {"symbols": self.symbols}


class MaskedPrefixFreezer:
    """Observes pictures with a model and freezes its entropy side."""

    BOUND_PERCENT = 0.15

    def __init__(self, model: MaskedPrefixCodec, levels: int) -> None:
        """Symbols are from 0 to levels - 1."""
        self._model, self._levels = model, levels
        self._lengths: FrozenContexts
        self._symbols: FrozenContexts
        self._huffman: IntArray

    @torch.no_grad()
    def observe(self, image: Tensor, n: float = 0.0) -> Observation:
        """Encode one picture, (1, 3, H, W) float32 in [0, 1], sides multiples of the alignment, at the rate n."""
        (symbols,) = self._model.encode(image, n)
        return Observation(symbols[0].long().numpy())

    def count(self, observations: Sequence[Observation]) -> None:
        """Take the probabilities of symbols from pictures, coded at several n, since one model serves all."""
        lengths, symbols = self._counts(observations)
        self._lengths, self._symbols = freeze_contexts(lengths, 0), freeze_contexts(symbols, 0)
        self._huffman = code_lengths(self._scanned(observations))

    def freeze(self, observations: Sequence[Observation]) -> EntropyFile:
        """The entropy model with tables for the observed pictures."""
        self.count(observations)
        (latent,) = self._model.encoder_latents()
        return EntropyFile(
            alignment=self._model.ALIGNMENT,
            tensors=(
                Values("lengths", 1, latent.stride),
                Values("symbols", latent.channels, latent.stride, decoder_latent=True),
            ),
            table_sets=(self._lengths.tables, self._symbols.tables),
            nets=(),
            steps=(
                Context("lengths", 0, 0, self._lengths.numbers, prefix_of="symbols"),
                Context("symbols", 1, 0, self._symbols.numbers, limit="lengths"),
            ),
        )

    def float_bits(self, observations: Sequence[Observation]) -> float:
        """Ideal bits under the probabilities that were counted. Call `count` or `freeze` before."""
        lengths, symbols = self._counts(observations)
        return self._lengths.float_bits(lengths) + self._symbols.float_bits(symbols)

    def compared_bits(self, observations: Sequence[Observation]) -> dict[str, float]:
        """Bits in the entropy coder of Wu, Huang and Shen. Call `count` or `freeze` before."""
        return {"static_huffman_bits": float((self._scanned(observations) * self._huffman).sum())}

    def _counts(self, observations: Sequence[Observation]) -> tuple[IntArray, IntArray]:
        """How often each length comes in each context, and each symbol."""
        pictures = [each.symbols for each in observations]
        limits = [_lengths(symbols) for symbols in pictures]
        lengths = [count_symbols(each[None], 0, len(pictures[0]) + 1) for each in limits]
        symbols = [
            count_symbols(picture, 0, self._levels, limit, ends=True)
            for picture, limit in zip(pictures, limits, strict=True)
        ]
        return np.sum(lengths, axis=0), np.sum(symbols, axis=0)

    def _scanned(self, observations: Sequence[Observation]) -> IntArray:
        """How often each symbol is coded where channels are scanned (static_huffman.py)."""
        return np.sum([count_scanned(each.symbols, self._levels) for each in observations], axis=0)


def _lengths(symbols: IntArray) -> IntArray:
    """(h, w): number of channels up to the last that is not 0."""
    numbers = np.arange(1, len(symbols) + 1).reshape(-1, 1, 1)
    lengths: IntArray = (numbers * (symbols != 0)).max(0)
    return lengths
