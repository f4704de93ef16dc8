"""The GPU, asked of the CUDA driver itself: without a driver some TensorRT libraries end the process when asked."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_LIBRARY = "libcuda.so.1"
# CUdevice_attribute of cuda.h, the same in every version of CUDA.
_MULTIPROCESSORS, _MAJOR, _MINOR = 16, 75, 76


@dataclass(frozen=True)
class Device:
    """A GPU. name: the driver's. compute_capability: like "8.7". driver: the newest CUDA that it runs, like "12.6"."""

    name: str
    compute_capability: str
    multiprocessors: int
    driver: str


def first_device() -> Device | None:
    """The GPU that CUDA takes where nothing else is said. None where there is no driver, or none that it drives."""
    try:
        cuda = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    device, version, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0) or cuda.cuDriverGetVersion(ctypes.byref(version)):
        return None
    if cuda.cuDeviceGetName(name, len(name), device):
        return None
    numbers = [ctypes.c_int() for _ in range(3)]
    for number, attribute in zip(numbers, (_MULTIPROCESSORS, _MAJOR, _MINOR), strict=True):
        if cuda.cuDeviceGetAttribute(ctypes.byref(number), attribute, device):
            return None
    multiprocessors, major, minor = (number.value for number in numbers)
    return Device(
        name=name.value.decode(errors="replace"),
        compute_capability=f"{major}.{minor}",
        multiprocessors=multiprocessors,
        driver=f"{version.value // 1000}.{version.value % 1000 // 10}",
    )
