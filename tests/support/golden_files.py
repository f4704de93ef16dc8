"""The golden files (tests/data/golden) and the digests that they must decode to."""

from __future__ import annotations

from dataclasses import dataclass

from support.paths import GOLDEN


@dataclass(frozen=True)
class Golden:
    """One line of digests.txt; the heading there explains the fields."""

    picture: str
    model: str
    writer: str
    digests: tuple[str, ...]

    def data(self) -> bytes:
        return (GOLDEN / self.picture).read_bytes()

    def model_data(self) -> bytes:
        return (GOLDEN / self.model).read_bytes()


def _listed() -> list[Golden]:
    lines = (GOLDEN / "digests.txt").read_text(encoding="ascii").splitlines()
    fields = (line.split() for line in lines if not line.startswith("#"))
    return [Golden(picture, model, writer, tuple(digests)) for picture, model, writer, *digests in fields]


GOLDENS = _listed()
