"""What a run is asked to do, and how it is told from another in the same folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import edgecodec
from edgecodec import files
from edgecodec.codec import Codec, open_bundle
from edgecodec.description import INDEX
from edgecodec.errors import CannotRead, OutputExists
from edgecodec.limits import ANY, Limits
from edgecodec.picture import AlphaChannel
from edgecodec.tiling import TileChoice
from edgecodec_evaluate.peers.peer import Peer


@dataclass(frozen=True)
class Settings:
    """knobs: values by name, to which the bundle's points are restricted. against: names of PEERS.

    weights: files by names of NETWORKS, whose scores are computed then.

    alpha_channel: what to do with transparency. The others are those of `open_bundle`.
    """

    knobs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    against: Sequence[str] = ()
    weights: Mapping[str, Path] = field(default_factory=dict)
    alpha_channel: AlphaChannel = "refuse"
    engine: str = "auto"
    engine_library: str | None = None
    engine_device: str | None = None
    precision: str | None = None
    threads: int | None = None
    tile: TileChoice = "auto"
    max_memory: int | None = None
    limits: Limits = field(default_factory=Limits)

    def open(self, bundle: Path) -> Codec:
        """Raises what `open_bundle` raises."""
        return open_bundle(
            bundle,
            self.engine,
            engine_library=self.engine_library,
            engine_device=self.engine_device,
            precision=self.precision,
            limits=self.limits,
            threads=self.threads,
            tile=self.tile,
            max_memory=self.max_memory,
        )


def identity(bundle: Path, pictures: Mapping[str, Path], settings: Settings, peers: Sequence[Peer]) -> dict[str, Any]:
    """What a run is told from another by, as JSON has it. pictures: paths by name. Raises CannotRead.

    A bundle's index has the hashes of all other files that are opened.
    """
    return {
        "edgecodec": edgecodec.__version__,
        "bundle": _sha256(bundle / INDEX),
        "pictures": {name: _sha256(path) for name, path in pictures.items()},
        "settings": {
            "knobs": {name: list(values) for name, values in sorted(settings.knobs.items())},
            "alpha_channel": settings.alpha_channel,
            "engine": settings.engine,
            "engine_library": settings.engine_library,
            "engine_device": settings.engine_device,
            "precision": settings.precision,
            "threads": settings.threads,
            "tile": settings.tile,
            "max_memory": settings.max_memory,
        },
        "against": {
            peer.name: {"encoder": peer.version(), "settings": dict(peer.settings), "qualities": list(peer.qualities)}
            for peer in peers
        },
        "weights": {name: _sha256(path) for name, path in sorted(settings.weights.items())},
    }


_OF_ALL = {
    "edgecodec": "another version of edgecodec",
    "bundle": "another bundle",
    "pictures": "other pictures",
    "settings": "other settings",
}
_OF_SOME = {
    "against": "another version or other settings of {}",
    "weights": "{} with other weights",
}


def joined(
    found: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path, measured: Callable[[str], bool]
) -> dict[str, Any]:
    """The identity of a run in `folder` that goes on with formats or weights added, or without some that it has.

    measured: whether there are measurements of the format or network of a name; an interrupt may have come before any.

    Raises OutputExists where what it has was measured with something else.
    """
    changed = [what for name, what in _OF_ALL.items() if found.get(name) != wanted[name]]
    there = {name: known if isinstance(known := found.get(name), dict) else {} for name in _OF_SOME}
    for name, what in _OF_SOME.items():
        others = [
            each for each, value in wanted[name].items() if there[name].get(each, value) != value and measured(each)
        ]
        changed += [what.format(" and ".join(others))] if others else []
    if changed:
        raise OutputExists(
            f"has measurements of {' and '.join(changed)}",
            where=str(folder),
            hint="give another -o, or --force, which begins anew",
        )
    return {**wanted, **{name: {**there[name], **wanted[name]} for name in _OF_SOME}}


def read_identity(path: Path) -> Mapping[str, Any]:
    """Raises CannotRead."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CannotRead(str(error), where=str(path), hint="--force begins anew") from error
    return found if isinstance(found, dict) else {}


def _sha256(path: Path) -> str:
    return hashlib.sha256(files.read(path, ANY)).hexdigest()
