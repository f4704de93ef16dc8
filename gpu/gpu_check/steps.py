"""What is checked and measured, a step each. A step returns what goes into the record, as JSON has it.

A step that cannot be done on this machine raises NotRun with the reason; one that finds a fault raises CheckFailed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

import edgecodec
from edgecodec import engine_registry
from edgecodec.bundle import Bundle
from edgecodec.doctor import examine
from edgecodec.errors import EdgecodecError
from edgecodec.verify import verify
from edgecodec_export.graphs.onnx_export import synthesis_inputs
from gpu_check.clocks import interleaved
from gpu_check.models import MODELS, SMALL, Model, baking_of, coded_picture, make_bundle, offer_decoders
from gpu_check.precision import on_device

#: Levels of 255 and decibels: how far fp16 may be from fp32 on the same device.
FP16_LEVELS, FP16_DB = 8, 55.0
SIZES, SMALL_SIZES = ((512, 768), (1080, 1920)), ((64, 96),)  # pixels, height and width
_PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}
_HALF, _TENSORRT = "torch:fp16", "tensorrt"


class NotRun(Exception):
    """The message says what is missing."""


class CheckFailed(Exception):
    """The message says what was found."""


@dataclass(frozen=True)
class Plan:
    """out: the folder of bundles and results. small: tiny networks and pictures, for a test of the flow itself."""

    out: Path
    device: torch.device
    small: bool

    @property
    def rounds(self) -> int:
        return 3 if self.small else 15

    @property
    def warm_up(self) -> int:
        return 1 if self.small else 4

    def bundle(self, model: Model) -> Path:
        return self.out / f"{model.family}-{model.preset}.bundle"


Step = Callable[[], dict[str, Any]]


def steps(plan: Plan) -> Iterator[tuple[str, Step]]:
    """By name, the most important first."""
    yield "machine", partial(machine, plan)
    sizes = SMALL_SIZES if plan.small else SIZES
    for model in SMALL if plan.small else MODELS:
        yield f"bundle {model.name}", partial(bundle, plan, model)
        yield f"plans {model.name}", partial(plans, plan, model)
        yield f"exact {model.name}", partial(exact, plan, model)
        for height, width in sizes:
            yield f"pytorch {model.name} {width}x{height}", partial(pytorch, plan, model, height, width)
            yield f"decode {model.name} {width}x{height}", partial(decode, plan, model, height, width)


def machine(plan: Plan) -> dict[str, Any]:
    """Engines, versions and devices."""
    if plan.device.type == "cuda" and not torch.cuda.is_available():
        raise CheckFailed("PyTorch sees no CUDA device")
    device = torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else "processor"
    return {"device": device, "torch": torch.__version__, "cuda": torch.version.cuda, "doctor": asdict(examine())}


def bundle(plan: Plan, model: Model) -> dict[str, Any]:
    make_bundle(model, plan.bundle(model))
    size = sum(file.stat().st_size for file in plan.bundle(model).rglob("*") if file.is_file())
    return {"weights": "trained" if model.is_trained else "seeded", "bytes": size}


def plans(plan: Plan, model: Model) -> dict[str, Any]:
    """Compiled engines of TensorRT, through `edgecodec build`."""
    from importlib.util import find_spec

    if find_spec("edgecodec.cli.build") is None:
        raise NotRun("this edgecodec has no command `build`")
    if find_spec("tensorrt") is None:
        raise NotRun("TensorRT is not installed")
    import subprocess
    import sys

    command = [sys.executable, "-m", "edgecodec", "build", str(plan.bundle(model))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise CheckFailed(done.stderr.strip() or f"status {done.returncode}")
    return {"said": done.stderr.strip().splitlines()[-20:]}


def exact(plan: Plan, model: Model) -> dict[str, Any]:
    """Golden latents exactly and golden pixels within tolerance, on every engine; fp16 close to fp32."""
    folder = _existing(plan, model)
    offer_decoders(model, folder)
    found: dict[str, Any] = {}
    for name in _engines():
        if name == _HALF:
            continue  # whose pixels are compared with fp32 below
        try:
            with _true_float32():
                checks = [*verify(folder, name)]
        except EdgecodecError as error:
            found[name] = f"not run: {error}"
            continue
        if failed := [f"{check.subject}: {check.detail}" for check in checks if not check.passed]:
            raise CheckFailed(f"{name}: {'; '.join(failed)}")
        found[name] = [check.detail for check in checks if ": " in check.subject]
    levels, psnr = _half_against_single(folder, model)
    found[f"{_HALF} to torch"] = [f"off by {levels:.0f} levels", f"{psnr:.1f} dB"]
    return found


@contextmanager
def _true_float32() -> Iterator[None]:
    """PyTorch lets convolutions round their inputs to TF32 on CUDA, which is more than a level of a golden picture."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def _half_against_single(folder: Path, model: Model) -> tuple[float, float]:
    """Of a decoded picture: the largest difference in levels, and PSNR in decibels."""
    pictures = []
    with edgecodec.open_bundle(folder, "onnxruntime") as codec:
        data = coded_picture(model, codec, 256, 256)
    for name in ("torch", _HALF):
        with _true_float32(), edgecodec.open_bundle(folder, name) as codec:
            pictures.append(codec.decode(data).pixels.astype(np.float64))
    difference = pictures[1] - pictures[0]
    levels, squares = float(np.abs(difference).max()), float((difference**2).mean())
    psnr = 10 * np.log10(255**2 / squares) if squares else np.inf
    if model.is_trained and (levels > FP16_LEVELS or psnr < FP16_DB):
        raise CheckFailed(f"fp16 is off by {levels:.0f} levels, {psnr:.1f} dB to fp32")
    return levels, psnr


@torch.inference_mode()
def pytorch(plan: Plan, model: Model, height: int, width: int) -> dict[str, Any]:
    """The decoder alone in PyTorch: latents on the host to a picture on the host, and on the device alone."""
    baking = baking_of(model)
    knobs = baking.decoder_knobs()[0]
    decoder = baking.decoder(knobs).reference
    alignment = baking.model.latent_alignment()
    rows, columns = -(-height // alignment), -(-width // alignment)
    generator = torch.Generator().manual_seed(0)
    host = [
        torch.randn(
            1, each.channels, rows * alignment // each.stride, columns * alignment // each.stride, generator=generator
        ).round()
        for each in synthesis_inputs(baking.model)
    ]
    if plan.device.type == "cuda":
        host = [latent.pin_memory() for latent in host]
    device = [latent.to(plan.device) for latent in host]
    modules = {f"eager {name}": on_device(decoder, plan.device, dtype) for name, dtype in _PRECISIONS.items()}
    found: dict[str, Any] = {"int8": "not run: PyTorch has no int8 convolution on CUDA"}
    if plan.small:
        found["compiled"] = "not run: --small"
    else:
        modules |= {f"compiled {name}": _compiled(modules[f"eager {name}"]) for name in _PRECISIONS}
    whole = {name: partial(_from_host, module, host, plan.device) for name, module in modules.items()}
    alone = {name: partial(module, *device) for name, module in modules.items()}
    found["latents to host picture"] = _as_record(interleaved(whole, plan.device, **_counts(plan)))
    found["device alone"] = _as_record(interleaved(alone, plan.device, **_counts(plan)))
    found["bytes copied"] = {"up": sum(latent.nbytes for latent in host), "down": height * width * 3}
    return found


def _compiled(module: torch.nn.Module) -> torch.nn.Module:
    compiled = torch.compile(module, dynamic=False)
    assert isinstance(compiled, torch.nn.Module)
    return compiled


def _from_host(module: torch.nn.Module, latents: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    picture: torch.Tensor = module(*(latent.to(device, non_blocking=True) for latent in latents)).cpu()
    return picture


def decode(plan: Plan, model: Model, height: int, width: int) -> dict[str, Any]:
    """edgecodec from the bytes of a file to a picture on the host, on every engine of the device."""
    folder = _existing(plan, model)
    offer_decoders(model, folder)
    with edgecodec.open_bundle(folder, "onnxruntime") as codec:
        data = coded_picture(model, codec, height, width)
    found: dict[str, Any] = {"file bytes": len(data)}
    for name in _engines():
        if name == "onnxruntime" and plan.device.type == "cuda":
            continue  # the processor's, which only checks
        for precision in _precisions(folder, name):
            label = name if name == _HALF else f"{name} {precision}"
            try:
                found[label] = _decoded(plan, folder, name, precision, data)
            except EdgecodecError as error:
                found[label] = f"not run: {error}"
    return found


def _decoded(plan: Plan, folder: Path, name: str, precision: str, data: bytes) -> dict[str, Any]:
    """Medians of every stage and of the whole in milliseconds, and what a picture takes in a row of them."""
    with edgecodec.open_bundle(folder, name, precision=precision) as codec:
        for _ in range(plan.warm_up):
            codec.decode(data)
        stages, totals = [], []
        for _ in range(plan.rounds):
            start = perf_counter()
            stages.append(asdict(codec.decode(data).timings))
            totals.append(1000 * (perf_counter() - start))
        start = perf_counter()
        in_a_row = [asdict(each.timings) for each in codec.decode_many([data] * plan.rounds)]
        row = 1000 * (perf_counter() - start) / plan.rounds
    medians = {stage: 1000 * median(each[stage] for each in stages) for stage in stages[0]}
    engine = [1000 * (each["upload"] + each["engine"] + each["download"]) for each in in_a_row]
    return {
        "total": median(totals),
        **medians,
        "all but the engine": median(
            total - 1000 * (each["upload"] + each["engine"] + each["download"])
            for total, each in zip(totals, stages, strict=True)
        ),
        "in a row": row,
        "in a row over engine": row / (sum(engine) / len(engine)),
    }


def _engines() -> list[str]:
    """All that can be named, PyTorch's own first; TensorRT also where this edgecodec does not know it."""
    others = [name for name in engine_registry.engine_names() if name != engine_registry.AUTO]
    return ["torch", _HALF, *others, *([] if _TENSORRT in others else [_TENSORRT])]


def _precisions(folder: Path, name: str) -> list[str]:
    """Those of the bundle's decoders to run on an engine. The half engine is for bundles without such decoders."""
    found = [*dict.fromkeys(graph.precision for graph in Bundle(folder).info.graphs if graph.side == "decode")]
    if name == _HALF:
        return [] if "fp16" in found else found[:1]
    return found


def _existing(plan: Plan, model: Model) -> Path:
    folder = plan.bundle(model)
    if not folder.exists():
        raise NotRun("there is no bundle")
    return folder


def _counts(plan: Plan) -> dict[str, int]:
    return {"warm_up": plan.warm_up, "rounds": plan.rounds}


def _as_record(times: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asdict(each) for name, each in times.items()}
