"""Safetensors: 8 bytes with the length of a JSON header, the header, then the data that its offsets point into.

The format is specified at https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from edgecodec.errors import CheckpointRejected

_LONGEST_HEADER = 100_000_000  # bytes; readers of the format refuse longer ones
_PREFIX = 8  # bytes before the header


def is_safetensors(start: bytes) -> bool:
    """Whether a file that starts with these bytes is safetensors: the length of a JSON header, then its brace."""
    return start[_PREFIX : _PREFIX + 1] == b"{" and _header_length(start) <= _LONGEST_HEADER


def require_whole(path: Path) -> None:
    """Raise CheckpointRejected if the file ends before its tensors do. A damaged header is left to safetensors."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = _header_length(stream.read(_PREFIX))
        header = stream.read(length)
    if len(header) < length:
        missing = _PREFIX + length - size
        raise CheckpointRejected(f"is truncated: at least {missing:,} bytes are missing", hint="download it again")
    try:
        entries = json.loads(header).items()
        ends = [entry["data_offsets"][1] for name, entry in entries if name != "__metadata__"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return
    whole = _PREFIX + length + max((end for end in ends if type(end) is int), default=0)
    if whole > size:
        raise CheckpointRejected(
            f"is truncated: {whole - size:,} of its {whole:,} bytes are missing", hint="download it again"
        )


def _header_length(start: bytes) -> int:
    (length,) = struct.unpack("<Q", start[:_PREFIX])
    return int(length)
