"""The library and the tool run on older systems than the one that built them.

The library's version is the tag of the wheels, manylinux_2_17. The tool has to run on JetPack 6, which has glibc 2.35.
Whatever raises the version that is needed has come in through the linker: a static library, or a function that only the
newer system has.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import edgecodec
from edgecodec import native
from support.c_programs import Installation
from support.elf_file import read_elf
from support.paths import ROOT

LIBRARY_GLIBC = (2, 17)
TOOL_GLIBC = (2, 35)
#: What every system has. A libstdc++ that is as new as the compiler is not among them, so it is linked in.
LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libgcc_s.so.1"}
NEWEST_GCC = (4, 2)  # of libgcc_s: the unwinder has hardly changed


def _highest(versions: dict[str, set[str]], prefix: str) -> tuple[int, ...]:
    found = [version for each in versions.values() for version in each if version.startswith(prefix)]
    return max((tuple(map(int, re.findall(r"\d+", version))) for version in found), default=(0,))


def _check(path: Path, newest: tuple[int, int], record_property: object) -> None:
    elf = read_elf(path)
    if "libasan.so" in " ".join(elf.needed):
        pytest.skip("a library with sanitizers runs where it was built")
    glibc = _highest(elf.required, "GLIBC_")
    assert callable(record_property)
    record_property(f"glibc that {path.name} needs", ".".join(map(str, glibc)))
    assert glibc <= newest
    assert _highest(elf.required, "GCC_")[:2] <= NEWEST_GCC
    assert not any(version.startswith(("GLIBCXX", "CXXABI")) for each in elf.required.values() for version in each)
    assert {name for name in elf.needed if not name.startswith(("ld-linux", "libedgecodec"))} <= LIBRARIES


def test_the_library(record_property: object) -> None:
    newest = LIBRARY_GLIBC if platform.machine() in ("x86_64", "aarch64") else TOOL_GLIBC
    _check(Path(native.library()._name), newest, record_property)


def test_the_tool(record_property: object, installation: Installation) -> None:
    _check(installation.tool, TOOL_GLIBC, record_property)


def test_a_function_of_a_newer_system_is_noticed(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc")
    source = tmp_path / "newer.c"
    source.write_text('__asm__(".symver newer, newer@GLIBC_2.99");\nvoid newer(void);\nvoid call(void) { newer(); }\n')
    provider = tmp_path / "provider.c"
    provider.write_text("void newer(void) {}\n")
    (tmp_path / "versions.map").write_text("GLIBC_2.99 { global: newer; local: *; };\n")
    shared = [compiler, "-shared", "-fPIC", "-nostdlib"]
    subprocess.run(
        [*shared, provider, "-Wl,--version-script=versions.map", "-Wl,-soname,libc.so.6", "-o", "provider.so"],
        cwd=tmp_path,
        check=True,
    )
    subprocess.run([*shared, source, "provider.so", "-o", "newer.so"], cwd=tmp_path, check=True)
    with pytest.raises(AssertionError):
        _check(tmp_path / "newer.so", TOOL_GLIBC, lambda name, value: None)


def test_public_and_internal_functions_are_told_apart() -> None:
    """A program that uses core.h needs this very library; one that uses edgecodec.h any of the same major version."""
    exported = read_elf(Path(native.library()._name)).exported
    private = {name for name in exported if name.startswith("ec_core_")}
    assert {exported[name] for name in private} == {"EDGECODEC_PRIVATE"}
    assert {exported[name] for name in exported.keys() - private} <= {"EDGECODEC_0"}


def test_the_version_of_the_symbols_is_the_major_version() -> None:
    node = f"EDGECODEC_{edgecodec.__version__.partition('.')[0]} {{"
    assert node in (ROOT / "native" / "exported_symbols.map").read_text(encoding="utf-8")
