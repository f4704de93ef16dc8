"""Plugins of ONNX Runtime: the one that is named runs whole graphs on the device that is named, or it is an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import edgecodec
from edgecodec import native
from edgecodec.errors import EdgecodecError, EngineFailed, EngineUnavailable, InvalidArgument
from edgecodec.verify import verify
from edgecodec_engines import onnxruntime
from edgecodec_engines.onnxruntime_plugins import Device, list_devices
from support.command_line import run_command
from support.paths import ENVIRONMENT, ROOT, TINY

LEVEL = 77


def runtime_version() -> tuple[int, ...]:
    library = onnxruntime._package_library()
    found = re.search(r"\.so\.(\d+)\.(\d+)", "" if library is None else library.name)
    return (0,) if found is None else (int(found[1]), int(found[2]))


VERSION = runtime_version()
pytestmark = pytest.mark.skipif(VERSION < (1, 20), reason="there is no libonnxruntime.so")
takes_plugins = pytest.mark.skipif(VERSION < (1, 23), reason="this ONNX Runtime is too old for the plugin")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles tests/native/plugin.cpp."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("plugins")

    @cache
    def compiled(name: str, *definitions: str) -> Path:
        source, include = ROOT / "tests" / "native" / "plugin.cpp", f"-I{ROOT / 'native' / 'src'}"
        options = ["-std=c++17", "-shared", "-fPIC", include, *definitions]
        subprocess.run([*compiler.split(), *options, source, "-o", folder / name], check=True)
        return folder / name

    return compiled


@pytest.fixture(scope="module")
def plugin(build: Callable[..., Path]) -> Path:
    """One that decodes everything to pictures of one colour."""
    return build("libwhole.so", f"-DLEVEL={LEVEL}")


def refusal(engine: str, library: Path | str, device: str | None = None, data: bytes | None = None) -> EdgecodecError:
    """What opening a bundle, or decoding with it, fails with."""
    with (
        pytest.raises(EdgecodecError) as caught,
        edgecodec.open_bundle(TINY, engine, engine_library=library, engine_device=device) as codec,
    ):
        assert data is not None
        codec.decode(data)
    return caught.value


@takes_plugins
def test_a_plugin_lists_its_devices(plugin: Path) -> None:
    devices = list_devices(str(plugin))
    assert [(each.provider, each.name) for each in devices] == [
        ("TestExecutionProvider", "cpu"),
        ("TestExecutionProvider", "cpu:1"),
    ]
    own = list_devices()
    assert "CPUExecutionProvider" in {each.provider for each in own} and all(isinstance(each, Device) for each in own)


@takes_plugins
@pytest.mark.parametrize("name", ["test", "Test", "testexecutionprovider", "TestExecutionProvider"])
def test_a_plugin_decodes(plugin: Path, coded: bytes, name: str) -> None:
    with edgecodec.open_bundle(TINY, f"onnxruntime:{name}", engine_library=plugin) as codec:
        decoded = codec.decode(coded)
    assert (decoded.pixels == LEVEL).all()
    assert decoded.engine.name == f"onnxruntime:{name}" and decoded.engine.device == f"{name} cpu"


@takes_plugins
def test_the_device_that_is_named_is_taken(plugin: Path, coded: bytes) -> None:
    with edgecodec.open_bundle(TINY, "onnxruntime:test", engine_library=plugin, engine_device="cpu:1") as codec:
        assert codec.decode(coded).engine.device == "test cpu:1"


@takes_plugins
@pytest.mark.parametrize("device", ["gpu", "cpu:2", "npu"])
def test_a_device_that_is_not_there_is_an_error_and_those_that_are_are_listed(plugin: Path, device: str) -> None:
    error = refusal("onnxruntime:test", plugin, device)
    assert isinstance(error, EngineUnavailable) and error.where == str(plugin)
    listed = "TestExecutionProvider cpu, TestExecutionProvider cpu:1"
    assert error.message == f"there is no device {device}, only {listed}"


@takes_plugins
@pytest.mark.parametrize("device", ["tpu", "gpu:", "gpu:-1", "gpu:1x", "gpu:1000", ":1"])
def test_what_is_no_name_of_a_device_is_refused(plugin: Path, device: str) -> None:
    assert isinstance(refusal("onnxruntime:test", plugin, device), InvalidArgument)


@takes_plugins
@pytest.mark.parametrize("name", ["cpu", "openvino", "tes"])
def test_a_provider_that_the_plugin_does_not_have_is_an_error(plugin: Path, name: str) -> None:
    """Not even one of ONNX Runtime's own takes its place."""
    error = refusal(f"onnxruntime:{name}", plugin)
    assert isinstance(error, EngineUnavailable) and f"the plugin has no provider called {name}, only " in error.message


@takes_plugins
def test_a_plugin_that_leaves_nodes_to_the_processor_is_refused(build: Callable[..., Path], coded: bytes) -> None:
    error = refusal("onnxruntime:test", build("libnothing.so"), data=coded)
    assert isinstance(error, EngineFailed) and "fallback to CPU" in error.message


@takes_plugins
def test_two_plugins_with_a_provider_of_the_same_name_stay_apart(build: Callable[..., Path], coded: bytes) -> None:
    levels = {}
    for level in (33, 44, 33):
        library = build(f"lib{level}.so", f"-DLEVEL={level}")
        with edgecodec.open_bundle(TINY, "onnxruntime:test", engine_library=library) as codec:
            levels[level] = int(codec.decode(coded).pixels.max())
    assert levels == {33: 33, 44: 44}


@takes_plugins
def test_a_relative_path_is_one_from_the_current_folder(
    plugin: Path, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would look in its own."""
    monkeypatch.chdir(plugin.parent)
    with edgecodec.open_bundle(TINY, "onnxruntime:test", engine_library=plugin.name) as codec:
        assert (codec.decode(coded).pixels == LEVEL).all()
    (tmp_path / "a.edgc").write_bytes(coded)
    command = ["decode", tmp_path / "a.edgc", "-b", TINY, "--engine", "onnxruntime:test", "-o", tmp_path / "a.npy"]
    given = ["--engine-library", f"./{plugin.name}", "--engine-device", "cpu:1", "-v"]
    result = run_command(*map(str, command), *given)
    assert result.status == 0 and (np.load(tmp_path / "a.npy") == LEVEL).all()


@takes_plugins
def test_verify_checks_a_bundle_with_a_plugin(plugin: Path) -> None:
    """Its pictures are wrong here, and nothing else is."""
    checks = list(verify(TINY, "onnxruntime:test", engine_library=plugin))
    failed = [check for check in checks if not check.passed]
    assert len(failed) == 3 and all("onnxruntime:test is off by " in check.detail for check in failed)
    assert any(check.subject.endswith(": latents") for check in checks)


@takes_plugins
def test_bench_compares_a_plugin_with_other_engines(plugin: Path, coded: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.edgc").write_bytes(coded)
    engines = ["--engine", "onnxruntime", "--engine", "onnxruntime:test"]
    given = ["--engine-library", plugin, "--engine-device", "cpu:1"]
    effort = ["--runs", "1", "--warm-up", "0", "--json"]
    outcome = run_command("bench", TINY, tmp_path / "a.edgc", *engines, *given, *effort)
    assert outcome.status == 0, outcome.talk
    own, of_plugin = outcome.records[0]["results"]
    assert own["engine"]["device"] == "cpu" and own["contender"]["engine_library"] is None
    assert of_plugin["engine"]["device"] == "test cpu:1" and of_plugin["cold"]["process"] > 0
    assert of_plugin["contender"]["engine_library"] == str(plugin)


@takes_plugins
def test_what_is_no_plugin_is_an_error(tmp_path: Path) -> None:
    no_library, other = tmp_path / "text.so", native.library()._name
    no_library.write_text("no library")
    no_plugins: dict[Path | str, str] = {
        tmp_path / "missing.so": "No such file",
        no_library: "file too short|invalid ELF",
        other: "CreateEpFactories",
        tmp_path: "directory",
    }
    for library, problem in no_plugins.items():
        for _ in range(2):
            error = refusal("onnxruntime:test", library)
            assert isinstance(error, EngineUnavailable) and error.hint and error.where == str(library)
            assert error.message.startswith("the plugin cannot be used: ") and re.search(problem, error.message)


@pytest.mark.skipif(VERSION >= (1, 22), reason="this ONNX Runtime takes plugins")
def test_an_onnxruntime_that_takes_no_plugins_says_so(tmp_path: Path) -> None:
    error = refusal("onnxruntime:test", tmp_path / "plugin.so")
    assert "takes no plugins" in error.message and list_devices() == []


@pytest.mark.parametrize("engine", ["auto", "onnxruntime", "onnxruntime:", "stub", "abacus:fast"])
def test_other_engines_take_no_plugin(engine: str, tmp_path: Path) -> None:
    error = refusal(engine, tmp_path / "plugin.so")
    assert isinstance(error, InvalidArgument) and "onnxruntime:NAME" in (error.hint or "")


def test_a_device_needs_a_plugin() -> None:
    with pytest.raises(InvalidArgument, match="give the plugin's library too"):
        edgecodec.open_bundle(TINY, "onnxruntime:cuda", engine_device="gpu:1")


def test_a_plugin_needs_onnxruntimes_shared_library(python_backend: None, tmp_path: Path) -> None:
    error = refusal("onnxruntime:test", tmp_path / "plugin.so")
    assert "no shared library of ONNX Runtime" in error.message and "edgecodec[ort]" in (error.hint or "")


# ---- packages -------------------------------------------------------------------------------------------------------


@takes_plugins
def test_a_package_is_asked_for_its_library(
    plugin: Path, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime_ep_test.py").write_text(f"def get_library_path(): return {str(plugin)!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime_ep_test", raising=False)
    with edgecodec.open_bundle(TINY, "onnxruntime:test", engine_library="onnxruntime_ep_test") as codec:
        assert (codec.decode(coded).pixels == LEVEL).all()


@pytest.mark.parametrize(
    ("source", "problem"),
    [(None, "ModuleNotFoundError"), ("", "get_library_path"), ("raise OSError('no driver')", "OSError: no driver")],
)
def test_a_package_that_has_no_plugin_is_an_error(
    source: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source is not None:
        (tmp_path / "onnxruntime_ep_odd.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime_ep_odd", raising=False)
    error = refusal("onnxruntime:odd", "onnxruntime_ep_odd")
    assert isinstance(error, EngineUnavailable) and problem in error.message and error.where == "onnxruntime_ep_odd"


# ---- plugins of vendors, where they are installed -------------------------------------------------------------------


@takes_plugins
@pytest.mark.parametrize(
    ("package", "name"), [("onnxruntime_ep_openvino", "openvino"), ("onnxruntime_ep_nv_tensorrt_rtx", "nvtensorrtrtx")]
)
def test_a_vendors_plugin_decodes_where_it_has_a_device_and_is_an_error_elsewhere(
    package: str, name: str, coded: bytes, tmp_path: Path
) -> None:
    """In a process of its own, which stays silent: plugins are never unloaded."""
    found = find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    paths = [ENVIRONMENT["PYTHONPATH"], str(Path(found.origin).parents[1])]
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
    (tmp_path / "a.edgc").write_bytes(coded)
    engine = ["--engine", f"onnxruntime:{name}", "--engine-library", package]
    command = [sys.executable, "-m", "edgecodec", "decode", "a.edgc", "-b", str(TINY), *engine, "-o", "a.npy"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    if ran.returncode == 0:
        with edgecodec.open_bundle(TINY, "onnxruntime") as codec:
            expected = codec.decode(coded).pixels
        difference = np.abs(np.load(tmp_path / "a.npy").astype(int) - expected)
        assert difference.max() <= 2
    else:
        assert ran.returncode == 6 and len(ran.stderr.splitlines()) == 1, ran.stderr
        assert "finds no device that it can use here" in ran.stderr or "the plugin cannot be used: " in ran.stderr
