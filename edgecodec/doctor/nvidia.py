"""NVIDIA's driver, its devices and TensorRT, without a framework."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecodec.child_process import ChildFailed, call_in_child
from edgecodec.doctor.software import version_of
from edgecodec.doctor.system_text import fields_of, text_of

# Numbers of the CUDA driver interface.
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_LONGEST_NAME = 256
_VENDOR = "0x10de"  # on the PCI bus
_TENSORRT_PACKAGES = (
    "tensorrt",
    "tensorrt-cu12",
    "tensorrt-cu13",
    "tensorrt-rtx",
    "tensorrt-rtx-cu12",
    "tensorrt-rtx-cu13",
)
_TENSORRT_LIBRARIES = tuple(f"libnvinfer.so.{major}" for major in (11, 10, 8))


@dataclass(frozen=True)
class Gpu:
    """compute_capability: like "8.7". memory: bytes."""

    name: str
    compute_capability: str
    memory: int


@dataclass(frozen=True)
class Nvidia:
    """present: whether there is any sign of a device. driver: of the kernel module. cuda: the newest CUDA that the
    driver can run. problem: why the devices could not be asked. tensorrt: versions, by package or library.
    """

    present: bool
    driver: str | None
    cuda: str | None
    gpus: tuple[Gpu, ...]
    problem: str | None
    tensorrt: dict[str, str]


def nvidia(root: Path, patience: float) -> Nvidia:
    """patience: seconds for each library that is asked."""
    driver = _driver_version(root)
    listed = sorted((root / "proc" / "driver" / "nvidia" / "gpus").glob("*/information"))
    models = [fields_of(path).get("Model", "unknown") for path in listed]
    present = bool(driver or models) or _is_on_the_bus(root)
    cuda, gpus, problem = _ask_driver(patience)
    return Nvidia(present or bool(gpus), driver, cuda, gpus, problem, _tensorrt(patience))


def _driver_version(root: Path) -> str | None:
    text = text_of(root / "proc" / "driver" / "nvidia" / "version") or ""
    found = re.search(r"^NVRM version:.*?\s(\d{3,}(?:\.\d+)+)\s", text, re.MULTILINE)
    return found[1] if found else None


def _is_on_the_bus(root: Path) -> bool:
    """A display controller (class 3) of the vendor."""
    for device in (root / "sys" / "bus" / "pci" / "devices").glob("*"):
        if text_of(device / "vendor") == _VENDOR and (text_of(device / "class") or "").startswith("0x03"):
            return True
    return False


def _ask_driver(patience: float) -> tuple[str | None, tuple[Gpu, ...], str | None]:
    try:
        found = call_in_child(f"{__name__}:devices", patience=patience)
    except ChildFailed as failure:
        return None, (), f"the CUDA driver {failure}"
    return found["cuda"], tuple(Gpu(**gpu) for gpu in found["gpus"]), found["problem"]


def devices() -> dict[str, Any]:
    """What the CUDA driver says: the fields `cuda`, `gpus` and `problem` of Nvidia. To be called in a child."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {"cuda": None, "gpus": [], "problem": f"libcuda.so.1 cannot be loaded: {error}"}
    if (status := driver.cuInit(0)) != 0:
        return {"cuda": None, "gpus": [], "problem": f"cuInit gives {_status_text(driver, status)}"}
    version = _number(driver.cuDriverGetVersion)
    gpus = [_describe(driver, number) for number in range(_number(driver.cuDeviceGetCount))]
    return {"cuda": f"{version // 1000}.{version % 1000 // 10}", "gpus": gpus, "problem": None}


def _describe(driver: ctypes.CDLL, number: int) -> dict[str, Any]:
    device = ctypes.c_int()
    driver.cuDeviceGet(ctypes.byref(device), number)
    name, memory = ctypes.create_string_buffer(_LONGEST_NAME), ctypes.c_size_t()
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    major, minor = (
        _number(driver.cuDeviceGetAttribute, attribute, device) for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)
    )
    return {
        "name": name.value.decode("utf-8", "replace"),
        "compute_capability": f"{major}.{minor}",
        "memory": memory.value,
    }


def _number(function: Callable[..., int], *arguments: Any) -> int:
    """What a function of the driver writes to its first argument."""
    value = ctypes.c_int()
    function(ctypes.byref(value), *arguments)
    return value.value


def _status_text(driver: ctypes.CDLL, status: int) -> str:
    text = ctypes.c_char_p()
    driver.cuGetErrorString(status, ctypes.byref(text))
    return f"{status} ({(text.value or b'unknown').decode()})"


def _tensorrt(patience: float) -> dict[str, str]:
    packages = {name: version for name in _TENSORRT_PACKAGES if (version := version_of(name))}
    try:
        libraries: dict[str, str] = call_in_child(f"{__name__}:tensorrt_libraries", patience=patience)
    except ChildFailed as failure:
        libraries = {"libnvinfer": str(failure)}
    return {**packages, **libraries}


def tensorrt_libraries() -> dict[str, str]:
    """Versions of TensorRT's libraries that the loader finds, by name. To be called in a child."""
    found = {}
    for name in _TENSORRT_LIBRARIES:
        try:
            number = ctypes.CDLL(name).getInferLibVersion()
        except (OSError, AttributeError):
            continue
        # 8601 is 8.6.1; from 10 on there are more digits: 100300 is 10.3.0.
        major, rest = divmod(number, 10000 if number >= 10000 else 1000)
        found[name] = f"{major}.{rest // 100}.{rest % 100}"
    return found
