"""Precisions: the number formats in which graphs compute. Every graph is exported in each of them.

A precision says what becomes of the module of an encoder or a decoder, and how far the result may be off. Ports are the
same in all: latents, noise and scalars in float32, pictures in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgecodec.errors import InvalidArgument
from edgecodec_export.options import PRECISIONS as DEFAULT
from edgecodec_export.precisions.half import Half
from edgecodec_export.precisions.int8 import Int8
from edgecodec_export.precisions.precision import Precision, Single

__all__ = ["SINGLE", "Precision", "named"]

SINGLE = Single()
_KNOWN: dict[str, Precision] = {each.name: each for each in (SINGLE, Half(), Int8())}


def named(names: Sequence[str] | None) -> tuple[Precision, ...]:
    """The precisions of these names, each once, in their order of preference; None: those of every bundle.

    Where none of them has encoders, those in single precision are exported too, and the decoders with them.

    Raises InvalidArgument for a name that there is not, and for none at all.
    """
    hint = f"the precisions are {', '.join(_KNOWN)}"
    asked = DEFAULT if names is None else names
    if not asked:
        raise InvalidArgument("there is no precision to export", hint=hint)
    for name in asked:
        if name not in _KNOWN:
            raise InvalidArgument(f"there is no precision {name!r}", hint=hint)
    chosen = tuple(precision for name, precision in _KNOWN.items() if name in asked)
    return chosen if any("encode" in precision.SIDES for precision in chosen) else (SINGLE, *chosen)
