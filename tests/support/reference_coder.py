"""A slow, plain implementation of the payload of a coded picture, written from docs/format.md, section 2.

It shares nothing with the native library and is what the library's coder is compared with. The slots of
each symbol come from a `Distribution`: a `Ranked` coding table, or one that a step of an entropy model computes.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class Refused(Exception):
    """The payload breaks the format, or a value cannot be carried."""


@dataclass(frozen=True)
class Table:
    """A coding table: frequencies by rank (the last is the escape), and the values of the ranks."""

    frequencies: tuple[int, ...]
    mode: int = 0
    sign: int = 1
    raw_bits: int = 0

    @property
    def escape(self) -> int:
        return len(self.frequencies) - 1

    def start(self, rank: int) -> int:
        return sum(self.frequencies[:rank])

    def to_bytes(self) -> bytes:
        """The table as stored in a table set of entropy.bin (section 3)."""
        head = bytes([len(self.frequencies), self.raw_bits, self.sign & 255, 0]) + self.mode.to_bytes(
            2, "little", signed=True
        )
        return head + b"".join(frequency.to_bytes(2, "little") for frequency in self.frequencies)


def table_set_bytes(tables: Sequence[Table]) -> bytes:
    return len(tables).to_bytes(2, "little") + b"".join(table.to_bytes() for table in tables)


def zigzag(value: int) -> int:
    return 2 * value - 1 if value > 0 else -2 * value


def unzigzag(rank: int) -> int:
    return (rank + 1) // 2 if rank % 2 else -(rank // 2)


def latents_digest(tensors: Sequence[Sequence[int]]) -> int:
    """The 32-bit digest of section 2.5."""
    modulus = 1 << 32
    digest = 0x65646763
    for values in tensors:
        a, b = [0] * 64, [0] * 64
        for k, value in enumerate(values):
            i = k % 64
            a[i] = (a[i] + value % 65536 + 1) % modulus
            b[i] = (b[i] + a[i]) % modulus
        for i in range(64):
            digest = (digest ^ a[i]) * 0x9E3779B1 % modulus
            digest ^= digest >> 15
            digest = (digest ^ b[i]) * 0x85EBCA77 % modulus
            digest ^= digest >> 13
    return digest


class Bits:
    """A bit stream as text, first bit first. Numbers are stored lowest bit first, that is, reversed."""

    def __init__(self, data: bytes = b"") -> None:
        self.text = "".join(f"{byte:08b}"[::-1] for byte in data)
        self.position = 0

    def put(self, value: int, count: int) -> None:
        if count:
            self.text += f"{value:0{count}b}"[::-1]

    def take(self, count: int) -> int:
        if count > len(self.text) - self.position:
            raise Refused("bits missing")
        text = self.text[self.position : self.position + count]
        self.position += count
        return int(text[::-1] or "0", 2)

    def to_bytes(self) -> bytes:
        text = self.text + "0" * (-len(self.text) % 8)
        return bytes(int(text[k : k + 8][::-1], 2) for k in range(0, len(text), 8))


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + varint(value // 128)


def put_escape(distance: int, side: Bits) -> None:
    magnitude = zigzag(distance)
    count = max(1, magnitude.bit_length())
    if count > 16:
        raise Refused("value cannot be carried")
    side.put(count - 1, 4)
    side.put(magnitude, count)


def take_escape(side: Bits) -> int:
    count = side.take(4) + 1
    magnitude = side.take(count)
    if count != max(1, magnitude.bit_length()):
        raise Refused("escape is not in its shortest form")
    return unzigzag(magnitude)


def checked(value: int) -> int:
    """A decoded value, which must fit 16 bits."""
    if not -32768 <= value <= 32767:
        raise Refused("value beyond 16 bits")
    return value


def symbol_rank(table: Table, value: int, side: Bits) -> int:
    """The rank that codes `value`; appends its side bits to `side`."""
    distance = table.sign * (value - table.mode)
    half = (1 << table.raw_bits) // 2
    interval = (distance + half) >> table.raw_bits
    rank = zigzag(interval)
    if rank < table.escape:
        side.put(distance + half - (interval << table.raw_bits), table.raw_bits)
        return rank
    put_escape(distance, side)
    return table.escape


def symbol_value(table: Table, rank: int, side: Bits) -> int:
    if rank < table.escape:
        half = (1 << table.raw_bits) // 2
        distance = (unzigzag(rank) << table.raw_bits) - half + side.take(table.raw_bits)
    else:
        distance = take_escape(side)
    value = table.mode + table.sign * distance
    return checked(value)


@dataclass(frozen=True)
class Interval:
    """The slots of a symbol, out of 2^bits."""

    start: int
    width: int
    bits: int


class Distribution(Protocol):
    """The distribution of a symbol over 2^bits slots; bits is 14 or 16."""

    @property
    def bits(self) -> int: ...

    def encode(self, value: int, side: Bits) -> Interval:
        """The interval of a value; appends its side bits to `side`. Raises `Refused` if there is none."""

    def decode(self, slot: int, side: Bits) -> tuple[Interval, int]:
        """The interval in which a slot lies, and the value."""


@dataclass(frozen=True)
class Ranked:
    """The distribution of a coding table: as it is, or stretched to the 2^16 slots of steps with intervals."""

    table: Table
    bits: int = 14

    def interval(self, rank: int) -> Interval:
        stretch = 1 << (self.bits - 14)
        return Interval(self.table.start(rank) * stretch, self.table.frequencies[rank] * stretch, self.bits)

    def encode(self, value: int, side: Bits) -> Interval:
        return self.interval(symbol_rank(self.table, value, side))

    def decode(self, slot: int, side: Bits) -> tuple[Interval, int]:
        rank = max(r for r in range(len(self.table.frequencies)) if self.interval(r).start <= slot)
        return self.interval(rank), symbol_value(self.table, rank, side)


def choose_lanes(coded: Sequence[Interval], side_bits: int) -> int:
    widths = Counter(interval.width for interval in coded)
    product = math.prod(width**count for width, count in widths.items())
    bits = sum(interval.bits for interval in coded) - (product.bit_length() - 1) + side_bits
    kib = 1024 * 8
    return 2 if bits < kib else 8 if bits < 6 * kib else 32 if bits < 16 * kib else 64


def encode_intervals(
    steps: Sequence[Sequence[Interval]], side: Bits, lanes: int, digest: int, ramp: bool = True
) -> tuple[bytes, int]:
    """The payload and its lanes; 0 lets the function choose. Without `ramp`, both tails are 0, as simple writers do."""
    steps = list(steps)
    if lanes == 0:
        lanes = choose_lanes([interval for step in steps for interval in step], len(side.text))

    def code(state: int, interval: Interval, words: list[int]) -> int:
        if state >> (32 - interval.bits) >= interval.width:
            words.append(state & 65535)
            state >>= 16
        return ((state // interval.width) << interval.bits) + state % interval.width + interval.start

    def code_tail(states: list[int], symbols: Sequence[Interval], room: int) -> tuple[list[int], list[int], int]:
        width = len(states)
        words: list[int] = []
        taken = 0
        while len(symbols) - taken >= width:
            row = symbols[len(symbols) - taken - width : len(symbols) - taken]
            next_states, next_words = list(states), list(words)
            for lane in reversed(range(width)):
                next_states[lane] = code(next_states[lane], row[lane], next_words)
            if len(next_words) > room:
                break
            states, words, taken = next_states, next_words, taken + width
        return states, words, taken

    def retired(words: list[int], count: int) -> list[int]:
        return [65536 + word for word in (words[::-1] + [0] * count)[:count]]

    last = steps.pop() if steps and ramp else []
    states = [65536 + digest % 65536, 65536 + digest // 65536]
    head = b""
    for wider in sorted({8, lanes}) if lanes > 2 else []:
        states, words, taken = code_tail(states, last, wider - len(states))
        states += retired(words, wider - len(states))
        last = last[: len(last) - taken]
        head = varint(taken) + head

    words = []
    for step in [last, *reversed(steps)]:
        for i in reversed(range(len(step))):
            states[i % lanes] = code(states[i % lanes], step[i], words)

    state_bits = Bits()
    for state in states:
        extra = state.bit_length() - 17
        state_bits.put(extra, 4)
        state_bits.put(state - (1 << (16 + extra)), 16 + extra)
    stream = b"".join(word.to_bytes(2, "little") for word in reversed(words))
    return head + state_bits.to_bytes() + stream + side.to_bytes()[::-1], lanes


class Decoder:
    """Reads a payload symbol by symbol; raises `Refused` where a decoder must refuse."""

    def __init__(self, lanes: int, payload: bytes) -> None:
        self._rest = payload
        self._lanes = lanes
        self._tail8 = self._take_varint() if lanes > 8 else 0
        self._tail2 = self._take_varint() if lanes > 2 else 0
        state_bits = Bits(self._rest)
        self._states = []
        for _ in range(lanes):
            extra = state_bits.take(4)
            self._states.append((1 << (16 + extra)) + state_bits.take(16 + extra))
        if state_bits.take(-state_bits.position % 8):
            raise Refused("filling bits")
        stream = self._rest[state_bits.position // 8 :]
        self._words = [int.from_bytes(stream[k : k + 2], "little") for k in range(0, len(stream) - 1, 2)]
        self._odd_byte = len(stream) % 2
        self._left = 0  # bytes that the part with all lanes does not read
        self._side = Bits(stream[::-1])
        self._schedule: Iterator[int] = iter(())

    def _take_varint(self) -> int:
        size = next((k + 1 for k, byte in enumerate(self._rest) if byte < 128), None)
        if size is None:
            raise Refused("varint")
        encoded, self._rest = self._rest[:size], self._rest[size:]
        value = sum((byte & 127) << (7 * k) for k, byte in enumerate(encoded))
        if value >= 1 << 32 or varint(value) != encoded:
            raise Refused("varint")
        return value

    def begin_step(self, symbols: int | None, last: bool) -> None:
        """symbols: the number of symbols, or None if only decoding tells, which the last step does not allow."""
        if last:
            assert symbols is not None
            self._schedule = self._ramp(symbols)
        else:
            self._schedule = (i % self._lanes for i in itertools.count())

    def _ramp(self, symbols: int) -> Iterator[int]:
        """The lane of every symbol of the last step. Lanes retire between its parts."""
        if self._tail8 + self._tail2 > symbols:
            raise Refused("tails")
        yield from (i % self._lanes for i in range(symbols - self._tail8 - self._tail2))
        self._left = 2 * len(self._words) + self._odd_byte
        for narrow, part in [(8, self._tail8), (2, self._tail2)]:
            if narrow >= self._lanes:
                continue
            retired, self._states = self._states[narrow:], self._states[:narrow]
            if any(state >= 1 << 17 for state in retired):
                raise Refused("retired state")
            self._words = [state % 65536 for state in retired]
            yield from (i % narrow for i in range(part))
            if any(self._words):
                raise Refused("words unread")

    def symbol(self, distribution: Distribution) -> int:
        lane = next(self._schedule)
        slot = self._states[lane] % (1 << distribution.bits)
        interval, value = distribution.decode(slot, self._side)
        assert interval.start <= slot < interval.start + interval.width
        self._states[lane] = interval.width * (self._states[lane] >> interval.bits) + slot - interval.start
        if self._states[lane] < 65536:
            if not self._words:
                raise Refused("words missing")
            self._states[lane] = self._states[lane] << 16 | self._words.pop(0)
        return value

    def finish(self) -> int:
        """The digest, after the last symbol of the last step."""
        assert next(self._schedule, None) is None
        if self._left != (self._side.position + 7) // 8:
            raise Refused("words and side stream do not meet")
        if self._side.take(-self._side.position % 8):
            raise Refused("filling bits")
        if any(state >= 1 << 17 for state in self._states):
            raise Refused("final states")
        return self._states[0] % 65536 + (self._states[1] % 65536 << 16)


def encode(
    tables: Sequence[Table], steps: Sequence[tuple[Sequence[int], Sequence[int]]], lanes: int, digest: int
) -> tuple[bytes, int]:
    """The payload and its lanes for steps of (table indices, values); 0 lets the function choose the lanes."""
    side = Bits()
    coded = [
        [Ranked(tables[index]).encode(value, side) for index, value in zip(indices, values, strict=True)]
        for indices, values in steps
    ]
    return encode_intervals(coded, side, lanes, digest)


def decode(
    tables: Sequence[Table], index_steps: Sequence[Sequence[int]], lanes: int, payload: bytes
) -> tuple[list[list[int]], int]:
    """The values of every step and the digest. Raises `Refused` where a decoder must refuse."""
    decoder = Decoder(lanes, payload)
    result = []
    for number, indices in enumerate(index_steps):
        decoder.begin_step(len(indices), number == len(index_steps) - 1)
        result.append([decoder.symbol(Ranked(tables[index])) for index in indices])
    if not index_steps:
        decoder.begin_step(0, True)
    return result, decoder.finish()
