"""Where training computes: a processor or a CUDA device, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import nn

from edgecodec.errors import EngineUnavailable

Network = TypeVar("Network", bound=nn.Module)
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Device:
    """name: as PyTorch has it, "cpu" or "cuda". precision: of convolutions; weights and losses are float32."""

    name: str
    precision: Precision

    def place(self, network: Network) -> Network:
        """The network itself on the device, its convolutions' weights in the layout that these are fastest with."""
        network.to(device=self.name, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def autocast(self) -> torch.autocast:
        """The context in which networks compute."""
        return torch.autocast(self.name.partition(":")[0], torch.bfloat16, enabled=self.precision == "bfloat16")


def choose_device(name: str | None, precision: Literal["auto", "float32", "bfloat16"]) -> Device:
    """name: None is CUDA where there is any, else the processor. precision: "auto" is bfloat16 where it is fast.

    Raises EngineUnavailable for a device that is not there.
    """
    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, number = chosen.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise EngineUnavailable(f"training runs on cpu, cuda and cuda:NUMBER, not on {chosen}", where="--device")
    if kind == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("PyTorch finds no CUDA device", where="--device", hint="leave --device out, or cpu")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise EngineUnavailable(f"PyTorch finds {torch.cuda.device_count()} CUDA devices", where=f"--device {chosen}")
    if precision == "auto":
        return Device(chosen, "bfloat16" if _has_fast_bfloat16(chosen) else "float32")
    return Device(chosen, precision)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Let numbers too small for a normal float32 be 0 meanwhile: a processor is many times slower with them."""
    before = float(torch.tensor([1e-310], dtype=torch.float64) * 1.0) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _has_fast_bfloat16(name: str) -> bool:
    """Whether the hardware multiplies bfloat16 itself. Where it is emulated it is slower than float32."""
    if name.startswith("cuda"):
        return torch.cuda.get_device_capability(name) >= (8, 0)
    if hasattr(torch.cpu, "get_capabilities"):  # from PyTorch 2.11 on
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return bool(torch.cpu._is_avx512_bf16_supported())
