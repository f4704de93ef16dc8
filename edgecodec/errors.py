"""The errors that edgecodec raises, one tree.

    EdgecodecError
    ├── UsageError
    │   ├── InvalidArgument      20   a value that no input could make right
    │   ├── OutputExists         21   the output is there and overwriting was not asked for
    │   └── AlphaRefused         22   the picture has transparency, which the format does not carry
    ├── FileError
    │   ├── NotEdgc              30   not a coded picture
    │   ├── Corrupt              31   damaged or truncated
    │   └── LatentsDiffer        32   parsed, but the latents are not those that were encoded
    ├── MismatchError
    │   ├── UnsupportedVersion   40   made by a newer format
    │   ├── ModelMismatch        41   coded with another model, or an entropy model that is not of a checkpoint
    │   ├── BadModel             42   entropy.bin or a graph is damaged or unsafe to run
    │   ├── NotABundle           43   no readable index or manifest
    │   ├── BundleChanged        44   a file is not the one the index describes
    │   ├── KnobUnavailable      45   the bundle has no such knob, or was not exported for this value of it
    │   └── CheckpointRejected   46   a checkpoint does not fit its family
    ├── LimitError
    │   ├── LimitExceeded        50   larger than the caller allows
    │   ├── OutOfMemory          51
    │   └── OutOfRange           52   a latent beyond 16 bits, or a picture too small for the networks
    ├── EngineError
    │   ├── EngineUnavailable    60   not installed, or not on this device
    │   └── EngineFailed         61   refused the graph, or failed while running it
    ├── AccessError
    │   ├── CannotRead           70
    │   ├── CannotWrite          71
    │   └── NotAnImage           72   a picture that Pillow cannot open
    ├── VerificationFailed       80   hashes, golden latents or golden pixels are off
    ├── InternalError            90   our bug
    └── Cancelled               130   the caller ended the work

The numbers are frozen, and those of `ec_status` in the C header are the same; the tens are the command line's exit
status, except that 90 becomes 70 (EX_SOFTWARE of sysexits.h) and 130 stays, which is that of an interrupt.
"""

from __future__ import annotations

import re
from typing import ClassVar


class EdgecodecError(Exception):
    """Base of every error that edgecodec raises on purpose. Only the leaves are raised.

    message: what happened. where: the file, field or tensor it happened in, or None. hint: what to do about it, or
    None. offset: byte in the data at hand, or None. The class attribute `code` is stable across versions.
    """

    code: ClassVar[int]

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, offset: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.offset = offset

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        offset = f" (at byte {self.offset})" if self.offset is not None else ""
        hint = f" (hint: {self.hint})" if self.hint else ""
        return f"{where}{self.message}{offset}{hint}"

    def locate(self, where: str | None) -> None:
        """Name the place, unless the error already names one: the first cause knows best."""
        self.where = self.where or where

    @property
    def name(self) -> str:
        """For machines, as stable as `code`: that of the class in small letters, like "not_a_bundle"."""
        return re.sub("(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def exit_status(self) -> int:
        """Exit status of a command that fails with this error."""
        return {InternalError.code: 70, Cancelled.code: Cancelled.code}.get(self.code, self.code // 10)


class UsageError(EdgecodecError):
    """The caller asked for something that cannot be done."""


class InvalidArgument(UsageError):
    code = 20


class OutputExists(UsageError):
    code = 21


class AlphaRefused(UsageError):
    code = 22


class FileError(EdgecodecError):
    """The coded picture itself is at fault."""


class NotEdgc(FileError):
    code = 30


class Corrupt(FileError):
    code = 31


class LatentsDiffer(FileError):
    code = 32


class MismatchError(EdgecodecError):
    """File, bundle, checkpoint and this version of edgecodec do not fit together."""


class UnsupportedVersion(MismatchError):
    code = 40


class ModelMismatch(MismatchError):
    code = 41


class BadModel(MismatchError):
    code = 42


class NotABundle(MismatchError):
    code = 43


class BundleChanged(MismatchError):
    code = 44


class KnobUnavailable(MismatchError):
    code = 45


class CheckpointRejected(MismatchError):
    code = 46


class LimitError(EdgecodecError):
    """Too large: for the caller's limits, for the memory, or for the format."""


class LimitExceeded(LimitError):
    code = 50


class OutOfMemory(LimitError):
    code = 51


class OutOfRange(LimitError):
    code = 52


class EngineError(EdgecodecError):
    """The inference engine is missing or failed."""


class EngineUnavailable(EngineError):
    code = 60


class EngineFailed(EngineError):
    code = 61


class AccessError(EdgecodecError):
    """Reading or writing failed."""


class CannotRead(AccessError):
    code = 70


class CannotWrite(AccessError):
    code = 71


class NotAnImage(AccessError):
    code = 72


class VerificationFailed(EdgecodecError):
    code = 80


class InternalError(EdgecodecError):
    code = 90


class Cancelled(EdgecodecError):
    code = 130


def _leaves(kind: type[EdgecodecError]) -> list[type[EdgecodecError]]:
    below = kind.__subclasses__()
    return [leaf for child in below for leaf in _leaves(child)] if below else [kind]


#: The leaf for each code, for example BY_CODE[31] is Corrupt.
BY_CODE: dict[int, type[EdgecodecError]] = {leaf.code: leaf for leaf in _leaves(EdgecodecError)}


def typed(error: Exception) -> EdgecodecError:
    """What to report for any exception: itself, or a leaf that has it as its cause if it was not raised on purpose."""
    if isinstance(error, EdgecodecError):
        return error
    leaf: EdgecodecError
    if isinstance(error, MemoryError):
        leaf = OutOfMemory("not enough memory")
    elif isinstance(error, OSError):
        place = error.filename if isinstance(error.filename, str) else None
        leaf = CannotWrite(error.strerror or str(error), where=place)
    else:
        leaf = InternalError(f"{type(error).__name__}: {error}", hint="this is a bug: please report it")
    leaf.__cause__ = error
    return leaf
