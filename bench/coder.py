"""Speed and size of the rANS coder against CompressAI, constriction and torchac, on one thread.

    python bench/coder.py [--rounds N] [--sets NAME ...] [--kernels NAME ...]

Every coder codes the same symbols with a scale of its own for each of them, and what it decodes is compared with them.
Coders take turns, times are CPU time of the process, and every ratio is of two runs of one round, so that whatever else
the machine does meets both. A turn is the second of two runs: none pays for the caches that the one before has filled.
Size and speed are of the same stream. The ideal is -sum log2 p under the exact Gaussians.
CompressAI is measured twice: its entropy model, from tensor to tensor, and its coder alone, with all lists at hand.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edgecodec import native
from edgecodec_export.entropy.coding_tables import GAUSSIAN, gaussian_scales, scale_tables
from edgecodec_export.entropy.entropy_file import table_set_bytes

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.synthetic_residuals import ideal_bits, residuals

Indices = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.int16]

#: Name: channels, rows, columns, and the index of a middling channel. A picture of 768x512 and one of 1920x1088 at a
#: sixteenth of their size; 0.30, 0.70, 1.44 and 0.87 bits a symbol.
SETS = {
    "kodak_low": (192, 32, 48, -0.15),
    "kodak_mid": (192, 32, 48, 5.72),
    "kodak_high": (192, 32, 48, 12.53),
    "hd_mid": (320, 68, 120, 7.65),
}

#: The sets with a range decoder of their own, slowest first; the others differ in their integer nets.
KERNELS = ("scalar", "neon", "avx2", "avx512")


@dataclass(frozen=True)
class Data:
    """One set, its symbols in a flat array."""

    shape: tuple[int, int, int]
    indices: Indices
    symbols: Symbols

    @property
    def largest(self) -> int:
        """Of the symbols' magnitudes."""
        return int(np.abs(self.symbols).max())


@dataclass
class Coder:
    """`encode` gives what `decode` takes; `size` is the bytes of that, and `decode` gives the symbols in some shape."""

    name: str
    encode: Callable[[], Any]
    decode: Callable[[Any], Any]
    size: Callable[[Any], int] = len
    coded_size: int = 0
    encode_times: list[float] = field(default_factory=list)
    decode_times: list[float] = field(default_factory=list)

    def run(self, symbols: Symbols) -> None:
        """One turn. Raises RuntimeError if other symbols come out."""
        coded = self.encode()
        seconds, coded = measured(self.encode)
        self.encode_times.append(seconds)
        decoded = self.decode(coded)
        seconds, decoded = measured(lambda: self.decode(coded))
        self.decode_times.append(seconds)
        self.coded_size = self.size(coded)
        if not np.array_equal(np.asarray(decoded).ravel(), symbols):
            raise RuntimeError(f"{self.name}: decodes to other symbols")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    arguments.add_argument("--kernels", nargs="+", default=[k for k in KERNELS if k in native.kernels_available()])
    given = arguments.parse_args()
    torch.set_num_threads(1)

    builders: list[Callable[[Data], list[Coder]]] = [lambda data: own_coders(data, given.kernels)]
    for package, build in PEERS.items():
        try:
            __import__(package)
            builders.append(build)
        except ImportError as error:
            print(f"{package} is left out: {error}")
    for name in given.sets:
        print_set(name, builders, given.rounds)


def print_set(name: str, builders: Sequence[Callable[[Data], list[Coder]]], rounds: int) -> None:
    channels, rows, columns, energy = SETS[name]
    data = Data((channels, rows, columns), *residuals(channels, rows, columns, energy))
    ideal = ideal_bits(data.indices, data.symbols)
    coders = [coder for build in builders for coder in build(data)]
    for _ in range(rounds):
        for coder in coders:
            coder.run(data.symbols)

    count = data.symbols.size
    print(f"\n{name}: {count} symbols, {ideal / count:.3f} bits each, medians of {rounds} rounds\n")
    compared = [coder for coder in coders if coder.name.startswith("compressai")]
    heads = [f"{way} / {coder.name}" for coder in compared for way in ("encode", "decode")]
    columns_of_table = ["coder", "over the ideal", "encode Msym/s", "decode Msym/s", *heads]
    print("| " + " | ".join(columns_of_table) + " |\n|" + "---|" * len(columns_of_table))
    for coder in coders:
        cells = [coder.name, f"{100 * (8 * coder.coded_size / ideal - 1):+.3f} %"]
        cells += [f"{count / 1e6 / median(times):.1f}" for times in (coder.encode_times, coder.decode_times)]
        for other in compared:
            cells.append(f"{ratio(other.encode_times, coder.encode_times):.1f}")
            cells.append(f"{ratio(other.decode_times, coder.decode_times):.1f}")
        print("| " + " | ".join(cells) + " |")
    call = call_overhead()
    share = call / median(coders[0].decode_times)
    print(f"\nOf a decode by {coders[0].name}, {1e6 * call:.1f} us or {share:.1%} are the call through Python.")


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    return median(their / our for their, our in zip(theirs, ours, strict=True))


def measured(job: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    result = job()
    return time.process_time() - begin, result


# ---- the coders --------------------------------------------------------------------------------------------------


class RangeCoder:
    """The coder alone, through the C interface, over the tables that models are exported with."""

    def __init__(self) -> None:
        self._core = native.library()
        tables = table_set_bytes(scale_tables(GAUSSIAN))
        self._tables = ctypes.c_void_p()
        native.call(self._core.ec_core_tables_open, tables, len(tables), ctypes.byref(self._tables))
        weakref.finalize(self, self._core.ec_core_tables_close, self._tables.value)

    def encode(self, indices: Indices, symbols: Symbols) -> tuple[bytes, int]:
        """The payload and its lanes."""
        payload = np.empty(1024 + 6 * symbols.size, np.uint8)
        count, lanes, written = ctypes.c_size_t(symbols.size), ctypes.c_uint32(0), ctypes.c_size_t()
        native.call(
            self._core.ec_core_coder_encode,
            self._tables,
            indices.ctypes.data,
            symbols.ctypes.data,
            ctypes.byref(count),
            1,
            ctypes.byref(lanes),
            0,
            payload.ctypes.data,
            payload.size,
            ctypes.byref(written),
        )
        return payload[: written.value].tobytes(), lanes.value

    def decode(self, indices: Indices, payload: bytes, lanes: int) -> Symbols:
        symbols = np.empty(indices.size, np.int16)
        count, digest = ctypes.c_size_t(symbols.size), ctypes.c_uint32()
        native.call(
            self._core.ec_core_coder_decode,
            self._tables,
            indices.ctypes.data,
            symbols.ctypes.data,
            ctypes.byref(count),
            1,
            lanes,
            ctypes.byref(digest),
            payload,
            len(payload),
        )
        return symbols


def own_coders(data: Data, kernels: Sequence[str]) -> list[Coder]:
    """One for each set of kernels, the fastest first."""
    coder = RangeCoder()

    def encode(name: str) -> tuple[bytes, int]:
        native.force_kernels(name)
        return coder.encode(data.indices, data.symbols)

    def decode(name: str, coded: tuple[bytes, int]) -> Symbols:
        native.force_kernels(name)
        return coder.decode(data.indices, *coded)

    return [
        Coder(
            f"edgecodec, {name}",
            partial(encode, name),
            partial(decode, name),
            size=lambda coded: len(coded[0]),
        )
        for name in reversed(kernels)
    ]


def call_overhead() -> float:
    """Seconds of a decode of no symbols through Python."""
    coder = RangeCoder()
    nothing = np.empty(0, np.uint8)
    payload, lanes = coder.encode(nothing, np.empty(0, np.int16))
    calls = 1000
    seconds, _ = measured(lambda: [coder.decode(nothing, payload, lanes) for _ in range(calls)])
    return seconds / calls


def compressai_coders(data: Data) -> list[Coder]:
    from compressai.ans import RansDecoder, RansEncoder
    from compressai.entropy_models import GaussianConditional

    model = GaussianConditional([float(scale) for scale in gaussian_scales()])
    model.update()
    symbols = torch.from_numpy(data.symbols.astype(np.float32)).reshape(1, *data.shape)
    indices = torch.from_numpy(data.indices.astype(np.int32)).reshape(1, *data.shape)
    tables = (model.quantized_cdf.tolist(), model.cdf_length.tolist(), model.offset.tolist())
    symbol_list, index_list = data.symbols.tolist(), data.indices.tolist()
    return [
        Coder(
            "compressai, tensors",
            lambda: model.compress(symbols, indices),
            lambda strings: model.decompress(strings, indices),
            size=lambda strings: len(strings[0]),
        ),
        Coder(
            "compressai, lists",
            lambda: RansEncoder().encode_with_indexes(symbol_list, index_list, *tables),
            lambda string: RansDecoder().decode_with_indexes(string, index_list, *tables),
        ),
    ]


def constriction_coders(data: Data) -> list[Coder]:
    import constriction

    symbols = data.symbols.astype(np.int32)
    means, deviations = np.zeros(symbols.size), gaussian_scales()[data.indices]
    family = constriction.stream.model.QuantizedGaussian(-data.largest - 1, data.largest + 1)

    def encode() -> npt.NDArray[np.uint32]:
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(symbols, family, means, deviations)
        return coder.get_compressed()

    def decode(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
        return constriction.stream.stack.AnsCoder(words).decode(family, means, deviations)

    return [Coder("constriction, AnsCoder", encode, decode, size=lambda words: words.nbytes)]


def torchac_coders(data: Data) -> list[Coder]:
    """With a cumulative table for every symbol, as it wants it, made beforehand."""
    import torchac

    half = data.largest + 1
    edges = torch.arange(-half, half + 2, dtype=torch.float64) - 0.5
    scales = torch.from_numpy(gaussian_scales())[:, None]
    cumulative = torch.special.ndtr(edges / scales)
    # 16 bits, with a slot for every symbol; the last bound, 65536, is 0 there.
    room = 65536 - (edges.numel() - 1)
    bounds = (cumulative * room).round().to(torch.int64) + torch.arange(edges.numel())
    bounds[:, 0], bounds[:, -1] = 0, 65536
    tables = bounds.to(torch.int16)[torch.from_numpy(data.indices.astype(np.int64))]
    symbols = torch.from_numpy(data.symbols + np.int16(half))
    return [
        Coder(
            "torchac",
            lambda: torchac.encode_int16_normalized_cdf(tables, symbols),
            lambda string: torchac.decode_int16_normalized_cdf(tables, string) - half,
        )
    ]


PEERS = {"compressai": compressai_coders, "constriction": constriction_coders, "torchac": torchac_coders}

if __name__ == "__main__":
    main()
