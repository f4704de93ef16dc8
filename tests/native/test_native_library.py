"""What libedgecodec exports, and how exceptions leave it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edgecodec import native
from support.c_header import declared_functions
from support.elf_file import read_elf
from support.paths import ROOT

HEADERS = [ROOT / "native" / "include" / "edgecodec" / name for name in ("edgecodec.h", "core.h")]

EXPORTED = [
    "RegisterCustomOps",
    "ec_core_coder_decode",
    "ec_core_coder_encode",
    "ec_core_container_parse",
    "ec_core_container_write",
    "ec_core_crc32",
    "ec_core_decode",
    "ec_core_encode",
    "ec_core_encode_bits",
    "ec_core_encode_bound",
    "ec_core_graph_read",
    "ec_core_kernels",
    "ec_core_kernels_available",
    "ec_core_kernels_force",
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
    "ec_core_onnxruntime_close",
    "ec_core_onnxruntime_open",
    "ec_core_onnxruntime_table",
    "ec_core_tables_close",
    "ec_core_tables_open",
]


@pytest.fixture(scope="module")
def exported() -> list[str]:
    return sorted(read_elf(Path(native.library()._name)).exported)


def test_exported_symbols(exported: list[str]) -> None:
    """No C++ symbol is among them: another library in the process could take its place."""
    assert exported == EXPORTED


def test_the_headers_declare_what_is_exported(exported: list[str]) -> None:
    declared = [name for header in HEADERS for name in declared_functions(header)]
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
