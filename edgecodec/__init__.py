"""Learned image codecs on edge devices: coded pictures in and out, without PyTorch.

Seven names; each is loaded when it is first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecodec.codec import Codec, open_bundle
    from edgecodec.errors import EdgecodecError
    from edgecodec.inspection import inspect
    from edgecodec.limits import Limits
    from edgecodec.native import custom_ops_library
    from edgecodec.pillow_plugin import register_opener

__version__ = "0.1.0"
__all__ = [
    "Codec",
    "EdgecodecError",
    "Limits",
    "custom_ops_library",
    "inspect",
    "open_bundle",
    "register_opener",
]

_HOMES = {
    "Codec": "codec",
    "EdgecodecError": "errors",
    "Limits": "limits",
    "custom_ops_library": "native",
    "inspect": "inspection",
    "open_bundle": "codec",
    "register_opener": "pillow_plugin",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"edgecodec.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
