"""Tries mutations in a copy of the checkout: applies one, builds what it needs, runs the tests that concern it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.mutants.concerning_tests import concerning_programs, concerning_tests
from scripts.mutants.mutation import Mutation

BUILD_SECONDS = 600
PROGRAM_SECONDS = 60
_PASSED, _NO_TESTS = 0, 5  # exit statuses of pytest; those of programs agree about the first
_FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_FAILED_CHECK = re.compile(r"^failed: (.*)", re.MULTILINE)


class TrialError(Exception):
    """The copy cannot be built, or its tests fail without any mutation: no verdict would mean anything."""


@dataclass(frozen=True)
class Verdict:
    """`killed`, `survived`, `timeout` or `invalid` (does not compile), and the test that killed it."""

    name: str
    test: str = ""


@contextmanager
def worktree(root: Path) -> Iterator[Path]:
    """A copy of the commit that is checked out at `root`, in a temporary folder, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "checkout"
        subprocess.run(["git", "-C", root, "worktree", "add", "--quiet", "--detach", copy, "HEAD"], check=True)
        try:
            yield copy
        finally:
            subprocess.run(["git", "-C", root, "worktree", "remove", "--force", copy], check=True)


class Trials:
    """Trials in the copy of the checkout at `copy`, of at most so many seconds each.

    Without a finished `library` it builds one, as mutations of native files need.
    """

    def __init__(self, copy: Path, seconds: int, library: Path | None) -> None:
        self._copy = copy
        self._seconds = seconds
        self._build_folder = copy / "build" / "mutants"
        self._library = library or self._build_folder / "libedgecodec.so"
        if library is not None:
            return
        # -w: the compiler's warnings are errors, and a mutant that only makes it warn counts.
        configure = ["cmake", "-S", copy / "native", "-B", self._build_folder, "-DCMAKE_CXX_FLAGS=-w"]
        configure.append("-DEDGECODEC_TESTS=ON")
        subprocess.run(list(map(str, configure)), check=True, stdout=subprocess.DEVNULL)
        if not self._built([]):
            raise TrialError("the native library does not compile without a mutation")

    def check_unmutated(self, paths: Sequence[str]) -> None:
        """Raises TrialError if a test that concerns one of these source files fails as it is."""
        programs = list(dict.fromkeys(program for path in paths for program in concerning_programs(path)))
        if programs and not self._built(programs):
            raise TrialError("the native test programs do not compile without a mutation")
        failed = self._verdict_of_programs(programs)
        if failed is not None:
            raise TrialError(f"a native test program fails without a mutation: {failed.name} {failed.test}")
        tests = dict.fromkeys(test for path in paths for test in concerning_tests(path))
        status, output = self._pytest(list(tests), len(tests) * self._seconds)
        if status != _PASSED:
            raise TrialError(f"tests fail without a mutation:\n{output[-2000:]}")

    def verdict(self, mutation: Mutation) -> Verdict:
        source = self._copy / mutation.path
        original = source.read_bytes()
        native = mutation.path.startswith("native/")
        source.write_bytes(mutation.applied(original))
        try:
            programs = concerning_programs(mutation.path)
            if native and not self._built(programs):
                return Verdict("invalid")
            # They take seconds, where the tests in Python may take minutes.
            return self._verdict_of_programs(programs) or self._verdict_of_tests(mutation.path)
        finally:
            source.write_bytes(original)
            if native:
                # The next build must see that the file has changed again.
                os.utime(source)

    def _verdict_of_programs(self, programs: Sequence[str]) -> Verdict | None:
        """The verdict if one of them fails, otherwise None: what they do not notice, tests may."""
        for program in programs:
            command = [str(self._build_folder / "tests" / program), "tests/data/tiny.bundle"]
            status, output = self._run(command, PROGRAM_SECONDS)
            if status is None:
                return Verdict("timeout")
            if status != _PASSED:
                check = _FAILED_CHECK.search(output)
                return Verdict("killed", f"{program}: {check[1] if check else f'ended with status {status}'}")
        return None

    def _verdict_of_tests(self, path: str) -> Verdict:
        status, output = self._pytest(concerning_tests(path), self._seconds)
        if status is None:
            return Verdict("timeout")
        if status == _NO_TESTS:
            raise TrialError(f"no test was run for {path}")
        if status == _PASSED:
            return Verdict("survived")
        failed = _FAILED_TEST.search(output)
        return Verdict("killed", failed[1] if failed else f"pytest ended with status {status}")

    def _built(self, programs: Sequence[str]) -> bool:
        command = ["cmake", "--build", str(self._build_folder), "--target", "edgecodec", *programs]
        status, _ = self._run(command, BUILD_SECONDS)
        return status == 0

    def _pytest(self, tests: list[str], seconds: int) -> tuple[int | None, str]:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow"]
        return self._run([*command, "--tb=no", "-rfE", *tests], seconds)

    def _run(self, command: list[str], seconds: int) -> tuple[int | None, str]:
        """Exit status, or None after that many seconds, and output. Whatever the command started ends with it."""
        environment = {
            **os.environ,
            "EDGECODEC_LIBRARY": str(self._library),
            "OMP_NUM_THREADS": "1",
            # Compiled modules are told from outdated ones by a time in seconds, and trials may be faster than that.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command,
                cwd=self._copy,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            status: int | None
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end_group(process)
            output.seek(0)
            return status, output.read().decode(errors="replace")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """A mutant may leave processes behind, or never end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
