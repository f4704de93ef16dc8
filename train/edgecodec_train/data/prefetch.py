"""Batches of coming steps, made in threads while a step is trained."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Gives `make(step)` for each step, and has those of the next `ahead` steps made in `workers` threads meanwhile.

    `make` has to be a function of the step alone, and safe to call from several threads: then prefetching never changes
    a result. With 0 workers everything is made when it is asked for. One thread at a time may use a Prefetch.
    """

    def __init__(self, make: Callable[[int], T], workers: int, ahead: int) -> None:
        self._make = make
        self._ahead = ahead
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="prefetch") if workers else None
        self._coming: dict[int, Future[T]] = {}

    def get(self, step: int) -> T:
        """What `make(step)` returns, or raises. Any step can be asked for; those after it are made next."""
        if self._threads is None:
            return self._make(step)
        wanted = range(step, step + self._ahead + 1)
        for other in self._coming.keys() - wanted:  # left over where steps were jumped over
            self._coming.pop(other).cancel()
        for each in wanted:
            if each not in self._coming:
                self._coming[each] = self._threads.submit(self._make, each)
        return self._coming.pop(step).result()

    def close(self) -> None:
        """Wait for what is being made, and drop the rest. Nothing can be asked for after that."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def __enter__(self) -> Prefetch[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
