"""Decoded pictures that were drawn lately, within a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt


class PictureCache:
    """Keeps arrays by number, `most_bytes` of them in all, and forgets the least recently used first. Thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[int, npt.NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, number: int) -> npt.NDArray[np.uint8] | None:
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
            return self._kept.get(number)

    def put(self, number: int, picture: npt.NDArray[np.uint8]) -> None:
        with self._lock:
            if number in self._kept or picture.nbytes > self._most_bytes:
                return
            self._kept[number] = picture
            self._bytes += picture.nbytes
            while self._bytes > self._most_bytes:
                _, forgotten = self._kept.popitem(last=False)
                self._bytes -= forgotten.nbytes
