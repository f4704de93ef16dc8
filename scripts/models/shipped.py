"""The models in checkpoints/: their files, what those say of themselves, and where things about them are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecodec_export.checkpoints import read_checkpoint, stored_notes
from edgecodec_export.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
_MSE = "-mse"


@dataclass(frozen=True)
class Home:
    """The folders of a repository that hold what is read and written."""

    root: Path = ROOT

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def pictures(self) -> Path:
        return self.root / "examples" / "pictures" / "models"

    @property
    def page(self) -> Path:
        return self.root / "docs" / "models.md"


@dataclass(frozen=True)
class Said:
    """What a checkpoint says of itself. paper: the system and its paper. notes: as `stored_notes` has them.

    alone: whether it is a decoder alone, whose encoder and entropy model the other one of a pair has.
    """

    family: str
    preset: str
    paper: str
    notes: Mapping[str, str]
    alone: bool


@dataclass(frozen=True)
class Model:
    """main: the checkpoint that gives the model its name. mse: of the decoder trained for fidelity, where there is one.

    Beside them lie the card (.md), what was measured (.json) and a training curve for each checkpoint (.csv).
    """

    name: str
    main: Path
    mse: Path | None

    @property
    def checkpoints(self) -> list[Path]:
        """In the order in which they were trained."""
        return [self.main] if self.mse is None else [self.mse, self.main]

    @property
    def card(self) -> Path:
        return self.main.with_suffix(".md")

    @property
    def record(self) -> Path:
        return self.main.with_suffix(".json")

    def hashes(self) -> dict[str, str]:
        """SHA-256 of the checkpoints, in hexadecimal, by name."""
        return {file.name: sha256(file) for file in self.checkpoints}


def models(folder: Path) -> list[Model]:
    """Every model of a folder by name: NAME.safetensors, with NAME-mse.safetensors where there is such a file."""
    files = {file.stem: file for file in sorted(folder.glob("*.safetensors"))}
    pairs = {stem for stem in files if f"{stem}{_MSE}" in files}
    alone = {stem for stem in files if stem.removesuffix(_MSE) not in pairs}
    return [Model(stem, files[stem], files.get(f"{stem}{_MSE}")) for stem in sorted(pairs | alone)]


def said_by(checkpoint: Path) -> Said:
    """Raises what reading a checkpoint raises."""
    found = read_checkpoint(checkpoint)
    return Said(found.family, found.preset, FAMILIES[found.family].PAPER, stored_notes(found), found.rest is not None)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
