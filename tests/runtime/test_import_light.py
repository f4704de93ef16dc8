"""The runtime is light: importing it loads next to nothing, and coding needs neither torch nor onnx."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgecodec_engines import onnxruntime
from support.paths import ENVIRONMENT, PHOTOS, TINY

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ImportError(name + " is blocked by this test")

sys.meta_path.insert(0, Blocked())
"""


def _run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _loaded_by(code: str, *arguments: str) -> set[str]:
    """Top-level modules outside the standard library that `code` loads on top of a bare interpreter."""
    listing = "import sys; before = set(sys.modules)\n" + code
    listing += "\nimport json; print(json.dumps([name.partition('.')[0] for name in set(sys.modules) - before]))"
    return set(json.loads(_run(listing, *arguments).splitlines()[-1])) - set(sys.stdlib_module_names)


def test_the_bare_import_loads_only_itself() -> None:
    assert _loaded_by("import edgecodec") == {"edgecodec"}


def test_the_names_load_only_the_package() -> None:
    names = "open_bundle, Codec, inspect, Limits, EdgecodecError"
    assert _loaded_by(f"from edgecodec import {names}") == {"edgecodec"}


def test_latents_and_inspection_need_no_numpy_before_an_array_is_made(tmp_path: Path, coded: bytes) -> None:
    file = tmp_path / "a.edgc"
    file.write_bytes(coded)
    code = """
import sys, edgecodec
edgecodec.inspect(sys.argv[1])
edgecodec.inspect(sys.argv[2])
edgecodec.open_bundle(sys.argv[1], threads=1, alpha=0.5).check_encoding()
"""
    assert _loaded_by(code, str(TINY), str(file)) == {"edgecodec", "edgecodec_engines"}


@pytest.mark.skipif(onnxruntime.native("") is None, reason="this ONNX Runtime comes without its shared library")
def test_a_picture_needs_no_numpy_either(tmp_path: Path, coded: bytes) -> None:
    """Nor the Python package of ONNX Runtime."""
    file = tmp_path / "a.edgc"
    file.write_bytes(coded)
    code = """
import sys, edgecodec
decoded = edgecodec.open_bundle(sys.argv[1], "onnxruntime", threads=1).decode(sys.argv[2])
assert decoded.memory.nbytes == 64 * 96 * 3 and decoded.engine.version
"""
    assert _loaded_by(code, str(TINY), str(file)) == {"edgecodec", "edgecodec_engines"}


@pytest.mark.parametrize("command", ["inspect", "decode"])
def test_these_commands_load_no_numpy_of_their_own(tmp_path: Path, coded: bytes, command: str) -> None:
    """Decoding loads an engine and makes arrays for it; here the file is damaged, so that there is none."""
    file = tmp_path / "a.edgc"
    file.write_bytes(coded if command == "inspect" else coded[:-1])
    more = [] if command == "inspect" else ["-b", str(TINY), "-o", str(tmp_path / "a.png")]
    code = "import sys; from edgecodec import cli\ntry: cli.main()\nexcept SystemExit: pass"
    loaded = _loaded_by(code, command, str(file), *more, "-q")
    assert "typer" in loaded and not loaded & {"numpy", "rich"}


@pytest.mark.parametrize("options", [[], ["-q"]], ids=["told", "quiet"])
def test_no_bar_is_loaded_where_none_can_be_drawn(tmp_path: Path, options: list[str]) -> None:
    """However long the work takes."""
    code = """
import sys, time
from edgecodec import cli, codec
from edgecodec.cli import progress

progress.APPEARS = progress.REDRAWN = progress.INTERVAL = 0.01
encode = codec.Codec.encode
codec.Codec.encode = lambda *arguments, **named: (time.sleep(0.2), encode(*arguments, **named))[1]
try: cli.main()
except SystemExit as error: assert not error.code
"""
    encoding = ["encode", str(PHOTOS[0]), "-b", str(TINY), "--engine", "stub", "-o", str(tmp_path / "a.edgc")]
    assert "rich" not in _loaded_by(code, *encoding, *options)


def test_decoding_to_pixels_loads_neither_pillow_nor_typer(tmp_path: Path, coded: bytes) -> None:
    file = tmp_path / "a.edgc"
    file.write_bytes(coded)
    decode = "import sys, edgecodec; edgecodec.open_bundle(sys.argv[1], 'stub', threads=1).decode(sys.argv[2])"
    assert _loaded_by(decode, str(TINY), str(file)) == {"edgecodec", "edgecodec_engines", "numpy"}


def test_encode_and_decode_with_torch_and_onnx_blocked(tmp_path: Path) -> None:
    code = """
import edgecodec
with edgecodec.open_bundle(sys.argv[2], "onnxruntime", threads=1) as codec:
    encoded = codec.encode(sys.argv[3])
    print(codec.decode(encoded.data).pixels.shape)
"""
    output = _run(BLOCK + code, "torch,onnx,onnxscript,safetensors,typer", str(TINY), str(PHOTOS[0]))
    height_width_channels = "(96, 64, 3)" if "hat" in PHOTOS[0].name else "(64, 96, 3)"
    assert output.strip() == height_width_channels


def test_the_block_blocks() -> None:
    """The test above would pass for nothing if blocked modules could still be imported."""
    attempt = "\ntry:\n    import numpy\nexcept ImportError as error:\n    print(error)"
    assert _run(BLOCK + attempt, "numpy").strip() == "numpy is blocked by this test"


def test_command_line_help_loads_no_engine() -> None:
    loaded = _loaded_by("import edgecodec.cli")
    assert not loaded & {"torch", "onnx", "onnxruntime", "PIL", "pydantic"}
