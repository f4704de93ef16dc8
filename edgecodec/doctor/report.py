"""Everything that is found on a machine, put together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgecodec.doctor.advice import advice
from edgecodec.doctor.cache import Cache, cache
from edgecodec.doctor.engines import EngineState, engine_states
from edgecodec.doctor.jetson import Jetson, jetson
from edgecodec.doctor.memory import Memory, memory
from edgecodec.doctor.nvidia import Nvidia, nvidia
from edgecodec.doctor.processor import Processor, processor
from edgecodec.doctor.software import Software, software

PATIENCE = 30.0  # seconds for each probe; a first import on a small board takes several
_ROOT = Path("/")

Found = TypeVar("Found")


@dataclass(frozen=True)
class Report:
    """None stands for a probe that failed, whose reason is in `failed` under its name. advice: a sentence each."""

    software: Software | None
    processor: Processor | None
    memory: Memory | None
    engines: tuple[EngineState, ...] | None
    nvidia: Nvidia | None
    jetson: Jetson | None
    cache: Cache | None
    failed: dict[str, str]
    advice: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """What figures were measured on: as in a Report, without what takes long to find out."""

    software: Software | None
    processor: Processor | None
    memory: Memory | None
    nvidia: Nvidia | None
    jetson: Jetson | None


def examine(root: Path = _ROOT, patience: float = PATIENCE) -> Report:
    """Look at everything; nothing is raised. root: where files of the system are read. patience: seconds a probe."""
    probes = _Probes()
    workers = ThreadPoolExecutor(max_workers=3, thread_name_prefix="edgecodec-doctor")
    try:
        engines = workers.submit(probes.attempt, "engines", lambda: engine_states(patience))
        devices = workers.submit(probes.attempt, "nvidia", lambda: nvidia(root, patience))
        folder = workers.submit(probes.attempt, "cache", lambda: cache(patience))
        found = {
            "software": probes.attempt("software", software),
            "processor": probes.attempt("processor", lambda: processor(root)),
            "memory": probes.attempt("memory", lambda: memory(root)),
            "jetson": probes.attempt("jetson", lambda: jetson(root)),
            "engines": engines.result(),
            "nvidia": devices.result(),
            "cache": folder.result(),
        }
    finally:
        workers.shutdown(wait=False)  # an interrupt does not wait for a library that hangs
    return Report(**found, failed=probes.failed, advice=tuple(advice(**found)))  # type: ignore[arg-type]


def machine(root: Path = _ROOT, patience: float = PATIENCE) -> Machine:
    """What a measurement should say of its machine; nothing is raised."""
    attempt = _Probes().attempt
    return Machine(
        attempt("software", software),
        attempt("processor", lambda: processor(root)),
        attempt("memory", lambda: memory(root)),
        attempt("nvidia", lambda: nvidia(root, patience)),
        attempt("jetson", lambda: jetson(root)),
    )


class _Probes:
    """Runs probes, and keeps why some failed."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}

    def attempt(self, name: str, probe: Callable[[], Found]) -> Found | None:
        try:
            return probe()
        except Exception as error:  # whatever it is, the other probes matter more
            self.failed[name] = f"{type(error).__name__}: {error}"
            return None
