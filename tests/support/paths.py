"""Paths in a checkout, and the environment for processes that tests start."""

from __future__ import annotations

import os
from pathlib import Path

import edgecodec

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
GOLDEN = DATA / "golden"
TINY = DATA / "tiny.bundle"
ENDLESS = DATA / "endless"
VECTORS = DATA / "vectors"
PHOTOS = sorted((DATA / "photos").glob("*.png"))
LARGER_PHOTO = ROOT / "export" / "edgecodec_export" / "calibration_photos" / "04.webp"  # 576x384

#: Processes that tests start import the packages under test, whether from the checkout or installed, and may decode
#: with engines for tests.
_HOME = Path(edgecodec.__file__).parents[1]
_FOLDERS = [_HOME, *(_HOME / name for name in ("engines", "export", "train", "evaluate") if (_HOME / name).is_dir())]
ENVIRONMENT = {**os.environ, "EDGECODEC_TEST_ENGINES": "1", "PYTHONPATH": os.pathsep.join(map(str, _FOLDERS))}
