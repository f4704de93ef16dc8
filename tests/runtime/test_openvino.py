"""OpenVINO: the pixels of ONNX Runtime within a level, from memory alone, and nothing of it beyond its library."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import edgecodec
from edgecodec import engine_registry
from edgecodec.codec import Codec
from edgecodec.engine import Graph, Options, Port, Tolerance
from edgecodec.errors import EngineFailed, EngineUnavailable
from edgecodec.verify import verify
from edgecodec_engines import openvino_library
from edgecodec_engines.openvino_library import Library
from support.engines import needs_openvino
from support.paths import ENVIRONMENT, PHOTOS, TINY

pytestmark = needs_openvino

SIZES = [(1, 1), (63, 65), (64, 64), (100, 37), (129, 200)]


@pytest.fixture(scope="module")
def openvino() -> Any:
    with edgecodec.open_bundle(TINY, "openvino", threads=1) as opened:
        yield opened


def picture(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Waves of all three colours, of any size."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9 + k) + np.cos(columns / (5 + k)) for k in range(3)]
    return (127 + 60 * np.stack(waves, axis=-1)).astype(np.uint8)


def apart(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize("size", SIZES)
def test_pixels_of_any_size_are_those_of_onnxruntime(openvino: Codec, codec: Codec, size: tuple[int, int]) -> None:
    data = codec.encode(picture(*size)).data
    for alpha in (0.0, 1.0):
        assert apart(openvino.decode(data, alpha=alpha).pixels, codec.decode(data, alpha=alpha).pixels) <= 1


def test_pixels_of_tiles_are_those_of_onnxruntime(codec: Codec) -> None:
    data = codec.encode(picture(400, 700)).data
    with edgecodec.open_bundle(TINY, "openvino", threads=1, tile=64) as tiled:
        decoded = tiled.decode(data)
    assert decoded.tiles.count > 1 and apart(decoded.pixels, codec.decode(data).pixels) <= 1


def test_what_it_encodes_decodes_everywhere(openvino: Codec, codec: Codec) -> None:
    """Its symbols may be others than ONNX Runtime's, but few, and by one."""
    for photo in PHOTOS:
        encoded = openvino.encode(photo)
        ours, theirs = codec.decode_latents(encoded.data), codec.decode_latents(codec.encode(photo).data)
        for name, latent in ours.items():
            other = np.abs(latent.astype(int) - theirs[name])
            assert other.max() <= 1 and (other != 0).mean() < 0.01
        assert apart(openvino.decode(encoded.data).pixels, codec.decode(encoded.data).pixels) <= 1


def test_threads_share_a_graph(openvino: Codec, codec: Codec) -> None:
    files = [codec.encode(picture(*size)).data for size in SIZES]
    expected = [openvino.decode(data).pixels for data in files]
    with ThreadPoolExecutor(8) as pool:
        for k, decoded in enumerate(pool.map(openvino.decode, files * 6)):
            np.testing.assert_array_equal(decoded.pixels, expected[k % len(files)])


def test_outputs_are_not_overwritten_by_the_next_call() -> None:
    engine = engine_registry.open_engine("openvino", analysis(lambda data: data), Options(threads=1))
    kept = engine.run({"image": picture(64, 64)})["r"]
    before = kept.copy()
    engine.run({"image": 255 - picture(64, 64)})
    np.testing.assert_array_equal(kept, before)


def test_the_package_is_never_imported_and_nothing_is_left_behind(tmp_path: Path, coded: bytes) -> None:
    """Its import would load what reports its use, which keeps an identifier under HOME."""
    home, file = tmp_path / "home", tmp_path / "a.edgc"
    home.mkdir()
    file.write_bytes(coded)
    code = """
import sys, edgecodec
with edgecodec.open_bundle(sys.argv[1], "openvino") as codec:
    assert codec.decode(sys.argv[2]).engine.name == "openvino"
    codec.encode(sys.argv[3])
print([name for name in sys.modules if name.partition(".")[0] in ("openvino", "openvino_telemetry", "onnxruntime")])
"""
    silent = ("CI", "GITHUB_", "GITLAB_", "JENKINS_", "TF_BUILD", "TRAVIS")  # where no one is reported on anyway
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(silent)}
    command = [sys.executable, "-c", code, str(TINY), str(file), str(PHOTOS[0])]
    done = subprocess.run(
        command, cwd=home, env={**environment, "HOME": str(home)}, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert os.listdir(home) == []


def test_it_opens_no_file_of_the_bundle(coded: bytes, bundle_copy: Path, openvino: Codec) -> None:
    """What was checked is what runs, whatever happens to the files."""
    with edgecodec.open_bundle(bundle_copy, "openvino", threads=1) as codec:
        number = next(each for each, graph in enumerate(codec.info.graphs) if graph.knobs.get("alpha") == 1)
        graph = codec.graphs._graph(number)  # type: ignore[union-attr]
        for file in bundle_copy.rglob("*.onnx"):
            file.write_bytes(b"something else")
        engine = engine_registry.open_engine("openvino", graph, Options(threads=1))
    latents = {name: latent.astype(np.float32)[None] for name, latent in openvino.decode_latents(coded).items()}
    (image,) = engine.run(latents).values()
    np.testing.assert_array_equal(image[:64, :96], openvino.decode(coded).pixels)


def analysis(change: Callable[[bytes], bytes]) -> Graph:
    data = (TINY / "analysis.onnx").read_bytes()
    return Graph(TINY / "analysis.onnx", change(data), (Port("image", 3, 1),), (Port("z", 8, 64), Port("r", 8, 16)))


@pytest.mark.parametrize("change", [lambda data: b"", lambda data: data[:-1], lambda data: data[: len(data) // 2]])
def test_damaged_graphs_are_typed_errors(change: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EngineFailed, match="OpenVINO refuses the graph") as caught:
        engine_registry.open_engine("openvino", analysis(change), Options(threads=1))
    assert caught.value.where == "analysis.onnx" and capfd.readouterr() == ("", "")


def test_inputs_that_are_missing_or_of_another_type_are_typed_errors() -> None:
    """Also in a call after others, which left their inputs behind."""
    engine = engine_registry.open_engine("openvino", analysis(lambda data: data), Options(threads=1))
    for wrong in ({}, {"image": np.zeros((64, 64, 3))}, {"picture": np.zeros((64, 64, 3), np.uint8)}):
        assert {*engine.run({"image": np.zeros((64, 64, 3), np.uint8)})} == {"z", "r"}
        with pytest.raises(EngineFailed):
            engine.run(wrong)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_too_little_memory_is_said_to_be_that_and_is_no_end() -> None:
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from edgecodec import engine_registry
from edgecodec.engine import Graph, Options, Port
from edgecodec.errors import OutOfMemory

path = Path(sys.argv[1])
graph = Graph(path, path.read_bytes(), (Port("image", 3, 1),), (Port("z", 8, 64), Port("r", 8, 16)))
engine = engine_registry.open_engine("openvino", graph, Options(threads=1))
small, large = np.zeros((64, 64, 3), np.uint8), np.zeros((4096, 4096, 3), np.uint8)
engine.run({"image": small})
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)
try:
    engine.run({"image": large})
except OutOfMemory:
    print(*engine.run({"image": small}))
"""
    command = [sys.executable, "-c", code, str(TINY / "analysis.onnx")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (sorted(done.stdout.split()), done.stderr) == (["r", "z"], "")


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets a test put something else in the library's place."""
    openvino_library.library.cache_clear()
    yield
    openvino_library.library.cache_clear()


@pytest.mark.usefixtures("without_library")
def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineUnavailable, match="not installed") as caught:
        edgecodec.open_bundle(TINY, "openvino")
    assert "edgecodec[openvino]" in (caught.value.hint or "")


@pytest.mark.usefixtures("without_library")
@pytest.mark.parametrize("contents", [b"", b"\x7fELF"])
def test_a_broken_package_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: bytes) -> None:
    libraries = tmp_path / "openvino" / "libs"
    libraries.mkdir(parents=True)
    (libraries.parent / "__init__.py").touch()
    (libraries / "libopenvino_c.so.2641").write_bytes(contents)
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineUnavailable, match="cannot be opened"):
        edgecodec.open_bundle(TINY, "openvino")


@pytest.mark.usefixtures("without_library")
@pytest.mark.parametrize(
    ("version", "taken"),
    [("2026.4.0", True), ("2027.0.1", True), ("2026.3.9", False), ("2025.10.0", False), ("", False)],
)
def test_old_versions_are_refused(monkeypatch: pytest.MonkeyPatch, version: str, taken: bool) -> None:
    monkeypatch.setattr(Library, "version", lambda self: version)
    if taken:
        engine_registry.require_engine("openvino")
    else:
        with pytest.raises(EngineUnavailable, match="too old"):
            engine_registry.require_engine("openvino")


def test_a_device_that_is_not_there_is_refused() -> None:
    try:
        openvino_library.library().device_property("GPU", "FULL_DEVICE_NAME")
    except openvino_library.OpenVinoError:
        with pytest.raises(EngineUnavailable, match="cannot use this device") as caught:
            edgecodec.open_bundle(TINY, "openvino:gpu")
        assert caught.value.where == "openvino:gpu"
    else:
        pytest.skip("here is such a GPU")


def test_bfloat16_is_refused_by_a_processor_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "device_property", lambda self, device, name: "FP32 INT8")
    with pytest.raises(EngineUnavailable, match="no bfloat16"):
        edgecodec.open_bundle(TINY, "openvino:bf16")


@pytest.fixture
def bfloat16() -> None:
    try:
        engine_registry.require_engine("openvino:bf16")
    except EngineUnavailable:
        pytest.skip("this processor has no bfloat16")


@pytest.mark.usefixtures("bfloat16")
def test_bfloat16_has_a_tolerance_of_its_own_that_verify_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    def pictures() -> list[Any]:
        return [
            check
            for check in verify(TINY, "openvino:bf16", 1)
            if "synthesis" in check.subject and "edgc" in check.subject
        ]

    assert all(check.passed for check in pictures()) and all("dB of at least 45" in each.detail for each in pictures())
    for stricter, said in ((Tolerance(1, 0.0), "1 are allowed"), (Tolerance(32, 90.0), "90 dB are wanted")):
        monkeypatch.setattr("edgecodec.verify.tolerance", lambda name, stricter=stricter: stricter)
        assert any(not check.passed and said in check.detail for check in pictures())


@pytest.mark.usefixtures("bfloat16")
def test_fp32_stays_fp32_where_the_processor_could_do_less(openvino: Codec, codec: Codec) -> None:
    data = codec.encode(picture(128, 128)).data
    with edgecodec.open_bundle(TINY, "openvino:bf16", threads=1) as coarse:
        coarser = coarse.decode(data)
    assert coarser.engine.name == "openvino:bf16"
    assert apart(coarser.pixels, openvino.decode(data).pixels) > 1
