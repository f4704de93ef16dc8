"""The wheel holds the packages under their one name, the library, and nothing else, and works where it is unpacked."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import edgecodec
from support.paths import ROOT

pytest.importorskip("scikit_build_core", reason="a wheel is built without isolation, so this must be installed")
pytestmark = pytest.mark.slow

HOMES = {
    "edgecodec": "edgecodec",
    "engines/edgecodec_engines": "edgecodec_engines",
    "export/edgecodec_export": "edgecodec_export",
    "train/edgecodec_train": "edgecodec_train",
    "evaluate/edgecodec_evaluate": "edgecodec_evaluate",
}
INFO = f"edgecodec-{edgecodec.__version__}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", "-q", *options, "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=300)
    (built,) = folder.iterdir()
    return built


def _sources() -> set[str]:
    """Every file of the checkout's packages, under its place in the wheel."""
    places = set()
    for top, home in HOMES.items():
        for folder, _, names in os.walk(ROOT / top):
            if Path(folder).name != "__pycache__":
                places |= {f"{home}/{(Path(folder) / name).relative_to(ROOT / top).as_posix()}" for name in names}
    return places


def test_exactly_these_files(wheel: Path) -> None:
    metadata = {f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    native = {"edgecodec/libedgecodec.so", "edgecodec/include/edgecodec/edgecodec.h"}
    assert set(names) == _sources() | native | metadata


def test_four_packages_and_nothing_beside_them(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {*HOMES.values(), INFO}


def test_one_wheel_for_every_python(wheel: Path) -> None:
    assert wheel.name.startswith(f"edgecodec-{edgecodec.__version__}-py3-none-")


def test_the_runtime_depends_on_four_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"{INFO}/METADATA"))
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(re.split("[<>=]", line)[0] for line in required) == ["numpy", "pillow", "rich", "typer"]
    assert metadata["Version"] == edgecodec.__version__ and metadata["License-Expression"] == "Apache-2.0"


def test_it_works_where_it_is_unpacked(wheel: Path, tmp_path: Path, coded: bytes) -> None:
    """Away from the checkout, and with the library that is inside."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "a.edgc").write_bytes(coded)
    environment = {name: value for name, value in os.environ.items() if name != "EDGECODEC_LIBRARY"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), sysconfig.get_paths()["purelib"]])
    code = "import edgecodec; print(edgecodec.__file__); print(edgecodec.inspect('a.edgc').width)"
    command = [sys.executable, "-S", "-c", code]  # an editable install hooks in through the site module
    output = subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)
    assert output.split() == [str(tmp_path / "edgecodec" / "__init__.py"), "96"]
