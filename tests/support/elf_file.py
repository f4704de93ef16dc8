"""Reads what an ELF library or program (64 bits, little-endian) asks of others and gives to them.

Layout: System V ABI, chapters 4 and 5; versions of symbols: Linux Standard Base Core, "Symbol Versioning".
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import pytest

_DYNAMIC, _DYNSYM, _VERDEF, _VERNEED, _VERSYM = 6, 11, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF  # types of sections
_NEEDED, _SONAME = 1, 14  # tags of the dynamic section
_UNDEFINED, _ABSOLUTE = 0, 0xFFF1  # sections that are none; a version is itself an absolute symbol
_LOCAL = 0
_HIDDEN = 0x8000  # bit of a symbol's version number


class ElfFile(NamedTuple):
    """soname: the name that programs ask for, or None. needed: libraries that are asked for.

    exported: symbols for others with their versions, "" for none. required: versions that are asked of each library.
    """

    soname: str | None
    needed: list[str]
    exported: dict[str, str]
    required: dict[str, set[str]]


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def read_elf(path: Path) -> ElfFile:
    """The file at `path`; the test is skipped where that has another format."""
    elf = path.read_bytes()
    if elf[:6] != b"\x7fELF\x02\x01":
        pytest.skip(f"{path.name} is not a 64-bit little-endian ELF file")
    return _Reader(elf).read()


class _Reader:
    def __init__(self, elf: bytes) -> None:
        self._elf = elf
        offset = struct.unpack_from("<Q", elf, 0x28)[0]
        size, count = struct.unpack_from("<HH", elf, 0x3A)
        self._sections = [_Section(*struct.unpack_from("<IIQQQQIIQQ", elf, offset + i * size)) for i in range(count)]

    def read(self) -> ElfFile:
        dynamic = self._dynamic()
        needed = [text for tag, text in dynamic if tag == _NEEDED]
        soname = next((text for tag, text in dynamic if tag == _SONAME), None)
        return ElfFile(soname, needed, self._exported(), self._required())

    def _section(self, kind: int) -> _Section | None:
        return next((section for section in self._sections if section.type == kind), None)

    def _text(self, section: _Section, at: int) -> str:
        start = self._sections[section.link].offset + at
        return self._elf[start : self._elf.index(b"\0", start)].decode("ascii")

    def _dynamic(self) -> list[tuple[int, str]]:
        section = self._section(_DYNAMIC)
        assert section is not None
        entries = struct.iter_unpack("<qQ", self._elf[section.offset : section.offset + section.size])
        return [(tag, self._text(section, value)) for tag, value in entries if tag in (_NEEDED, _SONAME)]

    def _exported(self) -> dict[str, str]:
        symbols, numbers = self._section(_DYNSYM), self._section(_VERSYM)
        assert symbols is not None
        names = self._defined_versions()
        found = {}
        for i in range(symbols.size // 24):
            name, info, _, section, _, _ = struct.unpack_from("<IBBHQQ", self._elf, symbols.offset + 24 * i)
            if section not in (_UNDEFINED, _ABSOLUTE) and info >> 4 != _LOCAL:
                number = struct.unpack_from("<H", self._elf, numbers.offset + 2 * i)[0] if numbers else 0
                found[self._text(symbols, name)] = names.get(number & ~_HIDDEN, "")
        return found

    def _defined_versions(self) -> dict[int, str]:
        section = self._section(_VERDEF)
        names = {}
        at = section.offset if section else 0
        for _ in range(section.info if section else 0):
            _, flags, number, _, _, first, following = struct.unpack_from("<HHHHIII", self._elf, at)
            if not flags & 1:  # the first is the library itself
                assert section is not None
                names[number] = self._text(section, struct.unpack_from("<I", self._elf, at + first)[0])
            at += following
        return names

    def _required(self) -> dict[str, set[str]]:
        section = self._section(_VERNEED)
        found: dict[str, set[str]] = {}
        at = section.offset if section else 0
        for _ in range(section.info if section else 0):
            assert section is not None
            _, count, file, first, following = struct.unpack_from("<HHIII", self._elf, at)
            versions = found.setdefault(self._text(section, file), set())
            entry = at + first
            for _ in range(count):
                _, _, _, name, step = struct.unpack_from("<IHHII", self._elf, entry)
                versions.add(self._text(section, name))
                entry += step
            at += following
        return found
