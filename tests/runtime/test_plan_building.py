"""A plan is built in a process of its own: whatever becomes of that, the command lives and nothing is half-written."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgecodec.bundle import Bundle
from edgecodec.engine import Graph
from edgecodec.errors import EdgecodecError, EngineFailed, EngineUnavailable, OutOfMemory
from edgecodec.loading import graph_of
from edgecodec_engines.tensorrt_plans import building
from edgecodec_engines.tensorrt_plans.building import Built, Progress, build
from edgecodec_engines.tensorrt_plans.plan_cache import PlanCache
from edgecodec_engines.tensorrt_plans.plan_key import BuildOptions, PlanKey, Target, TensorRT, graph_sha256
from edgecodec_engines.tensorrt_plans.planning import PlanWish, plan_key, wanted_graphs
from edgecodec_engines.tensorrt_plans.profiles import PictureSizes, ShapeRange, Size
from edgecodec_engines.tensorrt_plans.tensorrt_module import find_tensorrt, target_of
from support.paths import ENVIRONMENT, TINY
from support.plans import KEY, fake_polygraphy, needs_tensorrt, tiny_graph

SIZES = PictureSizes(None, Size(64, 64), Size(128, 128))
HANG = "import time; time.sleep(600)"

Builder = Callable[..., Built]


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


@pytest.fixture
def misbehaving(cache: PlanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    """Builds with a process that runs this code as soon as it wants to build."""

    def run(code: str, key: PlanKey = KEY, limit: float | None = 60.0) -> Built:
        monkeypatch.syspath_prepend(str(fake_polygraphy(tmp_path / "fake", code)))
        return build(cache, key, tiny_graph(), {}, limit=limit)

    return run


def test_modules_of_the_current_folder_are_not_taken(
    misbehaving: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "json.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path / "bundle")
    with pytest.raises(EngineFailed, match="builds no plan of the graph: its own words"):
        misbehaving("raise ValueError('its own words')")


def _tiny_key(graph: Graph) -> PlanKey:
    bundle = Bundle(TINY)
    number = next(n for n, each in enumerate(bundle.info.graphs) if each.file == graph.path.name)
    tensorrt, _ = find_tensorrt("tensorrt_rtx")
    return plan_key(bundle, number, graph, PlanWish(SIZES), tensorrt, target_of(tensorrt, None))


def _left_in(cache: PlanCache) -> list[str]:
    return [path.name for path in cache.folder.iterdir() if path.name != "lock"]


def _children() -> list[str]:
    """Processes that this one has started and that still run."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    return [line for line in listed.stdout.splitlines() if "builder_process" in line]


# ---- builders that fail ----


@pytest.mark.parametrize(
    ("code", "error", "complaint"),
    [
        (
            "import os; os.kill(os.getpid(), 11)",
            EngineFailed,
            r"TensorRT-RTX 1.7.1.116 crashed while building \(SIGSEGV\)",
        ),
        ("import os; os.abort()", EngineFailed, r"crashed while building \(SIGABRT\)"),
        ("import os; os.kill(os.getpid(), 9)", OutOfMemory, "most likely for memory"),
        ("raise ValueError('no such layer')", EngineFailed, "builds no plan of the graph: no such layer"),
        ("import os; os.write(2, b'a\\nlast words\\n\\n'); os._exit(3)", EngineFailed, "builds no plan .*: last words"),
        ("import os; os._exit(0)", EngineFailed, "builds no plan of the graph: it said nothing"),
    ],
)
def test_a_builder_that_dies_is_an_error_that_says_how(
    cache: PlanCache, misbehaving: Builder, code: str, error: type[EdgecodecError], complaint: str
) -> None:
    with pytest.raises(error, match=complaint) as caught:
        misbehaving(code)
    assert caught.value.where == tiny_graph().path.name
    assert _left_in(cache) == []


def test_int8_that_does_not_build_has_advice(misbehaving: Builder) -> None:
    with pytest.raises(EngineFailed) as caught:
        misbehaving("raise ValueError('could not infer output types')", replace(KEY, precision="int8"))
    assert caught.value.hint == "use --precision fp16"


def test_a_builder_that_hangs_is_ended(cache: PlanCache, misbehaving: Builder) -> None:
    start = time.monotonic()
    with pytest.raises(EngineFailed, match=r"was not done after \d+ seconds") as caught:
        misbehaving(HANG, limit=0.5)
    assert time.monotonic() - start < 20
    assert "--minutes" in str(caught.value.hint)
    assert _left_in(cache) == []
    assert _children() == []


def test_a_silent_builder_is_reported_with_the_time(
    cache: PlanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "HEARTBEAT", 0.1)
    monkeypatch.syspath_prepend(str(fake_polygraphy(tmp_path / "fake", HANG)))
    heard: list[Progress] = []
    with pytest.raises(EngineFailed):
        build(cache, KEY, tiny_graph(), {}, limit=0.6, report=heard.append)
    assert len(heard) >= 2
    assert sorted(each.seconds for each in heard) == [each.seconds for each in heard]


def test_an_exception_in_a_report_ends_the_builder(
    cache: PlanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "HEARTBEAT", 0.1)
    monkeypatch.syspath_prepend(str(fake_polygraphy(tmp_path / "fake", HANG)))
    with pytest.raises(KeyboardInterrupt):
        build(cache, KEY, tiny_graph(), {}, report=interrupt)
    assert _left_in(cache) == []
    assert _children() == []


def test_a_builder_ends_with_a_parent_that_was_killed(cache: PlanCache, tmp_path: Path) -> None:
    fake = fake_polygraphy(
        tmp_path / "fake",
        f"import os; print(os.getpid(), file=open({str(tmp_path / 'pid')!r}, 'w'), flush=True)\n{HANG}",
    )
    code = f"""
import sys
sys.path.insert(0, {str(fake)!r})
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from pathlib import Path
from edgecodec_engines.tensorrt_plans.building import build
from edgecodec_engines.tensorrt_plans.plan_cache import PlanCache
from support.plans import KEY, tiny_graph
build(PlanCache(Path(sys.argv[1])), KEY, tiny_graph(), {{}})
"""
    with subprocess.Popen([sys.executable, "-c", code, str(cache.folder)], env=ENVIRONMENT) as parent:
        try:
            builder = _wait_for(lambda: int((tmp_path / "pid").read_text()))
        finally:
            parent.kill()
    assert _wait_for(lambda: _has_ended(builder))


def _wait_for(value: Callable[[], int]) -> int:
    """The value as soon as it can be had and is not 0."""
    for _ in range(300):
        with contextlib.suppress(OSError, ValueError):
            if found := value():
                return found
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def _has_ended(process: int) -> bool:
    """Also where nobody has asked for its status yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_without_polygraphy_the_extra_is_named(cache: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailable, match="polygraphy") as caught:
        build(cache, KEY, tiny_graph(), {})
    assert caught.value.hint == "pip install 'edgecodec[tensorrt]'"


@pytest.mark.parametrize("name", ["../weights.bin", "/tmp/weights.bin", "a/../../b"])
def test_weights_are_written_into_the_work_folder_alone(
    cache: PlanCache, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "find_spec", lambda name: name)  # no builder is started
    graph = replace(tiny_graph(), weights={name: b"1"})
    with pytest.raises(EngineFailed, match="has weights in"):
        build(cache, KEY, graph, {})
    assert _left_in(cache) == []


#: A builder that is done at once. Its plan is what was measured before.
MEASURING = """
import json, os, sys
from pathlib import Path
work, pipe = Path(sys.argv[1]), int(sys.argv[2])
request = json.loads((work / "request.json").read_text())
timings = work / "timings"
before = timings.read_bytes() if timings.exists() else b"nothing"
(work / "plan").write_bytes(before)
timings.write_bytes(request["tensorrt"].encode())
facts = {"layers": 7, "memory": 8, "workspace": request["workspace"]}
for line in ({"phase": "a", "share": 0.5}, {"warning": "odd"}, {"facts": facts}):
    os.write(pipe, json.dumps(line).encode() + b"\\n")
os._exit(0)
"""


def test_what_was_measured_helps_the_next_build_for_the_same_target(
    cache: PlanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(fake_polygraphy(tmp_path / "fake", MEASURING)))
    key = replace(KEY, tensorrt=TensorRT("tensorrt", "10.3.0.30"), target=Target("Orin", "8.7"))
    other_target = replace(key, target=Target("Thor", "11.0"))
    other_version = replace(key, tensorrt=TensorRT("tensorrt", "10.3.0.31"))
    other_graph = replace(key, graph="0" * 64)
    for each, before in (
        (key, b"nothing"),
        (other_target, b"nothing"),
        (other_version, b"nothing"),
        (other_graph, b"tensorrt"),
    ):
        assert cache.load(build(cache, each, tiny_graph(), {}).plan) == before


def test_what_the_builder_says_is_told(cache: PlanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(fake_polygraphy(tmp_path / "fake", MEASURING)))
    heard: list[Progress] = []
    built = build(cache, replace(KEY, options=BuildOptions(1 << 30)), tiny_graph(), {"a": 1}, report=heard.append)
    assert [(each.phase, each.share) for each in heard] == [("a", 0.5)]
    assert (built.warnings, built.layers, built.memory) == (("odd",), 7, 8)
    assert built.plan.about["a"] == 1
    assert built.plan.about["workspace"] == 1 << 30


# ---- real ones ----


@needs_tensorrt
def test_a_decoder_becomes_a_plan(cache: PlanCache) -> None:
    graph = tiny_graph()
    key = _tiny_key(graph)
    heard: list[Progress] = []
    built = build(cache, key, graph, {"graph": "a"}, report=heard.append)
    assert built.warnings == ()
    assert built.layers > 50
    assert built.memory > 1 << 26
    assert cache.find(key) == built.plan
    assert len(cache.load(built.plan)) == built.plan.size > len(graph.data)
    assert built.plan.about["graph"] == "a"
    assert [each.phase for each in heard] == sorted(each.phase for each in heard) != []
    shares = [each.share for each in heard]
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1
    assert key.graph == graph_sha256(graph)
    assert not list(cache.folder.glob("*.timings"))  # TensorRT-RTX measures nothing


@needs_tensorrt
def test_weights_in_files_of_their_own_become_part_of_the_plan(cache: PlanCache) -> None:
    onnx = pytest.importorskip("onnx")
    graph = tiny_graph()
    model = onnx.load_from_string(graph.data)
    weights = b""
    for tensor in model.graph.initializer:
        data = tensor.raw_data
        if len(data) < 1024:
            continue
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for name, value in {"location": "weights/a.bin", "offset": len(weights), "length": len(data)}.items():
            tensor.external_data.add(key=name, value=str(value))
        weights += data
    outside = replace(graph, data=model.SerializeToString(), weights={"weights/a.bin": memoryview(weights)})
    assert len(weights) > len(outside.data)
    built = build(cache, _tiny_key(graph), outside, {})
    assert built.warnings == ()
    assert built.plan.size > len(weights)


@needs_tensorrt
def test_sizes_knobs_and_noise_become_inputs_of_plans(cache: PlanCache, tmp_path: Path) -> None:
    from support import make_bundles
    from support.index_file import GREY

    recipe = replace(
        make_bundles.with_noise(),
        analysis=[make_bundles.analysis(grey=True, scalar_shape=[1])],
        padding=(make_bundles.BLOCK, 1, GREY),
    )
    bundle = Bundle(recipe.write(tmp_path / "a.bundle"))
    tensorrt, _ = find_tensorrt("tensorrt_rtx")
    wish = PlanWish(SIZES, ("decode", "encode"))
    for number in wanted_graphs(bundle.info, wish):
        graph = graph_of(bundle, number)
        key = plan_key(bundle, number, graph, wish, tensorrt, target_of(tensorrt, None))
        assert build(cache, key, graph, {}).warnings == ()


@needs_tensorrt
def test_what_is_no_graph_is_refused_with_the_reason(cache: PlanCache) -> None:
    with pytest.raises(EngineFailed, match=r"TensorRT-RTX [\d.]+ builds no plan of the graph: .*[Pp]arse"):
        build(cache, KEY, replace(tiny_graph(), data=b"no graph"), {})
    assert _left_in(cache) == []


@needs_tensorrt
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"z": ShapeRange((1, 7, 1, 1), (1, 7, 1, 1), (1, 7, 2, 2))}, r"promises input 'z' of shape \[1, 7, 1, 1\]"),
        (
            {"z": ShapeRange((1, 8), (1, 8), (1, 8))},
            r"promises input 'z' of shape \[1, 8\], the graph has \[1, 8, -1, -1\]",
        ),
        ({"x": ShapeRange((1,), (1,), (1,))}, r"promises inputs \['r', 'x', 'z'\], the graph has \['r', 'z'\]"),
    ],
)
def test_a_graph_that_breaks_the_promises_of_the_index_is_refused(
    cache: PlanCache, change: dict[str, ShapeRange], complaint: str
) -> None:
    key = _tiny_key(tiny_graph())
    with pytest.raises(EngineFailed, match=complaint):
        build(cache, replace(key, profile={**key.profile, **change}), tiny_graph(), {})
    assert _left_in(cache) == []


# ---- signals ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_its_builder(tmp_path: Path, number: signal.Signals) -> None:
    fake = fake_polygraphy(
        tmp_path / "fake",
        f"import os; print(os.getpid(), file=open({str(tmp_path / 'pid')!r}, 'w'), flush=True)\n{HANG}",
    )
    (fake / "tensorrt.py").write_text("__version__ = '10.3.0'")
    (fake / "driver.py").write_text(
        "from edgecodec_engines.tensorrt_plans import cuda_driver\n"
        "cuda_driver.first_device = lambda: cuda_driver.Device('Orin', '8.7', 16, '12.6')\n"
        "from edgecodec import cli\ncli.main()\n"
    )
    environment = {
        **ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join([str(fake), ENVIRONMENT["PYTHONPATH"]]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def listen() -> None:
        signal.signal(number, signal.SIG_DFL)

    with subprocess.Popen(
        [sys.executable, "-m", "driver", "build", str(TINY), "--alpha", "1"], env=environment, preexec_fn=listen
    ) as command:
        builder = _wait_for(lambda: int((tmp_path / "pid").read_text()))
        command.send_signal(number)
        assert command.wait(20) == 128 + number
    assert not Path(f"/proc/{builder}").exists()
    assert _left_in(PlanCache(tmp_path / "cache" / "edgecodec" / "plans")) == []
