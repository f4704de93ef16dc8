"""Plans for other programs: copies in a folder, called after their graphs."""

from __future__ import annotations

import json
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
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(folder)) from error
    files.write(path, cache.load(plan), force=force)
    text = json.dumps({**plan.values(), "file": path.name}, indent=1, sort_keys=True) + "\n"
    files.write(described, text.encode(), force=force)
    return path


def _paths(folder: Path, graph: str) -> tuple[Path, Path]:
    return folder / f"{Path(graph).stem}.plan", folder / f"{Path(graph).stem}.json"
