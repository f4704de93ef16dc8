"""What is said about a picture that was encoded or decoded."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from edgecodec.cli.batch import Job
from edgecodec.cli.console import Console

if TYPE_CHECKING:
    from edgecodec.cli.work import Done
    from edgecodec.codec import Codec


def say_what_opened(codec: Codec, console: Console) -> None:
    info = codec.info
    models = f"model{'s' * (len(info.models) > 1)} {', '.join(model.id for model in info.models)}"
    console.say(f"bundle: {info.family} {info.preset}, {models}", level=1)


def report(console: Console, job: Job, result: Done, told: set[tuple[str, str]]) -> None:
    """told: engines that were passed over, and why, of which something was said. It grows."""
    info, timings = result.info, result.timings
    console.say(
        f"{job.input} -> {job.output}  {info.width}x{info.height}  {info.file_bytes} bytes  "
        f"{info.bits_per_pixel:.3f} bpp  {timings.total:.3f} s"
    )
    if console.verbosity > 0:
        _say_details(console, result, told)
    if console.json:
        console.record(
            {
                "input": job.input,
                "output": job.output,
                "ok": True,
                **asdict(info),
                "bits_per_pixel": info.bits_per_pixel,
                "seconds": asdict(timings),
                "engine": asdict(result.engine),
                "tiles": asdict(result.tiles),
                "notes": result.notes,
            }
        )


def _say_details(console: Console, result: Done, told: set[tuple[str, str]]) -> None:
    tiles, engine = result.tiles, result.engine
    stages = asdict(result.timings).items()
    console.say("  " + "  ".join(f"{stage} {seconds * 1000:.1f} ms" for stage, seconds in stages), level=1)
    if tiles.count > 1:
        console.say(
            f"  {tiles.count} tiles of {tiles.width}x{tiles.height}, {tiles.overhead:.0%} more pixels than the picture",
            level=1,
        )
    console.say(f"  engine: {engine.name} {engine.version} on {engine.device}, {engine.precision}", level=1)
    for name, reason in engine.passed_over:
        if (name, reason) not in told:
            console.say(f"  not {name}: {reason}", level=1)
    told.update(engine.passed_over)
    console.say("  file: " + ", ".join(f"{name} {value}" for name, value in asdict(result.info).items()), level=2)


def say_skipped(console: Console, job: Job) -> None:
    console.say(f"{job.input}: {job.output} is there already", level=1)
    console.record({"input": job.input, "output": job.output, "ok": True, "skipped": True})
