"""The measurements of a run on disk, from which an interrupted run goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgecodec import files
from edgecodec.errors import CannotRead, CannotWrite, Corrupt
from edgecodec_evaluate.measurement import HEADER, Key, Measurement, line_of, measurement_of


class Record:
    """A table of comma-separated values that grows by a line at a time."""

    def __init__(self, path: Path) -> None:
        """Read what is there. A last line that was not finished is dropped, and of lines of one key all but the last.

        Raises Corrupt for a table of something else, CannotRead, CannotWrite.
        """
        self._path = path
        self._found: dict[Key, Measurement] = {}
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise CannotRead(str(error), where=str(path)) from error
        *whole, torn = text.split("\n")
        if whole and f"{whole[0]}\n" != HEADER:
            raise Corrupt("is no table of measurements", where=str(path), hint="--force begins anew")
        for number, line in enumerate(whole[1:], 2):
            try:
                self._remember(measurement_of(line))
            except Corrupt as error:
                error.where, error.hint = f"{path}, line {number}", "--force begins anew"
                raise
        if torn or len(self._found) != len(whole) - 1:
            self._write_all()

    def get(self, key: Key) -> Measurement | None:
        return self._found.get(key)

    def has(self, name: str) -> bool:
        """Whether there are measurements of the format, or scores of the network, that has this name."""
        return any(name == each.codec or getattr(each, name, None) is not None for each in self._found.values())

    def append(self, measurement: Measurement) -> None:
        """One write, so that a line is there, or begins there and has no end. Raises CannotWrite.

        Of a line for which there is no room nothing stays: the next one must not be written behind it.
        """
        line = line_of(measurement)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                before = os.fstat(descriptor).st_size
                written = os.write(descriptor, line.encode())
                if written != len(line.encode()):
                    os.ftruncate(descriptor, before)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise CannotWrite(error.strerror or str(error), where=str(self._path)) from error
        if written != len(line.encode()):
            raise CannotWrite("there is no room left", where=str(self._path), hint="free some space, and go on")
        self._remember(measurement_of(line))

    def of(self, keys: Sequence[Key]) -> list[Measurement]:
        """Those that there are of `keys`, in this order."""
        return [self._found[key] for key in keys if key in self._found]

    def sort(self, keys: Sequence[Key]) -> None:
        """Bring those of `keys` into this order, before all others, and keep nothing that another run may have written
        meanwhile. Raises CannotWrite.
        """
        self._found = {**{each.key: each for each in self.of(keys)}, **self._found}
        self._write_all()

    def _remember(self, measurement: Measurement) -> None:
        """As it was written, so that a run that was interrupted computes with the same numbers."""
        self._found[measurement.key] = measurement

    def _write_all(self) -> None:
        lines = [HEADER, *(line_of(each) for each in self._found.values())]
        files.write(self._path, "".join(lines).encode(), force=True)
