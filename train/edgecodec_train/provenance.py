"""What made a checkpoint, besides its recipe: the versions of the code and of PyTorch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import torch

import edgecodec


def provenance() -> dict[str, str]:
    """Notes for a checkpoint. "commit" is there where the code runs from a git checkout."""
    notes = {"edgecodec": edgecodec.__version__, "torch": torch.__version__}
    commit = _commit()
    return {**notes, "commit": commit} if commit else notes


def _commit() -> str | None:
    """The commit that is checked out, with "+" behind it where files differ from it."""
    folder = Path(__file__).parent
    try:
        tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git(folder, "rev-parse", "HEAD").strip()
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no").strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return (commit + "+" * bool(changed)) if tracked else None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
