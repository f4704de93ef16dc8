"""The same bytes from every encoder, the same symbols from every decoder: against an independent implementation."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec import native
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import InvalidArgument, OutOfRange
from support import reference_coder
from support.exactness import latent_shape
from support.native_coder import Indices, NativeCoder, Symbols
from support.reference_coder import Ranked, Table
from support.synthetic_residuals import gaussian_tables, ideal_bits, residuals

LANES = [2, 8, 32, 64]
DIGEST = 0xDEADBEEF


def gaussian_coder() -> NativeCoder:
    return NativeCoder(reference_coder.table_set_bytes(gaussian_tables()))


def check_every_decoder(
    coder: NativeCoder,
    indices: Indices,
    symbols: Symbols,
    counts: Sequence[int],
    lanes: int,
    payload: bytes,
    expected_digest: int = DIGEST,
) -> None:
    before = native.kernels()
    try:
        for kernels in native.kernels_available():
            native.force_kernels(kernels)
            decoded, digest = coder.decode(indices, counts, lanes, payload)
            assert np.array_equal(decoded, symbols), kernels
            assert digest == expected_digest
    finally:
        native.force_kernels(before)


def check_against_reference(
    tables: Sequence[Table], indices: Indices, symbols: Symbols, counts: Sequence[int], lanes: int
) -> None:
    ends = np.cumsum(counts)[:-1]
    index_steps = [step.tolist() for step in np.split(indices, ends)][: len(counts)]
    symbol_steps = [step.tolist() for step in np.split(symbols, ends)][: len(counts)]
    coder = NativeCoder(reference_coder.table_set_bytes(tables))
    payload, chosen = coder.encode(indices, symbols, counts, lanes, DIGEST)

    steps = list(zip(index_steps, symbol_steps, strict=True))
    assert (payload, chosen) == reference_coder.encode(tables, steps, lanes, DIGEST)
    assert reference_coder.decode(tables, index_steps, chosen, payload) == (symbol_steps, DIGEST)
    check_every_decoder(coder, indices, symbols, counts, chosen, payload)


@pytest.mark.parametrize("lanes", [0, *LANES])
@pytest.mark.parametrize(
    "counts",
    [[], [0], [1], [3], [0, 0], [5, 0], [0, 5], [63], [64], [65], [64, 1], [1, 130], [700, 3], [1000, 0, 1500]],
    ids=str,
)
def test_payload_is_the_reference_payload(counts: list[int], lanes: int) -> None:
    indices, symbols = residuals(16, 16, 16, energy=20)
    random = np.random.default_rng(7).permutation(indices.size)[: sum(counts)]
    check_against_reference(gaussian_tables(), indices[random], symbols[random], counts, lanes)


@st.composite
def table_sets(draw: st.DrawFn) -> list[Table]:
    tables = []
    for _ in range(draw(st.integers(1, 4))):
        ranks = draw(st.integers(2, 64))
        cuts = draw(st.sets(st.integers(1, 16383), min_size=ranks - 1, max_size=ranks - 1))
        bounds = [0, *sorted(cuts), 16384]
        frequencies = tuple(high - low for low, high in itertools.pairwise(bounds))
        centred = draw(st.booleans())
        tables.append(
            Table(
                frequencies,
                mode=0 if centred else draw(st.integers(-32768, 32767)),
                sign=1 if centred else draw(st.sampled_from([1, -1])),
                raw_bits=draw(st.integers(0, 12)),
            )
        )
    return tables


@settings(max_examples=60)
@given(tables=table_sets(), lanes=st.sampled_from([0, *LANES]), data=st.data())
def test_any_tables_and_values_code_as_in_the_reference(tables: list[Table], lanes: int, data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 90), max_size=3))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    indices = random.integers(0, len(tables), sum(counts)).astype(np.uint8)
    modes = np.array([table.mode for table in tables])[indices]
    reach = data.draw(st.sampled_from([2, 40, 3000, 32767]))
    values = np.clip(modes + random.integers(-reach, reach + 1, indices.size), -32768, 32767)
    check_against_reference(tables, indices, values.astype(np.int16), counts, lanes)


@pytest.mark.parametrize(
    ("mode", "sign", "value"), [(0, 1, -32768), (0, -1, 32768 - 1), (1, 1, -32767), (32767, 1, -1)]
)
def test_range_of_values_is_that_of_the_reference(mode: int, sign: int, value: int) -> None:
    table = Table((16383, 1), mode, sign)
    arguments = np.zeros(1, np.uint8), np.array([value], np.int16), [1]
    try:
        expected = reference_coder.encode([table], [([0], [value])], 2, 0)
    except reference_coder.Refused:
        with pytest.raises(OutOfRange):
            NativeCoder(reference_coder.table_set_bytes([table])).encode(*arguments)
    else:
        assert NativeCoder(reference_coder.table_set_bytes([table])).encode(*arguments) == expected


def test_value_that_no_table_carries_is_refused() -> None:
    with pytest.raises(OutOfRange, match="-32768"):
        gaussian_coder().encode(np.zeros(1, np.uint8), np.array([-32768], np.int16), [1])


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("energy", [2, 12, 40])
def test_every_decoder_reads_large_steps(lanes: int, energy: int) -> None:
    indices, symbols = residuals(48, 40, 60, energy, seed=lanes)
    symbols[::997] = 3000  # escapes from nearly every table
    counts = [1, 50_001, 0, 40, indices.size - 50_042]
    coder = gaussian_coder()
    payload, _ = coder.encode(indices, symbols, counts, lanes, DIGEST)
    check_every_decoder(coder, indices, symbols, counts, lanes, payload)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("count", [64, 3000])
def test_a_state_at_its_lower_bound_takes_no_word(lanes: int, count: int) -> None:
    """Decoding ends in the states that an encoder starts with: with digest 0, exactly 2^16."""
    coder = NativeCoder(reference_coder.table_set_bytes([Table((16000, 300, 84))]))
    indices, symbols = np.zeros(count, np.uint8), np.zeros(count, np.int16)
    payload, _ = coder.encode(indices, symbols, [count], lanes, 0)
    check_every_decoder(coder, indices, symbols, [count], lanes, payload, 0)


@pytest.mark.parametrize("count", [65, 256])
def test_sets_too_large_for_the_ladder_decode(count: int) -> None:
    tables = [gaussian_tables()[i % 64] for i in range(count)]
    indices, symbols = residuals(8, 16, 16, energy=20)
    spread = (indices.astype(np.int64) + 64 * np.arange(indices.size)) % (count // 64 * 64)
    check_against_reference(tables, spread.astype(np.uint8), symbols, [indices.size], 32)


@pytest.mark.parametrize(
    ("table", "cost"),
    [(Table((8192, 4096, 4096)), 1), (Table((8192, 4096, 4096), raw_bits=3), 4), (Table((8, 16376)), 11)],
    ids=["many symbols", "raw bits", "few symbols"],
)
@pytest.mark.parametrize(("kib", "below", "from_there"), [(1, 2, 8), (6, 8, 32), (16, 32, 64)])
def test_lanes_change_exactly_at_their_limits(kib: int, below: int, from_there: int, table: Table, cost: int) -> None:
    """Every symbol costs so many bits."""
    coder = NativeCoder(reference_coder.table_set_bytes([table]))
    limit = -(-1024 * 8 * kib // cost)
    before = native.kernels()
    try:
        for count, lanes in [(limit - 1, below), (limit, from_there)]:
            intervals = [Ranked(table).interval(0)] * count
            assert reference_coder.choose_lanes(intervals, table.raw_bits * count) == lanes
            for kernels in native.kernels_available():
                native.force_kernels(kernels)
                indices, symbols = np.zeros(count, np.uint8), np.zeros(count, np.int16)
                assert coder.encode(indices, symbols, [count])[1] == lanes, kernels
    finally:
        native.force_kernels(before)


@pytest.mark.parametrize(("energy", "channels"), [(0, 48), (8, 96), (16, 192)])
@pytest.mark.parametrize("lanes", [0, *LANES])
def test_size_is_near_the_ideal(energy: int, channels: int, lanes: int) -> None:
    """At most 0.1 % and 1.1 bytes a lane above the information of the symbols (the digest included)."""
    indices, symbols = residuals(channels, 32, 48, energy)
    payload, chosen = gaussian_coder().encode(indices, symbols, [symbols.size], lanes, DIGEST)
    ideal = ideal_bits(indices, symbols) / 8
    assert len(payload) <= ideal * 1.001 + 1.1 * chosen + 8


@pytest.mark.parametrize(("width", "height"), [(1, 1), (13, 5), (64, 3), (70, 41)])
def test_payload_of_a_model_carries_the_digest_of_its_latents(width: int, height: int) -> None:
    """Two tensors of one channel, the second of a quarter of the size: the digest goes on from tensor to tensor."""
    table = Table((12000, 2000, 1000, 800, 500, 84))
    model = struct.pack("<4sHHIHHHH", b"ECEM", 1, 0, 2, 2, 1, 0, 2)
    model += struct.pack("<BBHHB1s", 0, 1, 1, 1, 1, b"a") + struct.pack("<BBHHB1s", 0, 1, 1, 2, 1, b"b")
    model += reference_coder.table_set_bytes([table])
    model += struct.pack("<BHHH", 0, 0, 0, 65535) + struct.pack("<BHHH", 0, 1, 0, 65535)
    opened = EntropyModel(model)
    random = np.random.default_rng(width)
    latents = {
        each.name: np.where(random.random(shape) < 0.1, random.integers(-32767, 32768, shape), 0).astype(np.int16)
        for each in opened.encoder_latents
        for shape in [latent_shape(each, opened.alignment, width, height)]
    }
    values = [latents[name].ravel().tolist() for name in ("a", "b")]
    steps = [([0] * len(tensor), tensor) for tensor in values]
    expected = reference_coder.encode([table], steps, 0, reference_coder.latents_digest(values))
    assert opened.encode(latents, width=width, height=height) == expected


def test_unknown_kernels_are_refused_and_ignored_in_the_environment() -> None:
    with pytest.raises(InvalidArgument):
        native.force_kernels("abacus")
    for name in [*native.kernels_available(), "abacus"]:
        code = "from edgecodec import native; print(native.kernels())"
        environment = os.environ | {"EDGECODEC_KERNELS": name}
        output = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert output.stdout.strip() == (name if name != "abacus" else native.kernels_available()[-1])
