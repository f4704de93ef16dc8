"""The programs and parts of programs in docs/c_api.md compile, and the first one decodes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from edgecodec.codec import Codec
from support.c_programs import (
    ENVIRONMENT,
    Installation,
    compiler,
    flags_like_the_library,
    onnxruntime_library,
    run,
)
from support.paths import ROOT, TINY

BLOCKS = re.findall(r"^```c\n(.*?)^```$", (ROOT / "docs" / "c_api.md").read_text(encoding="utf-8"), re.M | re.S)
PROGRAMS = [block for block in BLOCKS if "#include" in block]
PARTS = [block for block in BLOCKS if "#include" not in block]
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]

#: What the page says that parts of functions take from around them.
AROUND = """#include <stdio.h>
#include <stdlib.h>
#include <edgecodec/edgecodec.h>
void run_network(const ec_graph *, const ec_tensor *, size_t, ec_tensor *, size_t);
ec_status part(ec_bundle *bundle, ec_codec *codec, const unsigned char *file, size_t size, const uint8_t *camera);
ec_status part(ec_bundle *bundle, ec_codec *codec, const unsigned char *file, size_t size, const uint8_t *camera) {
    ec_error error = EC_INIT(ec_error);
    ec_picture picture = EC_INIT(ec_picture);
    (void)bundle, (void)codec, (void)file, (void)size, (void)camera, (void)error, (void)picture;
"""


def _compile(source: Path, *more: object) -> None:
    run(compiler("c"), "-std=c99", *STRICT, f"-I{ROOT / 'native' / 'include'}", source, *more)


def test_the_page_has_code() -> None:
    assert len(PROGRAMS) >= 2 and len(PARTS) >= 7


@pytest.mark.parametrize("block", PARTS, ids=[block.split("\n")[0][:40] for block in PARTS])
def test_parts_compile(block: str, tmp_path: Path) -> None:
    source = tmp_path / "part.c"
    source.write_text(f"{AROUND}{block}    return EC_OK;\n}}\n")
    _compile(source, "-fsyntax-only")


@pytest.mark.parametrize("block", PROGRAMS, ids=["first", "engine"])
def test_programs_compile(block: str, tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text(block)
    _compile(source, "-fsyntax-only")


def test_the_first_program_decodes(installation: Installation, codec: Codec, coded: bytes, tmp_path: Path) -> None:
    source, program, file = tmp_path / "first.c", tmp_path / "first", tmp_path / "a.edgc"
    source.write_text(PROGRAMS[0])
    file.write_bytes(coded)
    _compile(source, *flags_like_the_library(), *installation.flags(), "-o", program)
    environment = {
        **ENVIRONMENT,
        "EDGECODEC_ONNXRUNTIME": str(onnxruntime_library()),
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    out = tmp_path / "a.ppm"
    with out.open("wb") as stream:
        subprocess.run([program, file, TINY], env=environment, stdout=stream, check=True, timeout=60)
    with Image.open(out) as picture:
        assert picture.tobytes() == codec.decode(coded).pixels.tobytes()
    file.write_bytes(coded[:-1])
    done = subprocess.run([program, file, TINY], env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 3 and done.stderr.startswith(f"{file}: is damaged".encode())
