"""A trained model as it was read from disk, whatever its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """Everything that rebuilds a model, and what is known about its origin.

    notes: remarks for people by topic, for example "origin" and "iterations". tensors: float32, by their names in the
    family's model. configuration: the family's `Preset`; None means the one that the family calls `preset`. classes:
    names of the labels in the order of their numbers, empty where the checkpoint names none. left_out: the parts of the
    file that were not imported, with the reason. where: the file, for messages. keys: the file's own keys of tensors
    that have another name in it. rest: of a decoder alone, the hash of the tensors that another checkpoint has
    (`decoder_alone.rest_hash`).
    """

    family: str
    preset: str
    notes: Mapping[str, str]
    tensors: dict[str, Tensor]
    configuration: Any = None
    classes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    rest: str | None = None
