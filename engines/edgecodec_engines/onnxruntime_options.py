"""What ONNX Runtime's providers are told, where their defaults do not suit pictures of many sizes."""

from __future__ import annotations

import math

from edgecodec.engine import Graph, Port, SideRange, SizeRange

#: The sizes that TensorRT compiles a graph for, height and width in pixels: it is fastest for the typical one, and
#: larger pictures are cut into windows. As in `edgecodec build`.
_TYPICAL, _LARGEST = (512, 768), (1088, 1920)
_SMALLEST = 64  # the side of the smallest pictures, where the graph takes such

#: Bytes of GPU memory that a layer may use beside its tensors. The default differs between versions of ONNX Runtime.
_WORKSPACE = 1 << 30
_DIGITS = 32  # of a hash in names of folders

_CUDA = {
    # The default, EXHAUSTIVE, measures every convolution anew for every size of picture.
    "cudnn_conv_algo_search": "HEURISTIC",
    # The default doubles what is kept whenever it does not suffice.
    "arena_extend_strategy": "kSameAsRequested",
    # Its products have 10 bits, so that a graph in fp32 would be no more exact than one in fp16, which is faster.
    "use_tf32": "0",
}


def provider_options(variant: str, graph: Graph, version: str) -> dict[str, str]:
    """For a session with this graph, by variant of the engine. version: of ONNX Runtime.

    Raises CannotRead or CannotWrite where there is no folder for what TensorRT compiles.
    """
    if variant == "cuda":
        return _CUDA
    return _tensorrt(graph, version) if variant == "tensorrt" else {}


def allowed_sizes(variant: str, graph: Graph) -> tuple[SizeRange, ...]:
    """The sizes of pictures that the provider takes; none for all."""
    if variant != "tensorrt":
        return ()
    step = _step(graph)
    least = _up(_SMALLEST, step)
    height, width = (SideRange(least, _down(side, step), step) for side in _LARGEST)
    return (SizeRange(height, width),)


def _tensorrt(graph: Graph, version: str) -> dict[str, str]:
    """It compiles for minutes, and so keeps what it has compiled.

    It names files by the structure of a graph, which graphs that differ in their weights share. So each graph has a
    folder of its own.
    """
    from edgecodec_engines.tensorrt_plans import private_folder
    from edgecodec_engines.tensorrt_plans.plan_cache import PlanCache
    from edgecodec_engines.tensorrt_plans.plan_key import graph_sha256

    folder = PlanCache.of_user().folder.parent / "onnxruntime" / version
    engines, timings = folder / graph_sha256(graph)[:_DIGITS], folder / "timings"
    for each in (engines, timings):
        private_folder.make(each)
    step = _step(graph)
    smallest, typical, largest = (
        tuple(_up(_SMALLEST, step) for _ in range(2)),
        tuple(_down(side, step) for side in _TYPICAL),
        tuple(_down(side, step) for side in _LARGEST),
    )
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(timings),
        "trt_max_workspace_size": str(_WORKSPACE),
        # Kernels in half are compiled with the flag alone, and with it a graph in fp32 would get some too.
        "trt_fp16_enable": str(int(graph.precision != "fp32")),
        "trt_int8_enable": str(int(graph.precision == "int8")),
        # Otherwise it compiles again for every picture that is larger or smaller than those before.
        "trt_profile_min_shapes": _shapes(graph, smallest),
        "trt_profile_opt_shapes": _shapes(graph, typical),
        "trt_profile_max_shapes": _shapes(graph, largest),
    }


def _shapes(graph: Graph, size: tuple[int, ...]) -> str:
    """Of every input whose shape depends on the picture's, as the provider reads them."""

    def shape(port: Port) -> tuple[int, ...]:
        rows, columns = (side // port.stride for side in size)
        return (rows, columns, port.channels) if port.is_image else (1, port.channels, rows, columns)

    return ",".join(f"{port.name}:{'x'.join(map(str, shape(port)))}" for port in graph.inputs)


def _step(graph: Graph) -> int:
    """The sides of pictures are multiples of this, in pixels."""
    return math.lcm(*(port.stride for port in (*graph.inputs, *graph.outputs)))


def _up(side: int, step: int) -> int:
    return -(-side // step) * step


def _down(side: int, step: int) -> int:
    return max(side // step, 1) * step
