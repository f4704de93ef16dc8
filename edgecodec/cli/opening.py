"""The codec of a command that codes pictures, as its options ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgecodec
from edgecodec.cli.shared_options import EngineOptions, SizeOptions

if TYPE_CHECKING:
    from edgecodec.codec import Codec


@dataclass(frozen=True)
class Opening:
    """What such commands are told alike. one_shot: whether there is one picture, and it is coded once."""

    bundle: Path
    engine: EngineOptions
    size: SizeOptions
    one_shot: bool

    def codec(self, processes: int, **wanted: Any) -> Codec:
        """processes: how many share the machine. wanted: of `open_bundle`, what one command has alone."""
        return edgecodec.open_bundle(
            self.bundle,
            self.engine.checked_name(),
            limits=self.size.limits(),
            threads=self.engine.threads_each(processes),
            engine_library=self.engine.engine_library,
            engine_device=self.engine.engine_device,
            one_shot=self.one_shot and processes == 1,
            **self.size.room(processes),
            **wanted,
        )
