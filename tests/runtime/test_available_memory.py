"""What is free is what the machine and every control group around the process leave, whichever is least."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from edgecodec import memory
from support.paths import ENVIRONMENT

MACHINE = 1 << 40
UNLIMITED = 9223372036854771712  # as version 1 writes it


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree of control groups."""
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(memory, "_of_the_machine", lambda: MACHINE)
    return tmp_path


def _limited(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    """As `ulimit` sets them, in bytes; none for the others."""
    numbers = {getattr(resource, name): amount for name, amount in limits.items()}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (numbers.get(which, resource.RLIM_INFINITY),) * 2)


@pytest.mark.parametrize(("limit", "used"), [("RLIMIT_AS", 300), ("RLIMIT_DATA", 100)])
def test_limits_of_the_process(groups: Path, monkeypatch: pytest.MonkeyPatch, limit: str, used: int) -> None:
    """ulimit -v and -d: less what the process has, of which the kernel tells in its status, in KiB."""
    (groups / "status").write_text("Name:\tpython\nVmPeak:\t 999 kB\nVmSize:\t 300 kB\nVmData:\t 100 kB\n")
    monkeypatch.setattr(memory, "_STATUS", groups / "status")
    _limited(monkeypatch, **{limit: 1000 << 10})
    assert memory.available() == (1000 - used) << 10
    _limited(monkeypatch, **{limit: 50 << 10})
    assert memory.available() == 0
    _limited(monkeypatch)
    assert memory.available() == MACHINE


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what a process has")
def test_a_limit_of_a_real_shell() -> None:
    code = "from edgecodec import memory; print(memory.available())"
    script = f'ulimit -v 400000 && exec "{sys.executable}" -c "{code}"'
    done = subprocess.check_output(["sh", "-c", script], env=ENVIRONMENT)
    assert 200_000 << 10 < int(done) < 400_000 << 10


def _join(groups: Path, *lines: str) -> None:
    (groups / "membership").write_text("".join(f"{line}\n" for line in lines))


def _version_2(group: Path, limit: int | str, used: int, inactive: int = 0) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 5\nfile 7\ninactive_file {inactive}\nactive_file 3\n")


def _version_1(group: Path, limit: int, used: int, inactive: int = 0) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (group / "memory.usage_in_bytes").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"cache 5\ninactive_file 1\ntotal_inactive_file {inactive}\n")


def test_the_tightest_group_decides(groups: Path) -> None:
    """As systemd has it: the limit is on the slice, and the service in it has none."""
    _join(groups, "0::/user.slice/work.slice/job.service")
    _version_2(groups / "user.slice", 9000, 1000)
    _version_2(groups / "user.slice" / "work.slice", 5000, 4000, inactive=250)
    _version_2(groups / "user.slice" / "work.slice" / "job.service", "max", 3000)
    assert memory.available() == 1250
    _version_2(groups / "user.slice" / "work.slice" / "job.service", 3100, 3000)
    assert memory.available() == 100
    _version_2(groups / "user.slice", 9000, 9000)
    assert memory.available() == 0


def test_groups_without_a_limit_leave_what_the_machine_has(groups: Path) -> None:
    assert memory.available() == MACHINE
    _join(groups, "0::/job")
    _version_2(groups / "job", "max", 3000)
    assert memory.available() == MACHINE


def test_a_group_that_already_uses_more_than_it_may_has_nothing(groups: Path) -> None:
    _join(groups, "0::/")
    _version_2(groups, 1000, 1100)
    assert memory.available() == 0


@pytest.mark.parametrize("path", ["/", "/docker/0123", "/../../host"])
def test_inside_a_container_the_root_is_its_own(groups: Path, path: str) -> None:
    _join(groups, f"0::{path}")
    _version_2(groups, 5000, 1000)
    assert memory.available() == 4000


@pytest.mark.parametrize("controllers", ["memory", "cpu,memory"])
def test_version_1(groups: Path, controllers: str) -> None:
    """With version 2 beside it, which then limits nothing."""
    _join(groups, "9:name=systemd:/a:b", "5:pids:/job", f"4:{controllers}:/all/job", "0::/job")
    _version_1(groups / "memory", UNLIMITED, 9000)
    _version_1(groups / "memory" / "all" / "job", UNLIMITED, 2000)
    assert memory.available() == MACHINE
    _version_1(groups / "memory" / "all", 5000, 4500, inactive=100)
    assert memory.available() == 600
