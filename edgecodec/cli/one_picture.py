"""Whether a command has so little to do that the start of an engine matters more than its speed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecodec.cli.batch import Job

#: Bytes of a bundle. Larger networks start sooner on OpenVINO than on ONNX Runtime, and what ONNX Runtime saves at the
#: start of them it loses on a picture of a megapixel (docs/performance.md).
_SMALL = 64 << 20


def is_soon_done(jobs: Sequence[Job], bundle: Path) -> bool:
    """One picture, through small networks. Raises what opening a bundle does."""
    from edgecodec.bundle import Bundle

    return len(jobs) == 1 and sum(file.size for file in Bundle(bundle).info.files.values()) < _SMALL
