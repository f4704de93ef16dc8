"""Where this user's files are kept that can be made again, like plans compiled for this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`edgecodec` in XDG_CACHE_HOME, or in ~/.cache. It may be missing. Raises RuntimeError without a home folder."""
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification has paths that are not absolute ignored.
    return (Path(shared) if os.path.isabs(shared) else Path.home() / ".cache") / "edgecodec"
