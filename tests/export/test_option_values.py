"""What the command line says of exports without loading torch is what is there; and it says wrong paths so too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgecodec_export.families import FAMILIES
from edgecodec_export.options import FAMILY_NAMES
from support.paths import ENVIRONMENT, ROOT


def test_the_names_that_shells_complete_are_the_families() -> None:
    assert list(FAMILY_NAMES) == sorted(FAMILIES)


@pytest.mark.parametrize("option", ["--ckpt", "--ckpt-mse", "--calibration", "--entropy-from"])
def test_a_typo_is_said_before_torch_is_loaded(option: str, tmp_path: Path) -> None:
    code = "import sys; sys.modules.update(torch=None, onnx=None); from edgecodec.cli import main; main()"
    checkpoint = ROOT / "checkpoints" / "hific-compact.safetensors"
    arguments = {"--ckpt": str(checkpoint), option: str(tmp_path / "nowhere"), "-o": str(tmp_path / "x.bundle")}
    command = [sys.executable, "-c", code, "export", *(each for pair in arguments.items() for each in pair)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 7 and f"{tmp_path / 'nowhere'}: " in done.stderr and "torch" not in done.stderr
