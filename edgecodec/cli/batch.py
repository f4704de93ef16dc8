"""Commands with many inputs: which files, where their outputs go, and going on after a failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgecodec import files
from edgecodec.cli.console import Console
from edgecodec.cli.signals import end_if_told
from edgecodec.errors import CannotRead, CannotWrite, EdgecodecError, EngineUnavailable, InvalidArgument, typed
from edgecodec.files import STANDARD_STREAM
from edgecodec.limits import Limits


@dataclass(frozen=True)
class Job:
    """One input and its output, each a path or "-". folder: the folder of the output where it may have to be made."""

    input: str
    output: str
    folder: Path | None = None

    def source(self, limits: Limits) -> files.Source:
        """The path, or what standard input holds: read here and now, where an interrupt can end the wait."""
        return files.read_standard_input(limits) if self.input == STANDARD_STREAM else self.input


def plan(inputs: Sequence[str], output: str | None, suffix: str, taken: Callable[[str], bool]) -> list[Job]:
    """Pair every input file with an output.

    A folder stands for those of its files whose extension (lower case, with its dot) is `taken`. Without `output`,
    outputs lie beside their inputs. `output` is a folder if it is one already, if it ends with a slash, or if there are
    several inputs. Raises InvalidArgument if there is nothing to do, two outputs would be one, or an output would
    replace an input.
    """
    paths = [path for given in inputs for path in _expand(given, taken)]
    if paths.count(STANDARD_STREAM) > 1:
        raise InvalidArgument("standard input can be read only once")
    folder = _as_folder(output, len(paths))
    jobs = [Job(path, _output_of(path, output, folder, suffix), folder) for path in paths]
    _refuse_collisions([job for job in jobs if job.output != STANDARD_STREAM])
    return jobs


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise InvalidArgument where two jobs would write one file, or a job an input, under whatever names."""
    inputs = {identity: job.input for job in jobs if (identity := files.identity(job.input))}
    outputs: dict[str, str] = {}
    for job in jobs:
        other = outputs.setdefault(os.path.realpath(job.output), job.input)
        if other != job.input:
            raise InvalidArgument(f"{other} and {job.input} would both be written to {job.output}", hint="rename one")
        identity = files.identity(job.output)
        if identity in inputs and files.open_descriptor(job.output) is None:
            raise InvalidArgument(
                f"{job.output} is the input {inputs[identity]}", hint="an input is never overwritten: give another -o"
            )


def make_folders(jobs: Sequence[Job]) -> None:
    """Make what is to hold the outputs. Raises CannotWrite."""
    for folder in {job.folder for job in jobs if job.folder}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(error.strerror or str(error), where=str(folder)) from error


def check_standard_output(jobs: Sequence[Job], json: bool, *, concatenable: bool) -> None:
    """Raise InvalidArgument where standard output would carry more than it can.

    concatenable: whether outputs of this format may follow each other in one stream.
    """
    to_standard_output = [
        job for job in jobs if job.output == STANDARD_STREAM or files.open_descriptor(job.output) == 1
    ]
    if to_standard_output and json:
        raise InvalidArgument("standard output cannot carry both data and --json", hint="give -o FILE")
    if len(to_standard_output) > 1 and not concatenable:
        raise InvalidArgument(
            "standard output cannot carry several files", hint="give -o DIR, or decode with --format ppm"
        )


def refuse_existing(job: Job, force: bool) -> None:
    """Raise OutputExists before the work, unless `force`."""
    if job.output != STANDARD_STREAM and not force:
        files.refuse_existing(job.output)


def require_one_each(given: str | None, jobs: Sequence[Job], option: str) -> None:
    """Raise InvalidArgument where `option` gives one file for several inputs."""
    if given is not None and len(jobs) > 1 and not os.path.isdir(given):
        raise InvalidArgument(
            f"{option} {given} is one file for {len(jobs)} pictures",
            hint="give a folder that has a file of the same name for every picture",
        )


def companion(given: str | None, job: Job) -> str | None:
    """The file that belongs to a job's input: `given` itself, or the one in the folder `given` with the same stem.

    Raises CannotRead where the folder has none or cannot be read, InvalidArgument where it has several.
    """
    if given is None or not os.path.isdir(given):
        return given
    stem = Path(job.input).stem
    try:
        found = sorted(str(path) for path in Path(given).iterdir() if path.stem == stem and path.is_file())
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=given) from error
    if not found:
        raise CannotRead(
            f"has no file named {stem}", where=given, hint="name each like its picture, whatever the ending"
        )
    if len(found) > 1:
        raise InvalidArgument(f"{', '.join(found)} all belong to {job.input}", hint="keep one of them")
    return found[0]


def _expand(given: str, taken: Callable[[str], bool]) -> list[str]:
    if not given:
        raise InvalidArgument("the name of an input is empty")
    if given == STANDARD_STREAM or not os.path.isdir(given):
        return [given]
    try:
        found = sorted(str(path) for path in Path(given).iterdir() if taken(path.suffix.lower()) and path.is_file())
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=given) from error
    if not found:
        raise InvalidArgument("holds no file of the kind this command takes", where=given)
    return found


def _as_folder(output: str | None, count: int) -> Path | None:
    if output is None or output == STANDARD_STREAM:
        return None
    if count == 1 and not output.endswith(("/", os.sep)) and not os.path.isdir(output):
        return None
    return Path(output)


def _output_of(path: str, output: str | None, folder: Path | None, suffix: str) -> str:
    if output is not None and folder is None:
        return output
    if path == STANDARD_STREAM:
        if folder is not None:
            raise InvalidArgument("standard input has no name to write under", hint="give -o FILE")
        return STANDARD_STREAM
    beside = Path(path).with_suffix(suffix)
    return str(folder / beside.name if folder else beside)


class Tally:
    """Failures of a batch of `total` jobs, reported as they happen."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._failures: list[EdgecodecError] = []

    @contextmanager
    def attempt(self, job: Job) -> Iterator[None]:
        """Whatever fails in here is reported, and ends this job only.

        Without an engine, without a reader of the output, and after a signal there is no next job.
        """
        end_if_told()
        try:
            yield
        except (EngineUnavailable, BrokenPipeError):
            raise
        except Exception as error:
            end_if_told()
            failure = typed(error)
            failure.locate(job.input)
            self._failures.append(failure)
            self._console.error(failure, {"input": job.input, "output": job.output})

    def exit_status(self) -> int:
        """0; for a single job its own failure's status; 1 if some of many failed, after saying how many."""
        failed = len(self._failures)
        if self._total > 1:
            self._console.say(
                f"{self._total - failed} of {self._total} done" + (f", {failed} failed" if failed else "")
            )
        if not failed:
            return 0
        return self._failures[0].exit_status if self._total == 1 else 1
