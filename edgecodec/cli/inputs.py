"""What a command works on: files that are named, those of folders, of patterns and of a list, and bundles."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edgecodec import bundle_diagnosis, files
from edgecodec.description import MANIFEST
from edgecodec.errors import CannotRead, InvalidArgument
from edgecodec.files import STANDARD_STREAM
from edgecodec.limits import ANY


@dataclass(frozen=True)
class Kinds:
    """File name extensions, in lower case and with their dot: those that a command takes, and those that it writes.

    Files of both lie side by side in many folders, and only further kinds are worth a word. wanting: those that would
    be taken if an extra of edgecodec were installed, with its name. bundles: whether these are taken too.
    """

    taken: frozenset[str]
    written: frozenset[str]
    wanting: Mapping[str, str] = field(default_factory=dict)
    bundles: bool = False

    def is_bundle(self, folder: str) -> bool:
        """Whether a folder is one input, or none, whatever is in it.

        A manifest alone makes a bundle only where bundles are wanted: it is an old one, or a damaged one, which
        deserves its error, whereas among pictures it is any file of that common name.
        """
        return bundle_diagnosis.is_bundle(folder) or (self.bundles and os.path.isfile(os.path.join(folder, MANIFEST)))


@dataclass(frozen=True)
class Input:
    """path: of a file or a bundle, or "-". folder: the folder among the inputs that it was found in, or None."""

    path: str
    folder: str | None = None


@dataclass
class Inputs:
    """several: whether there may be more than one, even where one was found. skipped: files by extension, by folder."""

    found: list[Input] = field(default_factory=list)
    several: bool = False
    skipped: dict[str, Counter[str]] = field(default_factory=dict)

    def remarks(self, kinds: Kinds) -> Iterator[str]:
        """What was skipped, a line for each folder."""
        for folder, counts in self.skipped.items():
            named = ", ".join(f"{count} {_named(kind, kinds)}" for kind, count in counts.most_common())
            yield f"{folder}: skipped {counts.total()} of other kinds: {named}"


def _named(kind: str, kinds: Kinds) -> str:
    extra = f" (pip install 'edgecodec[{kinds.wanting[kind]}]')" if kind in kinds.wanting else ""
    return f"{kind or 'without extension'}{extra}"


def gather(given: Sequence[str], listed: str | None, kinds: Kinds, recursive: bool) -> Inputs:
    """Files and, where the command takes them, bundles that are named, in their order.

    given: names of files, folders, "-", and patterns like "photos/*.jpg" that no shell has expanded. listed: a file
    with one name a line, "-" for standard input. recursive: look into folders of folders.

    Raises InvalidArgument where nothing is found or a bundle is given that is not taken, CannotRead.
    """
    inputs = Inputs(several=len(given) > 1 or listed is not None)
    names = [*given, *(_names_in(listed) if listed is not None else ())]
    for name in names:
        if not name:
            raise InvalidArgument("the name of an input is empty")
        if name != STANDARD_STREAM and os.path.isdir(name) and not (kinds.bundles and kinds.is_bundle(name)):
            inputs.several = True
            _add_folder(inputs, name, kinds, recursive)
        elif name != STANDARD_STREAM and glob.has_magic(name) and not os.path.lexists(name):
            inputs.several = True
            matches = sorted(match for match in glob.glob(name, recursive=True) if os.path.isfile(match))
            if not matches:
                raise InvalidArgument(
                    "matches no file", where=name, hint="check the pattern; ** stands for folders of folders"
                )
            inputs.found += map(Input, matches)
        else:
            inputs.found.append(Input(name))
    if not inputs.found:
        raise InvalidArgument("there is no input", hint="name files or folders, or - for standard input")
    if [name for name in (*given, listed) if name == STANDARD_STREAM][1:]:
        raise InvalidArgument("standard input can be read only once")
    return inputs


def _names_in(listed: str) -> list[str]:
    source = files.read_standard_input(ANY) if listed == STANDARD_STREAM else files.read(listed, ANY)
    return [line for line in os.fsdecode(bytes(source)).splitlines() if line.strip()]


def _add_folder(inputs: Inputs, folder: str, kinds: Kinds, recursive: bool) -> None:
    if bundle_diagnosis.is_bundle(folder):
        raise InvalidArgument(
            "is a bundle, not a picture", where=folder, hint=f"-b {folder} names the bundle, and pictures come without"
        )
    skipped: Counter[str] = Counter()
    before = len(inputs.found)
    for path in _walk(folder, kinds, recursive):
        extension = os.path.splitext(path)[1].lower()
        if extension in kinds.taken or kinds.is_bundle(path):
            inputs.found.append(Input(path, folder))
        elif extension not in kinds.written and not os.path.basename(path).startswith("."):
            skipped[extension] += 1
    if skipped:
        inputs.skipped[folder] = skipped
    if len(inputs.found) == before:
        taken = ", ".join([*sorted(kinds.taken), *(["bundles"] if kinds.bundles else [])])
        held = ". ".join(["", *inputs.remarks(kinds)])
        raise InvalidArgument(
            "holds no file of the kind this command takes" + ("" if recursive else ", and -r was not given"),
            where=folder,
            hint=f"it takes {taken}{held}",
        )


def _walk(folder: str, kinds: Kinds, recursive: bool) -> Iterator[str]:
    """Files and, if they are taken, bundles in a folder, by name; then those of the folders in it.

    Links to folders are not followed, and the files of a bundle are nobody's pictures.
    """
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=folder) from error
    bundles = {entry.path for entry in ordered if entry.is_dir() and kinds.is_bundle(entry.path)}
    for entry in ordered:
        if entry.is_file() or (kinds.bundles and entry.path in bundles):
            yield entry.path
    for entry in ordered:
        if recursive and entry.is_dir(follow_symlinks=False) and entry.path not in bundles:
            yield from _walk(entry.path, kinds, recursive)
