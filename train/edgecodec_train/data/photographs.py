"""Training photographs: listed at the start, decoded when they are drawn, skipped where they are broken or small."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgecodec import picture
from edgecodec.errors import CannotRead, EdgecodecError, InvalidArgument, OutOfMemory, OutOfRange
from edgecodec.limits import ANY
from edgecodec_train.data.listing import Entry, list_pictures
from edgecodec_train.data.picture_cache import PictureCache

Photo = npt.NDArray[np.uint8]  # (H, W, 3)

NOT_READABLE, TOO_SMALL = "not readable", "too small"  # why a picture is skipped
MOST_FAILURES = 100  # draws in a row
EXAMPLES = 3  # names in a message


class Pictures:
    """Pictures to train on, drawn at random. Thread-safe."""

    def __init__(self, entries: Sequence[Entry], source: Path, cache_bytes: int, skipped: Skipped) -> None:
        self._entries = entries
        self._source = source
        self._skipped = skipped
        self._cache = PictureCache(cache_bytes)

    def __len__(self) -> int:
        """How many there are, including those that will turn out to be broken or too small."""
        return len(self._entries)

    def draw(self, generator: np.random.Generator, least_side: int) -> Photo:
        """A random picture with sides of `least_side` pixels or more. It depends on the generator alone.

        Where a picture is broken or too small, another one is drawn from the same generator.

        Raises CannotRead or OutOfRange after MOST_FAILURES such draws in a row, and OutOfMemory.
        """
        failures = Skipped()
        for _ in range(MOST_FAILURES):
            index = int(generator.integers(len(self._entries)))
            photo = self._cache.get(index)
            if photo is None:
                photo = _load(self._entries[index], self._skipped, failures)
                if photo is None:
                    continue
                self._cache.put(index, photo)
            height, width = photo.shape[:2]
            if min(height, width) >= least_side:
                return photo
            for skipped in (self._skipped, failures):
                skipped.add(TOO_SMALL, self._entries[index], f"{width}x{height}")
        raise failures.error(
            f"{MOST_FAILURES} draws in a row gave no picture of {least_side} pixels a side: {failures}",
            self._source,
        )


@dataclass(frozen=True)
class PhotoSet:
    """Photographs, split once. validation: decoded, each (H, W, 3) uint8, in order of name.

    fingerprint: SHA-256, in hexadecimal, of the names and sizes of all pictures, by which a resumed run can tell that
    its photographs are others.
    """

    training: Pictures
    validation: list[Photo]
    fingerprint: str
    _skipped: Skipped

    @property
    def skipped(self) -> dict[str, int]:
        """How many pictures were skipped so far, by reason: "not readable", "too small"."""
        return self._skipped.counts()

    @property
    def skipped_summary(self) -> str:
        """The same with the first names, for a log; empty if nothing was skipped."""
        return str(self._skipped)


def open_photographs(
    source: Path, *, held_out: int = 64, most_held_out: int = 32, cache_bytes: int = 2 << 30
) -> PhotoSet:
    """Photographs in `source`: a folder of pictures, of .tar files or of both, searched recursively, or one .tar file.

    In order of name one in `held_out` is held out and never trained on. At most `most_held_out` of those, spread
    evenly, are validated on, and decoded now. The others are decoded as they are drawn, upright and in three colours
    as the runtime reads them; `cache_bytes` bounds the decoded pictures that are kept.

    Raises CannotRead for what `list_pictures` refuses and where nothing held out is readable, InvalidArgument where so
    few are there that none is left to train on or to validate on.
    """
    if held_out < 2 or most_held_out < 1:
        raise InvalidArgument(
            f"held_out is {held_out}, most_held_out is {most_held_out}",
            hint="use 2 and 1, or more: runs need both parts",
        )
    entries = list_pictures(source)
    candidates = entries[held_out - 1 :: held_out]
    if not candidates:
        raise InvalidArgument(
            f"every {held_out}th of {len(entries)} pictures is held out, which leaves none to validate on",
            where=str(source),
            hint="give more pictures, or hold out one in fewer (--set validation.one_in=8)",
        )
    skipped = Skipped()
    validation = [_load(entry, skipped) for entry in _spread(candidates, most_held_out)]
    readable = [photo for photo in validation if photo is not None]
    if not readable:
        raise skipped.error(f"no picture that is held out can be used: {skipped}", source)
    training = [entry for number, entry in enumerate(entries, 1) if number % held_out]
    return PhotoSet(Pictures(training, source, cache_bytes, skipped), readable, _fingerprint(entries), skipped)


def read_photo(content: bytes, name: str) -> Photo:
    """The picture in a file, upright and in three colours: (H, W, 3) uint8, read-only.

    Raises what the runtime's `picture.read` raises, with the file's name.
    """
    try:
        pixels = picture.read(content, ANY, "drop").pixels
    except EdgecodecError as error:
        error.locate(name)
        raise
    photo = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    photo.flags.writeable = False  # it may be kept, and drawn again
    return photo


class Skipped:
    """Which pictures were skipped, each counted once, and why. Thread-safe."""

    def __init__(self) -> None:
        self._details: dict[str, dict[Entry, str]] = {}  # by reason
        self._lock = threading.Lock()

    def add(self, reason: str, entry: Entry, detail: str) -> None:
        with self._lock:
            self._details.setdefault(reason, {}).setdefault(entry, detail)

    def detail(self, reason: str, entry: Entry) -> str | None:
        with self._lock:
            return self._details.get(reason, {}).get(entry)

    def counts(self) -> dict[str, int]:
        with self._lock:
            return {reason: len(entries) for reason, entries in self._details.items()}

    def __str__(self) -> str:
        """For example "2 too small (a.png: 20x30; b.png: 8x8)"."""
        with self._lock:
            return ", ".join(f"{len(entries)} {reason} ({_some(entries)})" for reason, entries in self._details.items())

    def error(self, message: str, source: Path) -> EdgecodecError:
        """What to raise where nothing is left."""
        if TOO_SMALL in self.counts():
            return OutOfRange(message, where=str(source), hint="give larger pictures, or train on smaller crops")
        return CannotRead(message, where=str(source), hint="check that the files are whole and can be opened")


def _some(details: dict[Entry, str]) -> str:
    first = [f"{entry}: {detail}" for entry, detail in list(details.items())[:EXAMPLES]]
    return "; ".join(first + ["..."] * (len(details) > EXAMPLES))


def _load(entry: Entry, *skipped: Skipped) -> Photo | None:
    """The picture, or None if it cannot be read, which is added to each of `skipped`; the first is asked before."""
    reason = skipped[0].detail(NOT_READABLE, entry)
    if reason is None:
        try:
            return read_photo(entry.read(), str(entry))
        except (OutOfMemory, MemoryError):
            raise  # the machine is at fault, and not the picture
        except EdgecodecError as error:
            reason = error.message
        except Exception as error:  # Pillow's plugins raise anything for broken files, which must not end a long run
            reason = f"{type(error).__name__}: {error}"
    for each in skipped:
        each.add(NOT_READABLE, entry, reason)
    return None


def _spread(entries: Sequence[Entry], most: int) -> list[Entry]:
    """At most `most` of them, evenly."""
    count = min(most, len(entries))
    return [entries[number * len(entries) // count] for number in range(count)]


def _fingerprint(entries: Sequence[Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.name}\0{entry.size}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
