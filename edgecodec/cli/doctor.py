"""`edgecodec doctor`: what there is on this machine, what works, and what could be better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import TalkOptions

if TYPE_CHECKING:
    from edgecodec.doctor import Report
    from edgecodec.doctor.engines import EngineState
    from edgecodec.doctor.jetson import Clock, Jetson
    from edgecodec.doctor.nvidia import Nvidia
    from edgecodec.doctor.software import Software


@with_groups
def doctor(talk: TalkOptions) -> None:
    """Show what edgecodec finds on this machine. Versions, engines, devices, memory, and advice."""
    with reporting(talk) as console:
        from edgecodec.doctor import examine

        console.say("trying every engine...")
        report = examine()
        if talk.json:
            console.record(asdict(report))
        else:
            console.show(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    if report.software is not None:
        yield from _software(report.software)
    if report.processor is not None:
        processor = report.processor
        yield f"processor: {processor.model}, {processor.threads} threads, {_listed(processor.instructions)}"
    if report.memory is not None:
        memory = report.memory
        limit = f", a control group allows {_size(memory.limit)}" if memory.limit is not None else ""
        yield f"memory: {_size(memory.total)}, {_size(memory.available)} available{limit}"
    if report.nvidia is not None:
        yield from _nvidia(report.nvidia)
    if report.jetson is not None:
        yield from _jetson(report.jetson)
    if report.cache is not None:
        cache = report.cache
        yield f"cache: {cache.path}, {_size(cache.size)}, {'writable' if cache.writable else 'not writable'}"
    for engine in report.engines or ():
        yield _engine(engine)
    for probe, why in report.failed.items():
        yield f"{probe}: could not be found out: {why}"
    for sentence in report.advice:
        yield f"advice: {sentence}"


def _software(software: Software) -> Iterator[str]:
    yield (
        f"edgecodec: {software.edgecodec}, writes coded pictures of version {software.coded_pictures} and bundles of "
        f"schema {software.bundle_index}"
    )
    library = software.library
    if library.problem is None:
        others = _listed(library.available)
        yield f"library: {library.path}, C interface {library.version}, kernels {library.kernels} (of {others})"
    else:
        yield f"library: {library.problem}"
    yield f"system: {software.system}, Python {software.python}"
    installed = [f"{name} {version}" for name, version in software.packages.items() if version is not None]
    yield f"packages: {_listed(installed)}"


def _nvidia(nvidia: Nvidia) -> Iterator[str]:
    if not nvidia.present:
        yield "nvidia: no device"
    else:
        yield f"nvidia: driver {nvidia.driver or 'unknown'}, " + (nvidia.problem or f"CUDA {nvidia.cuda}")
    for gpu in nvidia.gpus:
        yield f"gpu: {gpu.name}, compute capability {gpu.compute_capability}, {_size(gpu.memory)}"
    yield f"tensorrt: {_listed(f'{name} {version}' for name, version in nvidia.tensorrt.items())}"


def _jetson(jetson: Jetson) -> Iterator[str]:
    yield (
        f"jetson: {jetson.model or 'unknown model'}, release {jetson.release or 'unknown'}, "
        f"power mode {jetson.power_mode or 'unknown'}"
    )
    for clock in jetson.clocks:
        yield f"clock: {_clock(clock)}"


def _clock(clock: Clock) -> str:
    megahertz = [
        "unknown" if hertz is None else f"{hertz / 1e6:.0f}" for hertz in (clock.current, clock.lowest, clock.highest)
    ]
    held = "held" if clock.is_held else "follows the load"
    return f"{clock.name}, {megahertz[0]} MHz of {megahertz[1]} to {megahertz[2]}, {held}"


def _engine(engine: EngineState) -> str:
    if engine.usable and engine.needs is not None:
        return f"engine {engine.name}: usable on {engine.device}; needs {engine.needs}"
    if engine.usable:
        return f"engine {engine.name}: works, {engine.version} on {engine.device}, {engine.seconds:.1f} s to start"
    hint = f"; {engine.hint}" if engine.hint else ""
    return f"engine {engine.name}: cannot be used: {engine.problem}{hint}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _size(amount: int | None) -> str:
    if amount is None:
        return "unknown"
    for unit in ("bytes", "KB", "MB"):
        if amount < 1024:
            return f"{amount} {unit}"
        amount //= 1024
    return f"{amount} GB"
