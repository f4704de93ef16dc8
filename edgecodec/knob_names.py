"""What a knob may be called: anything that can be typed and does not mean something else."""

from __future__ import annotations

import re

from edgecodec.errors import InvalidArgument

#: Names of other arguments and options, which therefore no knob can have.
# fmt: off
RESERVED = frozenset((
    "alpha_channel", "bundle", "calibration", "changes", "ckpt", "ckpt_mse", "data", "device", "engine",
    "entropy_from", "errors", "family", "force", "format", "fused", "help", "help_all", "inputs", "jobs", "json",
    "keep", "keep_classes", "knob", "knobs", "labels", "limits", "list", "list_recipes", "listed", "max_memory",
    "max_pixels", "max_pixels_per_byte", "minutes", "output", "path", "picture", "precision", "quiet", "recipe",
    "recursive", "resume", "seed", "self", "set", "show", "skip_existing", "source", "sources", "strip",
    "target_bpp", "threads", "tile", "verbose", "version",
))
# fmt: on


def check_name(name: str) -> None:
    """Raise InvalidArgument for a name that no knob can have."""
    if name in RESERVED or re.fullmatch("[a-z][a-z0-9_]*", name) is None:
        raise InvalidArgument(
            f"a knob cannot be called {name!r}",
            hint="use small letters, digits and _, and not the name of another argument",
        )
