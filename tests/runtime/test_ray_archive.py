"""The example for clusters: every picture is coded as the library codes it, or is listed with the reason why not."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from edgecodec.codec import Codec
from support.paths import ENVIRONMENT, PHOTOS, ROOT, TINY

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings

MANY = 500


@pytest.fixture(scope="module")
def archive() -> Iterator[ModuleType]:
    """The example, in a cluster of two processors of this machine."""
    specification = importlib.util.spec_from_file_location("ray_archive", ROOT / "examples" / "ray_archive.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["ray_archive"] = module
    specification.loader.exec_module(module)
    for pickled in (module, sys.modules[__name__]):  # workers cannot import either
        ray.cloudpickle.register_pickle_by_value(pickled)
    variables = {name: ENVIRONMENT[name] for name in ("PYTHONPATH", "EDGECODEC_LIBRARY") if name in ENVIRONMENT}
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        runtime_env={"env_vars": variables},
    )
    yield module
    ray.shutdown()
    del sys.modules["ray_archive"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Many small pictures in folders, one of them damaged."""
    for number in range(MANY):
        folder = tmp_path / "photos" / str(number % 7)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(PHOTOS[number % 3], folder / f"{number:03}.png")
    (tmp_path / "photos" / "0" / "007.png").write_bytes(b"nothing")
    return tmp_path / "photos"


def _failures(target: Path) -> dict[str, str]:
    lines = (target / "failures.jsonl").read_text().splitlines()
    return {line["input"]: line["code"] for line in map(json.loads, lines)}


def test_an_archive_there_and_back(archive: ModuleType, photos: Path, tmp_path: Path, mosaic: Codec) -> None:
    coded = tmp_path / "coded"
    task = archive.Task(True, photos, TINY, coded, "stub")
    assert archive.run(task, 2) == {"done": MANY - 1, "not_an_image": 1}
    assert _failures(coded) == {"0/007.png": "not_an_image"}
    expected = [mosaic.encode(photo).data for photo in PHOTOS]
    for number in range(MANY):
        file = coded / str(number % 7) / f"{number:03}.edgc"
        assert number == 7 or file.read_bytes() == expected[number % 3]

    # Going on after some were lost and the damaged one was put right.
    for name in ("1/001.edgc", "2/499.edgc"):
        (coded / name).unlink(missing_ok=True)
    lost = MANY - sum(1 for _ in coded.rglob("*.edgc"))
    shutil.copy(PHOTOS[0], photos / "0" / "007.png")
    assert archive.run(task, 2) == {"done": lost, "skipped": MANY - lost}
    assert _failures(coded) == {}

    few = tmp_path / "few"
    shutil.copytree(coded / "3", few / "3")
    assert archive.run(archive.Task(False, few, TINY, tmp_path / "back", "stub"), 2)["done"] == len(
        list(few.rglob("*.edgc"))
    )
    assert all(path.suffix == ".png" for path in (tmp_path / "back" / "3").iterdir())


def test_a_picture_that_kills_its_workers_is_listed(archive: ModuleType, photos: Path, tmp_path: Path) -> None:
    class Dying(archive.Worker):  # type: ignore[misc, name-defined]
        def work(self, source: Path, output: Path) -> None:
            if source.name == "011.png":
                os.kill(os.getpid(), signal.SIGKILL)
            super().work(source, output)

    for folder in "01235":
        shutil.rmtree(photos / folder)
    total = len(list(photos.rglob("*.png")))
    coded = tmp_path / "coded"
    counts = archive.run(archive.Task(True, photos, TINY, coded, "stub", batch=8), 2, Dying)
    assert counts == {"done": total - 1, "worker_died": 1}
    assert _failures(coded) == {"4/011.png": "worker_died"}
