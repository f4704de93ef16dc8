"""PyTorch behind edgecodec's engine seam: the family's own module instead of the bundle's ONNX graph.

It shows what the way around the engine costs on a machine that has PyTorch alone. A graph's decoder has to be known
beforehand: `offer` gives it, bound to the bytes of the graph's file. It runs in the graph's precision, and in float16
where the engine is called "torch:fp16".
"""

from __future__ import annotations

import hashlib
import threading
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgecodec.engine import Backend, Copies, Engine, Graph, Options, RunningEngine, Variant
from edgecodec.errors import EngineFailed, EngineUnavailable
from gpu_check.precision import on_device

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgecodec.engine import Arrays

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}

#: Decoders and precisions by the SHA-256 of a graph's bytes.
_offers: dict[str, tuple[nn.Module, str]] = {}
_device = torch.device("cpu")


def run_on(device: torch.device) -> None:
    """Where engines that are loaded from now on run."""
    global _device
    _device = device


def offer(graph: bytes, decoder: nn.Module, precision: str) -> None:
    """The decoder of a graph, which takes the graph's inputs in their order and gives its picture in [0, 1]."""
    _offers[hashlib.sha256(graph).hexdigest()] = decoder, precision


class Torch(Engine):
    """One module on the device."""

    def __init__(self, module: nn.Module, graph: Graph, variant: str, device: torch.device) -> None:
        self._module: nn.Module | None = module
        self._inputs = [port.name for port in graph.inputs]
        self._output = graph.outputs[0].name
        self._variant, self._device = variant, device
        self._last = threading.local()

    @classmethod
    def require(cls, variant: str) -> None:
        if _device.type == "cuda" and not torch.cuda.is_available():
            raise EngineUnavailable("PyTorch sees no CUDA device", where="torch", hint="use --device cpu")

    @classmethod
    def load(cls, graph: Graph, variant: str, options: Options) -> Torch:
        decoder, precision = _offers.get(hashlib.sha256(graph.data).hexdigest(), (None, ""))
        if decoder is None:
            raise EngineFailed("its decoder is not known", where=graph.path.name, hint="run gpu/check.sh")
        dtype = _DTYPES.get(variant or precision)
        if dtype is None:
            raise EngineFailed(f"PyTorch runs no decoder in {precision}", where=graph.path.name)
        return cls(on_device(decoder, _device, dtype), graph, variant, _device)

    @torch.inference_mode()
    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        if self._module is None:
            raise EngineFailed("the engine is closed")
        start = perf_counter()
        tensors = [torch.from_numpy(inputs[name]).to(self._device) for name in self._inputs]
        self._wait()
        uploaded = perf_counter()
        picture = self._module(*tensors)
        self._wait()
        ran = perf_counter()
        result = picture.cpu().numpy()
        self._last.copies = Copies(uploaded - start, perf_counter() - ran)
        return {self._output: result}

    def copies(self) -> Copies:
        last: Copies = getattr(self._last, "copies", Copies())
        return last

    def close(self) -> None:
        self._module = None

    def describe(self) -> RunningEngine:
        name = f"torch:{self._variant}" if self._variant else "torch"
        return RunningEngine(name, torch.__version__, self._device.type, self.passed_over)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


BACKEND = Backend("torch", (Variant("", "cuda", None), Variant("fp16", "cuda", None)), Torch)
