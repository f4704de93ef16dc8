"""What a benchmark finds, as percentiles of its samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal

from edgecodec.doctor.report import Machine
from edgecodec.engine import RunningEngine
from edgecodec.timings import Timings

Side = Literal["decode", "encode"]


@dataclass(frozen=True)
class Contender:
    """One way to run a bundle. precision: None for the bundle's own choice.

    engine_library, engine_device: of the plugin that has the engine, as `open_bundle` takes them.
    """

    engine: str
    precision: str | None
    engine_library: str | None = None
    engine_device: str | None = None

    @property
    def label(self) -> str:
        return self.engine if self.precision is None else f"{self.engine} {self.precision}"


@dataclass(frozen=True)
class Sample:
    """One picture once. stages: their sum is the time that passed. processor: seconds of all threads together."""

    stages: Timings
    processor: float


@dataclass(frozen=True)
class Spread:
    """Percentiles, each a value that was measured: of fewer than 100 values the 99th is the largest."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Cold:
    """The first picture in a process of its own, in seconds. process: from its start to the picture. open: of that, the
    import of the package and of the engine's library, and opening the bundle. stages: of the picture; the engine loads
    its graph in `engine`.
    """

    process: float
    open: float
    stages: Timings


@dataclass(frozen=True)
class Result:
    """Of one contender. Seconds for each picture. stages: by name. total: of all stages. processor: of all threads.

    ratio, processor_ratio: to the first contender, the medians of pairs that were measured one after the other.
    """

    contender: Contender
    engine: RunningEngine
    cold: Cold | None
    stages: dict[str, Spread]
    total: Spread
    processor: Spread
    ratio: float
    processor_ratio: float
    samples: int


@dataclass(frozen=True)
class Benchmark:
    """pictures: their names. pixels: of all of them together. runs: of every picture on every contender."""

    side: Side
    bundle: str
    pictures: tuple[str, ...]
    pixels: int
    runs: int
    warm_up: int
    threads: int | None
    machine: Machine
    results: tuple[Result, ...]

    @property
    def sizes(self) -> str:
        """How many pictures there are, and how large, in words."""
        count = len(self.pictures)
        size = f"{self.pixels / count / 1e6:.2f} megapixels"
        return f"one picture of {size}" if count == 1 else f"{count} pictures of {size} on average"


def spread(values: Sequence[float]) -> Spread:
    """At least one value."""
    ordered = sorted(values)
    return Spread(*(ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.9, 0.99)))


def result(
    contender: Contender,
    engine: RunningEngine,
    cold: Cold | None,
    samples: Sequence[Sample],
    reference: Sequence[Sample],
) -> Result:
    """reference: the samples of the first contender, in the same order."""
    by_stage = [asdict(sample.stages) for sample in samples]
    pairs = [*zip(samples, reference, strict=True)]
    return Result(
        contender=contender,
        engine=engine,
        cold=cold,
        stages={name: spread([stages[name] for stages in by_stage]) for name in by_stage[0]},
        total=spread([sample.stages.total for sample in samples]),
        processor=spread([sample.processor for sample in samples]),
        ratio=median(_quotient(one.stages.total, other.stages.total) for one, other in pairs),
        processor_ratio=median(_quotient(one.processor, other.processor) for one, other in pairs),
        samples=len(samples),
    )


def _quotient(one: float, other: float) -> float:
    return one / other if other > 0 else math.nan
