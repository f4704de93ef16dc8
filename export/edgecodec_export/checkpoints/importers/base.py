"""A trained model as it lies on disk, whatever its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """Which family and preset, free notes, and the tensors by their names in the family's model.

    configuration: the preset itself; None where it is the family's of that name. where: the file it was read from, for
    messages.
    """

    family: str
    preset: str
    notes: dict[str, str]
    tensors: dict[str, Tensor]
    configuration: Any = None
    where: str | None = None


class Importer(Protocol):
    """A layout of another origin: one module each, in this package."""

    #: What people call the origin.
    ORIGIN: str
    #: Of the checkpoints it reads.
    FAMILY: str
    #: Where a file has its tensors: the key of a state dict, or None where the file is one.
    STATE: str | None
    #: How the names of its tensors start.
    ROOTS: tuple[str, ...]

    def recognises(self, content: Mapping[str, Any]) -> bool:
        """Whether a file with this content, as safe loading gave it, is of this layout. Looks at keys only."""

    def read(self, content: Mapping[str, Any]) -> Checkpoint:
        """The content under the family's own names, recognised or not. A file without the key STATE is a state dict.

        Strict: CheckpointRejected, with the list, for keys that are unused, missing, mis-shaped or no weights. Stored
        tables of frequencies are left out, never trusted. What is left out is in the notes, as "left out NAME".
        """
