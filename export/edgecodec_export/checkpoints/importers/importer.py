"""The base of every importer: one layout of another origin, recognised and read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.importers.state_dicts import StateDict, closest, recognised


class Importer(ABC):
    """Reads checkpoints of one origin. Each is one module of this package and one line in its `__init__`."""

    #: What people call the origin.
    ORIGIN: ClassVar[str]
    #: The family of the checkpoints it reads.
    FAMILY: ClassVar[str]
    #: The key under which the origin's files hold their state dict, or None where the file itself is the state dict.
    STATE: ClassVar[str | None]
    #: What its tensors' names begin with.
    ROOTS: ClassVar[tuple[str, ...]]
    #: Keys beside the state dict whose values the importer reads.
    OPTIONS: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def has_layout(self, names: AbstractSet[str]) -> bool:
        """Whether a state dict with these names, among others, is of this layout."""

    @abstractmethod
    def convert(self, stored: StateDict) -> Checkpoint:
        """The weights under the family's own names, whether `has_layout` or not.

        Strict: raises CheckpointRejected, with the list, for keys that are unused or missing, and for tensors of
        another shape or that are not weights. Stored tables of frequencies are never trusted: they go into `left_out`,
        as does everything else that is not imported.
        """

    def recognises(self, content: Mapping[Any, Any]) -> bool:
        """Whether a file with this content, as safe loading gave it, has this layout. Looks at keys only."""
        return recognised(content, [self]) is not None

    def read(self, content: Mapping[Any, Any]) -> Checkpoint:
        """Find the weights in the content of a file, recognised or not, and `convert` them."""
        _, stored = recognised(content, [self]) or closest(content, [self])
        return self.convert(stored)
