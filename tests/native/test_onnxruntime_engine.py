"""ONNX Runtime as libedgecodec's engine gives what ONNX Runtime gives, and is that engine or an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecodec import native
from edgecodec.errors import Cancelled, EngineFailed, EngineUnavailable, InvalidArgument, OutOfMemory
from support.engine_table import EngineTable, LoadedGraph, Role, onnxruntime_table
from support.paths import ENDLESS, ROOT, TINY
from support.sanitizer import without_sanitizer

try:
    from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
    from onnx.external_data_helper import set_external_data

    from edgecodec_engines.onnxruntime import import_runtime

    onnxruntime = import_runtime()
except (ModuleNotFoundError, EngineUnavailable):
    pytest.skip("onnx or onnxruntime is not installed", allow_module_level=True)

LATENTS = {"z": Role.LATENT, "r": Role.LATENT}
IMAGE = {"image": Role.IMAGE}
SYNTHESIS = (TINY / "synthesis-alpha1.onnx").read_bytes()


def runtime_library() -> Path | None:
    """The one that EDGECODEC_ONNXRUNTIME names, or that of the Python package, which has one from 1.20 on."""
    named = os.environ.get("EDGECODEC_ONNXRUNTIME")
    if named:
        return Path(named)
    return next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"), None)


LIBRARY = runtime_library()
with_library = pytest.mark.skipif(LIBRARY is None, reason="there is no libonnxruntime.so")


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineTable]:
    if LIBRARY is None:
        pytest.skip("there is no libonnxruntime.so")
    with onnxruntime_table(library=LIBRARY) as table:
        yield table


@pytest.fixture(scope="module")
def synthesis(engine: EngineTable) -> Iterator[LoadedGraph]:
    loaded = engine.load(SYNTHESIS, LATENTS, IMAGE)
    yield loaded
    loaded.unload()


def latents(rows: int, columns: int, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    """For the tiny bundle's decoder, of rows x columns units of 64 pixels."""
    draw = np.random.default_rng(seed)
    shapes = {"z": (1, 8, rows, columns), "r": (1, 8, 4 * rows, 4 * columns)}
    return {name: draw.integers(-9, 10, shape).astype(np.float32) for name, shape in shapes.items()}


def picture(rows: int, columns: int) -> npt.NDArray[Any]:
    """Memory for it, which holds something else."""
    return np.full((64 * rows, 64 * columns, 3), 77, np.uint8)


def info(name: str, kind: int = TensorProto.FLOAT, shape: Sequence[str | int] | None = ("n",)) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def graph(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
) -> bytes:
    made = helper.make_graph(nodes, "test", inputs, outputs, list(weights))
    return bytes(helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


# ---- what it computes -----------------------------------------------------------------------------------------------


@with_library
@pytest.mark.parametrize("low_memory", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_outputs_are_those_of_onnxruntime_to_the_last_bit(
    engine: EngineTable, size: tuple[int, int], low_memory: bool
) -> None:
    """The Python package holds the same version in a library of its own. Several runs: memory is used again."""
    loaded = engine.load(SYNTHESIS, LATENTS, IMAGE, low_memory=low_memory)
    assert loaded.device == "cpu"
    if loaded.version != version("onnxruntime"):
        pytest.skip("another version than the Python package")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(SYNTHESIS, settings, providers=["CPUExecutionProvider"])
    for seed in range(3):
        inputs, image = latents(*size, seed), picture(*size)
        loaded.run(inputs, {"image": image})
        (expected,) = session.run(["image"], inputs)
        assert np.ptp(expected) > 0
        np.testing.assert_array_equal(image, expected)
    loaded.unload()


@with_library
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=["scalar", "vector", "matrix"])
def test_a_knob_has_the_rank_that_the_graph_declares(engine: EngineTable, shape: tuple[int, ...]) -> None:
    inputs = [info("x"), info("beta", shape=shape)]
    nodes = [node("Reshape", "beta one", "b"), node("Mul", "x b", "y")]
    one = numpy_helper.from_array(np.array([1], np.int64), "one")
    loaded = engine.load(
        graph(nodes, inputs, [info("y")], [one]), {"x": Role.LATENT, "beta": Role.KNOB}, {"y": Role.LATENT}
    )
    y = np.empty(3, np.float32)
    loaded.run({"x": np.arange(3, dtype=np.float32), "beta": np.array(2.5, np.float32)}, {"y": y})
    assert y.tolist() == [0, 2.5, 5]
    loaded.unload()


@with_library
def test_an_output_that_is_an_input_arrives(engine: EngineTable) -> None:
    """ONNX Runtime gives the input's own memory; what it was given for the output it would leave as it was."""
    loaded = engine.load(graph([], [info("x")], [info("x")]), {"x": Role.LATENT}, {"x": Role.LATENT})
    y = np.full(3, -1, np.float32)
    loaded.run({"x": np.arange(3, dtype=np.float32)}, {"x": y})
    assert y.tolist() == [0, 1, 2]
    loaded.unload()


def weighted(location: str) -> bytes:
    """y = x + weights, which are bytes 16 to 28 of a file."""
    weights = numpy_helper.from_array(np.arange(3, dtype=np.float32), "w")
    set_external_data(weights, location, offset=16, length=12)
    weights.ClearField("raw_data")
    return graph([node("Add", "x w", "y")], [info("x")], [info("y")], [weights])


@with_library
def test_weights_come_from_memory_that_is_not_needed_afterwards(engine: EngineTable) -> None:
    data = np.zeros(32, np.uint8)
    data[16:28] = np.array([5, 6, 7], np.float32).view(np.uint8)
    model = weighted("weights/0123.bin")
    loaded = engine.load(model, {"x": Role.LATENT}, {"y": Role.LATENT}, weights={"weights/0123.bin": data})
    data[:] = 255
    y = np.empty(3, np.float32)
    loaded.run({"x": np.ones(3, np.float32)}, {"y": y})
    assert y.tolist() == [6, 7, 8]
    loaded.unload()


@with_library
@pytest.mark.parametrize("given", [{}, {"other.bin": np.zeros(32, np.uint8)}], ids=["none", "another"])
def test_no_file_is_opened(
    engine: EngineTable, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that is there, in the current folder."""
    (tmp_path / "w.bin").write_bytes(bytes(32))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineFailed, match="ONNX Runtime refuses the graph"):
        engine.load(weighted("w.bin"), {"x": Role.LATENT}, {"y": Role.LATENT}, weights=given)


@with_library
def test_threads_may_run_one_graph_at_a_time(synthesis: LoadedGraph) -> None:
    def run(seed: int) -> npt.NDArray[Any]:
        image = picture(1, 1 + seed % 2)
        synthesis.run(latents(1, 1 + seed % 2, seed), {"image": image})
        return image

    expected = [run(seed) for seed in range(32)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(pool.map(run, range(32)), expected, strict=True):
            np.testing.assert_array_equal(one, other)


# ---- graphs that break their promises -------------------------------------------------------------------------------


@with_library
@pytest.mark.parametrize("shape", [(64, 65, 3), (64, 64, 1), (1, 64, 64, 3), (64 * 64 * 3,)])
def test_an_output_of_another_shape_is_an_error(synthesis: LoadedGraph, shape: tuple[int, ...]) -> None:
    image = np.full(shape, 77, np.uint8)
    with pytest.raises(EngineFailed) as caught:
        synthesis.run(latents(1, 1), {"image": image})
    assert caught.value.message == f"gave uint8 (64, 64, 3) for 'image', not uint8 {shape}"
    assert (image == 77).all()


@with_library
@pytest.mark.parametrize(
    ("inputs", "outputs", "problem"),
    [
        ({"z": Role.LATENT}, IMAGE, "the index promises inputs ['z'], the graph has ['r', 'z']"),
        (
            {**LATENTS, "noise": Role.NOISE},
            IMAGE,
            "the index promises inputs ['noise', 'r', 'z'], the graph has ['r', 'z']",
        ),
        (LATENTS, {"it's": Role.IMAGE}, r"the index promises outputs ['it\'s'], the graph has ['image']"),
        (LATENTS, {"é\x1f\x7f": Role.IMAGE}, r"the index promises outputs ['é\x1f\x7f'], the graph has ['image']"),
        ({**LATENTS, "z": Role.SIZE}, IMAGE, "input 'z' is tensor(float), not tensor(int64)"),
        (LATENTS, {"image": Role.LATENT}, "output 'image' is tensor(uint8), not tensor(float)"),
    ],
)
def test_ports_are_those_of_the_index(
    engine: EngineTable, inputs: dict[str, Role], outputs: dict[str, Role], problem: str
) -> None:
    with pytest.raises(EngineFailed) as caught:
        engine.load(SYNTHESIS, inputs, outputs, file="graphs/decoder.onnx")
    assert caught.value.message == problem and caught.value.where == "decoder.onnx"


@with_library
def test_a_sequence_is_no_tensor(engine: EngineTable) -> None:
    sequence = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    model = graph([node("SequenceConstruct", "x", "y")], [info("x")], [sequence])
    with pytest.raises(EngineFailed, match=r"^decoder.onnx: output 'y' is a sequence, not tensor\(float\)$"):
        engine.load(model, {"x": Role.LATENT}, {"y": Role.LATENT}, file="decoder.onnx")


@with_library
@pytest.mark.parametrize("data", [b"", b"not a graph", SYNTHESIS[:1000]], ids=["empty", "text", "truncated"])
def test_what_is_no_graph_is_refused(engine: EngineTable, data: bytes) -> None:
    with pytest.raises(EngineFailed, match=r"^graph.onnx: ONNX Runtime refuses the graph: "):
        engine.load(data, LATENTS, IMAGE)


@with_library
def test_a_failing_node_is_an_engine_error(synthesis: LoadedGraph) -> None:
    with pytest.raises(EngineFailed, match=r"^ONNX Runtime failed: "):
        synthesis.run({**latents(1, 1), "r": latents(1, 2)["r"]}, {"image": picture(1, 1)})


@without_sanitizer
@with_library
@pytest.mark.parametrize("low_memory", [False, True])
def test_too_little_memory_for_a_run_is_told_as_such(engine: EngineTable, low_memory: bool) -> None:
    """Of 64 TiB, by the arena's words or those of the C++ library."""
    shape = numpy_helper.from_array(np.array([1 << 44], np.int64), "shape")
    model = graph([node("Expand", "x shape", "y")], [info("x", shape=[1])], [info("y")], [shape])
    loaded = engine.load(model, {"x": Role.LATENT}, {"y": Role.LATENT}, low_memory=low_memory)
    with pytest.raises(OutOfMemory, match="not enough memory to run the graph"):
        loaded.run({"x": np.ones(1, np.float32)}, {"y": np.empty(1, np.float32)})
    loaded.unload()


# ---- ending it ------------------------------------------------------------------------------------------------------


def cancelled_after(seconds: float, engine: EngineTable, call: Callable[[], object]) -> float:
    """Seconds from cancel to the end of `call`, which is cancelled."""
    told = []

    def cancel() -> None:
        told.append(time.monotonic())
        engine.cancel()

    timer = threading.Timer(seconds, cancel)
    timer.start()
    try:
        with pytest.raises(Cancelled):
            call()
    finally:
        timer.cancel()
    return time.monotonic() - told[0]


@with_library
def test_cancel_ends_all_runs_and_no_later_one(engine: EngineTable, synthesis: LoadedGraph) -> None:
    endless = engine.load((ENDLESS / "loop.onnx").read_bytes(), LATENTS, IMAGE)

    def run() -> None:
        with pytest.raises(Cancelled):
            endless.run(latents(1, 1), {"image": picture(1, 1)})

    others = [threading.Thread(target=run) for _ in range(2)]
    for each in others:
        each.start()
    took = cancelled_after(0.3, engine, lambda: endless.run(latents(1, 1), {"image": picture(1, 1)}))
    for each in others:
        each.join(10)
    assert took < 3 and not any(each.is_alive() for each in others)
    synthesis.run(latents(1, 1), {"image": picture(1, 1)})
    assert cancelled_after(0.1, engine, lambda: endless.run(latents(1, 1), {"image": picture(1, 1)})) < 3
    endless.unload()


@with_library
def test_a_cancelled_load_gives_no_graph(engine: EngineTable) -> None:
    """Work over constants, of about a second, is done while it loads. ONNX Runtime ends that at its next step."""
    size = numpy_helper.from_array(np.array([1, 1, 255, 255], np.int64), "size")
    pool = [node("MaxPool", f"v{i}", f"v{i + 1}", kernel_shape=[63, 63], pads=[31] * 4) for i in range(2)]
    nodes = [node("ConstantOfShape", "size", "v0"), *pool, node("Add", "v2 x", "y")]
    model = graph(nodes, [info("x")], [info("y", shape=None)], [size])
    assert cancelled_after(0.1, engine, lambda: engine.load(model, {"x": Role.LATENT}, {"y": Role.LATENT})) < 10


# ---- which library --------------------------------------------------------------------------------------------------


def stub(folder: Path, source: str, name: str = "libonnxruntime.so") -> Path:
    """A shared library compiled from this C."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "stub.c").write_text(source)
    made = folder / name
    subprocess.run([*compiler.split(), "-shared", "-fPIC", folder / "stub.c", "-o", made], check=True)
    return made


def reporting(number: str) -> str:
    """Of a library that reports this version, and dies when it is asked for its functions."""
    return f"""
#include <stdlib.h>
static const void *functions(unsigned version) {{ abort(); }}
static const char *version(void) {{ return "{number}"; }}
static const struct {{ void *get_api, *get_version; }} base = {{(void *)functions, (void *)version}};
const void *OrtGetApiBase(void) {{ return &base; }}
"""


@pytest.mark.parametrize("number", ["1.16.3", "1.19.2", "0.9.1", "dev"])
def test_a_library_that_is_too_old_is_refused(tmp_path: Path, number: str) -> None:
    """It prints when it is asked for functions that it does not have, so it is not asked."""
    library = stub(tmp_path, reporting(number))
    with pytest.raises(EngineUnavailable) as caught, onnxruntime_table(library=library):
        pass
    assert caught.value.message == f"ONNX Runtime {number} is too old"
    assert caught.value.where == str(library) and caught.value.hint == "install 1.20 or newer"


def test_another_library_is_refused(tmp_path: Path) -> None:
    library = stub(tmp_path, "int other;")
    with pytest.raises(EngineUnavailable, match="is not ONNX Runtime") as caught, onnxruntime_table(library=library):
        pass
    assert caught.value.hint is not None and "libonnxruntime.so" in caught.value.hint


def test_a_library_that_cannot_be_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given by name it is the only one that is tried. The options go before the environment."""
    missing, broken = tmp_path / "missing.so", tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF")
    monkeypatch.setenv("EDGECODEC_ONNXRUNTIME", str(broken))
    for given, path in {missing: missing, None: broken}.items():
        with pytest.raises(EngineUnavailable, match="cannot be opened") as caught, onnxruntime_table(library=given):
            pass
        assert caught.value.where == str(path) and caught.value.hint is not None


def test_the_environment_names_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = stub(tmp_path, reporting("1.2.3"))
    monkeypatch.setenv("EDGECODEC_ONNXRUNTIME", str(library))
    with pytest.raises(EngineUnavailable, match=r"1\.2\.3 is too old"), onnxruntime_table():
        pass


OPENS = """
from edgecodec.errors import EngineUnavailable
from support.engine_table import onnxruntime_table
try:
    with onnxruntime_table():
        print("found")
except EngineUnavailable as error:
    print(error.message, error.where, error.hint, sep="\\n")
"""


def opened(core: Path, **environment: str) -> list[str]:
    """What OPENS prints with this libedgecodec, in a process that knows nothing of ONNX Runtime but `environment`."""
    paths = [ROOT, ROOT / "tests"]
    known = ("EDGECODEC_ONNXRUNTIME", "ORT_DISABLE_TELEMETRY", "CI", "LD_LIBRARY_PATH")
    clean = {name: value for name, value in os.environ.items() if name not in known}
    clean |= {"EDGECODEC_LIBRARY": str(core), "PYTHONPATH": os.pathsep.join(map(str, paths)), **environment}
    command = [sys.executable, "-B", "-c", OPENS]
    ran = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_the_library_is_looked_for_beside_this_one_and_then_by_the_system(tmp_path: Path) -> None:
    core = Path(shutil.copy(native.library()._name, tmp_path / "libedgecodec.so"))
    message, where, hint = opened(core)
    assert message == "ONNX Runtime is not installed, or not where it was looked for"
    beside = [str(tmp_path / name) for name in ("libonnxruntime.so.1", "libonnxruntime.so")]
    assert where.split(", ") == [*beside, "libonnxruntime.so.1", "libonnxruntime.so"]
    assert "EDGECODEC_ONNXRUNTIME" in hint
    system = tmp_path / "system"
    system.mkdir()
    stub(system, reporting("1.5.0"))
    assert opened(core, LD_LIBRARY_PATH=str(system))[0] == "ONNX Runtime 1.5.0 is too old"
    stub(tmp_path, reporting("1.6.0"))
    assert opened(core, LD_LIBRARY_PATH=str(system))[0] == "ONNX Runtime 1.6.0 is too old"


@with_library
def test_nothing_is_printed_or_written(tmp_path: Path) -> None:
    """ONNX Runtime from 1.29 on would write an identifier of the machine, and send it, unless told not to."""
    folders = dict.fromkeys(("HOME", "XDG_CACHE_HOME"), str(tmp_path))
    assert opened(Path(native.library()._name), EDGECODEC_ONNXRUNTIME=str(LIBRARY), **folders) == ["found"]
    assert list(tmp_path.iterdir()) == []


# ---- which provider -------------------------------------------------------------------------------------------------


@with_library
@pytest.mark.parametrize(
    ("name", "provider"), [("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider"), ("odd", "odd")]
)
def test_a_provider_that_is_not_there_is_an_error(name: str, provider: str) -> None:
    available = onnxruntime.get_available_providers()
    if provider in available:
        pytest.skip("it is there")
    with pytest.raises(EngineUnavailable) as caught, onnxruntime_table(f"onnxruntime:{name}", LIBRARY):
        pass
    assert caught.value.message.startswith(f"this ONNX Runtime has no {provider}, only ")
    assert "CPUExecutionProvider" in caught.value.message and caught.value.where == f"onnxruntime:{name}"
    assert caught.value.hint == "install the onnxruntime build for this device"


@pytest.mark.parametrize("name", ["", "onnx", "onnxruntime:", "onnxruntimecuda", "openvino"])
def test_an_engine_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="there is no engine called"), onnxruntime_table(name, LIBRARY):
        pass


# ---- the interface that is declared by hand -------------------------------------------------------------------------


def test_the_declarations_agree_with_onnxruntimes_header() -> None:
    """Where that is installed, or in the folder that EDGECODEC_ONNXRUNTIME_INCLUDE names."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    folders = [os.environ.get("EDGECODEC_ONNXRUNTIME_INCLUDE", ""), "/usr/include/onnxruntime", "/usr/local/include"]
    header = next((each for each in folders if each and (Path(each) / "onnxruntime_c_api.h").is_file()), None)
    if compiler is None or header is None:
        pytest.skip("no C++ compiler, or no header of ONNX Runtime")
    own = [f"-I{ROOT / 'native' / 'src'}", f"-I{ROOT / 'native' / 'include'}"]
    source = ROOT / "tests" / "native" / "onnxruntime_abi.cpp"
    subprocess.run([*compiler.split(), "-std=c++17", "-fsyntax-only", *own, f"-I{header}", source], check=True)
