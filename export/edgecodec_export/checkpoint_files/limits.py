"""How much more memory than bytes on disk a checkpoint may take."""

from __future__ import annotations

from edgecodec.errors import CheckpointRejected

#: Weights hardly compress; models with nine weights in ten pruned to zero, about tenfold.
RATIO = 16

#: Bytes that any file may take.
FLOOR = 2**26


def require_proportion(claimed: int, size: int, what: str) -> None:
    """Raise CheckpointRejected if a file of `size` bytes claims more than 16 times as many, and more than 64 MiB.

    claimed: bytes in memory. what: the subject of the message, for example "its tensors".
    """
    if claimed > max(FLOOR, RATIO * size):
        raise CheckpointRejected(
            f"{what} would take {claimed:,} bytes of memory, and the file has {size:,}",
            hint="no weights compress so well; save the file again from the model",
        )
