"""Pickles that would make far more bytes than they have, told from others without running them."""

from __future__ import annotations

import encodings
import pickletools
import pkgutil
from encodings.aliases import aliases
from typing import BinaryIO

from edgecodec.errors import CheckpointRejected

# Safe loading may call bytearray with a size, and codecs.encode with any codec: hex makes two bytes of one, and again
# two of each. NumPy's arrays are stored through the second, as text in Latin-1.
_BUFFER, _CODECS = "bytearray", "_codecs encode"
_TO_BYTES = "latin_1"
_KNOWN_CODECS = frozenset(module.name for module in pkgutil.iter_modules(encodings.__path__)) - {"aliases"}
_LONGEST_NAME = 40  # characters
_PICKLES = 5  # of a PyTorch file in the form before zip archives; what follows are the numbers


def require_bounded_pickles(stream: BinaryIO) -> None:
    """Raise CheckpointRejected for a pickle, or one of several in a row, that calls what makes bytes of any number.

    Beside NumPy arrays the name of a codec is refused whatever it is for.
    """
    texts: set[str] = set()
    try:
        for _ in range(_PICKLES):
            texts.update(given for _, given, _ in pickletools.genops(stream) if isinstance(given, str))
    except ValueError:
        pass  # loading ends there too
    if any(text.endswith(f" {_BUFFER}") for text in texts):  # behind the name of a module
        raise CheckpointRejected("holds a bytearray, which could take any amount of memory", hint="save bytes instead")
    if _CODECS in texts and any(map(_is_codec, texts)):
        raise CheckpointRejected("calls a codec, which could take any amount of memory", hint="save numbers only")


def _is_codec(text: str) -> bool:
    """Whether Python knows a codec of that name other than the one of NumPy's arrays."""
    if len(text) > _LONGEST_NAME:  # it is the content of an array
        return False
    name = encodings.normalize_encoding(text).lower()
    module = aliases.get(name, name)
    return module in _KNOWN_CODECS and module != _TO_BYTES
