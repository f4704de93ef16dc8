"""Speed of integer nets: layers against ONNX Runtime's QLinearConv, and CRDR's context model at its published size.

    python bench/integer_nets.py [--rounds N] [--threads 1 2] [--kernels NAME]

Both sides take 8-bit activations and 8-bit weights, and requantise to 8 bits. Runs alternate, and every ratio is of two
neighbouring runs, so that whatever else the machine does meets both. CPU time is that of all threads of the process;
ONNX Runtime's threads are told not to spin, because waiting would count as work. Integer nets are timed through the C
interface, which also brings tensors into the order of the kernels and back.
"""

from __future__ import annotations

import argparse
import ctypes
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgecodec import native
from edgecodec_export.entropy.entropy_file import net_bytes
from edgecodec_export.entropy.integer_net import Index, IntegerLayer, IntegerNet, Requantise

Job = Callable[[], None]
Values = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Shape:
    """One convolution that keeps the size of its input."""

    kernel: int
    inputs: int
    outputs: int

    def __str__(self) -> str:
        return f"{self.kernel}x{self.kernel} {self.inputs} -> {self.outputs}"


#: Layers alone, and small ones also as they occur: behind others, so that tensors need not be reordered around each.
STACKS: list[tuple[tuple[Shape, ...], tuple[int, int]]] = [
    ((Shape(3, 320, 320),), (16, 24)),
    ((Shape(5, 512, 224),), (32, 48)),
    ((Shape(5, 224, 128),), (32, 48)),
    ((Shape(3, 128, 32),), (32, 48)),
    ((Shape(1, 640, 640),), (16, 24)),
    ((Shape(5, 512, 224), Shape(5, 224, 128), Shape(3, 128, 32)), (32, 48)),
    ((Shape(1, 384, 384), Shape(1, 384, 640), Shape(1, 640, 640), Shape(1, 640, 288)), (16, 24)),
]

#: The context model: slices of 32 channels of 320, of which at most five are read, on the grid of 768x512 pixels.
SLICES, SLICE_CHANNELS, BRANCH_CHANNELS, SLICES_READ = 10, 32, 320, 5
GRID = (32, 48)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments.add_argument("--kernels", help="of this processor's: " + ", ".join(native.kernels_available()))
    given = arguments.parse_args()
    if given.kernels:
        native.force_kernels(given.kernels)
    print(f"kernels {native.kernels()}, ONNX Runtime {onnxruntime.__version__}, medians of {given.rounds} rounds")

    print_head("layers", "grid", "threads", "ms", "GMAC/s", "ratio of wall time", "ratio of CPU time")
    for shapes, grid in STACKS:
        for threads in given.threads:
            print_stack(shapes, grid, threads, given.rounds)

    print_head("context model of CRDR, 768x512", "threads", "wall s", "CPU s", "GMAC/s")
    for bits in (8, 10):
        print_context_model(bits, given.threads)


def print_head(*columns: str) -> None:
    print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))


def print_stack(shapes: Sequence[Shape], grid: tuple[int, int], threads: int, rounds: int) -> None:
    """One row: medians of our times, and of our speed over ONNX Runtime's."""
    generator = np.random.default_rng(0)
    ours = runner(IntegerNet(0, 255, tuple(layer(shape, generator) for shape in shapes)), grid)
    theirs = onnx_convolutions(shapes, grid, threads)
    times, ratios = [], []
    ours(threads)
    theirs()
    for _ in range(rounds):
        other, own = measured(theirs), measured(partial(ours, threads))
        times.append(own)
        ratios.append((other[0] / own[0], other[1] / own[1]))
    wall, _ = medians(times)
    by_wall, by_cpu = medians(ratios)
    rate = sum(products(shape, grid) for shape in shapes) / wall / 1e9
    rows, columns = grid
    names = ", ".join(map(str, shapes))
    print(f"| {names} | {rows}x{columns} | {threads} | {1e3 * wall:.2f} | {rate:.0f} | {by_wall:.2f} | {by_cpu:.2f} |")


def print_context_model(bits: int, threads: Sequence[int]) -> None:
    """One row for each number of threads: medians of three runs of all thirty nets."""
    nets = context_model(bits)
    multiplications = sum(products for _, products in nets)

    def run(count: int) -> None:
        for net, _ in nets:
            net(count)

    for count in threads:
        wall, cpu = medians([measured(partial(run, count)) for _ in range(3)])
        print(f"| inputs of {bits} bits | {count} | {wall:.3f} | {cpu:.3f} | {multiplications / wall / 1e9:.0f} |")


def measured(job: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of wall time and of CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - wall, time.process_time() - cpu


def medians(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    first, second = zip(*pairs, strict=True)
    return median(first), median(second)


def products(shape: Shape, grid: tuple[int, int]) -> int:
    return grid[0] * grid[1] * shape.kernel**2 * shape.inputs * shape.outputs


def layer(shape: Shape, generator: np.random.Generator, thresholds: int = 0) -> IntegerLayer:
    """Random weights whose accumulators fill 8 bits after requantisation, or are spread over the tables."""
    size = (shape.outputs, shape.kernel, shape.kernel, shape.inputs)
    weight = np.clip(np.rint(generator.normal(0, 20, size)), -127, 127).astype(np.int64)
    spread = 20 * 128 * np.sqrt(weight[0].size)
    epilogue: Requantise | Index
    if thresholds:
        drawn = generator.integers(-int(spread), int(spread), (shape.outputs, thresholds))
        epilogue = Index(np.sort(drawn, axis=1))
    else:
        multiplier = np.full(shape.outputs, int(2**32 * 64 / spread))
        epilogue = Requantise(multiplier, 0 * multiplier, np.full(shape.outputs, 32), 0, 255)
    return IntegerLayer(
        transposed=False,
        stride=1,
        padding=shape.kernel // 2,
        output_padding=0,
        weight_bytes=1,
        weight=weight,
        bias=generator.integers(-999, 999, shape.outputs),
        epilogue=epilogue,
    )


def runner(net: IntegerNet, grid: tuple[int, int]) -> Callable[[int], None]:
    """Runs the net on random input of its bounds, given a number of threads."""
    core = native.library()
    data = net_bytes(net)
    handle = ctypes.c_void_p()
    native.call(core.ec_core_net_open, data, len(data), ctypes.byref(handle))
    first, last = net.layers[0], net.layers[-1]
    assert isinstance(first, IntegerLayer) and isinstance(last, IntegerLayer)
    inputs, outputs = first.weight.shape[3], last.weight.shape[0]
    values = np.random.default_rng(1).integers(net.low, net.high + 1, (inputs, *grid)).astype(np.int16)
    output = np.empty((outputs, *grid), np.int16)

    def run(threads: int) -> None:
        native.call(core.ec_core_net_run, handle, values.ctypes.data, *grid, output.ctypes.data, threads)

    weakref.finalize(run, core.ec_core_net_close, handle.value)
    return run


def context_model(bits: int) -> list[tuple[Callable[[int], None], int]]:
    """The thirty nets in the order they run, and their products; the first layers' inputs have so many bits."""
    generator = np.random.default_rng(2)
    nets = []
    for i in range(SLICES):
        support = BRANCH_CHANNELS + SLICE_CHANNELS * min(i, SLICES_READ)
        for inputs, thresholds in ((support, 0), (support, 63), (support + SLICE_CHANNELS, 0)):
            shapes = [Shape(5, inputs, 224), Shape(5, 224, 128), Shape(3, 128, SLICE_CHANNELS)]
            layers = [layer(shape, generator) for shape in shapes[:-1]] + [layer(shapes[-1], generator, thresholds)]
            net = IntegerNet(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, tuple(layers))
            nets.append((runner(net, GRID), sum(products(shape, GRID) for shape in shapes)))
    return nets


def onnx_convolutions(shapes: Sequence[Shape], grid: tuple[int, int], threads: int) -> Job:
    """QLinearConv with unsigned activations, signed weights of one scale a channel, and no zero points."""
    generator = np.random.default_rng(0)
    constants: dict[str, npt.NDArray[Any]] = {}
    nodes = []
    for i, shape in enumerate(shapes):
        size = (shape.outputs, shape.inputs, shape.kernel, shape.kernel)
        weight = np.clip(np.rint(generator.normal(0, 20, size)), -127, 127)
        values = {
            "x_scale": np.float32(1 / 64),
            "x_zero": np.uint8(0),
            "w": weight.astype(np.int8),
            "w_scale": np.full(shape.outputs, 1 / 64, np.float32),
            "w_zero": np.zeros(shape.outputs, np.int8),
            "y_scale": np.float32(1),
            "y_zero": np.uint8(0),
            "bias": np.zeros(shape.outputs, np.int32),
        }
        constants |= {f"{name}{i}": np.asarray(value) for name, value in values.items()}
        inputs = [f"x{i}", *(f"{name}{i}" for name in values)]
        nodes.append(helper.make_node("QLinearConv", inputs, [f"x{i + 1}"], pads=[shape.kernel // 2] * 4))
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x0", TensorProto.UINT8, [1, shapes[0].inputs, *grid])],
        [helper.make_tensor_value_info(f"x{len(shapes)}", TensorProto.UINT8, [1, shapes[-1].outputs, *grid])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = generator.integers(0, 256, (1, shapes[0].inputs, *grid)).astype(np.uint8)
    return lambda: session.run(None, {"x0": x})


if __name__ == "__main__":
    main()
