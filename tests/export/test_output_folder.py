"""A bundle is there whole, the old one or the new one, whenever an export that replaces it is ended."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgecodec.description import MANIFEST
from edgecodec.errors import CannotRead, CannotWrite, InvalidArgument, OutputExists
from edgecodec_export import ExportOptions, export_bundle
from edgecodec_export.bundle import output_folder
from edgecodec_export.bundle.output_folder import appearing_whole, refuse_existing, refuse_inputs_inside
from support.paths import ENVIRONMENT


@pytest.fixture(params=[True, False], ids=["exchange", "two renames"])
def exchanges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bool:
    """Whether the system swaps two names in one step."""
    if not request.param:
        monkeypatch.setattr(output_folder, "_exchange", lambda one, other: False)
        return False
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    if not output_folder._exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this system cannot")
    for name in ("one", "other"):
        (tmp_path / name).rmdir()
    return True


def _bundle(folder: Path, contents: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text(contents)
    return folder


def _export(output: Path, force: bool = True) -> None:
    with appearing_whole(output, force) as folder:
        _bundle(folder, "new")


def _only(output: Path) -> str:
    """Contents of the bundle, which is all that is there."""
    assert list(output.parent.iterdir()) == [output] and [path.name for path in output.iterdir()] == [MANIFEST]
    return (output / MANIFEST).read_text()


@pytest.mark.parametrize("name", ["out", "\u6f22" * 85], ids=["short", "long"])
def test_a_bundle_is_replaced(tmp_path: Path, exchanges: bool, name: str) -> None:
    output = tmp_path / name
    _export(output)
    assert _only(output) == "new"
    _bundle(output, "old")
    with pytest.raises(OutputExists):
        _export(output, force=False)
    assert _only(output) == "old"
    _export(output)
    assert _only(output) == "new"


def test_the_swap_is_one_step_where_the_system_has_it(tmp_path: Path) -> None:
    one, other = _bundle(tmp_path / "one", "1"), _bundle(tmp_path / "other", "2")
    if not output_folder._exchange(one, other):
        pytest.skip("this system cannot")
    assert ((one / MANIFEST).read_text(), (other / MANIFEST).read_text()) == ("2", "1")
    with pytest.raises(OSError):
        output_folder._exchange(one, tmp_path / "nowhere")


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SystemExit(143), OSError(errno.EIO, "Input/output error")])
@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_ended_at_either_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, at: int, before: bool
) -> None:
    monkeypatch.setattr(output_folder, "_exchange", lambda one, other: False)
    output = _bundle(tmp_path / "out", "old")
    rename = Path.rename
    done: list[None] = []

    def ended(self: Path, target: Path) -> Path:
        done.append(None)
        now = len(done) == at + 1
        if now and before:
            raise failure
        result = rename(self, target)
        if now:
            raise failure
        return result

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", ended)
        with pytest.raises((type(failure), CannotWrite)):
            _export(output)
    assert _only(output) == ("new" if (at, before) == (1, False) else "old")


@pytest.mark.parametrize("role", ["checkpoints", "mse_checkpoints", "calibration", "entropy_from"])
@pytest.mark.parametrize("linked", ["nothing", "input", "output", "inside"])
def test_a_bundle_that_holds_an_input_is_not_replaced(tmp_path: Path, role: str, linked: str) -> None:
    """Before any work: here there is nothing that could be read."""
    output = _bundle(tmp_path / "out", "old")
    given = named = output / "input"
    if linked == "inside":  # the user's link would be lost
        given.symlink_to(tmp_path / "elsewhere")
    else:
        given.write_text("weights")
    if linked == "input":
        named = tmp_path / "link"
        named.symlink_to(given)
    if linked == "output":
        (tmp_path / "other").symlink_to(output)
        output = tmp_path / "other"
    given_role = [named] if role.endswith("checkpoints") else named
    inputs: dict[str, Any] = {"checkpoints": [tmp_path / "absent"], role: given_role}
    with pytest.raises(InvalidArgument) as refused:
        export_bundle(ExportOptions(output=output, force=True, **inputs))
    assert refused.value.where == str(output) and str(named) in refused.value.message
    assert given.is_symlink() or given.read_text() == "weights"


def test_inputs_beside_a_bundle_are_no_obstacle(tmp_path: Path) -> None:
    """Nor is the bundle itself, which may give the new one its entropy model."""
    output = _bundle(tmp_path / "out", "old")
    beside = tmp_path / "out.pth"
    refuse_inputs_inside(output, [beside, tmp_path, output, tmp_path / "absent" / "out"])
    with pytest.raises(CannotRead, match="no such file"):
        export_bundle(ExportOptions([beside], output, force=True))


_KILLED = """
import os, signal, sys
from pathlib import Path
from edgecodec_export import ExportOptions, export_bundle
from edgecodec_export.bundle import output_folder

output_folder._exchange = lambda one, other: False
rename = Path.rename

def rename_and_die(self, target):
    rename(self, target)
    os.kill(os.getpid(), signal.SIGKILL)

Path.rename = rename_and_die
with output_folder.appearing_whole(Path(sys.argv[1]), True) as folder:
    (folder / "manifest.json").write_text("new")
"""


def test_killed_between_the_renames_the_next_export_brings_the_old_one_back(tmp_path: Path) -> None:
    output = _bundle(tmp_path / "out", "old")
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(output)], env=ENVIRONMENT)
    assert killed.returncode == -signal.SIGKILL and not output.exists()
    with pytest.raises(OutputExists):
        refuse_existing(output, force=False)
    assert _only(output) == "old"
    _export(output)
    assert _only(output) == "new"


def test_nothing_else_is_brought_back(tmp_path: Path) -> None:
    """The same folder may hold what exports of other bundles left, and such as are at work."""
    other = tmp_path / ".edgecodec-abc.part" / "old" / "other"
    other.mkdir(parents=True)
    (tmp_path / ".edgecodec-def.part" / "new").mkdir(parents=True)
    _export(tmp_path / "out")
    assert other.is_dir() and (tmp_path / "out" / MANIFEST).read_text() == "new"


def test_a_mount_point_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = _bundle(tmp_path / "out", "old")

    def busy(*arguments: Any) -> bool:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(output_folder, "_exchange", busy)
    with pytest.raises(CannotWrite, match="mount point"):
        _export(output)
    assert _only(output) == "old"
