"""Whether tests run under the address sanitizer, which has memory to itself."""

from __future__ import annotations

import os

import pytest

#: It reserves terabytes, which no limit allows, and ends the process where `new` finds no memory.
without_sanitizer = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="the address sanitizer does not bear it"
)
