"""Formats to compare with. Each is a file here, and a line in PEERS."""

from __future__ import annotations

from collections.abc import Sequence

from edgecodec.errors import EngineUnavailable, InvalidArgument
from edgecodec_evaluate.peers import avif, jpeg, jxl, webp
from edgecodec_evaluate.peers.peer import Peer

PEERS: dict[str, Peer] = {each.name: each for each in (jpeg.PEER, webp.PEER, avif.PEER, jxl.PEER)}


def peers_named(names: Sequence[str]) -> list[Peer]:
    """Raises InvalidArgument for a name that is none of PEERS or is there twice, EngineUnavailable for what is not
    installed.
    """
    for name in names:
        if name not in PEERS:
            raise InvalidArgument(f"there is no format {name!r} to compare with", hint=f"use {', '.join(PEERS)}")
        if names.count(name) > 1:
            raise InvalidArgument(f"{name} is named twice", hint="name each format once")
    found = [PEERS[name] for name in names]
    for peer in found:
        if (hint := peer.wanting()) is not None:
            raise EngineUnavailable(f"{peer.title} cannot be written here", where=peer.name, hint=hint)
    return found
