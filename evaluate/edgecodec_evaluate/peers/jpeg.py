"""JPEG: Pillow's writer, with colour at half the resolution and Huffman tables made for the picture."""

from __future__ import annotations

from PIL import features

from edgecodec_evaluate.peers.peer import Peer


def _version() -> str:
    turbo = features.version_feature("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"


PEER = Peer(
    name="jpeg",
    title="JPEG",
    pillow="JPEG",
    settings={"optimize": True, "subsampling": "4:2:0"},
    qualities=(3, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95),
    lowest=1,
    highest=95,
    wanting=lambda: None if features.check_codec("jpg") else "install a Pillow that was built with JPEG",
    version=_version,
)
