"""What libedgecodec exports, and how exceptions leave it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import edgecodec
from edgecodec import native
from support import native_index
from support.c_header import declared_functions
from support.elf_file import read_elf
from support.paths import ROOT

HEADERS = [ROOT / "native" / "include" / "edgecodec" / name for name in ("edgecodec.h", "core.h")]


@pytest.fixture(scope="module")
def exported() -> list[str]:
    return sorted(read_elf(Path(native.library()._name)).exported)


def test_the_headers_declare_what_is_exported(exported: list[str]) -> None:
    """No C++ symbol is among them: another library in the process could take its place."""
    declared = [name for header in HEADERS for name in declared_functions(header)]
    assert sorted(declared) == exported


def test_the_version_is_that_of_the_package() -> None:
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert native_index.library().ec_version().decode() == version == edgecodec.__version__


def test_every_status_has_a_text_of_its_own() -> None:
    header = (ROOT / "native" / "include" / "edgecodec" / "edgecodec.h").read_text(encoding="utf-8")
    (body,) = re.findall(r"typedef enum ec_status \{(.*?)\} ec_status;", header, re.DOTALL)
    numbers = [int(number) for number in re.findall(r"^ +EC_\w+ = (\d+)", body, re.MULTILINE)]
    texts = [native_index.library().ec_status_text(number).decode() for number in [*numbers, -1]]
    assert len(numbers) == 19 and len(set(texts)) == 20 and all(texts) and texts[-1] == "unknown status"


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
