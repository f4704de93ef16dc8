"""The sheet shows the place where there is most to see, as it is, beside files of the same size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgecodec
from edgecodec_evaluate.contact_sheet import SIDE, ZOOM, _liveliest, write_contact_sheet
from edgecodec_evaluate.measuring import Measuring
from edgecodec_evaluate.metrics.detail import energies
from edgecodec_evaluate.peers import peers_named
from edgecodec_evaluate.points import points
from edgecodec_evaluate.settings import Settings
from support.paths import LARGER_PHOTO, PHOTOS, TINY


@pytest.mark.parametrize("size", [(400, 300), (161, 160), (163, 50), (7, 1)])
def test_the_liveliest_place_is_that_of_a_search_through_all(size: tuple[int, int]) -> None:
    pixels = np.asarray(Image.open(LARGER_PHOTO).resize(size))
    rows, columns = _liveliest(pixels)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (min(SIDE, size[1]), min(SIDE, size[0]))
    most = max(
        energies(pixels[top : top + SIDE, left : left + SIDE]).sum()
        for top in range(0, max(size[1] - SIDE, 0) + 1, 16)
        for left in range(0, max(size[0] - SIDE, 0) + 1, 16)
    )
    assert energies(pixels[rows, columns]).sum() == pytest.approx(most)


def test_the_original_is_on_it_pixel_by_pixel(tmp_path: Path) -> None:
    with edgecodec.open_bundle(TINY, "onnxruntime", threads=1) as codec:
        measuring = Measuring(codec, points(codec.info), peers_named(["jpeg"]), {})
        pictures = [(path.name, path) for path in PHOTOS]
        write_contact_sheet(tmp_path / "sheet.png", pictures, measuring, Settings())
        write_contact_sheet(tmp_path / "again.png", pictures, measuring, Settings())
    assert (tmp_path / "sheet.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    zoomed = np.repeat(np.repeat(np.asarray(Image.open(PHOTOS[0])), ZOOM, 0), ZOOM, 1)
    places = [
        (top, left)
        for top in range(30, 90)
        for left in range(5, 30)
        if np.array_equal(sheet[top : top + zoomed.shape[0], left : left + zoomed.shape[1]], zoomed)
    ]
    assert len(places) == 1
    between = sheet[:, places[0][1] + zoomed.shape[1] :]
    assert (between < 200).any(), "what was decoded is beside it"
