"""Both faces of the runtime tell ONNX Runtime's GPU providers the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecodec import codec
from edgecodec.bundle import Bundle
from edgecodec.codec import Codec
from edgecodec.engine import NativeEngine
from edgecodec.errors import EngineFailed, EngineUnavailable
from edgecodec.loading import graph_of
from edgecodec_engines.onnxruntime_options import provider_options
from support.paths import TINY

#: An ONNX Runtime that writes down what its providers are told, and then makes no session.
RECORDER = r"""
#include <stddef.h>
#include <stdio.h>

static char thing;
static void *nothing(void) { return NULL; }
static void *make_first(void **out) { return *out = &thing, NULL; }
static void *make_third(int a, const void *b, void **out) { return *out = &thing, NULL; }
static void *providers(const char ***out, int *count) {
    static const char *names[] = {"TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"};
    return *out = names, *count = 3, NULL;
}
static void *update(void *options, const char *const *keys, const char *const *values, size_t count) {
    FILE *file = fopen(TOLD, "w");
    for (size_t i = 0; i < count; ++i) fprintf(file, "%s=%s\n", keys[i], values[i]);
    return fclose(file), NULL;
}
static void *session(void) { return &thing; }
static int code(void) { return 1; }
static const char *message(void) { return "it only records"; }

static void *table[320];
static const void *functions(unsigned version) {
    for (int i = 0; i < 320; ++i) table[i] = nothing;
    table[1] = code, table[2] = message, table[3] = make_third, table[8] = session, table[10] = make_first;
    table[69] = make_third, table[125] = providers, table[171] = make_first, table[172] = update;
    table[205] = make_first, table[206] = update;
    return table;
}
static const char *version(void) { return "1.23.2"; }
static const struct { void *get_api, *get_version; } base = {functions, version};
const void *OrtGetApiBase(void) { return &base; }
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], dict[str, str]]:
    """What the native library tells a provider for a graph of the tiny bundle."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source, library, record = tmp_path / "recorder.c", tmp_path / "libonnxruntime.so", tmp_path / "told"
    source.write_text(RECORDER)
    options = ["-shared", "-fPIC", "-w", f'-DTOLD="{record}"']
    subprocess.run([*compiler.split(), *options, source, "-o", library], check=True)

    def load(engine: str, number: int) -> dict[str, str]:
        monkeypatch.setattr(codec, "native_engine", lambda *arguments: (NativeEngine(engine, library), ()))
        with Codec(Bundle(TINY), engine, {}) as opened, pytest.raises(EngineFailed, match="it only records"):
            opened.graphs.load(number)
        return dict(line.split("=", 1) for line in record.read_text().splitlines())

    return load


@pytest.mark.parametrize("number", range(len(Bundle(TINY).info.graphs)))
@pytest.mark.parametrize("variant", ["cuda", "tensorrt"])
def test_the_native_library_tells_what_python_tells(
    told: Callable[[str, int], dict[str, str]], variant: str, number: int
) -> None:
    expected = provider_options(variant, graph_of(Bundle(TINY), number), "1.23.2")
    assert told(f"onnxruntime:{variant}", number) == expected and expected


def test_the_native_library_makes_the_folder_and_refuses_one_that_others_may_write_to(
    told: Callable[[str, int], dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(told("onnxruntime:tensorrt", 1)["trt_engine_cache_path"])
    assert folder.is_relative_to(tmp_path / "cache") and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o770)
    with (
        pytest.raises(EngineUnavailable, match="can be written to by other users"),
        Codec(Bundle(TINY), "", {}) as opened,
    ):
        opened.graphs.load(1)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    with pytest.raises(EngineUnavailable, match="no home folder"), Codec(Bundle(TINY), "", {}) as opened:
        opened.graphs.load(1)
