"""Where this user's files are kept that can be made again, like engines compiled for this machine."""

from __future__ import annotations

import os
from pathlib import Path

#: Overrides the place.
VARIABLE = "EDGECODEC_CACHE"


def cache_folder() -> Path:
    """EDGECODEC_CACHE, or `edgecodec` in XDG_CACHE_HOME, or in ~/.cache. It may not exist yet."""
    if override := os.environ.get(VARIABLE):
        return Path(override)
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification has paths that are not absolute ignored.
    return (Path(shared) if os.path.isabs(shared) else Path.home() / ".cache") / "edgecodec"
