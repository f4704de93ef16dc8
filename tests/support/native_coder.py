"""The native rANS coder alone, on NumPy arrays (ec_core_tables_*, ec_core_coder_*)."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgecodec import native

Indices = npt.NDArray[np.uint8]
Symbols = npt.NDArray[np.int16]


class NativeCoder:
    """A table set, opened from its bytes. Raises the error of edgecodec.errors that the library reports."""

    def __init__(self, table_set: bytes) -> None:
        self._core = native.library()
        handle = ctypes.c_void_p()
        native.call(self._core.ec_core_tables_open, table_set, len(table_set), ctypes.byref(handle))
        weakref.finalize(self, self._core.ec_core_tables_close, handle.value)
        self.handle = handle

    def encode(
        self, indices: Indices, symbols: Symbols, counts: Sequence[int], lanes: int = 0, digest: int = 0
    ) -> tuple[bytes, int]:
        """The payload and its lanes; step k has counts[k] symbols."""
        payload = np.empty(1024 + 6 * symbols.size, np.uint8)
        steps, chosen, written = np.array(counts, np.uintp), ctypes.c_uint32(lanes), ctypes.c_size_t()
        native.call(
            self._core.ec_core_coder_encode,
            self.handle,
            indices.ctypes.data,
            symbols.ctypes.data,
            steps.ctypes.data,
            steps.size,
            ctypes.byref(chosen),
            digest,
            payload.ctypes.data,
            payload.size,
            ctypes.byref(written),
        )
        return payload[: written.value].tobytes(), chosen.value

    def decode(self, indices: Indices, counts: Sequence[int], lanes: int, payload: bytes) -> tuple[Symbols, int]:
        """The symbols and the digest. Fails the test if a byte outside the symbols is written, even if it raises."""
        guard = 64
        guarded = np.full(guard + indices.size + guard, 0x5A5A, np.int16)
        steps, digest = np.array(counts, np.uintp), ctypes.c_uint32()
        try:
            native.call(
                self._core.ec_core_coder_decode,
                self.handle,
                indices.ctypes.data,
                guarded[guard:].ctypes.data,
                steps.ctypes.data,
                steps.size,
                lanes,
                ctypes.byref(digest),
                payload,
                len(payload),
            )
        finally:
            assert np.all(guarded[:guard] == 0x5A5A) and np.all(guarded[guarded.size - guard :] == 0x5A5A)
        return guarded[guard : guard + indices.size].copy(), digest.value
