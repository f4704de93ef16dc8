"""The processor, from /proc/cpuinfo."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from edgecodec.doctor.system_text import fields_of

#: Instruction sets that matter to kernels and engines, by Linux's name for them.
_INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX INT8",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "asimdhp": "NEON half precision",
    "i8mm": "NEON int8 matrices",
    "sve": "SVE",
}
_MODEL = ("model name", "Model", "Hardware", "cpu model")


@dataclass(frozen=True)
class Processor:
    """threads: those that this process may use at a time."""

    model: str
    threads: int
    instructions: tuple[str, ...]


def processor(root: Path) -> Processor:
    fields = fields_of(root / "proc" / "cpuinfo")
    model = next((fields[name] for name in _MODEL if fields.get(name)), platform.machine() or "unknown")
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Processor(model, allowed, tuple(name for flag, name in _INSTRUCTIONS.items() if flag in flags))
