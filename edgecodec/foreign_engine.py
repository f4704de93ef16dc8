"""Engines of other packages: what they raise is reported as theirs, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgecodec.engine import Copies, Engine, Graph, Options, RunningEngine, SizeRange
from edgecodec.errors import EdgecodecError, EngineFailed

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgecodec.engine import Arrays


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


class ForeignEngine(Engine):
    """An engine of another package, called `name`."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name

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
        with failures_of(self._name):
            return self._engine.allowed_sizes()

    def close(self) -> None:
        with failures_of(self._name):
            self._engine.close()

    def describe(self) -> RunningEngine:
        with failures_of(self._name):
            return self._engine.describe()

    def copies(self) -> Copies:
        with failures_of(self._name):
            return self._engine.copies()
