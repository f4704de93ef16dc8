"""edgecodec.h compiles in every dialect that a program may be written in, and declares what the library exports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgecodec import native
from support.c_header import declared_functions
from support.c_programs import Installation, compiler, run
from support.elf_file import read_elf
from support.paths import ROOT

INCLUDE = ROOT / "native" / "include"
HEADER = INCLUDE / "edgecodec" / "edgecodec.h"
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
DIALECTS = [("c", "c99"), ("c", "c11"), ("c++", "c++17"), ("c++", "c++20")]
each_dialect = pytest.mark.parametrize(("language", "standard"), DIALECTS, ids=[standard for _, standard in DIALECTS])


def _structs() -> list[str]:
    """Those that start with their size."""
    return re.findall(r"EC_STRUCT_SIZE\((\w+)\);", HEADER.read_text(encoding="utf-8"))


def _program() -> str:
    """Declares one of each struct as callers do, and fails unless it knows its size and is zero otherwise."""
    checks = "".join(
        f"    {{ static {name} each = EC_INIT({name}); static {name} other; memset(&other, 0, sizeof other);\n"
        f"      other.struct_size = sizeof other; failed |= memcmp(&each, &other, sizeof each) != 0; }}\n"
        for name in _structs()
    )
    return (
        '#include "edgecodec/edgecodec.h"\n#include <string.h>\n'
        f"int main(void) {{\n    int failed = 0;\n{checks}    return failed;\n}}\n"
    )


@each_dialect
def test_the_header_alone_compiles_without_a_warning(language: str, standard: str, tmp_path: Path) -> None:
    source = tmp_path / f"header.{'c' if language == 'c' else 'cpp'}"
    source.write_text(f'#include "{HEADER}"\n')
    run(compiler(language), f"-std={standard}", *STRICT, "-fsyntax-only", source)


@each_dialect
def test_a_struct_starts_with_its_size_and_zeros(language: str, standard: str, tmp_path: Path) -> None:
    source = tmp_path / f"structs.{'c' if language == 'c' else 'cpp'}"
    source.write_text(_program())
    # memset over a struct with a default for its first field: this is what is compared here, not a mistake.
    allowed = ["-Wno-class-memaccess"] if language == "c++" and "clang" not in compiler(language) else []
    run(compiler(language), f"-std={standard}", *STRICT, *allowed, f"-I{INCLUDE}", source, "-o", tmp_path / "structs")
    run(tmp_path / "structs")


def test_every_public_function_is_exported_and_no_other() -> None:
    exported = read_elf(Path(native.library()._name)).exported
    public = sorted(name for name in exported if not name.startswith("ec_core_"))
    assert sorted(declared_functions(HEADER)) == public


def test_only_the_public_header_is_installed(installation: Installation) -> None:
    headers = [path.relative_to(installation.prefix) for path in installation.prefix.rglob("*.h")]
    assert headers == [Path("include/edgecodec/edgecodec.h")]
