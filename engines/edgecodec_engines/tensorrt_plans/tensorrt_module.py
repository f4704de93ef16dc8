"""Which TensorRT is installed, and what a plan of it runs on. What differs between versions and flavours stands here.

TensorRT measures kernels on the GPU at hand, and its plans run on GPUs of that model alone. TensorRT-RTX needs no GPU
to build: its plans are compiled for a GPU when they are loaded.
"""

from __future__ import annotations

import re
from contextlib import suppress
from importlib import import_module
from typing import Any

from edgecodec.errors import EngineUnavailable
from edgecodec_engines.tensorrt_plans.cuda_driver import Device, first_device
from edgecodec_engines.tensorrt_plans.plan_key import ANY, PlanKey, Target, TensorRT

TENSORRT, TENSORRT_RTX = "tensorrt", "tensorrt_rtx"
#: What people call them, and the oldest version of each that builds graphs whose types are fixed, as ours are.
_FLAVOURS = {TENSORRT: ("TensorRT", (10, 3)), TENSORRT_RTX: ("TensorRT-RTX", (1, 0))}
_INSTALL_HINT = (
    "JetPack has TensorRT: use the system's Python, or a venv with --system-site-packages; "
    "elsewhere pip install tensorrt-cu13 or tensorrt-rtx-cu13"
)
#: Compute capabilities of the GPUs for which TensorRT-RTX builds unless it is told otherwise.
_PORTABLE = ("8.0", "8.6", "8.9", "12.0", "12.1")


def find_tensorrt(name: str | None = None) -> tuple[TensorRT, Any]:
    """The TensorRT called `name`, or TensorRT before TensorRT-RTX, and its Python module.

    Importing it starts nothing, also where there is no driver. Raises EngineUnavailable.
    """
    reasons = []
    for each in [name] if name else _FLAVOURS:
        title, oldest = _FLAVOURS[each]
        try:
            module = import_module(each)
        except Exception as error:  # whatever it raises where its libraries or its driver are broken
            reasons.append(f"{title} cannot be imported: {error}")
            continue
        version = str(getattr(module, "__version__", "without a version"))  # as a folder of that name is
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is None or (int(numbers[1]), int(numbers[2])) < oldest:
            reasons.append(f"{title} {version} is too old, {oldest[0]}.{oldest[1]} is needed")
            continue
        return TensorRT(each, version), module
    raise EngineUnavailable("; ".join(reasons), where="tensorrt", hint=_INSTALL_HINT)


def installed() -> list[TensorRT]:
    """Every TensorRT that can be used here."""
    found = []
    for name in _FLAVOURS:
        with suppress(EngineUnavailable):
            found.append(find_tensorrt(name)[0])
    return found


def title(tensorrt: TensorRT) -> str:
    """What people call it, with its version."""
    name, _ = _FLAVOURS.get(tensorrt.name, (tensorrt.name, ()))
    return f"{name} {tensorrt.version}"


def words_for(target: Target) -> str:
    """The GPUs that a plan runs on, for people."""
    if target.device == ANY:
        return f"GPUs of compute capability {', '.join(_PORTABLE)}"
    return f"{target.device} {target.compute_capability}"


def target_of(tensorrt: TensorRT, device: Device | None) -> Target:
    """What plans that are built here run on. Raises EngineUnavailable where this TensorRT needs a GPU."""
    if tensorrt.name == TENSORRT_RTX and (device is None or device.compute_capability in _PORTABLE):
        return Target(ANY)
    if device is None:
        raise EngineUnavailable(
            f"{title(tensorrt)} builds on the GPU that it builds for, and no CUDA driver answers here",
            where="tensorrt",
            hint="build on the device itself; tensorrt-rtx-cu13 builds without a GPU",
        )
    return Target(device.name, device.compute_capability, device.multiprocessors, device.driver)


def runs_here(key: PlanKey) -> bool:
    """Whether a plan with this key is of a TensorRT that is installed, and for what it builds for here."""
    for tensorrt in installed():
        with suppress(EngineUnavailable):
            if (tensorrt, target_of(tensorrt, first_device())) == (key.tensorrt, key.target):
                return True
    return False
