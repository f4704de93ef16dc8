"""What encoding and decoding many pictures have in common: each outcome in order, here or in other processes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Protocol

from edgecodec import files
from edgecodec.cli.batch import Job, Tally
from edgecodec.cli.console import Console
from edgecodec.cli.results import report, say_skipped
from edgecodec.cli.shared_options import BatchOptions, WriteOptions
from edgecodec.cli.signals import unbroken
from edgecodec.cli.writing import Writer
from edgecodec.errors import OutputExists
from edgecodec.files import STANDARD_STREAM

if TYPE_CHECKING:
    from edgecodec.codec import Codec
    from edgecodec.container import FileInfo
    from edgecodec.engine import RunningEngine
    from edgecodec.limits import Limits
    from edgecodec.steps import Parts
    from edgecodec.tiling import Tiles
    from edgecodec.timings import Timings


#: Seconds for a picture, beside which those for writing it are few.
LONG = 0.2


@dataclass(frozen=True)
class Done:
    """What is told of a picture whose output is written. written: its bytes."""

    info: FileInfo
    timings: Timings
    tiles: Tiles
    engine: RunningEngine
    notes: tuple[str, ...]
    written: int


@dataclass(frozen=True)
class Made:
    """The output of a picture, which is to be written, and what is told then."""

    data: bytes | memoryview
    done: Done


@dataclass(frozen=True)
class Item:
    """A job, and what it reads: the path of its input, or the bytes of standard input.

    force: whether its output may take the place of another file.
    """

    job: Job
    source: files.Source
    force: bool = False

    def size(self) -> int:
        """Bytes of the input; 0 where they cannot be told."""
        if isinstance(self.source, bytes):
            return len(self.source)
        try:
            return os.stat(self.job.input).st_size
        except OSError:
            return 0


class Work(Protocol):
    """Everything that a command was asked to do with each picture. Goes to other processes by pickle.

    TITLE: what it does, in a word.
    """

    TITLE: ClassVar[str]

    def open(self, processes: int) -> Codec:
        """processes: how many share the machine."""

    def each(
        self, codec: Codec, items: Sequence[Item], progress: Parts | None = None
    ) -> Generator[Made | Exception, None, None]:
        """What is made of every item, in order: an exception is the failure of that item alone.

        progress: is told of the tiles of the picture at hand.
        """


@dataclass(frozen=True)
class _Skipped:
    """The output was there already, and such inputs were to be left out."""


def carry_out(
    work: Work,
    codec: Codec,
    jobs: Sequence[Job],
    batch: BatchOptions,
    write: WriteOptions,
    limits: Limits,
    console: Console,
) -> int:
    """Do all jobs with `codec`, which `work` has opened, and tell of each. Returns the exit status."""
    tally = Tally(console, len(jobs))
    ready = [_begun(job, batch, write, limits, len(jobs) > 1) for job in jobs]
    items = [each for each in ready if isinstance(each, Item)]
    processes = batch.processes(len(items))
    told: set[tuple[str, str]] = set()
    try:
        with ExitStack() as stack:
            progress = stack.enter_context(console.progress(work.TITLE, len(items), "files"))
            if processes == 1:
                outcomes = _written(work, codec, items, progress.part)
            else:
                from edgecodec.cli.workers import in_processes

                outcomes = in_processes(work, items, processes)
            stack.enter_context(closing(outcomes))
            for job, begun in zip(jobs, ready, strict=True):
                outcome = next(outcomes) if isinstance(begun, Item) else begun
                with tally.attempt(job):
                    if isinstance(outcome, Exception):
                        raise outcome
                    if isinstance(outcome, Done):
                        for note in outcome.notes:
                            console.say(f"{job.input}: {note}")
                        report(console, job, outcome, told)
                    else:
                        tally.skipped += 1
                        say_skipped(console, job)
                if isinstance(begun, Item):
                    progress.advance(read=begun.size(), written=outcome.written if isinstance(outcome, Done) else 0)
    except SystemExit:  # by a signal
        with unbroken:  # all outputs are complete or not there now
            pass
        tally.done += sum(_has_appeared(each) for each in ready[tally.told :])
        tally.say_interrupted(_how_to_go_on(jobs, batch, write))
        raise
    return tally.exit_status()


def _has_appeared(begun: Item | _Skipped | Exception) -> bool:
    """Whether the output of a job was written which was not told of. Unknown, and so no, where one was there before."""
    return isinstance(begun, Item) and not begun.force and os.path.isfile(begun.job.output)


def _how_to_go_on(jobs: Sequence[Job], batch: BatchOptions, write: WriteOptions) -> str:
    """In words, after an interrupt; "" where what is there does not tell what was done."""
    if write.force or any(files.is_stream(job.output) for job in jobs):
        return ""
    return f"the same command{'' if batch.skip_existing else ' with --skip-existing'} goes on"


def _written(
    work: Work, codec: Codec, items: Sequence[Item], progress: Parts | None = None
) -> Generator[Done | Exception, None, None]:
    """The outcome of every item, in order, when its output is written. progress: as Work.each takes it."""
    outcomes: deque[Done | Exception] = deque()
    with Writer(outcomes.append) as writer, closing(work.each(codec, items, progress)) as results:
        begun = monotonic()
        for number, (item, made) in enumerate(zip(items, results, strict=True), start=1):
            # What took long is told of at once.
            writer.take(item, made, at_once=number == len(items) or monotonic() - begun > LONG)
            while outcomes:
                yield outcomes.popleft()
            begun = monotonic()
        writer.wait()
        yield from outcomes


def _begun(
    job: Job, batch: BatchOptions, write: WriteOptions, limits: Limits, several: bool
) -> Item | _Skipped | Exception:
    """What is known before any work is done. several: whether the job is one of them."""
    try:
        if job.output != STANDARD_STREAM:
            files.refuse_long_name(job.output)
            if not write.force:
                files.refuse_existing(job.output)
        return Item(job, job.source(limits), write.force)
    except OutputExists as error:
        if batch.skip_existing:
            return _Skipped()
        if several:
            error.hint = "--skip-existing leaves it as it is, --force overwrites it"
        return error
    except Exception as error:
        return error
