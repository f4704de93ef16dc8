"""WebP: Pillow's writer at its greatest effort."""

from __future__ import annotations

from PIL import features

from edgecodec_evaluate.peers.peer import Peer

PEER = Peer(
    name="webp",
    title="WebP",
    pillow="WEBP",
    settings={"method": 6},
    qualities=(0, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
    lowest=0,
    highest=100,
    wanting=lambda: None if features.check_module("webp") else "install a Pillow that was built with WebP",
    version=lambda: f"libwebp {features.version_module('webp')}",
)
