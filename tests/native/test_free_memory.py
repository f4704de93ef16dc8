"""What is free is what the machine and every control group around the process leave, whichever is least."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.native_runtime import available_memory
from support.paths import ENVIRONMENT, ROOT
from support.sanitizer import without_sanitizer

MACHINE = 1 << 40
UNLIMITED = 9223372036854771712  # as version 1 writes it


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with so much memory, and no control groups."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "sys" / "fs" / "cgroup").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {MACHINE >> 10} kB\nCached: 7 kB\n")
    return tmp_path


def _join(root: Path, *lines: str) -> None:
    (root / "proc" / "self" / "cgroup").write_text("".join(f"{line}\n" for line in lines))


def _version_2(root: Path, group: str, limit: int | str, used: int | str, inactive: int | str = 0) -> None:
    folder = root / "sys" / "fs" / "cgroup" / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\nfile 7\ninactive_file {inactive}\nactive_file 3\n")


def _version_1(root: Path, group: str, limit: int, used: int, inactive: int = 0) -> None:
    folder = root / "sys" / "fs" / "cgroup" / "memory" / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"cache 5\ninactive_file 1\ntotal_inactive_file {inactive}\n")


def test_the_tightest_group_decides(root: Path) -> None:
    """As systemd has it: the limit is on the slice, and the service in it has none."""
    _join(root, "0::/user.slice/work.slice/job.service")
    _version_2(root, "user.slice", 9000, 1000)
    _version_2(root, "user.slice/work.slice", 5000, 4000, inactive=250)
    _version_2(root, "user.slice/work.slice/job.service", "max", 3000)
    assert available_memory(root) == 1250
    _version_2(root, "user.slice/work.slice/job.service", 3100, 3000)
    assert available_memory(root) == 100
    _version_2(root, "user.slice", 9000, 9000)
    assert available_memory(root) == 0


def test_groups_without_a_limit_leave_what_the_machine_has(root: Path) -> None:
    assert available_memory(root) == MACHINE
    _join(root, "0::/job")
    _version_2(root, "job", "max", 3000)
    assert available_memory(root) == MACHINE


def test_a_group_that_already_uses_more_than_it_may_has_nothing(root: Path) -> None:
    _join(root, "0::/")
    _version_2(root, "", 1000, 1100)
    assert available_memory(root) == 0


@pytest.mark.parametrize("path", ["/", "/docker/0123", "/../../host", "", "//a//b/"])
def test_inside_a_container_the_root_is_its_own(root: Path, path: str) -> None:
    _join(root, f"0::{path}")
    _version_2(root, "", 5000, 1000)
    assert available_memory(root) == 4000


@pytest.mark.parametrize("controllers", ["memory", "cpu,memory"])
def test_version_1(root: Path, controllers: str) -> None:
    """With version 2 beside it, which then limits nothing."""
    _join(root, "9:name=systemd:/a:b", "5:pids:/job", f"4:{controllers}:/all/job", "0::/job")
    _version_1(root, "", UNLIMITED, 9000)
    _version_1(root, "all/job", UNLIMITED, 2000)
    assert available_memory(root) == MACHINE
    _version_1(root, "all", 5000, 4500, inactive=100)
    assert available_memory(root) == 600


def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "MemAvailable:",
        "MemAvailable: lots kB",
        "MemAvailable: -5 kB",
        "MemAvailable: 99999999999999999999 kB",
    ],
)
def test_odd_words_about_the_machine(root: Path, text: str) -> None:
    (root / "proc" / "meminfo").write_text(text)
    assert available_memory(root) is None


@pytest.mark.parametrize("line", ["", ":", "0", "0:", "0::", "::/job", "4:memory", "x" * (1 << 17)])
@pytest.mark.parametrize(("limit", "used"), [("", 1), ("lots", 1), (5000, "1 2"), (5000, ""), (1 << 64, 1), (-1, 1)])
def test_odd_words_about_groups(root: Path, line: str, limit: int | str, used: int | str) -> None:
    _join(root, line, "0::/job")
    _version_2(root, "job", limit, used)
    assert available_memory(root) == MACHINE


@pytest.mark.parametrize("inactive", ["", "many", (1 << 64) - 1, 1 << 64])
def test_odd_words_about_what_is_droppable(root: Path, inactive: int | str) -> None:
    _join(root, "0::/job")
    _version_2(root, "job", 5000, 1000, inactive)
    assert available_memory(root) == (4000 if inactive != (1 << 64) - 1 else MACHINE)


def _in_a_shell(limits: str, root: Path | str) -> int:
    code = f"from support.native_runtime import available_memory; print(available_memory({str(root)!r}))"
    path = f"{ENVIRONMENT['PYTHONPATH']}:{ROOT / 'tests'}"
    script = f'{limits} && exec "{sys.executable}" -c "{code}"'
    return int(subprocess.check_output(["sh", "-c", script], env={**ENVIRONMENT, "PYTHONPATH": path}))


@without_sanitizer
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what a process has")
def test_a_limit_of_a_real_shell() -> None:
    assert 100_000 << 10 < _in_a_shell("ulimit -v 400000", "") < 400_000 << 10


@without_sanitizer
@pytest.mark.parametrize(("limit", "left"), [("-v", 100), ("-d", 300)])
def test_limits_of_the_process(root: Path, limit: str, left: int) -> None:
    """Less what the process has, of which the kernel tells in its status, in KiB."""
    status = "Name:\tpython\nVmPeak:\t 99900000 kB\nVmSize:\t 9999900 kB\nVmData:\t 9999700 kB\n"
    (root / "proc" / "self" / "status").write_text(status)
    assert available_memory(root) == MACHINE
    assert _in_a_shell(f"ulimit {limit} 10000000", root) == left << 10
    assert _in_a_shell(f"ulimit {limit} 9000000", root) == 0
