"""Taking the samples: contenders take turns on every picture, and each round begins with another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from time import perf_counter, process_time

from edgecodec import picture as pictures
from edgecodec.benchmark import cold
from edgecodec.benchmark.pictures import is_coded
from edgecodec.benchmark.results import Benchmark, Cold, Contender, Result, Sample, Side, result
from edgecodec.codec import Codec, open_bundle
from edgecodec.decoded import Decoded
from edgecodec.doctor.report import machine
from edgecodec.encoding import Encoded
from edgecodec.errors import EdgecodecError, InvalidArgument
from edgecodec.files import read
from edgecodec.limits import Limits
from edgecodec.picture import Picture
from edgecodec.steps import Parts, Step
from edgecodec.tiling import TileChoice


@dataclass(frozen=True)
class Settings:
    """warm_up: rounds that are not counted. runs: rounds that are. seconds: instead of `runs`, rounds until so long has
    passed, and at least one. cold: whether the first picture of a process is measured too. The others are those of
    `open_bundle`.
    """

    side: Side = "decode"
    warm_up: int = 2
    runs: int = 20
    seconds: float | None = None
    cold: bool = True
    knobs: Mapping[str, float] | None = None
    threads: int | None = None
    tile: TileChoice = "auto"
    max_memory: int | None = None
    limits: Limits = field(default_factory=Limits)


#: What is done again and again: a coded picture is decoded, a picture is encoded.
_Work = Callable[[Codec], Decoded | Encoded]


@dataclass(frozen=True)
class _Task:
    """cold: the picture as `cold.measure` takes it."""

    name: str
    pixels: int
    work: _Work
    cold: bytes | str


def benchmark(
    bundle: str,
    paths: Sequence[str],
    contenders: Sequence[Contender],
    settings: Settings,
    progress: Callable[[str], object] = lambda line: None,
    rounds_done: Parts = lambda done, count: None,
) -> Benchmark:
    """Measure every contender on every picture.

    paths: coded pictures, or pictures, which the first contender encodes before they are decoded. progress: receives a
    `Step` before each. rounds_done: is called between rounds with how many of the step are done and how many there are,
    0 where that depends on the time.

    Raises InvalidArgument where there is nothing to measure, and what opening, reading, decoding and encoding raise.
    """
    _check(paths, contenders, settings)
    with ExitStack() as stack:
        opened = [stack.enter_context(_open(bundle, contender, settings)) for contender in contenders]
        progress(Step("reading pictures"))
        tasks = [_task(path, opened[0], settings) for path in paths]
        colds: list[Cold | None] = [None] * len(contenders) if not settings.cold else []
        for contender in contenders if settings.cold else ():
            progress(Step(f"{contender.label}: the first picture of a process"))
            colds.append(cold.measure(bundle, tasks[0].cold, _options(contender, settings), settings.limits))
        engines = [task.work(codec).engine for task in tasks[:1] for codec in opened]
        progress(Step(f"warming up, {settings.warm_up} rounds"))
        for number in range(settings.warm_up):
            rounds_done(number, settings.warm_up)
            _round(number, tasks, opened)
        progress(Step("measuring"))
        rounds = []
        for number in _rounds(settings):
            rounds_done(number, settings.runs if settings.seconds is None else 0)
            rounds.append(_round(number, tasks, opened))
    samples = [[each for one in rounds for each in one[i]] for i in range(len(contenders))]
    found: list[Result] = [
        result(contender, engine, first, own, samples[0])
        for contender, engine, first, own in zip(contenders, engines, colds, samples, strict=True)
    ]
    return Benchmark(
        side=settings.side,
        bundle=bundle,
        pictures=tuple(task.name for task in tasks),
        pixels=sum(task.pixels for task in tasks),
        runs=len(rounds),
        warm_up=settings.warm_up,
        threads=settings.threads,
        machine=machine(),
        results=tuple(found),
    )


def _check(paths: Sequence[str], contenders: Sequence[Contender], settings: Settings) -> None:
    if not paths or not contenders:
        raise InvalidArgument("there is nothing to measure", hint="give a picture and an engine")
    labels = [contender.label for contender in contenders]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise InvalidArgument(f"{twice} is named twice", hint="name each engine and precision once")
    if settings.side == "encode" and (coded := next(filter(is_coded, paths), None)):
        raise InvalidArgument("is coded already", where=coded, hint="give a picture to encode")
    if settings.runs < 1 or settings.warm_up < 0 or (settings.seconds is not None and settings.seconds <= 0):
        raise InvalidArgument("that many rounds cannot be measured", hint="give at least one run, or some seconds")


def _options(contender: Contender, settings: Settings) -> dict[str, object]:
    """Of `open_bundle`, but for the limits: what JSON can carry."""
    return {
        "engine": contender.engine,
        "engine_library": contender.engine_library,
        "engine_device": contender.engine_device,
        "precision" if settings.side == "decode" else "encode_precision": contender.precision,
        "knobs": dict(settings.knobs or {}) if settings.side == "decode" else None,
        "threads": settings.threads,
        "tile": settings.tile,
        "max_memory": settings.max_memory,
    }


def _open(bundle: str, contender: Contender, settings: Settings) -> Codec:
    return open_bundle(bundle, limits=settings.limits, **_options(contender, settings))  # type: ignore[arg-type]


def _task(path: str, first: Codec, settings: Settings) -> _Task:
    try:
        if settings.side == "encode":
            picture = pictures.read(path, settings.limits, "drop")
            return _Task(path, picture.pixels.size // 3, _encoding(picture, settings.knobs), path)
        data = bytes(read(path, settings.limits)) if is_coded(path) else first.encode(path, "drop").data
        info = first.decode(data).info
        return _Task(path, info.width * info.height, lambda codec: codec.decode(data), data)
    except EdgecodecError as error:
        error.locate(path)
        raise


def _encoding(picture: Picture, knobs: Mapping[str, float] | None) -> _Work:
    return lambda codec: codec.encode(picture, knobs=knobs)


def _rounds(settings: Settings) -> Iterator[int]:
    if settings.seconds is None:
        yield from range(settings.runs)
        return
    end, number = perf_counter() + settings.seconds, 0
    while number == 0 or perf_counter() < end:
        yield number
        number += 1


def _round(number: int, tasks: Sequence[_Task], opened: Sequence[Codec]) -> list[list[Sample]]:
    """Samples of every codec, in its place, in the order of the tasks."""
    samples: list[list[Sample]] = [[] for _ in opened]
    for task in tasks:
        for place in range(len(opened)):
            i = (number + place) % len(opened)
            samples[i].append(_sample(task.work, opened[i]))
    return samples


def _sample(work: _Work, codec: Codec) -> Sample:
    wall, processor = perf_counter(), process_time()
    stages = work(codec).timings
    wall, processor = perf_counter() - wall, process_time() - processor
    return Sample(replace(stages, rest=wall - (stages.total - stages.rest)), processor)
