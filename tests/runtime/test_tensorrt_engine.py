"""Plans of TensorRT give the pictures that other engines give, whatever their sizes, and unfit ones are named.

Neither a GPU nor TensorRT is needed: a driver compiled from tests/support/fake_cuda.c takes the calls, and modules with
the surfaces of TensorRT 10.3, 11 and TensorRT-RTX compute what the stub engine computes.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import edgecodec
from edgecodec import engine_registry
from edgecodec.bundle import Bundle
from edgecodec.codec import Codec
from edgecodec.engine import Graph, Options, SideRange, SizeRange
from edgecodec.errors import EngineFailed, EngineUnavailable, OutOfMemory
from edgecodec.loading import graph_of
from edgecodec_engines import cuda_memory, tensorrt
from edgecodec_engines.tensorrt_plans import choosing, cuda_driver, tensorrt_module
from edgecodec_engines.tensorrt_plans.copies import write_copy
from edgecodec_engines.tensorrt_plans.plan_cache import Plan, PlanCache
from edgecodec_engines.tensorrt_plans.plan_key import PlanKey, TensorRT, graph_sha256
from edgecodec_engines.tensorrt_plans.profiles import ShapeRange
from edgecodec_engines.tensorrt_plans.tensorrt_module import target_of
from support.fake_tensorrt import VERSIONS, build_driver, fake_module, plan_bytes
from support.paths import ENVIRONMENT, TINY

ENGINES = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt:rtx"}
ALL = [(name, version) for name, versions in VERSIONS.items() for version in versions]
Profile = dict[str, tuple[Any, Any, Any]]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    loaded = ctypes.CDLL(str(build_driver(tmp_path_factory.mktemp("driver"), compiler)))
    loaded.fake_failing.argtypes = [ctypes.c_char_p]
    loaded.fake_enqueue.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    loaded.cuStreamSynchronize.argtypes = [ctypes.c_void_p]
    return loaded


@pytest.fixture(autouse=True)
def machine(driver: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One with a GPU, and a cache of plans that is empty."""
    for module in (cuda_driver, cuda_memory):
        monkeypatch.setattr(module, "_LIBRARY", driver._name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(choosing.FOLDER, raising=False)
    for name in VERSIONS:
        monkeypatch.setitem(sys.modules, name, None)
    tensorrt._gpu.cache_clear()
    driver.fake_failing(b"")
    yield
    driver.fake_failing(b"")
    tensorrt._gpu.cache_clear()
    tensorrt._runtime.cache_clear()
    assert driver.fake_depth() == 0 and driver.fake_live() == 0


GRAPHS = {
    str(graph.path): graph
    for bundle in [Bundle(TINY)]
    for graph in map(lambda n: graph_of(bundle, n), range(len(bundle.info.graphs)))
}
ANALYSIS, *DECODERS = sorted(GRAPHS.values(), key=lambda graph: not graph.inputs[0].is_image)


@dataclass
class Machine:
    """An installed TensorRT."""

    name: str
    module: Any

    @property
    def engine(self) -> str:
        return ENGINES[self.name]

    def key(self, graph: Graph, profile: Profile) -> PlanKey:
        found = TensorRT(self.name, self.module.__version__)
        ranges = {name: ShapeRange(*shapes) for name, shapes in profile.items()}
        return PlanKey(graph_sha256(graph), "fp32", ranges, found, target_of(found, cuda_driver.first_device()))

    def store(self, graph: Graph, *profiles: Profile, verification: str | None = "verified", **changes: Any) -> Plan:
        """A plan in the cache."""
        return self.store_bytes(graph, plan_bytes(graph, *profiles, **changes), profiles[0], verification)

    def store_bytes(self, graph: Graph, data: bytes, profile: Profile, verification: str | None = "verified") -> Plan:
        cache = PlanCache.of_user()
        with cache.work_folder() as work:
            (work / "plan").write_bytes(data)
            plan = cache.store(self.key(graph, profile), work / "plan", {})
        return plan if verification is None else cache.record_verification(plan, verification)

    def store_all(self, **changes: Any) -> None:
        for graph in GRAPHS.values():
            self.store(graph, profile(graph, (64, 64), (576, 640)), **changes)

    def load(self, graph: Graph, **options: Any) -> tensorrt.TensorRTEngine:
        engine = engine_registry.open_engine(self.engine, graph, Options(**options))
        assert isinstance(engine, tensorrt.TensorRTEngine)
        return engine


def profile(graph: Graph, least: tuple[int, int], most: tuple[int, int]) -> Profile:
    """For pictures between these sizes, height and width in pixels."""

    def shape(port: Any, size: tuple[int, int]) -> tuple[int, ...]:
        return (*size, 3) if port.is_image else (1, port.channels, *(side // port.stride for side in size))

    fixed = {name: ((), (), ()) for name in graph.scalars} | ({graph.size: ((2,),) * 3} if graph.size else {})
    return {**{port.name: (shape(port, least), shape(port, most), shape(port, most)) for port in graph.inputs}, **fixed}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, driver: ctypes.CDLL) -> Callable[..., Machine]:
    def install(name: str = "tensorrt", version: str = "10.3.0.30") -> Machine:
        module = fake_module(name, version, driver, GRAPHS)
        monkeypatch.setitem(sys.modules, name, module)
        return Machine(name, module)

    return install


@pytest.fixture(params=ALL, ids=lambda each: f"{each[0]} {each[1]}")
def installed(request: pytest.FixtureRequest, install: Callable[..., Machine]) -> Machine:
    return install(*request.param)


@pytest.fixture
def machine_10(install: Callable[..., Machine]) -> Machine:
    return install()


def blocks(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A picture whose blocks have colours of their own."""
    draw = np.random.default_rng(height * width)
    colours = draw.integers(0, 256, (-(-height // 16), -(-width // 16), 3), np.uint8)
    return np.ascontiguousarray(colours.repeat(16, axis=0).repeat(16, axis=1)[:height, :width])


def inputs_of(graph: Graph, height: int, width: int, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    draw = np.random.default_rng(seed)
    shapes = {name: shape[0] for name, shape in profile(graph, (height, width), (height, width)).items()}
    images = {port.name for port in graph.inputs if port.is_image}
    return {
        name: draw.integers(0, 256, shape, np.uint8)
        if name in images
        else np.array([height, width])
        if name == graph.size
        else draw.integers(-99, 99, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


# ---- what it computes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (128, 192), (100, 130), (20, 30), (64, 900), (700, 200)])
def test_pictures_of_every_size_come_out_as_on_the_stub(
    installed: Machine, mosaic: Codec, size: tuple[int, int]
) -> None:
    """Smaller ones than the plan takes are padded, larger ones cut into windows that it takes."""
    installed.store_all()
    picture = blocks(*size)
    expected = mosaic.encode(picture)
    with edgecodec.open_bundle(TINY, installed.engine) as codec:
        encoded = codec.encode(picture)
        assert encoded.data == expected.data
        for _ in range(3):
            decoded = codec.decode(encoded.data)
            np.testing.assert_array_equal(decoded.pixels, mosaic.decode(expected.data).pixels)
    assert (decoded.tiles.count == 1) == (size[0] <= 576 and size[1] <= 640)
    assert (decoded.engine.name, decoded.engine.version) == (installed.engine, installed.module.__version__)
    gc.collect()  # the module's own objects hold each other
    assert decoded.engine.device == "Fake Orin" and installed.module.contexts == 0


@pytest.mark.parametrize("large_is_newer", [True, False])
def test_a_plan_that_takes_the_picture_is_preferred_to_a_newer_one(
    installed: Machine, mosaic: Codec, large_is_newer: bool
) -> None:
    for graph in GRAPHS.values():
        ranges = [profile(graph, (64, 64), (320, 320)), profile(graph, (64, 64), (576, 640))]
        for age, each in enumerate(ranges if large_is_newer else reversed(ranges)):
            plan = installed.store(graph, each)
            os.utime(PlanCache.of_user()._json(plan.key), (age, age))
    newest = 576 if large_is_newer else 320
    graph = DECODERS[0]
    for size, most in (((320, 320), newest), ((320, 384), 576), ((640, 640), newest), (None, newest)):
        shapes = {} if size is None else {name: each.shape for name, each in inputs_of(graph, *size).items()}
        engine = installed.load(graph, shapes=shapes)
        assert [sizes.height.most for sizes in engine.allowed_sizes()] == [most]
        engine.close()
    with edgecodec.open_bundle(TINY, installed.engine) as codec:
        decoded = codec.decode(codec.encode(blocks(500, 600)).data)
    assert decoded.tiles.count == 1
    np.testing.assert_array_equal(decoded.pixels, mosaic.decode(mosaic.encode(blocks(500, 600)).data).pixels)
    gc.collect()


def test_shapes_that_repeat_are_recorded_once(machine_10: Machine, driver: ctypes.CDLL) -> None:
    """And a call allocates nothing."""
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (128, 192)))
    engine = machine_10.load(graph)
    allocated = driver.fake_allocations()
    runs: list[int] = []
    for height, width in [(64, 64)] * 4 + [(128, 64)] * 3 + [(64, 64)] * 2:
        given = inputs_of(graph, height, width, seed=len(runs))
        (expected,) = engine_registry.open_engine("stub", graph, Options()).run(given).values()
        (image,) = engine.run(given).values()
        np.testing.assert_array_equal(image, expected)
        runs.append(machine_10.module.runs)
    assert runs == [1, 2, 2, 2, 3, 4, 4, 5, 6]
    assert driver.fake_allocations() == allocated
    engine.close()


@pytest.mark.parametrize("failing", ["recording", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"])
def test_work_that_cannot_be_recorded_is_done_all_the_same(
    machine_10: Machine, driver: ctypes.CDLL, failing: str
) -> None:
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)), recordable=failing != "recording")
    driver.fake_failing(failing.encode())
    engine = machine_10.load(graph)
    for seed in range(4):
        given = inputs_of(graph, 64, 64, seed)
        (expected,) = engine_registry.open_engine("stub", graph, Options()).run(given).values()
        np.testing.assert_array_equal(next(iter(engine.run(given).values())), expected)
    engine.close()


def test_results_are_the_callers(machine_10: Machine) -> None:
    """The next run changes none of them."""
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)))
    engine = machine_10.load(graph)
    (first,) = engine.run(inputs_of(graph, 64, 64, 1)).values()
    kept = first.copy()
    (second,) = engine.run(inputs_of(graph, 64, 64, 2)).values()
    assert (first == kept).all() and (second != first).any()
    engine.close()


def test_each_profile_of_a_plan_is_used(machine_10: Machine) -> None:
    graph = DECODERS[0]
    machine_10.store(graph, profile(graph, (64, 64), (64, 64)), profile(graph, (128, 128), (192, 256)))
    engine = machine_10.load(graph)
    only, ranges = SideRange(64, 64, 64), (SideRange(128, 192, 64), SideRange(128, 256, 64))
    assert engine.allowed_sizes() == (SizeRange(only, only), SizeRange(*ranges))
    for size in [(64, 64), (192, 256), (64, 64), (64, 64), (128, 128)]:
        given = inputs_of(graph, *size)
        (expected,) = engine_registry.open_engine("stub", graph, Options()).run(given).values()
        np.testing.assert_array_equal(next(iter(engine.run(given).values())), expected)
    with pytest.raises(EngineFailed, match="takes no inputs of the shapes"):
        engine.run(inputs_of(graph, 64, 128))
    engine.close()


def test_an_input_that_tensorrt_reads_on_the_processor_stays_there(machine_10: Machine) -> None:
    graph = replace(DECODERS[0], size="size")
    machine_10.store(graph, profile(graph, (64, 64), (64, 64)), on_host=["size"])
    engine = machine_10.load(graph)
    for seed in range(3):
        given = inputs_of(graph, 64, 64, seed)
        engine.run(given)
        assert machine_10.module.seen["size"].tolist() == given["size"].tolist() == [64, 64]
    engine.close()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_knob_is_one_number_of_whatever_rank(machine_10: Machine, shape: tuple[int, ...]) -> None:
    graph = replace(DECODERS[0], scalars=("knob",))
    machine_10.store(graph, {**profile(graph, (64, 64), (64, 64)), "knob": (shape, shape, shape)})
    engine = machine_10.load(graph)
    engine.run({**inputs_of(graph, 64, 64), "knob": np.array(0.5, np.float32)})
    assert machine_10.module.seen["knob"] == np.full(shape, 0.5) and machine_10.module.seen["knob"].shape == shape
    engine.close()


def test_several_threads_share_a_plan(machine_10: Machine, mosaic: Codec) -> None:
    machine_10.store_all()
    pictures = [blocks(64 + 16 * i, 100) for i in range(6)]
    data = [mosaic.encode(each).data for each in pictures]
    with edgecodec.open_bundle(TINY, machine_10.engine) as codec, ThreadPoolExecutor(4) as pool:
        for found, coded in zip(pool.map(codec.decode, data * 3), data * 3, strict=True):
            np.testing.assert_array_equal(found.pixels, mosaic.decode(coded).pixels)


def test_the_sizes_of_a_plan_are_those_that_suit_all_of_its_inputs() -> None:
    graph = DECODERS[0]
    shapes = {"z": ((1, 8, 1, 1), (1, 8, 3, 2)), "r": ((1, 8, 5, 4), (1, 8, 20, 7))}
    found = tensorrt._sizes(graph, shapes)
    assert found == SizeRange(SideRange(128, 192, 64), SideRange(64, 64, 64))
    assert tensorrt._sizes(graph, {**shapes, "r": ((1, 8, 13, 4), (1, 8, 20, 7))}) is None


# ---- what it refuses -------------------------------------------------------------------------------------------------


def refusal(machine: Machine, graph: Graph = DECODERS[0], **options: Any) -> EngineUnavailable:
    with pytest.raises(EngineUnavailable) as caught:
        machine.load(graph, **options)
    return caught.value


def test_without_a_plan_there_is_no_engine(installed: Machine) -> None:
    error = refusal(installed)
    assert error.message == "there is no plan of it that runs here" and error.hint == "edgecodec build makes one"
    assert error.where == DECODERS[0].path.name


def test_a_stale_plan_is_named(install: Callable[..., Machine]) -> None:
    graph = DECODERS[0]
    install("tensorrt", "10.3.0.30").store(graph, profile(graph, (64, 64), (64, 64)))
    error = refusal(install("tensorrt", "10.3.0.31"))
    assert "it is of TensorRT 10.3.0.30, here is TensorRT 10.3.0.31" in error.message


def test_a_plan_of_another_gpu_is_named(machine_10: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)))
    other = cuda_driver.Device("Fake Thor", "11.0", 20, "13.0")
    monkeypatch.setattr(tensorrt, "first_device", lambda: other)
    assert "it is for Fake Orin 8.7 driver for CUDA 12.6" in refusal(machine_10).message


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: data[:-1], "is not the one that was stored"),
        (lambda data: b"", "is not the one that was stored"),
        (lambda data: data + b" ", "is not the one that was stored"),
        (lambda data: data.replace(b"UINT8", b"UINT9"), "is not the one that was stored"),
    ],
)
def test_a_plan_that_is_not_what_was_stored_never_reaches_tensorrt(
    installed: Machine, damage: Callable[[bytes], bytes], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = installed.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)))
    path = PlanCache.of_user().path(plan)
    path.write_bytes(damage(path.read_bytes()))

    def deserialised(*arguments: Any) -> Any:
        raise AssertionError("the plan reached TensorRT")

    monkeypatch.setattr(installed.module.Runtime, "deserialize_cuda_engine", deserialised)
    error = refusal(installed)
    assert problem in error.message and error.where == str(path)


def test_a_plan_that_tensorrt_refuses_is_refused_in_its_words(installed: Machine) -> None:
    installed.store_bytes(graph := DECODERS[0], b"no plan", profile(graph, (64, 64), (64, 64)))
    error = refusal(installed)
    assert error.message.startswith("TensorRT") and "refuses the plan: Serialization assertion" in error.message


def test_a_plan_of_another_graph_is_refused(machine_10: Machine) -> None:
    """As a plan of a broken builder might be: under the right key."""
    graph = DECODERS[0]
    machine_10.store_bytes(
        graph, plan_bytes(ANALYSIS, profile(ANALYSIS, (64, 64), (64, 64))), profile(graph, (64, 64), (64, 64))
    )
    assert "the plan is of another graph" in refusal(machine_10).message


@pytest.mark.parametrize("type_name", ["HALF", "UINT8"])
def test_a_plan_with_other_types_is_refused(machine_10: Machine, type_name: str) -> None:
    graph = DECODERS[0]
    types = {port.name: "UINT8" if port.is_image else "FLOAT" for port in (*graph.inputs, *graph.outputs)}
    machine_10.store(graph, profile(graph, (64, 64), (64, 64)), types={**types, graph.inputs[0].name: type_name})
    assert "the plan is of another graph" in refusal(machine_10).message


def test_a_plan_that_takes_no_picture_is_refused(machine_10: Machine) -> None:
    graph = DECODERS[0]
    shapes = profile(graph, (64, 64), (64, 64))
    machine_10.store(graph, {**shapes, "r": ((1, 8, 5, 5),) * 3})
    with pytest.raises(EngineFailed, match="takes no picture at all"):
        machine_10.load(graph)


@pytest.mark.parametrize(
    ("failing", "error", "problem"),
    [
        ("create_execution_context", EngineFailed, "cannot start the plan"),
        ("set_input_shape", EngineFailed, "of shape"),
        ("execute_async_v3", EngineFailed, "TensorRT failed: the kernel is out of order"),
    ],
)
def test_failures_of_tensorrt_are_errors_in_its_words(
    machine_10: Machine, failing: str, error: type[Exception], problem: str
) -> None:
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)))
    machine_10.module.fails = failing
    with pytest.raises(error, match=problem):
        engine = machine_10.load(graph)
        try:
            engine.run(inputs_of(graph, 64, 64))
        finally:
            engine.close()


@pytest.mark.parametrize(
    ("failing", "error", "problem"),
    [
        ("cuInit", EngineUnavailable, "no CUDA driver answers here"),
        ("cuMemAlloc_v2", OutOfMemory, "memory on the GPU"),
        ("cuMemHostAlloc", OutOfMemory, "memory on the GPU"),
        ("cuStreamSynchronize", EngineFailed, "cuStreamSynchronize gives CUDA_ERROR_ILLEGAL_ADDRESS"),
    ],
)
def test_failures_of_the_driver_are_errors(
    machine_10: Machine, driver: ctypes.CDLL, failing: str, error: type[Exception], problem: str
) -> None:
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)))
    driver.fake_failing(failing.encode())
    with pytest.raises(error, match=problem):
        engine = machine_10.load(graph)
        try:
            engine.run(inputs_of(graph, 64, 64))
        finally:
            engine.close()


def test_a_closed_engine_says_so_and_holds_nothing(machine_10: Machine, driver: ctypes.CDLL) -> None:
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)))
    engine = machine_10.load(graph)
    for seed in range(3):
        engine.run(inputs_of(graph, 64, 64, seed))
    assert driver.fake_live() > 0
    engine.close()
    engine.close()
    assert driver.fake_live() == 0
    with pytest.raises(EngineFailed, match="closed"):
        engine.run(inputs_of(graph, 64, 64))


def test_an_engine_that_is_forgotten_holds_nothing(machine_10: Machine, driver: ctypes.CDLL) -> None:
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)))
    engine = machine_10.load(graph)
    engine.run(inputs_of(graph, 64, 64))
    assert driver.fake_live() > 0
    del engine
    gc.collect()
    assert driver.fake_live() == 0


def test_without_a_driver_tensorrt_is_not_even_imported(
    machine_10: Machine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Some of its libraries end a process without one."""
    monkeypatch.setattr(cuda_driver, "_LIBRARY", "libcuda-that-is-missing.so")
    monkeypatch.setattr(tensorrt_module, "find_tensorrt", None)
    with pytest.raises(EngineUnavailable, match="no CUDA driver answers here"):
        edgecodec.open_bundle(TINY, "tensorrt")
    assert capfd.readouterr() == ("", "")


def test_without_tensorrt_the_error_says_how_to_get_it() -> None:
    with pytest.raises(EngineUnavailable, match="TensorRT cannot be imported") as caught:
        edgecodec.open_bundle(TINY, "tensorrt")
    assert caught.value.hint and "JetPack" in caught.value.hint


def test_decoders_run_in_the_precision_that_plans_are_built_in(installed: Machine) -> None:
    assert engine_registry.preferred_precision(installed.engine) == "fp16"
    assert engine_registry.preferred_precision("auto") == "fp16"


# ---- auto ------------------------------------------------------------------------------------------------------------


def test_auto_takes_a_verified_plan(installed: Machine) -> None:
    installed.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)))
    engine = engine_registry.open_engine("auto", graph, Options())
    assert engine.describe().name == installed.engine
    engine.close()


@pytest.mark.parametrize(
    ("verification", "problem"),
    [
        (None, "not verified, and auto takes no other: not tried"),
        ("not verified: no GPU", "auto takes no other: not verified: no GPU"),
        ("failed: 9 levels", "did not give the golden pictures: failed: 9 levels"),
    ],
)
def test_auto_takes_no_other_plan_and_says_why(machine_10: Machine, verification: str | None, problem: str) -> None:
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)), verification=verification)
    description = engine_registry.open_engine("auto", graph, Options(threads=1)).describe()
    assert description.device == "cpu" and problem in dict(description.passed_over)["tensorrt"]


def test_auto_without_a_plan_decodes_on_the_processor(machine_10: Machine, coded: bytes, codec: Codec) -> None:
    with edgecodec.open_bundle(TINY, threads=1, one_shot=True) as opened:
        decoded = opened.decode(coded)
    assert decoded.engine.device == "cpu" and "tensorrt" in dict(decoded.engine.passed_over)
    np.testing.assert_allclose(decoded.pixels.astype(int), codec.decode(coded).pixels, atol=1)


def test_a_cache_where_nobody_can_look_has_no_plans(
    machine_10: Machine, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ("a" * 300)))
    with edgecodec.open_bundle(TINY, threads=1) as opened:
        assert "there is no plan of it" in dict(opened.decode(coded).engine.passed_over)["tensorrt"]


def test_a_named_engine_takes_what_nobody_has_tried_but_not_what_failed(machine_10: Machine) -> None:
    machine_10.store(graph := DECODERS[0], profile(graph, (64, 64), (64, 64)), verification=None)
    machine_10.load(graph).close()
    machine_10.store(graph, profile(graph, (64, 64), (64, 64)), verification="failed: 9 levels")
    assert "did not give the golden pictures" in refusal(machine_10).message


# ---- a folder of plans -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(machine_10: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of copies, as `edgecodec build -o` writes them; the cache is empty."""
    graph, made = DECODERS[0], tmp_path / "plans"
    plan = machine_10.store(graph, profile(graph, (64, 64), (64, 64)))
    write_copy(PlanCache.of_user(), plan, made, graph.path.name, force=False)
    made.chmod(0o700)
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setenv(choosing.FOLDER, str(made))
    return made


def test_a_folder_that_the_user_names_takes_the_place_of_the_cache(machine_10: Machine, folder: Path) -> None:
    engine = machine_10.load(graph := DECODERS[0])
    engine.run(inputs_of(graph, 64, 64))
    engine.close()


def test_copies_can_be_taken_whatever_the_umask_is(
    machine_10: Machine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, before = DECODERS[0], os.umask(0o002)
    try:
        plan = machine_10.store(graph, profile(graph, (64, 64), (64, 64)))
        write_copy(PlanCache.of_user(), plan, tmp_path / "more", graph.path.name, force=False)
    finally:
        os.umask(before)
    monkeypatch.setenv(choosing.FOLDER, str(tmp_path / "more"))
    machine_10.load(graph).close()


def changed(values: Mapping[str, Any], **key: Any) -> dict[str, Any]:
    return {**values, "key": {**values["key"], **key}}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda values: changed(values, graph="0" * 64), "another graph"),
        (lambda values: changed(values, tensorrt={"name": "tensorrt", "version": "8.6"}), "of TensorRT 8.6"),
        (lambda values: changed(values, target={**values["key"]["target"], "device": "X"}), "it is for X"),
        (lambda values: {**values, "file": "../other.plan"}, "no plan beside it|not describe a plan"),
        (lambda values: {**values, "sha256": "0" * 64}, "not the one that was stored"),
        (lambda values: {**values, "size": 1}, "is not the one that was stored"),
        (lambda values: {"key": 1}, "does not describe a plan"),
        (lambda values: {**values, "size": "1"}, "does not describe a plan"),
        (lambda values: {**values, "size": -5}, "does not describe a plan"),
        (lambda values: {**values, "size": 1 << 62}, "does not describe a plan"),
        (lambda values: {**values, "file": "a\0.plan"}, "does not describe a plan"),
        (lambda values: {**values, "file": 5}, "does not describe a plan"),
        (lambda values: {**values, "verification": 5}, "does not describe a plan"),
        (lambda values: {**values, "about": 5}, "does not describe a plan"),
        (lambda values: changed(values, schema=math.inf), "does not describe a plan"),
        (lambda values: changed(values, tensorrt={"name": "other", "version": "1"}), "it is of other 1"),
        (lambda values: changed(values, tensorrt={"name": ["a"], "version": "1"}), "does not describe a plan"),
        (lambda values: {**values, "verification": "failed: 9 levels"}, "did not give the golden pictures"),
    ],
)
def test_plans_of_a_folder_are_checked_like_those_of_the_cache(
    machine_10: Machine, folder: Path, change: Callable[[Any], Any], problem: str
) -> None:
    described = folder / f"{DECODERS[0].path.stem}.json"
    described.write_text(json.dumps(change(json.loads(described.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(EngineUnavailable, match=problem):
        machine_10.load(DECODERS[0])


def test_plans_that_others_may_write_to_are_refused(machine_10: Machine, folder: Path) -> None:
    folder.chmod(0o777)
    assert "can be written to by other users" in refusal(machine_10).message
    folder.chmod(0o700)
    (folder / f"{DECODERS[0].path.stem}.json").unlink()
    assert "cannot be read" in refusal(machine_10).message


def test_auto_takes_a_plan_of_a_folder_only_if_it_is_verified(machine_10: Machine, folder: Path) -> None:
    described, graph = folder / f"{DECODERS[0].path.stem}.json", DECODERS[0]
    values = json.loads(described.read_text(encoding="utf-8"))
    described.write_text(json.dumps({**values, "verification": None}), encoding="utf-8")
    description = engine_registry.open_engine("auto", graph, Options(threads=1)).describe()
    assert "auto takes no other: not tried" in dict(description.passed_over)["tensorrt"]
    described.write_text(json.dumps({**values, "verification": "verified"}), encoding="utf-8")
    engine = engine_registry.open_engine("auto", graph, Options(threads=1))
    assert engine.describe().name == "tensorrt"
    engine.close()


def test_a_plan_is_verified_that_was_built_and_no_other(machine_10: Machine, folder: Path) -> None:
    """Whatever is newer, is in the folder that the user names, or was found before."""
    graph, cache = DECODERS[0], PlanCache.of_user()
    built = machine_10.store(graph, profile(graph, (64, 64), (64, 128)), verification="failed: 9 levels")
    machine_10.store(graph, profile(graph, (64, 64), (128, 128)))
    with choosing.trying(cache, built):
        engine = machine_10.load(graph)
    assert engine.allowed_sizes() == (SizeRange(SideRange(64, 64, 64), SideRange(64, 128, 64)),)
    engine.close()
    with choosing.trying(cache, built):
        assert "it is of another graph" in refusal(machine_10, ANALYSIS).message


# ---- the fakes are true ----------------------------------------------------------------------------------------------


def test_what_the_fake_modules_have_is_there_in_a_real_one(driver: ctypes.CDLL) -> None:
    sys.modules.pop("tensorrt_rtx", None)
    real = pytest.importorskip("tensorrt_rtx")
    fake = fake_module("tensorrt_rtx", "1.7", driver, {})
    for kind in ("Runtime", "ICudaEngine", "IExecutionContext"):
        for name in vars(getattr(fake, kind)):
            assert name.startswith("_") or hasattr(getattr(real, kind), name), f"{kind}.{name}"
    for kind in ("DataType", "TensorIOMode", "TensorLocation"):
        assert set(getattr(fake, kind).__members__) <= set(getattr(real, kind).__members__)
    assert real.nptype(real.uint8) is np.uint8 and real.nptype(real.float32) is np.float32
    assert [each.name for each in fake.ILogger.Severity] == list(real.ILogger.Severity.__members__)


REAL = """
import sys
from edgecodec_engines import cuda_memory, tensorrt
from edgecodec_engines.tensorrt_plans import cuda_driver

class Graph:
    path = type("Path", (), {"name": "graph.onnx"})
    inputs = outputs = scalars = ()
    size = None

import tensorrt_rtx
from edgecodec_engines.tensorrt_plans.plan_key import TensorRT
cuda_memory._LIBRARY = sys.argv[1]
gpu = cuda_memory.Gpu()
try:
    with gpu.current():
        tensorrt._Plan(gpu, tensorrt_rtx, TensorRT("tensorrt_rtx", tensorrt_rtx.__version__), b"no plan", Graph)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_real_tensorrt_refuses_what_is_no_plan_in_its_own_words(driver: ctypes.CDLL) -> None:
    """Without a GPU it refuses every plan. In a process of its own, which ends by itself."""
    sys.modules.pop("tensorrt_rtx", None)
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("tensorrt_rtx is not installed")
    command = [sys.executable, "-c", REAL, driver._name]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=True)
    assert re.match(r"EngineUnavailable graph\.onnx: TensorRT-RTX [0-9.]+ refuses the plan: ", ran.stdout), ran.stdout
    assert "it does not say why" not in ran.stdout and ran.stderr == ""
