"""Engines of other packages: what they raise is reported as theirs, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import index
from typing import TYPE_CHECKING, Any

from edgecodec.engine import Copies, Engine, Graph, Options, RunningEngine, SizeRange
from edgecodec.errors import EdgecodecError, EngineFailed

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgecodec.engine import Arrays

_LONGEST = (1 << 32) - 1  # side in pixels that the native library can be told of


@contextmanager
def failures_of(name: str) -> Iterator[None]:
    """Exceptions that are none of edgecodec's become EngineFailed, which names the engine."""
    try:
        yield
    except (EdgecodecError, MemoryError):
        raise
    except Exception as error:
        raise EngineFailed(
            f"{type(error).__name__}: {error}", where=name, hint="report it to the package that provides this engine"
        ) from error


def _checked(sizes: tuple[SizeRange, ...]) -> tuple[SizeRange, ...]:
    """Raises ValueError for sizes that no engine can have, which the native library would be told as others."""
    for size in sizes:
        for side in (size.height, size.width):
            if not all(0 <= index(each) <= _LONGEST for each in (side.least, side.most, side.multiple)):
                raise ValueError(f"it takes no side of {side}")
    return sizes


class ForeignEngine(Engine):
    """An engine of another package, called `name`."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._sizes: tuple[SizeRange, ...] | None = None

    @classmethod
    def require(cls, variant: str) -> None:
        """The engine is loaded."""

    @classmethod
    def load(cls, graph: Graph, variant: str, options: Options) -> ForeignEngine:
        raise NotImplementedError

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        with failures_of(self._name):
            return self._engine.run(inputs)

    def allowed_sizes(self) -> tuple[SizeRange, ...]:
        """Asked for once: a job that hears of other sizes each time would plan for ever."""
        if self._sizes is None:
            with failures_of(self._name):
                self._sizes = _checked(self._engine.allowed_sizes())
        return self._sizes

    def close(self) -> None:
        with failures_of(self._name):
            self._engine.close()

    def describe(self) -> RunningEngine:
        with failures_of(self._name):
            return self._engine.describe()

    def copies(self) -> Copies:
        with failures_of(self._name):
            return self._engine.copies()
