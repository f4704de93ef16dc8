"""NVIDIA Jetson: its release, its power mode, and whether its clocks are held."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgecodec.doctor.system_text import number_in, text_of

#: Names of the GPU among the devices whose frequency is scaled: Xavier, Orin and Thor call it differently.
_GPU = re.compile(r"\.(gpu|gv11b|ga10b|gp10b)$|^gpu")


@dataclass(frozen=True)
class Clock:
    """Hertz, None where unknown. A clock is held where lowest and highest are equal, as `jetson_clocks` makes them."""

    name: str
    current: int | None
    lowest: int | None
    highest: int | None
    governor: str | None

    @property
    def is_held(self) -> bool:
        return self.lowest is not None and self.lowest == self.highest


@dataclass(frozen=True)
class Jetson:
    """model: of the board. release: of Jetson Linux, like "36.4.3". power_mode: number and name, as nvpmodel has it."""

    model: str | None
    release: str | None
    power_mode: str | None
    clocks: tuple[Clock, ...]


def jetson(root: Path) -> Jetson | None:
    """None on any other machine."""
    model = text_of(root / "proc" / "device-tree" / "model")
    released = text_of(root / "etc" / "nv_tegra_release")
    if released is None and "jetson" not in (model or "").lower():
        return None
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", released or "")
    release = f"{found[1]}.{found[2]}" if found else None
    return Jetson(model, release, _power_mode(root), _clocks(root))


def _power_mode(root: Path) -> str | None:
    """From the files of nvpmodel, which itself may want to be root."""
    status = re.search(r"pmode:(\d+)", text_of(root / "var" / "lib" / "nvpmodel" / "status") or "")
    if status is None:
        return None
    number = int(status[1])
    modes = text_of(root / "etc" / "nvpmodel.conf") or ""
    for each, name in re.findall(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", modes, re.MULTILINE):
        if int(each) == number:
            return f"{number} ({name})"
    return str(number)


def _clocks(root: Path) -> tuple[Clock, ...]:
    clocks = []
    for policy in sorted((root / "sys" / "devices" / "system" / "cpu" / "cpufreq").glob("policy*")):
        clocks.append(_clock(f"cpu {policy.name}", policy, "scaling_{}_freq", "scaling_governor", 1000))
    for device in sorted((root / "sys" / "class" / "devfreq").glob("*")):
        if _GPU.search(device.name):
            clocks.append(_clock("gpu", device, "{}_freq", "governor", 1))
    return tuple(clocks)


def _clock(name: str, folder: Path, pattern: str, governor: str, unit: int) -> Clock:
    """From a folder of the kernel with files called like `pattern`, in this unit of hertz."""
    found = (number_in(folder / pattern.format(each)) for each in ("cur", "min", "max"))
    current, lowest, highest = (None if number is None else number * unit for number in found)
    return Clock(name, current, lowest, highest, text_of(folder / governor))
