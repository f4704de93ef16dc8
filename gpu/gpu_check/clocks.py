"""Times of work on a device: several kinds of work take turns, warmed up, and medians are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch


@dataclass(frozen=True)
class Times:
    """Milliseconds. host: until the work is done and its results are on the host. device: between two events around
    it, which leaves out what the host does before and after; None on the processor.
    """

    host: float
    device: float | None


def interleaved(
    work: Mapping[str, Callable[[], object]], device: torch.device, *, warm_up: int, rounds: int
) -> dict[str, Times]:
    """Medians by name."""
    for _ in range(warm_up):
        for each in work.values():
            each()
    samples: dict[str, list[Times]] = {name: [] for name in work}
    names = list(work)
    for number in range(rounds):
        for place in range(len(names)):
            name = names[(number + place) % len(names)]
            samples[name].append(_once(work[name], device))
    return {name: _medians(times) for name, times in samples.items()}


def _once(work: Callable[[], object], device: torch.device) -> Times:
    if device.type != "cuda":
        start = perf_counter()
        work()
        return Times(1000 * (perf_counter() - start), None)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    start = perf_counter()
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize(device)
    return Times(1000 * (perf_counter() - start), begin.elapsed_time(end))


def _medians(times: list[Times]) -> Times:
    device = [each.device for each in times if each.device is not None]
    return Times(median(each.host for each in times), median(device) if device else None)
