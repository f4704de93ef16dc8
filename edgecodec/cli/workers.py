"""Work in several processes. Each opens the codec once; each picture is written by the process that worked on it.

A process gets its next picture when it writes the last one, so nothing piles up before a slow one, and no picture is
begun that is far ahead of what has been told. One that dies takes the picture with it that it worked on, and no other:
a new process goes on. Signals of the terminal reach the first process alone, which ends the others.
"""

from __future__ import annotations

import signal
import sys
import traceback
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait

from edgecodec.cli.signals import CLEANUP_SECONDS, LAST_RESORT_SECONDS, leaving_threads_behind, unwinding_on
from edgecodec.cli.work import Done, Item, Work
from edgecodec.cli.writing import Writer
from edgecodec.errors import EdgecodecError, EngineFailed, InternalError, OutOfMemory, typed

#: Pictures, for each process, that may be done before an earlier one is.
AHEAD = 16

_OF_THE_TERMINAL = {signal.SIGINT, signal.SIGHUP} if sys.platform != "win32" else {signal.SIGINT}


def in_processes(work: Work, items: Sequence[Item], processes: int) -> Generator[Done | Exception, None, None]:
    """The outcome of every item, in order, when its output is written.

    Ends all processes when it is closed, and raises what opening a codec raises.
    """
    workers: list[_Worker] = []
    done: dict[int, Done | Exception] = {}
    waiting = deque(range(len(items)))
    told = 0
    try:
        workers += [_Worker(work, processes) for _ in range(processes)]
        while told < len(items):
            for place, worker in enumerate(workers):
                if worker.number is None and waiting and waiting[0] < told + AHEAD * processes:
                    if worker.gone:
                        workers[place] = worker = _Worker(work, processes)
                    number = waiting.popleft()
                    worker.take(number, items[number])
            answers = wait([worker.connection for worker in workers if worker.is_busy()])
            for worker in workers:
                if worker.connection in answers:
                    for number, outcome in worker.heard():
                        if outcome is None:
                            waiting.appendleft(number)
                        else:
                            done[number] = outcome
            while told in done:
                yield done.pop(told)
                told += 1
    finally:
        _end(workers)


class _Worker:
    """One process.

    number: of the item that it works on, or None. writing: of the one before, while its output is being written. gone:
    whether it has ended by itself.
    """

    def __init__(self, work: Work, processes: int) -> None:
        context = get_context("spawn")  # a fork would copy the threads of an engine badly
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, work, processes), daemon=True)
        with _keeping_terminal_signals():
            self.process.start()
        other.close()
        self.number: int | None = None
        self.writing: int | None = None
        self.gone = False

    def take(self, number: int, item: Item) -> None:
        self.number = number
        try:
            self.connection.send(item)
        except BrokenPipeError:  # told as its outcome
            self.gone = True

    def is_busy(self) -> bool:
        return self.number is not None or self.writing is not None

    def heard(self) -> Iterator[tuple[int, Done | Exception | None]]:
        """What became of items, by their numbers: None of one that has to be done again.

        Raises what opening the codec raised.
        """
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            self.gone = True
            self.process.join(CLEANUP_SECONDS)
            ended, again = (self.writing, None) if self.number is None else (self.number, self.writing)
            self.number = self.writing = None
            if ended is not None:
                yield ended, _death(self.process.exitcode)
            if again is not None:
                yield again, None
            return
        if message is None:
            self.number, self.writing = None, self.number
            return
        opened, outcome, raised_at = message
        if raised_at:
            outcome.__cause__ = _Elsewhere(raised_at)
        if not opened:
            raise outcome
        assert self.writing is not None
        number, self.writing = self.writing, None
        yield number, outcome


def _death(status: int | None) -> EdgecodecError:
    if status == -signal.SIGKILL:  # as the system does where memory runs out
        return OutOfMemory("its process was killed", hint="fewer --jobs, or a smaller --max-memory, take less")
    if status is not None and status < 0:
        return EngineFailed(f"its process was ended by {signal.Signals(-status).name}")
    return InternalError(f"its process ended with status {status}", hint="this is a bug: please report it")


def _end(workers: Sequence[_Worker]) -> None:
    """An idle process ends when its pipe does; one at work tidies up after a signal."""
    for worker in workers:
        worker.connection.close()
        if worker.number is not None:
            worker.process.terminate()
    for worker in workers:
        worker.process.join(LAST_RESORT_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


@contextmanager
def _keeping_terminal_signals() -> Iterator[None]:
    """A process that is started in here never sees the signals that a terminal sends to all."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started now, because it would unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, work: Work, processes: int) -> None:
    """What a process does, until its pipe ends. It sends None before it writes an output, and what came of it after."""

    def tell(outcome: Done | Exception) -> None:
        connection.send((True, *_portable(outcome)))

    warnings.simplefilter("ignore")
    with leaving_threads_behind(), unwinding_on("SIGTERM"):
        try:
            with work.open(processes) as codec, Writer(tell) as writer:
                while True:
                    item = connection.recv()
                    (made,) = work.each(codec, [item])
                    writer.wait()
                    connection.send(None)
                    writer.take(item, made)
        except (EOFError, BrokenPipeError):  # nobody waits for more
            return
        except Exception as error:
            connection.send((False, *_portable(error)))


class _Elsewhere(Exception):
    """The traceback of another process, as text."""


def _portable(outcome: Done | Exception) -> tuple[Done | Exception, str]:
    """As pickle can carry it, and where it was raised, if that was not foreseen."""
    if isinstance(outcome, Done):
        return outcome, ""
    failure = typed(outcome)
    unforeseen = isinstance(failure, InternalError) and failure.__cause__ is not None
    return failure, "".join(traceback.format_exception(failure.__cause__)) if unforeseen else ""
