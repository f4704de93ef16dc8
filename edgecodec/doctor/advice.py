"""What could be better on a machine, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from edgecodec.doctor.cache import Cache
from edgecodec.doctor.engines import EngineState
from edgecodec.doctor.jetson import Jetson
from edgecodec.doctor.memory import Memory
from edgecodec.doctor.nvidia import Nvidia
from edgecodec.doctor.processor import Processor
from edgecodec.doctor.software import Software

_LITTLE_MEMORY = 1 << 30  # bytes
_ON_THE_PROCESSOR = "cpu"


def advice(
    software: Software | None,
    processor: Processor | None,
    memory: Memory | None,
    engines: tuple[EngineState, ...] | None,
    nvidia: Nvidia | None,
    jetson: Jetson | None,
    cache: Cache | None,
) -> Iterator[str]:
    """The most important first. What is None is not known, and gives no advice."""
    if software is not None:
        yield from _on_library(software, processor)
    if engines is not None:
        yield from _on_engines(engines)
    if nvidia is not None:
        yield from _on_gpu(nvidia, engines or (), is_jetson=jetson is not None)
    if jetson is not None:
        yield from _on_jetson(jetson)
    if memory is not None:
        yield from _on_memory(memory)
    if cache is not None and not cache.writable:
        why = f": {cache.problem}" if cache.problem else ""
        yield f"{cache.path} cannot be written to{why}. Set XDG_CACHE_HOME to a folder that can."


def _on_library(software: Software, processor: Processor | None) -> Iterator[str]:
    library = software.library
    if library.problem is not None:
        yield f"Nothing can be coded: {library.problem}."
    elif library.kernels == "scalar" and processor is not None and processor.instructions:
        yield (
            f"The native library uses scalar kernels although the processor has {processor.instructions[0]}: entropy "
            "coding is several times slower than it could be. Reinstall edgecodec for this machine."
        )


def _on_engines(engines: tuple[EngineState, ...]) -> Iterator[str]:
    if not any(engine.usable for engine in engines):
        yield "No engine can be used: pip install 'edgecodec[ort]'."
    for engine in engines:
        if engine.problem is not None and "no answer" in engine.problem:
            yield f"{engine.name} {engine.problem}: its library hangs while it is loaded or used."


def _on_gpu(nvidia: Nvidia, engines: tuple[EngineState, ...], *, is_jetson: bool) -> Iterator[str]:
    if not (nvidia.present or is_jetson):
        return
    if nvidia.driver is None and not nvidia.gpus and not is_jetson:
        yield "There is an NVIDIA device, but no driver: install NVIDIA's driver."
    elif not nvidia.gpus:
        yield (
            f"The NVIDIA driver cannot be used: {nvidia.problem}. In a container, start it with the NVIDIA runtime "
            "(docker run --gpus all)."
        )
    else:
        gpu = nvidia.gpus[0].name
        build = "a build of onnxruntime-gpu for Jetson" if is_jetson else "onnxruntime-gpu"
        using = [engine for engine in engines if engine.usable and engine.device != _ON_THE_PROCESSOR]
        if not using:
            yield f"No engine uses the {gpu}: install {build} instead of onnxruntime."
        elif all(engine.needs for engine in using):
            yield (
                f"The {gpu} is used only for what was prepared: {using[0].name} needs {using[0].needs}. "
                f"For everything else, install {build} instead of onnxruntime."
            )


def _on_jetson(jetson: Jetson) -> Iterator[str]:
    if jetson.power_mode is not None and "MAXN" not in jetson.power_mode:
        yield f"Power mode {jetson.power_mode} limits the clocks; for figures to compare, set MAXN with sudo nvpmodel."
    if any(not clock.is_held for clock in jetson.clocks):
        yield "Clocks follow the load; for figures to compare, sudo jetson_clocks."


def _on_memory(memory: Memory) -> Iterator[str]:
    left = min((each for each in (memory.available, memory.limit) if each is not None), default=None)
    if left is not None and left < _LITTLE_MEMORY:
        yield f"Only {left >> 20} MB of memory are left, so that pictures are worked on in small tiles."
