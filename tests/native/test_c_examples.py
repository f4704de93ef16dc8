"""The C and C++ examples build with an installed library, and give the pictures that Python gives, byte for byte."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import edgecodec
from edgecodec.codec import Codec
from support.c_programs import (
    ENVIRONMENT,
    Installation,
    compiler,
    flags_like_the_library,
    needed_tool,
    onnxruntime_library,
    run,
)
from support.command_line import run_command
from support.paths import GOLDEN, ROOT, TINY

SOURCES = ROOT / "examples" / "c"
pytestmark = pytest.mark.skipif(not SOURCES.is_dir(), reason="a source distribution has no examples")


@pytest.fixture(scope="module")
def examples(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs, built by CMake, which finds the library by its package files."""
    folder = tmp_path_factory.mktemp("examples")
    flags = " ".join(["-Werror", *flags_like_the_library()])
    languages = [f"-DCMAKE_{language}_FLAGS={flags}" for language in ("C", "CXX")]
    cmake = needed_tool("cmake")
    run(cmake, "-S", SOURCES, "-B", folder, f"-DCMAKE_PREFIX_PATH={installation.prefix}", *languages)
    run(cmake, "--build", folder)
    return folder


@pytest.fixture
def file(tmp_path: Path, coded: bytes) -> Path:
    path = tmp_path / "a.edgc"
    path.write_bytes(coded)
    return path


def _start(program: Path, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    # ONNX Runtime keeps what it made for the process until the end, which is no leak of the examples'.
    environment = {
        **ENVIRONMENT,
        "EDGECODEC_ONNXRUNTIME": str(onnxruntime_library()),
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    command = [str(word) for word in (program, *arguments)]
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)


def _run(program: Path, *arguments: object) -> None:
    done = _start(program, *arguments)
    assert done.returncode == 0, done.stderr.decode()


def _ppm(pixels: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PPM")
    return stream.getvalue()


def test_decode_to_ppm(examples: Path, codec: Codec, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ppm"
    _run(examples / "decode_to_ppm", file, TINY, out)
    assert out.read_bytes() == _ppm(codec.decode(file).pixels)
    _run(examples / "decode_to_ppm", file, TINY, out, "alpha=0.5")
    assert out.read_bytes() == _ppm(codec.decode(file, alpha=0.5).pixels)


def test_decode_to_ppm_names_what_is_wrong(examples: Path, file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    done = _start(examples / "decode_to_ppm", file, TINY, tmp_path / "a.ppm")
    assert done.returncode == 3 and done.stderr.startswith(f"{file}: is damaged".encode())
    done = _start(examples / "decode_to_ppm", file, tmp_path / "none.bundle", tmp_path / "a.ppm")
    assert done.returncode == 4 and done.stderr.startswith(f"{tmp_path / 'none.bundle'}: ".encode())
    assert b". Hint: " in done.stderr and not (tmp_path / "a.ppm").exists()


def test_decode_to_memory(examples: Path, codec: Codec, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ppm"
    _run(examples / "decode_to_memory", file, TINY, out)
    assert out.read_bytes() == _ppm(codec.decode(file).pixels)


def test_a_grey_picture_fits_the_buffer_too(examples: Path, codec: Codec, tmp_path: Path) -> None:
    file, out = GOLDEN / "tiny-grey-sections.edgc", tmp_path / "grey.ppm"
    _run(examples / "decode_to_memory", file, TINY, out)
    grey = codec.decode(file).pixels
    assert grey.ndim == 2 and out.read_bytes() == _ppm(np.repeat(grey[:, :, None], 3, axis=2))


def test_decode_folder(examples: Path, codec: Codec, file: Path, tmp_path: Path) -> None:
    """A damaged file in between ends nothing but itself."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(file, folder / f"{name}.edgc")
    (folder / "b.edgc").write_bytes(file.read_bytes()[:40])
    (folder / "notes.txt").write_text("no picture")
    done = _start(examples / "decode_folder", folder, TINY, out)
    assert done.returncode == 1 and done.stderr.startswith(b"b.edgc: ")
    expected = _ppm(codec.decode(file).pixels)
    assert {path.name: path.read_bytes() == expected for path in out.iterdir()} == {"a.ppm": True, "c.ppm": True}
    done = _start(examples / "decode_folder", folder, TINY, tmp_path / "nowhere")
    assert done.returncode == 1 and sorted(line.split(b":")[0] for line in done.stderr.splitlines()) == [
        str(tmp_path / "nowhere" / "a.ppm").encode(),
        str(tmp_path / "nowhere" / "c.ppm").encode(),
        b"b.edgc",
    ]


def test_encode_camera(
    examples: Path, codec: Codec, pixels: npt.NDArray[np.uint8], coded: bytes, tmp_path: Path
) -> None:
    height, width, _ = pixels.shape
    stride = 3 * width + 40
    rows = np.full((height, stride), 200, np.uint8)  # what lies between rows must not matter
    rows[:, : 3 * width] = pixels.reshape(height, -1)
    frame, out = tmp_path / "frame.rgb", tmp_path / "frame.edgc"
    frame.write_bytes(rows.tobytes()[: stride * (height - 1) + 3 * width])
    _run(examples / "encode_camera", frame, width, height, stride, TINY, out)
    assert out.read_bytes() == coded
    frame.write_bytes(frame.read_bytes()[:-1])
    assert _start(examples / "encode_camera", frame, width, height, stride, TINY, out).returncode == 2


def test_sweep_knob(examples: Path, codec: Codec, file: Path, tmp_path: Path) -> None:
    _run(examples / "sweep_knob", file, TINY, "alpha", tmp_path / "a")
    for alpha in (0, 0.5, 1):
        assert (tmp_path / f"a-{alpha}.ppm").read_bytes() == _ppm(codec.decode(file, alpha=alpha).pixels)
    done = _start(examples / "sweep_knob", file, TINY, "realism", tmp_path / "a")
    assert done.returncode == 1 and b"no knob realism" in done.stderr


def test_fused_graph(examples: Path, codec: Codec, file: Path, tmp_path: Path) -> None:
    program, out = examples / "fused_graph", tmp_path / "a.ppm"
    if not program.exists():
        pytest.skip("it is not built without ONNX Runtime's header")
    pytest.importorskip("onnx")
    run_command("fuse", TINY, "-o", tmp_path, "--alpha", 1)
    libraries, graph = (onnxruntime_library(), edgecodec.custom_ops_library()), tmp_path / "decode-alpha1.onnx"
    _run(program, *libraries, graph, file, out)
    assert out.read_bytes() == _ppm(codec.decode(file, alpha=1).pixels)
    file.write_bytes(file.read_bytes()[:-1])
    done = _start(program, *libraries, graph, file, tmp_path / "none.ppm")
    assert done.returncode == 6 and b"edgecodec: is damaged" in done.stderr and not (tmp_path / "none.ppm").exists()


def test_one_program_builds_with_pkg_config(
    installation: Installation, codec: Codec, file: Path, tmp_path: Path
) -> None:
    flags = [*flags_like_the_library(), *installation.flags()]
    program, out = tmp_path / "decode_to_ppm", tmp_path / "a.ppm"
    run(compiler("c"), "-std=c99", "-Wall", "-Werror", SOURCES / "decode_to_ppm.c", *flags, "-o", program)
    _run(program, file, TINY, out)
    assert out.read_bytes() == _ppm(codec.decode(file).pixels)


def test_the_installed_folder_can_be_moved(installation: Installation, tmp_path: Path) -> None:
    moved = Installation(Path(shutil.copytree(installation.prefix, tmp_path / "moved", symlinks=True)))
    assert all(str(installation.prefix) not in flag for flag in moved.flags())
    source = tmp_path / "version.c"
    source.write_text("#include <edgecodec/edgecodec.h>\n#include <stdio.h>\nint main(void) { puts(ec_version()); }\n")
    flags = [*flags_like_the_library(), *moved.flags()]
    run(compiler("c"), "-std=c99", source, *flags, "-o", tmp_path / "version")
    environment = {**ENVIRONMENT, "ASAN_OPTIONS": "detect_leaks=0"}
    said = subprocess.check_output([tmp_path / "version"], env=environment, text=True)
    assert said.strip() == edgecodec.__version__


def test_a_version_that_does_not_fit_is_refused(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(other LANGUAGES NONE)\nfind_package(edgecodec 0.2 REQUIRED)\n"
    )
    command = [
        needed_tool("cmake"),
        "-S",
        str(tmp_path),
        "-B",
        str(tmp_path / "b"),
        f"-DCMAKE_PREFIX_PATH={installation.prefix}",
    ]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "0.2" in done.stderr


def test_programs_ask_for_the_major_version(installation: Installation) -> None:
    from support.elf_file import read_elf

    (library,) = (path for path in installation.prefix.rglob("libedgecodec.so") if path.is_symlink())
    assert read_elf(library).soname == f"libedgecodec.so.{edgecodec.__version__.partition('.')[0]}"
    assert os.path.realpath(library).endswith(f"libedgecodec.so.{edgecodec.__version__}")
