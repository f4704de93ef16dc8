"""Slow, plain implementation of the payload of a coded picture, written from docs/format.md, section 2.

It shares nothing with the native library and is what the library's coder is compared with. Steps are pairs of lists, or
lists alone where only the table indices are known; every step uses the same list of tables.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


class Refused(Exception):
    """The payload breaks the format, or a value cannot be carried."""


@dataclass(frozen=True)
class Table:
    """A coding table: frequencies by rank (the last is the escape), and which value a rank stands for."""

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
        """The table as it stands in a table set of entropy.bin (section 3)."""
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
    """A bit stream as text, first bit first: "lowest bit first" means that numbers are written back to front."""

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


def symbol_rank(table: Table, value: int, side: Bits) -> int:
    """The rank that codes ``value``; its side bits are put in ``side``."""
    distance = table.sign * (value - table.mode)
    half = (1 << table.raw_bits) // 2
    interval = (distance + half) >> table.raw_bits
    rank = zigzag(interval)
    if rank < table.escape:
        side.put(distance + half - (interval << table.raw_bits), table.raw_bits)
        return rank
    magnitude = zigzag(distance)
    count = max(1, magnitude.bit_length())
    if count > 16:
        raise Refused("value cannot be carried")
    side.put(count - 1, 4)
    side.put(magnitude, count)
    return table.escape


def symbol_value(table: Table, rank: int, side: Bits) -> int:
    if rank < table.escape:
        half = (1 << table.raw_bits) // 2
        distance = (unzigzag(rank) << table.raw_bits) - half + side.take(table.raw_bits)
    else:
        count = side.take(4) + 1
        magnitude = side.take(count)
        if count != max(1, magnitude.bit_length()):
            raise Refused("escape is not in its shortest form")
        distance = unzigzag(magnitude)
    value = table.mode + table.sign * distance
    if not -32768 <= value <= 32767:
        raise Refused("value beyond 16 bits")
    return value


def choose_lanes(coded: Sequence[tuple[Table, int]], side_bits: int) -> int:
    frequencies = Counter(table.frequencies[rank] for table, rank in coded)
    product = math.prod(frequency**count for frequency, count in frequencies.items())
    bits = 14 * len(coded) - (product.bit_length() - 1) + side_bits
    kib = 1024 * 8
    return 2 if bits < kib else 8 if bits < 6 * kib else 32 if bits < 16 * kib else 64


def encode(
    tables: Sequence[Table], steps: Sequence[tuple[Sequence[int], Sequence[int]]], lanes: int, digest: int
) -> tuple[bytes, int]:
    """The payload and its lanes; ``steps`` are (table indices, values), ``lanes`` 0 chooses."""
    side = Bits()
    coded_steps = []
    for indices, values in steps:
        used = [tables[index] for index in indices]
        coded_steps.append(
            [(table, symbol_rank(table, value, side)) for table, value in zip(used, values, strict=True)]
        )
    if lanes == 0:
        lanes = choose_lanes([symbol for step in coded_steps for symbol in step], len(side.text))

    def code(state: int, symbol: tuple[Table, int], words: list[int]) -> int:
        table, rank = symbol
        frequency, start = table.frequencies[rank], table.start(rank)
        if state >> 18 >= frequency:
            words.append(state & 65535)
            state >>= 16
        return ((state // frequency) << 14) + state % frequency + start

    def code_tail(states: list[int], symbols: list[tuple[Table, int]], room: int) -> tuple[list[int], list[int], int]:
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

    last = coded_steps.pop() if coded_steps else []
    states = [65536 + digest % 65536, 65536 + digest // 65536]
    head = b""
    for wider in sorted({8, lanes}) if lanes > 2 else []:
        states, words, taken = code_tail(states, last, wider - len(states))
        states += retired(words, wider - len(states))
        last = last[: len(last) - taken]
        head = varint(taken) + head

    words = []
    for step in [last, *reversed(coded_steps)]:
        for i in reversed(range(len(step))):
            states[i % lanes] = code(states[i % lanes], step[i], words)

    state_bits = Bits()
    for state in states:
        extra = state.bit_length() - 17
        state_bits.put(extra, 4)
        state_bits.put(state - (1 << (16 + extra)), 16 + extra)
    stream = b"".join(word.to_bytes(2, "little") for word in reversed(words))
    return head + state_bits.to_bytes() + stream + side.to_bytes()[::-1], lanes


def decode(
    tables: Sequence[Table], index_steps: Sequence[Sequence[int]], lanes: int, payload: bytes
) -> tuple[list[list[int]], int]:
    """The values of every step, and the digest; raises `Refused` where a decoder must refuse."""
    position = 0

    def take_varint() -> int:
        nonlocal position
        start = position
        while position < len(payload) and payload[position] >= 128:
            position += 1
        position += 1
        encoded = payload[start:position]
        value = sum((byte & 127) << (7 * k) for k, byte in enumerate(encoded))
        if position > len(payload) or value >= 1 << 32 or varint(value) != encoded:
            raise Refused("varint")
        return value

    tail8 = take_varint() if lanes > 8 else 0
    tail2 = take_varint() if lanes > 2 else 0
    state_bits = Bits(payload[position:])
    states = []
    for _ in range(lanes):
        extra = state_bits.take(4)
        states.append((1 << (16 + extra)) + state_bits.take(16 + extra))
    if state_bits.take(-state_bits.position % 8):
        raise Refused("filling bits")
    stream = payload[position + state_bits.position // 8 :]
    words = [int.from_bytes(stream[k : k + 2], "little") for k in range(0, len(stream) - 1, 2)]
    side = Bits(stream[::-1])

    def symbol(index: int, lane: int) -> int:
        table = tables[index]
        slot = states[lane] % 16384
        rank = max(r for r in range(len(table.frequencies)) if table.start(r) <= slot)
        states[lane] = table.frequencies[rank] * (states[lane] >> 14) + slot - table.start(rank)
        if states[lane] < 65536:
            if not words:
                raise Refused("words missing")
            states[lane] = states[lane] << 16 | words.pop(0)
        return symbol_value(table, rank, side)

    result = [[symbol(index, i % lanes) for i, index in enumerate(indices)] for indices in index_steps[:-1]]
    last = list(index_steps[-1]) if index_steps else []
    if tail8 + tail2 > len(last):
        raise Refused("tails")
    main = len(last) - tail8 - tail2
    values = [symbol(index, i % lanes) for i, index in enumerate(last[:main])]
    unread = 2 * len(words) + len(stream) % 2
    for narrow, part in [(8, last[main : main + tail8]), (2, last[main + tail8 :])]:
        if narrow >= lanes:
            continue
        if any(state >= 1 << 17 for state in states[narrow:]):
            raise Refused("retired state")
        words = [state % 65536 for state in states[narrow:]]
        states = states[:narrow]
        values += [symbol(index, i % narrow) for i, index in enumerate(part)]
        if any(words):
            raise Refused("words unread")
    if unread != (side.position + 7) // 8:
        raise Refused("words and side stream do not meet")
    if side.take(-side.position % 8):
        raise Refused("filling bits")
    if any(state >= 1 << 17 for state in states):
        raise Refused("final states")
    if index_steps:
        result.append(values)
    return result, states[0] % 65536 + (states[1] % 65536 << 16)
