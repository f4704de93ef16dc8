"""Plans for other programs: copies in a folder, called after their graphs."""

from __future__ import annotations

import contextlib
import json
import stat
from pathlib import Path

from edgecodec import files
from edgecodec.errors import CannotWrite
from edgecodec_engines.tensorrt_plans.plan_cache import Plan, PlanCache


def refuse_existing(folder: Path, graph: str) -> None:
    """Raise OutputExists where the copy of the plan of a graph's file would replace another file."""
    for path in _paths(folder, graph):
        files.refuse_existing(path)


def write_copy(cache: PlanCache, plan: Plan, folder: Path, graph: str, *, force: bool) -> Path:
    """Write a plan, and beside it as JSON what it is. Returns the path of the copy.

    Raises OutputExists unless `force`, CannotWrite, BadModel.
    """
    path, described = _paths(folder, graph)
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(folder)) from error
    files.write(path, cache.load(plan), force=force)
    text = json.dumps({**plan.values(), "file": path.name}, indent=1, sort_keys=True) + "\n"
    files.write(described, text.encode(), force=force)
    for each in (path, described):
        _refuse_others(each)
    return path


def _refuse_others(path: Path) -> None:
    """Whatever the umask allows: an engine takes no plan that others may have written."""
    with contextlib.suppress(OSError):  # a file that was there may be another user's
        path.chmod(path.stat().st_mode & ~(stat.S_IWGRP | stat.S_IWOTH))


def _paths(folder: Path, graph: str) -> tuple[Path, Path]:
    return folder / f"{Path(graph).stem}.plan", folder / f"{Path(graph).stem}.json"
