"""What edgecodec finds on a machine: versions, engines, devices, memory, and what could be better.

Every probe is bounded in time and none ends the others. What may hang or crash runs in a process of its own, and what
the kernel tells is read as text below a root folder, so that other machines can be examined from a copy of theirs.
"""

from __future__ import annotations

from edgecodec.doctor.report import Report, examine

__all__ = ["Report", "examine"]
