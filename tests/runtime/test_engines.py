"""A named engine is that engine or an error, `auto` says what it took, and broken promises are errors."""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import edgecodec
from edgecodec import engine_registry
from edgecodec.engine import Graph, NativeEngine, Options, Port, SideRange, SizeRange
from edgecodec.errors import EngineFailed, EngineUnavailable, InvalidArgument, OutOfMemory, OutOfRange
from edgecodec.loading import LoadedGraphs
from edgecodec.native_engine import NativeGraphs
from edgecodec_engines import onnxruntime as backend
from edgecodec_engines.openvino import OpenVino
from edgecodec_engines.stub import Stub
from support.command_line import run_command
from support.engines import REAL_ENGINES, needs_openvino
from support.paths import ENVIRONMENT, TINY

IMAGE = Port("image", 3, 1)
LATENTS = (Port("z", 8, 64), Port("r", 8, 16))
ANALYSIS = Graph(TINY / "analysis.onnx", (TINY / "analysis.onnx").read_bytes(), (IMAGE,), LATENTS)
FOUND = backend._package_library
WARNING, FATAL = 2, 4
#: What `auto` tries before ONNX Runtime on the processor.
BEFORE_THE_PROVIDERS = ["tensorrt", "tensorrt:rtx"]
BEFORE_THE_PROCESSOR = ["openvino"] if platform.machine() in ("x86_64", "AMD64") else []
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class FakeRuntime:
    """An onnxruntime whose CUDA provider is installed, and starts or is silently replaced by the processor."""

    __version__ = "1.23.2"

    def __init__(self, starts: bool) -> None:
        self._starts = starts
        self.severities = [WARNING]

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def set_default_logger_severity(self, severity: int) -> None:
        self.severities.append(severity)

    class SessionOptions(SimpleNamespace):
        def add_session_config_entry(self, key: str, value: str) -> None:
            setattr(self, key, value)

        def add_external_initializers(self, names: list[str], values: list[Any]) -> None:
            pass

    def InferenceSession(self, data: bytes, sess_options: Any, providers: list[Any], enable_fallback: int) -> Any:
        names = [each if isinstance(each, str) else each[0] for each in providers]
        assert self.severities[-1] == (WARNING if names == [CPU] else FATAL)
        running = names if self._starts or names == [CPU] else [CPU]
        image = SimpleNamespace(name=IMAGE.name, type="tensor(uint8)")
        latents = [SimpleNamespace(name=port.name, type="tensor(float)") for port in LATENTS]
        ports = {"get_inputs": [image], "get_outputs": latents, "get_providers": running}
        calls = {name: lambda value=value: value for name, value in ports.items()}
        return SimpleNamespace(**calls)


@pytest.fixture
def no_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed."""

    def require(variant: str) -> None:
        raise EngineUnavailable("OpenVINO is not installed", hint="pip install 'edgecodec[openvino]'")

    monkeypatch.setattr(OpenVino, "require", require)


@pytest.fixture(params=[True, False], ids=["starts", "falls back"])
def cuda_starts(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, python_backend: None, no_openvino: None
) -> bool:
    monkeypatch.setattr(backend, "import_runtime", lambda: FakeRuntime(request.param))
    return bool(request.param)


def test_a_named_provider_never_falls_back(cuda_starts: bool) -> None:
    if cuda_starts:
        assert engine_registry.open_engine("onnxruntime:cuda", ANALYSIS, Options()).describe().device == "cuda"
    else:
        with pytest.raises(EngineUnavailable, match="would run on CPUExecutionProvider"):
            engine_registry.open_engine("onnxruntime:cuda", ANALYSIS, Options())


def test_auto_takes_the_fastest_that_starts_and_says_why(cuda_starts: bool) -> None:
    description = engine_registry.open_engine("auto", ANALYSIS, Options()).describe()
    assert description.name == ("onnxruntime:cuda" if cuda_starts else "onnxruntime")
    passed_over = [name for name, _ in description.passed_over]
    providers = [] if cuda_starts else ["onnxruntime:cuda", *BEFORE_THE_PROCESSOR]
    assert passed_over == [*BEFORE_THE_PROVIDERS, *providers]


@needs_openvino
@pytest.mark.skipif(not BEFORE_THE_PROCESSOR, reason="on this processor auto does not take it")
@pytest.mark.parametrize("one_shot", [False, True])
def test_auto_takes_openvino_for_more_than_one_shot(coded: bytes, one_shot: bool) -> None:
    with edgecodec.open_bundle(TINY, threads=1, one_shot=one_shot) as codec:
        engine = codec.decode(coded).engine
    assert engine.name == ("onnxruntime" if one_shot else "openvino")
    passed_over = dict(engine.passed_over)
    assert ("starting takes longer" in passed_over["openvino"]) if one_shot else "openvino" not in passed_over


@needs_openvino
@pytest.mark.skipif(not BEFORE_THE_PROCESSOR, reason="on this processor auto does not take it")
def test_the_command_line_knows_how_many_pictures_there_are(coded: bytes, tmp_path: Path) -> None:
    for name in ("a.edgc", "b.edgc"):
        (tmp_path / name).write_bytes(coded)
    for files, engine in ((["a.edgc"], "onnxruntime"), (["a.edgc", "b.edgc"], "openvino")):
        command = [sys.executable, "-m", "edgecodec", "decode", *files, "-b", str(TINY), "--force", "-v", "-j1"]
        done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
        assert f"engine: {engine} " in done.stderr
        assert ("not openvino: starting takes longer" in done.stderr) == (len(files) == 1)


@pytest.mark.usefixtures("no_openvino")
def test_auto_takes_what_starts_slowly_for_one_shot_where_nothing_else_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    if BEFORE_THE_PROCESSOR:
        monkeypatch.setattr(OpenVino, "require", lambda variant: None)
        monkeypatch.setattr(OpenVino, "load", lambda *arguments: Stub(ANALYSIS))
        for one_shot in (False, True):
            engine = engine_registry.open_engine("auto", ANALYSIS, Options(one_shot=one_shot))
            assert engine.describe().name == "stub"


@pytest.mark.usefixtures("python_backend")
@pytest.mark.parametrize(
    ("one_shot", "size", "engine", "level"),
    [
        (True, 11, "onnxruntime", "none"),
        (True, 10, "onnxruntime", None),
        (False, 11, "onnxruntime", None),
        (True, 11, "onnxruntime:cuda", None),
    ],
)
def test_large_weights_are_not_optimised_for_one_picture(
    one_shot: bool,
    size: int,
    engine: str,
    level: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    levels = []

    class Runtime(FakeRuntime):
        GraphOptimizationLevel = SimpleNamespace(ORT_DISABLE_ALL="none")

        def InferenceSession(self, data: bytes, sess_options: Any, providers: list[str], enable_fallback: int) -> Any:
            levels.append(getattr(sess_options, "graph_optimization_level", None))
            return super().InferenceSession(data, sess_options, providers, enable_fallback)

    monkeypatch.setattr(backend, "import_runtime", lambda: Runtime(starts=True))
    monkeypatch.setattr(backend, "_LARGE_WEIGHTS", 10)
    graph = replace(ANALYSIS, weights={"weights/a.bin": bytes(size)})
    engine_registry.open_engine(engine, graph, Options(one_shot=one_shot))
    assert levels == [level]


@pytest.mark.usefixtures("python_backend")
def test_the_log_of_the_process_is_silent_only_while_a_provider_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor needs no silence, and a host may listen."""
    for starts in (True, False):
        runtime = FakeRuntime(starts)
        monkeypatch.setattr(backend, "import_runtime", lambda runtime=runtime: runtime)
        engine_registry.open_engine("onnxruntime", ANALYSIS, Options())
        assert runtime.severities == [WARNING]
        engine_registry.open_engine("auto", ANALYSIS, Options())
        assert runtime.severities == [WARNING, FATAL, WARNING]


@pytest.mark.usefixtures("no_openvino")
def test_auto_without_any_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineUnavailable) as caught:
        engine_registry.open_engine("auto", ANALYSIS, Options())
    assert "edgecodec[ort]" in (caught.value.hint or "")
    with pytest.raises(EngineUnavailable):
        edgecodec.open_bundle(TINY, "onnxruntime")


def test_a_broken_onnxruntime_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for broken in ("raise OSError('libcudart.so.12: no such file')", "raise AttributeError('_ARRAY_API')", ""):
        (tmp_path / "onnxruntime.py").write_text(broken)
        monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
        importlib.invalidate_caches()
        with pytest.raises(EngineUnavailable, match="ONNX Runtime"):
            engine_registry.require_engine("onnxruntime")
        sys.modules.pop("onnxruntime", None)
        (tmp_path / "onnxruntime.py").unlink()


@pytest.mark.usefixtures("python_backend")
def test_an_old_onnxruntime_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.__version__", "1.17.3")
    with pytest.raises(EngineUnavailable, match=r"1\.17\.3 is too old"):
        engine_registry.require_engine("onnxruntime")


@pytest.mark.usefixtures("python_backend")
@pytest.mark.parametrize("version", ["1.18.0rc1", "1.22rc1", "1.100+cu12", "2.0.dev20260101"])
def test_versions_before_and_between_releases_will_do(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr("onnxruntime.__version__", version)
    engine_registry.require_engine("onnxruntime")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a package onnxruntime with these libraries in front of the real one."""
    folder = tmp_path / "onnxruntime" / "capi"
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    def install(*libraries: str) -> None:
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("raise ImportError('it was imported')")
        for name in libraries:
            (folder / name).touch()

    return install


@pytest.mark.parametrize(
    ("library", "taken"),
    [
        ("libonnxruntime.so.1.20.0", True),
        ("libonnxruntime.so.1.100.1", True),
        ("libonnxruntime.so.2.0.0", True),
        ("libonnxruntime.so.1.19.2", False),
        ("libonnxruntime.so.1.9.0", False),
        ("libonnxruntime.so.dev", False),
        ("libonnxruntime_providers_shared.so", False),
    ],
)
def test_the_native_library_takes_a_package_by_the_version_of_its_library(
    installed: Callable[..., None], tmp_path: Path, library: str, taken: bool
) -> None:
    installed(library)
    path = tmp_path / "onnxruntime" / "capi" / library
    assert backend.native("") == (NativeEngine("onnxruntime", path) if taken else None)
    assert backend.native("cuda") is None and backend.native("tensorrt") is None


@pytest.mark.usefixtures("no_openvino")
def test_auto_passes_over_cuda_where_the_package_has_none(installed: Callable[..., None]) -> None:
    """Without importing the package."""
    installed("libonnxruntime.so.1.20.0")
    found, passed_over = engine_registry.native_engine("auto")
    assert found is not None
    assert [name for name, _ in passed_over] == [*BEFORE_THE_PROVIDERS, "onnxruntime:cuda", *BEFORE_THE_PROCESSOR]
    with pytest.raises(EngineUnavailable, match="has no CUDAExecutionProvider"):
        engine_registry.require_engine("onnxruntime:cuda")


def test_both_ways_to_onnxruntime_give_the_same(
    coded: bytes, pixels: npt.NDArray[np.uint8], python_backend: None
) -> None:
    with edgecodec.open_bundle(TINY, "onnxruntime", threads=1) as codec:
        assert isinstance(codec.graphs, LoadedGraphs)
        assert codec.encode(pixels).data == coded
        decoded = codec.decode(coded)
    with pytest.MonkeyPatch.context() as other:
        other.setattr(backend, "_package_library", FOUND)
        if backend.native("") is None:
            pytest.skip("this ONNX Runtime comes without its shared library")
        with edgecodec.open_bundle(TINY, "onnxruntime", threads=1) as codec:
            assert isinstance(codec.graphs, NativeGraphs)
            natively = codec.decode(coded)
    np.testing.assert_array_equal(decoded.pixels, natively.pixels)
    assert decoded.engine == natively.engine


@pytest.mark.parametrize("name", ["", "cuda", "onnxruntime:", "onnxruntime:cpu", "Stub", "tensorflow"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(InvalidArgument):
        edgecodec.open_bundle(TINY, name)


@pytest.mark.parametrize("name", [*REAL_ENGINES, "stub"])
def test_a_closed_engine_says_so(name: str) -> None:
    engine = engine_registry.open_engine(name, ANALYSIS, Options(threads=1))
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.run({"image": np.zeros((64, 64, 3), np.uint8)})


@pytest.mark.parametrize("name", REAL_ENGINES)
def test_a_graph_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(EngineFailed) as caught:
        engine_registry.open_engine(name, Graph(tmp_path / "bad.onnx", b"not a graph", (IMAGE,), LATENTS), Options())
    assert caught.value.where == "bad.onnx"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", REAL_ENGINES)
def test_a_graph_with_other_names(name: str) -> None:
    with pytest.raises(EngineFailed, match="the index promises"):
        engine_registry.open_engine(name, replace(ANALYSIS, outputs=(Port("q", 8, 16),)), Options())


@pytest.mark.parametrize("name", REAL_ENGINES)
def test_a_failing_run_is_typed_and_silent(capfd: pytest.CaptureFixture[str], name: str) -> None:
    engine = engine_registry.open_engine(name, ANALYSIS, Options(threads=1))
    with pytest.raises(EngineFailed):
        engine.run({"image": np.zeros((64, 64), np.uint8)})
    assert capfd.readouterr() == ("", "")


def test_a_provider_that_fails_in_the_middle_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

    class Failing:
        def __init__(self, session: Any) -> None:
            self._session = session

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

        def run(self, *arguments: Any) -> None:
            raise EPFail("it fell off the bus")

    engine: Any = engine_registry.open_engine("onnxruntime", ANALYSIS, Options(threads=1))
    monkeypatch.setattr(engine._session, "_sess", Failing(engine._session._sess))
    with pytest.raises(EngineFailed, match="fell off the bus"):
        engine.run({"image": np.zeros((64, 64, 3), np.uint8)})
    assert capfd.readouterr() == ("", "")


def test_a_session_that_fails_to_start_is_silent(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime would announce a second try on standard output, and make it."""
    tries: list[None] = []

    def fail(*arguments: Any) -> None:
        tries.append(None)
        raise RuntimeError("an odd graph")

    monkeypatch.setattr("onnxruntime.InferenceSession._create_inference_session", fail)
    with pytest.raises(EngineFailed, match="an odd graph"):
        engine_registry.open_engine("onnxruntime", ANALYSIS, Options())
    assert capfd.readouterr() == ("", "") and len(tries) == 1


@pytest.mark.parametrize("place", ["load", "run"])
def test_too_little_memory_is_said_to_be_that(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise MemoryError("std::bad_alloc")

    engine = engine_registry.open_engine("onnxruntime", ANALYSIS, Options(threads=1))
    step = {"load": "_create_inference_session", "run": "run"}[place]
    monkeypatch.setattr(f"onnxruntime.InferenceSession.{step}", fail)
    with pytest.raises(OutOfMemory):
        if place == "load":
            engine_registry.open_engine("onnxruntime", ANALYSIS, Options())
        else:
            engine.run({"image": np.zeros((64, 64, 3), np.uint8)})


def test_a_bundle_in_a_folder_whose_name_is_no_text(tmp_path: Path, coded: bytes) -> None:
    folder = f"{tmp_path}/\udcff.bundle"
    try:
        shutil.copytree(TINY, folder)
    except OSError:
        pytest.skip("this system has no such names")
    for engine in ("stub", "onnxruntime"):
        with edgecodec.open_bundle(folder, engine) as codec:
            assert codec.decode(coded).pixels.shape == (64, 96, 3)


def test_a_failing_run_names_the_picture(coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Stub, inputs: Any) -> Any:
        raise EngineFailed("is out of order")

    (tmp_path / "a.edgc").write_bytes(coded)
    monkeypatch.setattr(Stub, "run", fail)
    codec = edgecodec.open_bundle(TINY, "stub")
    with pytest.raises(EngineFailed) as caught:
        codec.decode(tmp_path / "a.edgc")
    (returned,) = codec.decode_many([tmp_path / "a.edgc"], errors="return")
    assert isinstance(returned, EngineFailed)
    assert caught.value.where == returned.where == str(tmp_path / "a.edgc")


@pytest.mark.parametrize(
    ("value", "error"),
    [(np.nan, EngineFailed), (np.inf, OutOfRange), (-np.inf, OutOfRange), (32768, OutOfRange), (-32769, OutOfRange)],
)
def test_latents_that_cannot_be_coded(monkeypatch: pytest.MonkeyPatch, value: float, error: type[Exception]) -> None:
    run = Stub.run

    def run_badly(self: Stub, inputs: Any) -> Any:
        outputs = run(self, inputs)
        outputs["r"].reshape(-1)[7] = value
        return outputs

    monkeypatch.setattr(Stub, "run", run_badly)
    with pytest.raises(error):
        edgecodec.open_bundle(TINY, "stub").encode(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("value", [-32000, 32000])
def test_wide_latents_survive(monkeypatch: pytest.MonkeyPatch, value: int) -> None:
    run = Stub.run

    def run_widely(self: Stub, inputs: Any) -> Any:
        outputs = run(self, inputs)
        outputs["r"].reshape(-1)[7] = value
        return outputs

    with monkeypatch.context() as patched:
        patched.setattr(Stub, "run", run_widely)
        codec = edgecodec.open_bundle(TINY, "stub")
        data = codec.encode(np.zeros((64, 64, 3), np.uint8)).data
    assert codec.decode_latents(data)["r"].reshape(-1)[7] == value


NO_IMAGES: list[Any] = [
    np.zeros((64, 64), np.uint8),
    np.zeros((64, 64, 3)),
    np.zeros((0, 0, 3), np.uint8),
    np.full((64, 64, 3), "x"),
    [np.zeros((64, 64, 3), np.uint8)],
    {"image": np.zeros((64, 64, 3), np.uint8)},
    None,
    7,
]


@pytest.mark.parametrize("wrong", NO_IMAGES)
def test_pictures_of_another_kind_are_refused(coded: bytes, monkeypatch: pytest.MonkeyPatch, wrong: Any) -> None:
    monkeypatch.setattr(Stub, "run", lambda self, inputs: {"image": wrong})
    with pytest.raises(EngineFailed, match=r"synthesis-alpha1\.onnx"):
        edgecodec.open_bundle(TINY, "stub").decode(coded)


NO_LATENTS: list[Callable[[Any], Any]] = [
    lambda latent: latent.astype(np.float64),
    lambda latent: latent.astype(np.int16),
    lambda latent: latent.astype(str),
    lambda latent: latent[0],
    lambda latent: latent[..., :-1],
    lambda latent: [latent],
    lambda latent: None,
]


@pytest.mark.parametrize("wrong", NO_LATENTS)
def test_latents_of_another_kind_are_refused(wrong: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = Stub.run
    monkeypatch.setattr(Stub, "run", lambda self, inputs: {**run(self, inputs), "r": wrong(run(self, inputs)["r"])})
    with pytest.raises(EngineFailed, match=r"analysis\.onnx: gave .* for 'r', not float32 \(1, "):
        edgecodec.open_bundle(TINY, "stub").encode(np.zeros((64, 64, 3), np.uint8))


def test_an_output_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stub, "run", lambda self, inputs: {})
    with pytest.raises(EngineFailed, match="gave no '"):
        edgecodec.open_bundle(TINY, "stub").encode(np.zeros((64, 64, 3), np.uint8))


def test_backends_describe_themselves_without_their_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import sys
sys.modules.update(onnxruntime=None, openvino=None, numpy=None)
from edgecodec import engine_registry
print(*engine_registry.engine_names())
"""
    names = subprocess.check_output([sys.executable, "-c", code], env=ENVIRONMENT, text=True).split()
    onnxruntime, openvino = ["onnxruntime", "onnxruntime:cuda", "onnxruntime:tensorrt"], ["openvino", "openvino:bf16"]
    assert names == ["auto", *onnxruntime, *openvino, "openvino:gpu", "tensorrt", "tensorrt:rtx"]
    help_text = run_command("decode", "--help").output.decode()
    assert ", ".join(names[:-1]) + " or tensorrt:rtx." in re.sub(r"\s+", " ", help_text)


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(InvalidArgument, match="did you mean 'onnxruntime:cuda'"):
        engine_registry.require_engine("onnxruntime:cudo")
    with pytest.raises(InvalidArgument, match="the engines are auto, onnxruntime, ") as caught:
        engine_registry.require_engine("abacus")
    assert "stub" not in str(caught.value)


def test_the_command_line_takes_engines_for_tests_only_where_it_is_told_to(
    coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.edgc").write_bytes(coded)
    command = [sys.executable, "-m", "edgecodec", "decode", "a.edgc", "-b", str(TINY), "--engine", "stub"]
    told = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0 and (tmp_path / "a.png").exists()
    untold = {name: value for name, value in ENVIRONMENT.items() if name != "EDGECODEC_TEST_ENGINES"}
    refused = subprocess.run(command, cwd=tmp_path, env=untold, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 2 and "there is no engine 'stub'" in refused.stderr
    assert "stub" not in refused.stderr.replace("'stub'", "")


PLUGIN = """
from edgecodec.engine import Backend, Variant
from edgecodec_engines.stub import Stub

class Abacus(Stub):
    def describe(self):
        return type(super().describe())("abacus:fast", "1", "beads")

BACKEND = Backend("abacus", (Variant("fast", "beads", auto_rank=None),), Abacus)
NOTHING = "no backend"
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an installed package with a backend of its own; its entry points."""
    (tmp_path / "abacus_engine.py").write_text(PLUGIN)
    information = tmp_path / "abacus-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "abacus_engine", raising=False)
    return information / "entry_points.txt"


def test_an_installed_package_brings_a_backend(plugin: Path, coded: bytes) -> None:
    plugin.write_text("[edgecodec.engines]\nabacus = abacus_engine:BACKEND\n")
    with edgecodec.open_bundle(TINY, "abacus:fast") as codec:
        assert codec.decode(coded).engine.device == "beads"
    with pytest.raises(InvalidArgument, match="there is no engine 'abacus'"):
        edgecodec.open_bundle(TINY, "abacus")


@pytest.mark.parametrize("method", ["require", "load", "run", "describe", "close", "allowed_sizes", "copies"])
@pytest.mark.parametrize("error", [RuntimeError("jammed"), NotImplementedError(), KeyError("x")])
def test_what_a_package_raises_is_its_own(
    plugin: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    plugin.write_text("[edgecodec.engines]\nabacus = abacus_engine:BACKEND\n")
    engine_registry.require_engine("abacus:fast")

    def fail(*arguments: Any) -> Any:
        raise error

    abacus = sys.modules["abacus_engine"].Abacus
    monkeypatch.setattr(abacus, method, classmethod(fail) if method in ("require", "load") else fail)
    with pytest.raises(EngineFailed) as caught, edgecodec.open_bundle(TINY, "abacus:fast") as codec:
        codec.decode(coded)
    assert caught.value.where == "abacus:fast" and type(error).__name__ in caught.value.message
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("side", [(64, 1 << 32, 64), (-64, 640, 64), (64.0, 640.0, 64.0), None])
def test_sizes_that_cannot_be_are_the_packages_fault(
    plugin: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch, side: Any
) -> None:
    plugin.write_text("[edgecodec.engines]\nabacus = abacus_engine:BACKEND\n")
    engine_registry.require_engine("abacus:fast")
    sizes = None if side is None else (SizeRange(SideRange(*side), SideRange(*side)),)
    monkeypatch.setattr(sys.modules["abacus_engine"].Abacus, "allowed_sizes", lambda self: sizes)
    with pytest.raises(EngineFailed) as caught, edgecodec.open_bundle(TINY, "abacus:fast") as codec:
        codec.decode(coded)
    assert caught.value.where == "abacus:fast"


def test_a_package_that_tells_other_sizes_each_time_ends_all_the_same(
    plugin: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.write_text("[edgecodec.engines]\nabacus = abacus_engine:BACKEND\n")
    engine_registry.require_engine("abacus:fast")
    longest = iter(range(640, 6400, 64))

    def sizes(self: Any) -> tuple[SizeRange, ...]:
        side = SideRange(64, next(longest), 64)
        return (SizeRange(side, side),)

    monkeypatch.setattr(sys.modules["abacus_engine"].Abacus, "allowed_sizes", sizes)
    with edgecodec.open_bundle(TINY, "abacus:fast") as codec:
        assert codec.decode(coded).engine.device == "beads"


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("abacus_engine:NOTHING", "is no edgecodec.engine.Backend"),
        ("abacus_engine:ABSENT", "its package cannot be loaded"),
        ("absent_module:BACKEND", "its package cannot be loaded: No module named 'absent_module'"),
    ],
)
def test_a_broken_package_is_named(plugin: Path, target: str, problem: str) -> None:
    plugin.write_text(f"[edgecodec.engines]\nabacus = {target}\n")
    with pytest.raises(EngineUnavailable, match=problem) as caught:
        edgecodec.open_bundle(TINY, "abacus:fast")
    assert caught.value.where == "abacus" and caught.value.hint
