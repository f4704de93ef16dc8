"""The entropy coder of Wu, Huang and Shen (2020), to measure what the context step saves.

Every channel has a static Huffman code. A channel of a picture is scanned from the bottom row up, and its trailing run
of masked entries becomes one end code. The paper leaves the rest open. Chosen here, always for the fewest bits:

* codes are those of the calibration pictures' symbols, and known to the decoder; every symbol has one.
* a row goes from left to right.
* the run is of zeros, masked or not, because the decoder cannot tell them apart; a scan that does not end in zeros has
  no end code, because the decoder knows how long it is.
"""

from __future__ import annotations

import heapq

import numpy as np

from edgecodec_export.entropy.coding_tables import IntArray


def count_scanned(symbols: IntArray, alphabet: int) -> IntArray:
    """(C, h, w) symbols 0..alphabet - 1 of a picture to (C, alphabet + 1): how often each is coded, and the end."""
    counts = np.zeros((len(symbols), alphabet + 1), np.int64)
    for channel, row in zip(symbols[:, ::-1].reshape(len(symbols), -1), counts, strict=True):
        coded = np.trim_zeros(channel, "b")
        row[:alphabet] = np.bincount(coded, minlength=alphabet)
        row[alphabet] = len(coded) < len(channel)
    return counts


def code_lengths(counts: IntArray) -> IntArray:
    """Bits of the Huffman code of each symbol, (C, symbols) as `counts`; a count of 0 is taken as 1."""
    return np.array([_code_lengths(row) for row in np.maximum(counts, 1).tolist()])


def _code_lengths(counts: list[int]) -> list[int]:
    lengths = [0] * len(counts)
    trees = [(count, [symbol]) for symbol, count in enumerate(counts)]
    heapq.heapify(trees)
    while len(trees) > 1:
        (first, below), (second, others) = heapq.heappop(trees), heapq.heappop(trees)
        for symbol in below + others:
            lengths[symbol] += 1
        heapq.heappush(trees, (first + second, below + others))
    return lengths
