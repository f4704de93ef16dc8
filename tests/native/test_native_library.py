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

EXPORTED = [
    "RegisterCustomOps",
    "ec_bundle_close",
    "ec_bundle_describe",
    "ec_bundle_open",
    "ec_codec_cancel",
    "ec_codec_close",
    "ec_codec_open",
    "ec_core_available_memory",
    "ec_core_bundle_check",
    "ec_core_bundle_check_model",
    "ec_core_bundle_read",
    "ec_core_check_bytes",
    "ec_core_check_decoding",
    "ec_core_check_encoding",
    "ec_core_check_ratio",
    "ec_core_check_room",
    "ec_core_check_size",
    "ec_core_choose_graph",
    "ec_core_codec_shapes",
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
    "ec_core_index_close",
    "ec_core_index_describe",
    "ec_core_index_open",
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
    "ec_core_onnxruntime_close",
    "ec_core_onnxruntime_open",
    "ec_core_onnxruntime_table",
    "ec_core_pad",
    "ec_core_search_best",
    "ec_core_search_close",
    "ec_core_search_next",
    "ec_core_search_open",
    "ec_core_search_report",
    "ec_core_sha256",
    "ec_core_side_inputs",
    "ec_core_store_pixels",
    "ec_core_tables_close",
    "ec_core_tables_open",
    "ec_core_windows",
    "ec_decode",
    "ec_encode",
    "ec_free",
    "ec_graph_close",
    "ec_graph_open",
    "ec_job_close",
    "ec_job_decode",
    "ec_job_encode",
    "ec_job_finish_decode",
    "ec_job_finish_encode",
    "ec_job_latent",
    "ec_job_next",
    "ec_job_run",
    "ec_peek",
    "ec_status_text",
    "ec_version",
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
