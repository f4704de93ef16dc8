"""Which TensorRT is taken, what its plans are bound to, and what is said where there is none."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from edgecodec.errors import EngineUnavailable
from edgecodec_engines.tensorrt_plans import cuda_driver, tensorrt_module
from edgecodec_engines.tensorrt_plans.cuda_driver import Device, first_device
from edgecodec_engines.tensorrt_plans.plan_key import Target, TensorRT
from edgecodec_engines.tensorrt_plans.tensorrt_module import find_tensorrt, installed, runs_here, target_of
from support.paths import ENVIRONMENT
from support.plans import KEY, needs_tensorrt

ORIN = Device("Orin", "8.7", 16, "12.6")
FULL, RTX = TensorRT("tensorrt", "10.3.0.30"), TensorRT("tensorrt_rtx", "1.7.1.116")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The versions that are installed, to be filled by a test."""
    versions: dict[str, str] = {}

    def load(name: str) -> Any:
        if name not in versions:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return SimpleNamespace(__version__=versions[name])

    monkeypatch.setattr(tensorrt_module, "import_module", load)
    return versions


def test_tensorrt_is_taken_before_tensorrt_rtx(modules: dict[str, str]) -> None:
    modules.update(tensorrt="10.3.0.30", tensorrt_rtx="1.7.1.116")
    assert find_tensorrt()[0] == FULL
    assert find_tensorrt("tensorrt_rtx")[0] == RTX
    assert installed() == [FULL, RTX]
    del modules["tensorrt"]
    assert find_tensorrt()[0] == RTX
    assert installed() == [RTX]


def test_without_tensorrt_the_error_says_how_to_get_it(modules: dict[str, str]) -> None:
    assert installed() == []
    with pytest.raises(EngineUnavailable) as caught:
        find_tensorrt()
    for name in ("tensorrt", "tensorrt_rtx"):
        assert f"No module named {name!r}" in caught.value.message
    assert "--system-site-packages" in str(caught.value.hint)
    assert "pip install tensorrt-cu13 or tensorrt-rtx-cu13" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("version", "taken"), [("10.3.0", True), ("10.2.9", False), ("9.9", False), ("11.4.0.106", True), ("dev", False)]
)
def test_old_versions_are_passed_over(modules: dict[str, str], version: str, taken: bool) -> None:
    modules.update(tensorrt=version)
    if taken:
        assert find_tensorrt()[0].version == version
    else:
        with pytest.raises(EngineUnavailable, match=f"TensorRT {version} is too old, 10.3 is needed"):
            find_tensorrt()


def test_plans_of_tensorrt_are_for_the_gpu_at_hand() -> None:
    target = target_of(FULL, ORIN)
    assert (target.device, target.compute_capability, target.multiprocessors, target.driver) == (
        "Orin",
        "8.7",
        16,
        "12.6",
    )


def test_without_a_gpu_tensorrt_builds_nothing() -> None:
    with pytest.raises(EngineUnavailable, match=r"TensorRT 10.3.0.30 builds on the GPU that it builds for"):
        target_of(FULL, None)


@pytest.mark.parametrize("capability", ["8.0", "8.6", "8.9", "12.0", "12.1"])
def test_plans_of_tensorrt_rtx_are_for_any_gpu_that_it_builds_for_unasked(capability: str) -> None:
    assert target_of(RTX, Device("RTX", capability, 1, "13.0")) == target_of(RTX, None) == Target("any")


@pytest.mark.parametrize("capability", ["7.5", "8.7", "9.0", "11.0"])
def test_plans_of_tensorrt_rtx_for_other_gpus_are_bound_to_them(capability: str) -> None:
    target = target_of(RTX, Device("H200", capability, 132, "13.0"))
    assert (target.device, target.compute_capability) == ("H200", capability)


def test_a_plan_runs_where_its_tensorrt_and_its_target_are(
    modules: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_module, "first_device", lambda: None)
    assert not runs_here(KEY)
    modules.update(tensorrt="10.3.0", tensorrt_rtx=KEY.tensorrt.version)
    assert runs_here(KEY)
    monkeypatch.setattr(tensorrt_module, "first_device", lambda: Device("H200", "9.0", 132, "13.0"))
    assert not runs_here(KEY)
    modules.update(tensorrt_rtx="1.8")
    assert not runs_here(KEY)


# ---- the driver ----


class FakeDriver:
    """A CUDA driver in which one call may fail."""

    def __init__(self, failing: str = "") -> None:
        self._failing = failing

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: 100 if name == self._failing else self._answer(name, arguments)

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> int:
        if name == "cuDriverGetVersion":
            arguments[0]._obj.value = 12060
        if name == "cuDeviceGetName":
            arguments[0].value = b"Orin"
        if name == "cuDeviceGetAttribute":
            arguments[0]._obj.value = {16: 16, 75: 8, 76: 7}[arguments[1]]
        return 0


def test_a_gpu_is_described_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver())
    assert first_device() == ORIN


@pytest.mark.parametrize(
    "call", ["cuInit", "cuDeviceGet", "cuDriverGetVersion", "cuDeviceGetName", "cuDeviceGetAttribute"]
)
def test_a_driver_that_fails_drives_no_gpu(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver(call))
    assert first_device() is None


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "_LIBRARY", "libnosuchdriver.so.1")
    assert first_device() is None


@needs_tensorrt
def test_finding_tensorrt_touches_no_driver() -> None:
    code = (
        "from edgecodec_engines.tensorrt_plans.tensorrt_module import find_tensorrt; print(find_tensorrt()[0].version)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".") >= 2
    assert done.stderr == ""
