"""The base of every importer: one layout of another origin, recognised and read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from edgecodec_export.checkpoints.checkpoint import Checkpoint


class Importer(ABC):
    """Reads checkpoints of one origin. Each is one module of this package and one line in its `__init__`."""

    #: What people call the origin.
    ORIGIN: ClassVar[str]
    #: The family of the checkpoints it reads.
    FAMILY: ClassVar[str]
    #: The key under which a file holds its state dict, or None where the file itself is the state dict.
    STATE: ClassVar[str | None]
    #: The prefixes of its tensors' names.
    ROOTS: ClassVar[tuple[str, ...]]

    @abstractmethod
    def recognises(self, content: Mapping[str, Any]) -> bool:
        """Whether a file with this content, as safe loading gave it, has this layout. Looks at keys only."""

    @abstractmethod
    def read(self, content: Mapping[str, Any]) -> Checkpoint:
        """The content under the family's own names, recognised or not. A file without the key STATE is a state dict.

        Strict: raises CheckpointRejected, with the list, for keys that are unused or missing, and for tensors of
        another shape or that are not weights. Stored tables of frequencies are never trusted: they go into `left_out`,
        as does everything else that is not imported.
        """
