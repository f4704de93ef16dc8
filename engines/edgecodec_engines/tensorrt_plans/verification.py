"""Whether a plan gives the golden pictures of its bundle."""

from __future__ import annotations

from pathlib import Path

from edgecodec.description import BakedGraph
from edgecodec.errors import EdgecodecError, VerificationFailed
from edgecodec.verify import compare_golden_pixels
from edgecodec_engines.tensorrt_plans.cuda_driver import Device
from edgecodec_engines.tensorrt_plans.plan_key import TensorRT

VERIFIED, FAILED, NOT_VERIFIED = "verified", "failed", "not verified"
#: The engine that runs plans of each TensorRT.
_ENGINES = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt:rtx"}


def verify_plan(bundle: Path, graph: BakedGraph, tensorrt: TensorRT, device: Device | None) -> str:
    """ "verified", "failed: ..." where golden pictures come out wrong, or "not verified: ..." and why not.

    The plan is the newest of its graph in the user's cache, which is the one that the engine takes.
    """
    if graph.side == "encode":
        return f"{NOT_VERIFIED}: golden pictures are for decoders"
    if device is None:
        return f"{NOT_VERIFIED}: no GPU"
    try:
        found = compare_golden_pixels(bundle, _ENGINES[tensorrt.name], graph.file)
    except VerificationFailed as error:
        return f"{FAILED}: {error.message}"
    except EdgecodecError as error:
        return f"{NOT_VERIFIED}: {error.message}"
    return VERIFIED if found else f"{NOT_VERIFIED}: the bundle has no golden picture of it"
