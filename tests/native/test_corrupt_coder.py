"""Damaged payloads and table sets end in a typed error, never beside a buffer, and never in other latents unnoticed."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec import native
from edgecodec.errors import BadModel, Corrupt, InvalidArgument
from support import reference_coder
from support.native_coder import Indices, NativeCoder, Symbols
from support.reference_coder import Bits, Table, varint
from support.synthetic_residuals import gaussian_tables, residuals

LANES = [2, 8, 32, 64]
NONE = np.zeros(0, np.uint8)


@pytest.fixture(params=["scalar", "avx2", "avxvnni", "avx512", "neon"])
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param not in native.kernels_available():
        pytest.skip("this processor has no such kernels")
    before = native.kernels()
    native.force_kernels(request.param)
    yield request.param
    native.force_kernels(before)


def gaussian_coder() -> NativeCoder:
    return NativeCoder(reference_coder.table_set_bytes(gaussian_tables()))


def small_picture() -> tuple[Indices, Symbols]:
    """A few hundred symbols of all scales, raw bits and one escape among them."""
    indices, symbols = residuals(8, 8, 8, energy=20)
    indices, symbols = indices[:400].copy(), symbols[:400].copy()
    symbols[123] = 3000
    return indices, symbols


def crafted(lanes: int, states: dict[int, int], tails: tuple[int, ...], stream: bytes = b"", filling: int = 0) -> bytes:
    """A payload from its fields; states that are not named are 2^16."""
    bits = Bits()
    for lane in range(lanes):
        state = states.get(lane, 1 << 16)
        extra = state.bit_length() - 17
        bits.put(extra, 4)
        bits.put(state - (1 << (16 + extra)), 16 + extra)
    bits.put(filling, -len(bits.text) % 8)
    return b"".join(varint(tail) for tail in tails) + bits.to_bytes() + stream


def no_tails(lanes: int) -> tuple[int, ...]:
    """The tails of a payload whose ramp is without symbols."""
    return (0,) * ((lanes > 8) + (lanes > 2))


def is_refused(
    coder: NativeCoder, indices: Indices, symbols: Symbols, counts: list[int], lanes: int, damaged: bytes
) -> bool:
    """A payload that is not refused must decode to the symbols, or to others that its digest does not fit."""
    try:
        decoded, digest = coder.decode(indices, counts, lanes, damaged)
    except Corrupt:
        return True
    assert np.array_equal(decoded, symbols) or digest != reference_coder.latents_digest([decoded.tolist()])
    return False


@pytest.mark.parametrize("lanes", LANES)
def test_no_damage_gives_other_latents_unnoticed(kernels: str, lanes: int) -> None:
    coder = gaussian_coder()
    indices, symbols = small_picture()
    counts = [100, 300]
    payload, _ = coder.encode(indices, symbols, counts, lanes, reference_coder.latents_digest([symbols.tolist()]))
    cut = [payload[:size] for size in range(len(payload))]
    grown = [
        payload[:k] + extra + payload[k:] for k in range(len(payload) + 1) for extra in (b"\0", b"\0\0", b"\x5a\xa5")
    ]
    flipped = []
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(damaged))
    for kind in (cut, grown, flipped):
        refused = sum(is_refused(coder, indices, symbols, counts, lanes, damaged) for damaged in kind)
        assert refused > len(kind) // 2  # the coder's own checks, not the digest, catch most


@pytest.mark.parametrize("lanes", LANES)
@settings(max_examples=150)
@given(payload=st.binary(max_size=700), seed=st.integers(0, 9))
def test_noise_never_leaves_its_buffers(lanes: int, payload: bytes, seed: int) -> None:
    """What the noise starts with is made plausible, so that it also reaches the symbols."""
    coder = gaussian_coder()
    indices = np.random.default_rng(seed).integers(0, 64, 500).astype(np.uint8)
    head = crafted(
        lanes, {lane: (1 << 16) + 9973 * lane for lane in range(lanes)}, (9,) * (2 if lanes > 8 else lanes > 2)
    )
    for kernels in native.kernels_available():
        native.force_kernels(kernels)
        for candidate in (payload, head + payload):
            try:
                coder.decode(indices, [100, 400], lanes, candidate)
            except Corrupt as error:
                assert error.offset is None or 0 <= error.offset <= len(candidate)


@pytest.mark.parametrize(
    ("lanes", "payload", "problem"),
    [
        (2, crafted(2, {}, ()), None),
        (8, crafted(8, {0: 65536 + 77}, (0,)), None),
        (64, crafted(64, {}, (0, 0)), None),
        (2, crafted(2, {0: 1 << 17}, ()), "start states"),
        (2, crafted(2, {0: 1 << 17}, (), filling=1), "filling bits"),
        (2, crafted(2, {}, (), b"\0"), "leave a gap"),
        (8, crafted(8, {5: 1 << 17}, (0,)), "start states"),
        (8, crafted(8, {7: 65536 + 1}, (0,)), "unread"),
        (64, crafted(64, {63: 65536 + 256}, (0, 0)), "unread"),
        (8, crafted(8, {}, (1,)), "more symbols"),
        (32, crafted(32, {}, (1, 0)), "more symbols"),
        (32, crafted(32, {}, (2**32 - 1, 2**32 - 1)), "more symbols"),
        (8, b"\x80" + crafted(8, {}, (0,)), "shortest"),
    ],
)
def test_payloads_without_symbols_keep_every_rule(lanes: int, payload: bytes, problem: str | None) -> None:
    coder = gaussian_coder()
    if problem is None:
        coder.decode(NONE, [0], lanes, payload)
        return
    with pytest.raises(Corrupt, match=problem):
        coder.decode(NONE, [0], lanes, payload)
    with pytest.raises(reference_coder.Refused):
        reference_coder.decode(gaussian_tables(), [[]], lanes, payload)


@pytest.mark.parametrize("lanes", LANES)
def test_the_final_state_of_every_lane_is_checked(lanes: int) -> None:
    """The first bits of the state of a lane are all that tells 2^16 + x from 2^17 + x."""
    coder = gaussian_coder()
    coder.decode(NONE, [0], lanes, crafted(lanes, {}, no_tails(lanes)))
    for lane in range(lanes):
        for state in (1 << 17, (1 << 18) + 65535, (1 << 32) - 1):
            with pytest.raises(Corrupt, match="start states"):
                coder.decode(NONE, [0], lanes, crafted(lanes, {lane: state}, no_tails(lanes)))


#: A state of lane 0 that one symbol of a frequency of 16383 leaves between 2^16 and 2^17, without a word.
BEFORE_ONE_SYMBOL = 5 << 14


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("raw_bits", "side", "problem"), [
    (8, b"\x85", None),
    (8, b"", "ends before its side bits do"),
    (9, b"\x85", "ends before its side bits do"),
    (12, b"\x05\x85", None),
    (12, b"\x85", "ends before its side bits do"),
])  # fmt: skip
def test_side_bits_end_where_the_payload_does(
    kernels: str, lanes: int, raw_bits: int, side: bytes, problem: str | None
) -> None:
    """A payload without words: its last side bit is there, and the one after it is not."""
    tables = [Table((16383, 1), raw_bits=raw_bits)]
    coder = NativeCoder(reference_coder.table_set_bytes(tables))
    payload = crafted(lanes, {0: BEFORE_ONE_SYMBOL}, no_tails(lanes), side)
    if problem is None:
        symbols, _ = coder.decode(np.zeros(1, np.uint8), [1], lanes, payload)
        assert [symbols.tolist()] == reference_coder.decode(tables, [[0]], lanes, payload)[0]
        assert symbols[0] == int.from_bytes(side, "big") - (1 << raw_bits - 1)
        return
    with pytest.raises(Corrupt, match=problem):
        coder.decode(np.zeros(1, np.uint8), [1], lanes, payload)
    with pytest.raises(reference_coder.Refused):
        reference_coder.decode(tables, [[0]], lanes, payload)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("count", "zigzagged", "value"), [
    (1, 0, 0), (1, 1, 1), (2, 1, None), (2, 2, -1), (2, 3, 2), (3, 0, None), (3, 3, None), (3, 4, -2),
    (16, 0x7FFF, None), (16, 0x8000, -0x4000), (16, 0xFFFD, 0x7FFF), (16, 0xFFFE, -0x7FFF),
])  # fmt: skip
def test_escapes_have_one_spelling(kernels: str, lanes: int, count: int, zigzagged: int, value: int | None) -> None:
    tables = [Table((1, 16383))]
    coder = NativeCoder(reference_coder.table_set_bytes(tables))
    side = Bits()
    side.put(count - 1, 4)
    side.put(zigzagged, count)
    payload = crafted(lanes, {0: BEFORE_ONE_SYMBOL + 1}, no_tails(lanes), side.to_bytes()[::-1])
    if value is not None:
        symbols, _ = coder.decode(np.zeros(1, np.uint8), [1], lanes, payload)
        assert [symbols.tolist()] == reference_coder.decode(tables, [[0]], lanes, payload)[0] == [[value]]
        return
    with pytest.raises(Corrupt, match="escape that is not in its shortest form"):
        coder.decode(np.zeros(1, np.uint8), [1], lanes, payload)
    with pytest.raises(reference_coder.Refused, match="shortest"):
        reference_coder.decode(tables, [[0]], lanes, payload)


def test_part_of_the_ramp_that_needs_more_words_than_it_has_is_corrupt() -> None:
    """Every symbol of an even table costs a bit: 6 words carry 96 of them, and the two states some, but not 200."""
    coder = NativeCoder(reference_coder.table_set_bytes([Table((8192, 8192))]))
    payload = crafted(8, {}, (200,), stream=bytes(200))
    with pytest.raises(Corrupt, match="ends before its symbols"):
        coder.decode(np.zeros(200, np.uint8), [200], 8, payload)


def test_filling_of_the_side_stream_is_checked() -> None:
    coder = NativeCoder(reference_coder.table_set_bytes([Table((16383, 1), raw_bits=3)]))
    indices, symbols = np.zeros(1, np.uint8), np.array([1], np.int16)
    payload, lanes = coder.encode(indices, symbols, [1])
    with pytest.raises(Corrupt, match="filling bits"):
        coder.decode(indices, [1], lanes, payload[:-1] + bytes([payload[-1] | 128]))


@pytest.mark.parametrize(("mode", "sign", "slot"), [(32767, 1, 8192), (-32768, -1, 8192), (32767, -1, 8192 + 4096)])
def test_value_beyond_16_bits_is_corrupt(mode: int, sign: int, slot: int) -> None:
    coder = NativeCoder(reference_coder.table_set_bytes([Table((8192, 4096, 4095, 1), mode, sign)]))
    with pytest.raises(Corrupt, match="beyond 16 bits"):
        coder.decode(np.zeros(1, np.uint8), [1], 2, crafted(2, {0: (1 << 20) + slot}, ()))


def test_callers_mistakes_are_not_corruption() -> None:
    coder = NativeCoder(reference_coder.table_set_bytes(gaussian_tables()[:3]))
    three, zero = np.array([3], np.uint8), np.zeros(1, np.int16)
    with pytest.raises(InvalidArgument, match="names no table"):
        coder.encode(three, zero, [1])
    with pytest.raises(InvalidArgument, match="names no table"):
        coder.decode(three, [1], 2, bytes(20))
    for lanes in (1, 3, 16, 128):
        with pytest.raises(InvalidArgument, match="lanes"):
            coder.decode(NONE, [], lanes, bytes(20))
        with pytest.raises(InvalidArgument, match="lanes"):
            coder.encode(NONE, zero[:0], [], lanes)


def test_encoder_says_how_much_room_it_wants() -> None:
    core = native.library()
    coder = gaussian_coder()
    room, lanes, written = np.zeros(1, np.uint8), ctypes.c_uint32(2), ctypes.c_size_t()
    arguments = [coder.handle, None, None, None, 0, ctypes.byref(lanes), 0]
    with pytest.raises(InvalidArgument, match="capacity"):
        native.call(core.ec_core_coder_encode, *arguments, room.ctypes.data, 1, ctypes.byref(written))
    assert written.value == 5 and room[0] == 0


GOOD = Table((8192, 4096, 4096)).to_bytes()


@pytest.mark.parametrize(
    ("position", "value"),
    [(0, 0), (0, 1), (0, 65), (0, 2), (0, 4), (1, 13), (2, 0), (2, 2), (3, 1), (6, 1), (7, 0x7F)],
)
def test_table_sets_that_break_a_rule_are_refused(position: int, value: int) -> None:
    NativeCoder(b"\1\0" + GOOD)
    broken = bytearray(GOOD)
    broken[position] = value
    with pytest.raises(BadModel):
        NativeCoder(b"\1\0" + bytes(broken))


@pytest.mark.parametrize(("ranks", "opens"), [(1, False), (2, True), (64, True), (65, False)])
def test_a_coding_table_has_2_to_64_ranks(ranks: int, opens: bool) -> None:
    """Nothing else is wrong with these tables."""
    table_set = reference_coder.table_set_bytes([Table((16384 - (ranks - 1), *(1,) * (ranks - 1)))])
    if opens:
        NativeCoder(table_set)
        return
    with pytest.raises(BadModel, match="2 to 64 ranks"):
        NativeCoder(table_set)


@pytest.mark.parametrize("value", [1, 2, 128, 255])
def test_the_reserved_byte_of_a_coding_table_is_zero(value: int) -> None:
    with pytest.raises(BadModel, match="reserved byte"):
        NativeCoder(b"\1\0" + GOOD[:3] + bytes([value]) + GOOD[4:])


def test_table_sets_of_another_length_are_refused() -> None:
    table_set = b"\2\0" + GOOD + GOOD
    NativeCoder(table_set)
    for size in range(len(table_set)):
        with pytest.raises(BadModel):
            NativeCoder(table_set[:size])
    with pytest.raises(BadModel):
        NativeCoder(table_set + b"\0")
    with pytest.raises(BadModel):
        NativeCoder(b"\0\0")
    with pytest.raises(BadModel):
        NativeCoder(b"\1\0" + Table((16384, 0)).to_bytes())
