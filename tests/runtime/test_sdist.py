"""The source archive holds the repository but for what is large beside it, and edgecodec installs from it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import tarfile
from collections import Counter
from pathlib import Path

import pytest

import edgecodec
from support.paths import ROOT

pytest.importorskip("scikit_build_core", reason="an archive is built without isolation, so this must be installed")
pytestmark = pytest.mark.slow

NAME = f"edgecodec-{edgecodec.__version__}"
LEFT_OUT = ("checkpoints/", "examples/", ".ci/")
CORPORA = ".tar.xz"  # of fuzzers
BUILD = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
#: Nothing comes from the network or from pip's cache, and no other edgecodec is touched.
INSTALL = ["install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, check=True, timeout=60)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / NAME


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that sees the packages of this one, but not an editable edgecodec."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    interpreter = folder / "bin" / "python"
    # The hooks of .pth files in a folder that is itself named in a .pth file do not run.
    (_packages(interpreter) / "outer.pth").write_text(sysconfig.get_paths()["purelib"])
    return interpreter


def _packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    return Path(subprocess.check_output([str(python), "-c", code], text=True).strip())


def _pip(python: Path, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, *arguments], check=True, timeout=300, env=_environment())


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("EDGECODEC_LIBRARY", "PYTHONPATH")}


def test_it_is_small(sdist: Path) -> None:
    assert sdist.name == f"{NAME}.tar.gz"
    assert sdist.stat().st_size < 4_000_000


def test_it_holds_what_the_repository_does(sdist: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).split("\0")[:-1]
    there = (name for name in listed if (ROOT / name).exists())
    expected = {name for name in there if not name.startswith(LEFT_OUT) and not name.endswith(CORPORA)}
    with tarfile.open(sdist) as archive:
        names = [member.name.removeprefix(f"{NAME}/") for member in archive.getmembers()]
    assert len(names) == len(set(names))
    assert set(names) == expected | {"PKG-INFO"}


def test_no_source_file_is_in_it_twice(unpacked: Path) -> None:
    sources = [file for file in unpacked.rglob("*") if file.suffix in (".py", ".cpp", ".h") and file.stat().st_size]
    times = Counter(hashlib.sha256(file.read_bytes()).digest() for file in sources)
    assert len(sources) > 200 and set(times.values()) == {1}


def test_nothing_in_it_was_compiled(unpacked: Path) -> None:
    compiled = (".so", ".dylib", ".dll", ".o", ".a", ".pyc")
    built = [file for file in unpacked.rglob("*") if file.name == "build" and file.is_dir()]
    assert [file for file in unpacked.rglob("*") if file.name.endswith(compiled)] + built == []


def test_installed_from_it_the_runtime_passes_tests_of_its_own_and_leaves_nothing(
    sdist: Path, unpacked: Path, python: Path
) -> None:
    before = sorted(_packages(python).iterdir())
    _pip(python, *INSTALL, str(sdist))
    packages = "edgecodec, edgecodec_engines, edgecodec_export.options, edgecodec_train, edgecodec_evaluate"
    code = f"import {packages}; print(edgecodec.__file__)"
    output = subprocess.check_output([str(python), "-c", code], cwd=unpacked.parent, text=True, env=_environment())
    assert Path(output.strip()) == _packages(python) / "edgecodec" / "__init__.py"

    # From here the checkout's packages are not on the path, but the tests' own are. All of them run with the wheel.
    options = ["-q", "-p", "no:cacheprovider", "-m", "not slow", "-o", "pythonpath=tests", "-c", "../pyproject.toml"]
    some = [
        f"runtime/test_{name}.py" for name in ("cli", "documentation", "knobs", "labels", "limits", "sizes", "tiling")
    ]
    command = [str(python), "-m", "pytest", *options, "--rootdir", "..", *some]
    done = subprocess.run(command, cwd=unpacked / "tests", env=_environment(), text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-4000:]

    _pip(python, "uninstall", "-q", "-y", "edgecodec")
    assert sorted(_packages(python).iterdir()) == before
