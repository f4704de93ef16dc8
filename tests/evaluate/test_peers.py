"""Other formats are measured by files that they really write."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecodec import picture
from edgecodec.errors import EngineUnavailable, InvalidArgument, OutOfRange
from edgecodec.limits import Limits
from edgecodec.picture import Picture
from edgecodec_evaluate import peers
from edgecodec_evaluate.peers import PEERS, peers_named
from edgecodec_evaluate.peers.peer import Peer, encode_near
from support.command_line import run_command
from support.paths import PHOTOS, TINY

FOUND = [each for each in PEERS.values() if each.wanting() is None]


@pytest.fixture(scope="module")
def photo() -> Picture:
    return picture.read(PHOTOS[1], Limits())


@pytest.mark.parametrize("peer", FOUND, ids=lambda peer: peer.name)
def test_a_file_is_one_of_its_format_and_comes_back(peer: Peer, photo: Picture) -> None:
    sizes, errors = [], []
    for quality in (peer.qualities[0], peer.qualities[-1]):
        data = peer.encode(photo, quality)
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == peer.pillow and image.size == (96, 64)
        sizes.append(len(data))
        errors.append(np.abs(photo.pixels.astype(int) - peer.decode(data)).mean())
    assert sizes[0] < sizes[1] and errors[0] > 2 * errors[1] and errors[1] < 5


@pytest.mark.parametrize("peer", FOUND, ids=lambda peer: peer.name)
def test_greyscale_comes_back_in_three_channels(peer: Peer) -> None:
    grey = Picture(np.tile(np.arange(0, 128, 2, dtype=np.uint8), (64, 1)))
    assert np.abs(peer.decode(peer.encode(grey, peer.qualities[-1])) - grey.pixels[..., None].astype(int)).max() < 16


@pytest.mark.parametrize("peer", [each for each in FOUND if each.name != "jxl"], ids=lambda peer: peer.name)
def test_a_picture_that_the_format_cannot_hold_is_an_error_with_a_name(peer: Peer) -> None:
    with pytest.raises(OutOfRange, match=f"{peer.title} cannot hold 70000x1 pixels") as raised:
        peer.encode(Picture(np.zeros((1, 70000, 3), np.uint8)), peer.qualities[0])
    assert raised.value.hint == f"leave {peer.name} out, or the picture"


@pytest.mark.parametrize("peer", FOUND, ids=lambda peer: peer.name)
def test_qualities_rise_within_what_the_encoder_takes(peer: Peer) -> None:
    assert list(peer.qualities) == sorted({*peer.qualities})
    assert peer.lowest <= peer.qualities[0] and peer.qualities[-1] <= peer.highest


def test_the_nearest_file_is_that_of_a_search_through_all(photo: Picture) -> None:
    jpeg = PEERS["jpeg"]
    sizes = [len(jpeg.encode(photo, quality)) for quality in range(jpeg.lowest, jpeg.highest + 1)]
    for size in (0, 700, 1000, 3000, 10**6):
        nearest = min(abs(each - size) for each in sizes)
        assert abs(len(encode_near(jpeg, photo, size)) - size) == nearest


def test_a_format_that_is_not_installed_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edgecodec.picture_plugins.find_spec", lambda package: None)
    with pytest.raises(EngineUnavailable, match="JPEG XL") as raised:
        peers_named(["jpeg", "jxl"])
    assert raised.value.hint == "pip install 'edgecodec[jxl]'"
    outcome = run_command("eval", TINY, PHOTOS[0].parent, "-o", tmp_path / "out", "--against", "jpeg,jxl")
    assert outcome.status == 6 and "edgecodec[jxl]" in outcome.talk
    assert not (tmp_path / "out").exists()


def test_an_old_pillow_is_told_from_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    old = replace(PEERS["avif"], wanting=lambda: "pip install 'pillow>=11.3', which writes AVIF")
    monkeypatch.setitem(peers.PEERS, "avif", old)
    with pytest.raises(EngineUnavailable, match="AVIF cannot be written here") as raised:
        peers_named(["avif"])
    assert raised.value.hint is not None and "pillow>=11.3" in raised.value.hint


def test_unknown_and_repeated_formats_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="no format 'jpg'") as raised:
        peers_named(["jpg"])
    assert raised.value.hint == "use jpeg, webp, avif, jxl"
    with pytest.raises(InvalidArgument, match="webp is named twice"):
        peers_named(["webp", "webp"])
