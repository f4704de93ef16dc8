"""What libedgecodec exports, and how exceptions leave it."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from edgecodec import native
from support.paths import ROOT

HEADER = ROOT / "native" / "include" / "edgecodec" / "core.h"

EXPORTED = [
    "ec_core_available_memory",
    "ec_core_check_bytes",
    "ec_core_check_ratio",
    "ec_core_check_room",
    "ec_core_check_size",
    "ec_core_choose_graph",
    "ec_core_coder_decode",
    "ec_core_coder_encode",
    "ec_core_container_parse",
    "ec_core_container_write",
    "ec_core_crc32",
    "ec_core_decimal",
    "ec_core_decode",
    "ec_core_encode",
    "ec_core_encode_bits",
    "ec_core_encode_bound",
    "ec_core_encoder_side",
    "ec_core_graph_read",
    "ec_core_input_value",
    "ec_core_kernels",
    "ec_core_kernels_available",
    "ec_core_kernels_force",
    "ec_core_memory_words",
    "ec_core_model_alignment",
    "ec_core_model_close",
    "ec_core_model_cost",
    "ec_core_model_decoder_latent",
    "ec_core_model_decoder_latent_count",
    "ec_core_model_encoder_latent",
    "ec_core_model_encoder_latent_count",
    "ec_core_model_id",
    "ec_core_model_open",
    "ec_core_net_close",
    "ec_core_net_open",
    "ec_core_net_run",
    "ec_core_net_shape",
    "ec_core_noise",
    "ec_core_pad",
    "ec_core_search_best",
    "ec_core_search_close",
    "ec_core_search_next",
    "ec_core_search_open",
    "ec_core_search_report",
    "ec_core_side_inputs",
    "ec_core_store_pixels",
    "ec_core_tables_close",
    "ec_core_tables_open",
    "ec_core_windows",
]


def _dynamic_symbols(elf: bytes) -> list[str]:
    """Sorted names of the symbols that a 64-bit little-endian ELF library defines for others (its .dynsym)."""
    section_offset = struct.unpack_from("<Q", elf, 0x28)[0]
    entry_size, count = struct.unpack_from("<HH", elf, 0x3A)
    # Of each section header: name, type, flags, address, offset, size, link, info, alignment, entry size.
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, section_offset + i * entry_size) for i in range(count)]
    (symbols,) = (section for section in sections if section[1] == 11)  # SHT_DYNSYM
    strings = sections[symbols[6]][4]
    names = []
    for at in range(symbols[4], symbols[4] + symbols[5], 24):
        name, info, _, section, _, _ = struct.unpack_from("<IBBHQQ", elf, at)
        if section != 0 and info >> 4 != 0:  # defined, and not local
            start = strings + name
            names.append(elf[start : elf.index(b"\0", start)].decode("ascii"))
    return sorted(names)


@pytest.fixture(scope="module")
def exported() -> list[str]:
    elf = Path(native.library()._name).read_bytes()
    if elf[:6] != b"\x7fELF\x02\x01":
        pytest.skip("the library is not a 64-bit little-endian ELF file")
    return _dynamic_symbols(elf)


def test_exported_symbols(exported: list[str]) -> None:
    """No C++ symbol is among them: another library in the process could take its place."""
    assert exported == EXPORTED


def test_the_header_declares_what_is_exported(exported: list[str]) -> None:
    declared = re.findall(r"^EC_API [^(;]*?(\w+)\(", HEADER.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(declared) == exported


def test_every_exception_becomes_a_status(tmp_path: Path) -> None:
    """Unforeseen ones too (EC_INTERNAL), and those in threads. A C++ program: no input makes the library throw them."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    program = tmp_path / "failures"
    sources = [ROOT / "tests" / "native" / "failures.cpp", ROOT / "native" / "src" / "support" / "parallel_rows.cpp"]
    folders = [f"-I{ROOT / 'native' / 'src'}", f"-I{ROOT / 'native' / 'include'}"]
    subprocess.run([*compiler.split(), "-std=c++17", "-pthread", *folders, *sources, "-o", program], check=True)
    ran = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
