"""Commands with many inputs: where their outputs go, and going on after a failure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecodec import files
from edgecodec.cli.console import Console
from edgecodec.cli.signals import end_if_told
from edgecodec.errors import CannotRead, CannotWrite, EdgecodecError, EngineUnavailable, InvalidArgument, typed
from edgecodec.files import STANDARD_STREAM
from edgecodec.limits import Limits

if TYPE_CHECKING:
    from edgecodec.cli.inputs import Input, Inputs, Kinds


@dataclass(frozen=True)
class Job:
    """One input and its output, each a path or "-". folder: the folder of the output where it may have to be made."""

    input: str
    output: str
    folder: Path | None = None

    def source(self, limits: Limits) -> files.Source:
        """The path, or what standard input holds: read here and now, where an interrupt can end the wait."""
        return files.read_standard_input(limits) if self.input == STANDARD_STREAM else self.input


def split_output(given: Sequence[str], output: str | None, kinds: Kinds) -> tuple[Sequence[str], str | None]:
    """Inputs and output of `given`: "a.edgc a.png" names the output too, as it does for the tools of other formats."""
    if output is None and len(given) == 2 and not os.path.isdir(given[0]):
        first, second = given
        if Path(second).suffix.lower() in kinds.written and Path(first).suffix.lower() not in kinds.written:
            return [first], second
    return given, output


def plan(inputs: Inputs, output: str | None, suffix: str, kinds: Kinds) -> list[Job]:
    """Pair every input file with an output.

    Without `output`, outputs lie beside their inputs. `output` is a folder if it is one already, if it ends with a
    slash, or if there may be several inputs; a file otherwise. What was found below a folder keeps its place below the
    output. Raises InvalidArgument if two outputs would be one, or an output would replace an input, and CannotWrite
    where the folder of a file is not there, or does not take its name.
    """
    folder = _as_folder(output, inputs, kinds)
    jobs = [_job(each, output, folder, suffix) for each in inputs.found]
    _refuse_collisions([job for job in jobs if job.output != STANDARD_STREAM])
    if output is not None and folder is None:
        require_place_of(output)
    return jobs


def _as_folder(output: str | None, inputs: Inputs, kinds: Kinds) -> Path | None:
    if output is None or output == STANDARD_STREAM:
        return None
    if output.endswith(("/", os.sep)) or os.path.isdir(output):
        return Path(output)
    if not inputs.several:
        return None
    if Path(output).suffix.lower() in kinds.written | kinds.taken:
        raise InvalidArgument(
            f"-o {output} is one file, and several may come of these inputs", hint=f"-o {output}/ makes it a folder"
        )
    return Path(output)


def _job(given: Input, output: str | None, folder: Path | None, suffix: str) -> Job:
    if output is not None and folder is None:
        return Job(given.path, output)
    if given.path == STANDARD_STREAM:
        if folder is not None:
            raise InvalidArgument("standard input has no name to write under", hint="give -o FILE")
        return Job(given.path, STANDARD_STREAM)
    path = Path(given.path)
    if folder is None:
        return Job(given.path, str(path.with_suffix(suffix)))
    below = path.relative_to(given.folder) if given.folder is not None else Path(path.name)
    written = folder / below.with_suffix(suffix)
    return Job(given.path, str(written), written.parent)


def require_place_of(output: str) -> None:
    """The folder is there and takes the name. Said before the work, which may take long. Raises CannotWrite."""
    folder = os.path.dirname(os.path.realpath(output))
    if output == STANDARD_STREAM or files.open_descriptor(output) is not None:
        return
    if not os.path.isdir(folder):
        raise CannotWrite(
            "there is no such folder", where=os.path.dirname(output) or folder, hint="make it, or correct the name"
        )
    files.refuse_long_name(output)


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise InvalidArgument where two jobs would write one file, or a job an input, under whatever names."""
    inputs = {identity: job.input for job in jobs if (identity := files.identity(job.input))}
    outputs: dict[str, str] = {}
    for job in jobs:
        real_output = os.path.realpath(job.output)  # file systems that ignore case are not provided for
        if real_output in outputs:
            other = outputs[real_output]
            again = "is given twice" if other == job.input else f"and {job.input} would both be written to {job.output}"
            raise InvalidArgument(f"{other} {again}", hint="leave one out, or rename it")
        outputs[real_output] = job.input
        identity = files.identity(job.output)
        if identity in inputs and files.open_descriptor(job.output) is None:
            raise InvalidArgument(
                f"the output {job.output} is the input {inputs[identity]}, and inputs are never overwritten",
                hint="give another -o; encode reads pictures, and decode reads .edgc",
            )


def make_folders(jobs: Sequence[Job]) -> None:
    """Make what is to hold the outputs. Raises CannotWrite."""
    for folder in {job.folder for job in jobs if job.folder}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(error.strerror or str(error), where=str(folder)) from error


def check_standard_output(jobs: Sequence[Job], json: bool, processes: int, *, concatenable: bool) -> None:
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
            "standard output cannot carry several files", hint="give -o DIR/, or decode with --format ppm"
        )
    if len(to_standard_output) > 1 and processes > 1:
        raise InvalidArgument(
            "several processes cannot share standard output", hint="leave --jobs out, or give -o DIR/"
        )


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


class Tally:
    """Outcomes of a batch of `total` jobs; failures are reported as they happen.

    done: jobs that succeeded. skipped: those that there was no need to do.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._failures: list[EdgecodecError] = []
        self.done = 0
        self.skipped = 0

    @contextmanager
    def attempt(self, job: Job) -> Iterator[None]:
        """Whatever fails in here is reported, and ends this job only. What does not is a job done, or skipped.

        Without an engine, without standard output where something has to be written there, and after a signal there is
        no next job.
        """
        end_if_told()
        before = self.skipped
        try:
            yield
        except (EngineUnavailable, BrokenPipeError):
            raise
        except Exception as error:
            end_if_told()
            failure = typed(error)
            if isinstance(failure, CannotWrite) and failure.where == files.STANDARD_OUTPUT:
                raise
            failure.locate(job.input)
            self._failures.append(failure)
            self._console.error(failure, {"input": job.input, "output": job.output})
        else:
            self.done += self.skipped == before

    @property
    def told(self) -> int:
        """How many jobs have an outcome."""
        return self.done + self.skipped + len(self._failures)

    def exit_status(self) -> int:
        """0; for a single job its own failure's status; 1 if some of many failed, after saying how many."""
        if self._total > 1:
            self._console.say(self._counts())
        if not self._failures:
            return 0
        return self._failures[0].exit_status if self._total == 1 else 1

    def say_interrupted(self, how_to_go_on: str = "") -> None:
        """The last line of a batch that a signal has ended; one job of its own needs none."""
        if self._total > 1:
            with suppress(BrokenPipeError):  # a signal may come because nobody listens any more
                self._console.say("; ".join(filter(None, (f"interrupted: {self._counts()}", how_to_go_on))))

    def _counts(self) -> str:
        words = [f"{self.done} of {self._total} done"]
        if self._failures:
            words.append(f"{len(self._failures)} failed")
        if self.skipped:
            words.append(f"{self.skipped} {'was' if self.skipped == 1 else 'were'} there already")
        return ", ".join(words)
