"""What other formats do with the pictures, which is the same for every model and takes longest to measure."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecodec_evaluate.peers import peers_named
from edgecodec_evaluate.run import MEASUREMENTS, SETTINGS
from edgecodec_evaluate.settings import Settings, identity, read_identity

#: What has to be the same of two runs for a format to have the same scores in both.
_COMMON = ("edgecodec", "pictures", "against", "weights")


def begin_with_formats(
    evaluated: Path, others: list[Path], bundle: Path, pictures: Mapping[str, Path], settings: Settings
) -> None:
    """Begin the evaluation of a bundle in the folder `evaluated` with what another one measured of the same formats.

    others: folders of evaluations. Where none is of these pictures and formats, nothing is written.
    """
    if (evaluated / SETTINGS).exists():
        return
    wanted: dict[str, Any] = json.loads(json.dumps(identity(bundle, pictures, settings, peers_named(settings.against))))
    for other in others:
        if (other / SETTINGS).exists():
            found = read_identity(other / SETTINGS)
            if all(found.get(name) == wanted[name] for name in _COMMON):
                evaluated.mkdir(parents=True, exist_ok=True)
                (evaluated / MEASUREMENTS).write_text(_of_formats(other / MEASUREMENTS, settings), encoding="utf-8")
                (evaluated / SETTINGS).write_text(json.dumps(wanted), encoding="utf-8")
                return


def _of_formats(table: Path, settings: Settings) -> str:
    """The head of a table, and its whole lines that are of formats."""
    head, *lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    codec = next(csv.reader([head])).index("codec")
    whole = [line for line in lines if line.endswith("\n")]
    return "".join([head, *(line for line in whole if next(csv.reader([line]))[codec] in settings.against)])
