"""`edgecodec bench`: where the time goes, for several engines side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgecodec import engine_registry
from edgecodec.cli.encode import PICTURE_SUFFIXES, SUFFIX
from edgecodec.cli.knob_options import EitherKnobs, chosen
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import (
    EngineDevice,
    EngineLibrary,
    EngineOptions,
    SizeOptions,
    TalkOptions,
    Threads,
)
from edgecodec.errors import EngineUnavailable

if TYPE_CHECKING:
    from edgecodec.benchmark.results import Benchmark, Result


@with_groups
def bench(
    *,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that export wrote.")],
    inputs: Annotated[list[str], typer.Argument(metavar="IN...", help="Coded pictures, pictures, or folders of them.")],
    side: Annotated[Literal["decode", "encode"], typer.Option(help="What is measured.")] = "decode",
    engine: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="As in decode. Repeated: the others are compared with the first."),
    ] = None,
    engine_library: EngineLibrary = None,
    engine_device: EngineDevice = None,
    precision: Annotated[
        list[str] | None, typer.Option(metavar="P", help="fp32, fp16... Repeated: each engine in each precision.")
    ] = None,
    knobs: EitherKnobs,
    threads: Threads = None,
    runs: Annotated[int, typer.Option(min=1, metavar="N", help="Rounds that are counted.")] = 20,
    seconds: Annotated[
        float | None, typer.Option(min=0.0, metavar="S", help="Instead of --runs, as many rounds as fit.")
    ] = None,
    warm_up: Annotated[int, typer.Option(min=0, metavar="N", help="Rounds before that.")] = 2,
    no_cold: Annotated[bool, typer.Option("--no-cold", help="Leave out the first picture of a process.")] = False,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw FILE.png and FILE.svg (needs edgecodec[bench]).")
    ] = None,
    size: SizeOptions,
    talk: TalkOptions,
) -> None:
    """Measure where the time of a picture goes. Stages, percentiles, engines side by side."""
    with reporting(talk) as console:
        from edgecodec.benchmark.measuring import Settings, benchmark
        from edgecodec.benchmark.pictures import files_of
        from edgecodec.benchmark.results import Contender

        if chart is not None:
            _require_matplotlib()
        names = [EngineOptions(name).checked_name() for name in engine or [engine_registry.AUTO]]
        precisions: list[str | None] = [*precision] if precision else [None]
        of_plugin = _of_plugin(names)
        contenders = [
            Contender(name, each, *((engine_library, engine_device) if name in of_plugin else ()))
            for name in names
            for each in precisions
        ]
        taken = {*PICTURE_SUFFIXES, *([SUFFIX] if side == "decode" else [])}
        settings = Settings(
            side=side,
            warm_up=warm_up,
            runs=runs,
            seconds=seconds,
            cold=not no_cold,
            knobs=chosen(knobs),
            threads=threads,
            limits=size.limits(),
            **size.room(),
        )
        paths = files_of(inputs, taken.__contains__)
        with console.progress("benchmarking", undisturbed=True) as progress:
            rounds = partial(progress.part, of="round")
            found = benchmark(str(bundle), paths, contenders, settings, progress.follow, rounds)
        if chart is not None:
            from edgecodec.benchmark.chart import write_chart

            stem = chart.with_suffix("") if chart.suffix in (".png", ".svg") else chart
            write_chart(found, stem)
            console.say(f"chart: {stem}.png, {stem}.svg")
        if talk.json:
            console.record(asdict(found))
        else:
            console.show(_lines(found))


def _of_plugin(names: Sequence[str]) -> Sequence[str]:
    """The engines that a plugin, if there is one, is for: those that edgecodec does not have without it.

    So a plugin's engine can be compared with others. Where all are edgecodec's own names, it is for all, as in decode.
    """
    own = engine_registry.engine_names()
    return [name for name in names if name not in own] or names


def _require_matplotlib() -> None:
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise EngineUnavailable(
            "matplotlib, which draws charts, is not installed", hint="pip install 'edgecodec[bench]'"
        )


def _lines(found: Benchmark) -> Iterator[str]:
    """A table in ms for each contender."""
    rounds = f"{found.runs} rounds" if found.runs != 1 else "one round"
    yield f"{found.side} {found.bundle}: {found.sizes}, {rounds} after {found.warm_up} of warm-up, ms a picture"
    for each in found.results:
        yield from _result(each, first=each is found.results[0])


def _result(found: Result, *, first: bool) -> Iterator[str]:
    engine = found.engine
    yield ""
    yield f"{found.contender.label}: {engine.name} {engine.version} on {engine.device}, {engine.precision}"
    if found.cold is not None:
        cold = found.cold
        yield (
            f"  cold: {_ms(cold.process)} from the start of the process: opening {_ms(cold.open)}, "
            f"first picture {_ms(cold.stages.total)}"
        )
    yield f"  {'':<10}{'p50':>10}{'p90':>10}{'p99':>10}{'share':>8}"
    for name, spread in (*found.stages.items(), ("total", found.total), ("CPU", found.processor)):
        share = f"{spread.p50 / found.total.p50:>8.1%}" if name in found.stages else ""
        yield f"  {name:<10}{_ms(spread.p50):>10}{_ms(spread.p90):>10}{_ms(spread.p99):>10}{share}"
    if not first:
        yield f"  of the first engine's: time {found.ratio:.3f}, CPU {found.processor_ratio:.3f}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"
