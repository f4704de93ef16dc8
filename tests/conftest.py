"""What most tests of the runtime share: a tiny bundle, three small photographs, and pictures coded with them."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from PIL import Image

import edgecodec
from edgecodec.codec import Codec
from support.paths import DATA, PHOTOS, TINY

# The runtime's tests must pass without torch, so they are all that is collected then.
collect_ignore = ["export", "train", "evaluate"] if importlib.util.find_spec("torch") is None else []

# A machine that does something else for a while makes no test wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def codec() -> Iterator[Codec]:
    """The tiny bundle on ONNX Runtime, one thread."""
    with edgecodec.open_bundle(TINY, engine="onnxruntime", threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def mosaic() -> Iterator[Codec]:
    """The tiny bundle on the stub engine, which keeps a picture of one colour exactly."""
    with edgecodec.open_bundle(TINY, engine="stub", threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def pixels() -> npt.NDArray[np.uint8]:
    """One photograph, uint8 (64, 96, 3)."""
    return np.asarray(Image.open(DATA / "photos" / "parrots.png"))


@pytest.fixture(scope="session")
def coded(codec: Codec, pixels: npt.NDArray[np.uint8]) -> bytes:
    """That photograph, coded."""
    return codec.encode(pixels).data


@pytest.fixture
def bundle_copy(tmp_path: Path) -> Path:
    """A copy of the tiny bundle that may be damaged."""
    return Path(shutil.copytree(TINY, tmp_path / "copy.bundle"))


@pytest.fixture
def python_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor's ONNX Runtime through its Python package, as where that comes without the shared library."""
    monkeypatch.setattr("edgecodec_engines.onnxruntime._package_library", lambda: None)


@pytest.fixture(params=PHOTOS, ids=lambda path: path.stem)
def photo(request: pytest.FixtureRequest) -> Path:
    """Each photograph's file in turn."""
    path: Path = request.param
    return path


@pytest.fixture(scope="session")
def family_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a bundle exported from a tiny codec of a family, by its name in tests/support/tiny_codecs.py.

    Made when it is first asked for, and shared: no test may change it.
    """
    from support.tiny_codecs import write_tiny_bundle  # which needs torch

    return cache(lambda name: write_tiny_bundle(name, tmp_path_factory.mktemp("families") / name))
