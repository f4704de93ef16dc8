"""What a knob may be called: anything that can be typed and does not mean something else."""

from __future__ import annotations

import re

from edgecodec.errors import InvalidArgument

#: Names of other arguments and options, which therefore no knob can have.
# fmt: off
RESERVED = frozenset((
    "against", "alpha_channel", "bundle", "calibration", "changes", "chart", "ckpt", "ckpt_mse", "data", "device",
    "dists", "encode_precision", "engine", "engine_device", "engine_library", "entropy_from", "errors", "family",
    "folder", "force", "format", "fused", "help", "help_all", "inputs", "instances", "jobs", "json", "keep",
    "keep_classes", "knob", "knobs", "labels", "largest", "library", "limits", "list", "list_plans", "list_recipes",
    "listed", "lpips", "max", "max_memory", "max_pixels", "max_pixels_per_byte", "min", "minutes", "mounted_at",
    "name", "no_cold", "one_shot", "opt", "original", "output", "path", "picture", "precision", "progress", "prune",
    "quiet", "recipe", "recursive", "resume", "rtx", "runs", "seconds", "seed", "self", "set", "show", "side",
    "skip_existing", "smallest", "source", "sources", "strip", "target_bpp", "threads", "tile", "triton", "typical",
    "verbose", "version", "warm_up", "workspace",
))
# fmt: on


def check_name(name: str) -> None:
    """Raise InvalidArgument for a name that no knob can have."""
    if name in RESERVED or re.fullmatch("[a-z][a-z0-9_]*", name) is None:
        raise InvalidArgument(
            f"a knob cannot be called {name!r}",
            hint="use small letters, digits and _, and not the name of another argument",
        )
