"""AVIF: Pillow's writer, with colour at half the resolution and at the encoder's usual effort.

Tiles of its own choice would make the file depend on the machine's threads.
"""

from __future__ import annotations

from PIL import features

from edgecodec_evaluate.peers.peer import Peer


def _wanting() -> str | None:
    there = "avif" in features.modules and features.check_module("avif")
    return None if there else "pip install 'pillow>=11.3', which writes AVIF"


PEER = Peer(
    name="avif",
    title="AVIF",
    pillow="AVIF",
    settings={"speed": 6, "subsampling": "4:2:0", "autotiling": False},
    qualities=(5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95),
    lowest=0,
    highest=100,
    wanting=_wanting,
    version=lambda: f"libavif {features.version_module('avif')}",
)
