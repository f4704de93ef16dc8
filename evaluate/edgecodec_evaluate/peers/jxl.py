"""JPEG XL: the plugin for Pillow, at the encoder's usual effort."""

from __future__ import annotations

from importlib import import_module, metadata

from edgecodec.picture_plugins import JPEG_XL
from edgecodec_evaluate.peers.peer import Peer


def _wanting() -> str | None:
    """Pillow knows the format from here on, where the plugin is there."""
    if not JPEG_XL.installed:
        return f"pip install 'edgecodec[{JPEG_XL.extra}]'"
    import_module(JPEG_XL.package)
    return None


PEER = Peer(
    name="jxl",
    title=JPEG_XL.title,
    pillow=JPEG_XL.pillow,
    settings={"effort": 7},
    qualities=(5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
    lowest=1,
    highest=99,  # 100 is lossless
    wanting=_wanting,
    version=lambda: f"pillow-jxl-plugin {metadata.version('pillow-jxl-plugin')}",
)
