"""One native integer net, on NumPy arrays (ec_core_net_*)."""

from __future__ import annotations

import ctypes
import weakref

import numpy as np
import numpy.typing as npt

from edgecodec import native

Values = npt.NDArray[np.int16]


class NativeNet:
    """A net, opened from its bytes. Raises the error of edgecodec.errors that the library reports."""

    def __init__(self, data: bytes) -> None:
        self._core = native.library()
        handle = ctypes.c_void_p()
        # Copied to a buffer of its own, so that a sanitizer sees every read past the end.
        exact = np.frombuffer(data, np.uint8).copy()
        native.call(self._core.ec_core_net_open, exact.ctypes.data, exact.size, ctypes.byref(handle))
        weakref.finalize(self, self._core.ec_core_net_close, handle.value)
        self._handle = handle

    def shape(self, rows: int, columns: int) -> tuple[int, int, int]:
        """Shape (channels, rows, columns) of the output for an input of rows x columns."""
        shape = (ctypes.c_uint32 * 3)()
        native.call(self._core.ec_core_net_shape, self._handle, rows, columns, shape)
        return (shape[0], shape[1], shape[2])

    def run(self, values: npt.NDArray[np.integer], threads: int = 1) -> Values:
        """Run the net on `values` (channels, rows, columns). The output is int16: values or table indices."""
        _, rows, columns = values.shape
        values = np.ascontiguousarray(values, np.int16)
        output = np.full(self.shape(rows, columns), 0x5A5A, np.int16)
        native.call(
            self._core.ec_core_net_run, self._handle, values.ctypes.data, rows, columns, output.ctypes.data, threads
        )
        return output
