"""Replacing layers of a network by others."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def replace_layers(network: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> None:
    """Put what `replacement` gives in the place of every layer below `network` for which it gives anything."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            found = replacement(layer)
            if found is not None:
                setattr(parent, name, found)
