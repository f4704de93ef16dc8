"""What ONNX Runtime's GPU providers are told: nothing is compiled twice, and no precision is changed unasked."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import edgecodec
from edgecodec import engine_registry
from edgecodec.bundle import Bundle
from edgecodec.engine import Graph, Options, Port
from edgecodec.errors import CannotRead
from edgecodec.loading import graph_of
from edgecodec_engines import onnxruntime as backend
from edgecodec_engines import onnxruntime_options
from edgecodec_engines.onnxruntime_options import allowed_sizes, provider_options
from support.paths import TINY

BUNDLE = Bundle(TINY)
ANALYSIS = next(n for n, graph in enumerate(BUNDLE.info.graphs) if graph.side == "encode")
ENCODER, DECODER = graph_of(BUNDLE, ANALYSIS), graph_of(BUNDLE, ANALYSIS + 1)
NAMES = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "edgecodec"


def told(monkeypatch: pytest.MonkeyPatch, graph: Graph, variant: str) -> list[Any]:
    """The providers that a session is made with."""
    given: list[Any] = []

    class Settings(SimpleNamespace):
        def add_session_config_entry(self, key: str, value: str) -> None:
            setattr(self, key, value)

        def add_external_initializers(self, names: list[str], values: list[Any]) -> None:
            pass

    def session(data: bytes, sess_options: Any, providers: list[Any], enable_fallback: int) -> Any:
        given.extend(providers)
        ports = {
            "get_inputs": [
                SimpleNamespace(name=each.name, type="tensor(uint8)" if each.is_image else "tensor(float)")
                for each in graph.inputs
            ],
            "get_outputs": [
                SimpleNamespace(name=each.name, type="tensor(uint8)" if each.is_image else "tensor(float)")
                for each in graph.outputs
            ],
            "get_providers": [each if isinstance(each, str) else each[0] for each in providers],
        }
        return SimpleNamespace(**{name: lambda value=value: value for name, value in ports.items()})

    runtime = SimpleNamespace(
        __version__="1.23.2",
        SessionOptions=Settings,
        InferenceSession=session,
        get_available_providers=lambda: [*NAMES.values(), "CPUExecutionProvider"],
        set_default_logger_severity=lambda severity: None,
    )
    monkeypatch.setattr(backend, "import_runtime", lambda: runtime)
    monkeypatch.setattr(backend, "_package_library", lambda: None)
    name = f"onnxruntime:{variant}" if variant else "onnxruntime"
    engine = engine_registry.open_engine(name, graph, Options())
    assert engine.allowed_sizes() == allowed_sizes(variant, graph)
    return given


def options(monkeypatch: pytest.MonkeyPatch, graph: Graph, variant: str = "tensorrt") -> dict[str, str]:
    ((name, given),) = told(monkeypatch, graph, variant)
    assert name == NAMES[variant] and all(isinstance(each, str) for pair in given.items() for each in pair)
    return dict(given)


def test_the_processor_is_told_nothing(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    assert told(monkeypatch, DECODER, "") == ["CPUExecutionProvider"]
    assert not cache.exists() and allowed_sizes("", DECODER) == allowed_sizes("cuda", DECODER) == ()


def test_cuda_measures_no_convolution_and_keeps_the_precision_of_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    given = options(monkeypatch, DECODER, "cuda")
    assert given == {
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    }


def test_what_tensorrt_compiles_is_kept_in_a_folder_of_this_user(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    given = options(monkeypatch, DECODER)
    for kind in ("engine", "timing"):
        folder = Path(given[f"trt_{kind}_cache_path"])
        assert given[f"trt_{kind}_cache_enable"] == "1" and folder.is_relative_to(cache)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert options(monkeypatch, DECODER) == given


def test_graphs_that_differ_in_their_weights_alone_share_no_compiled_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider calls its files after the structure of a graph."""
    others = [
        replace(DECODER, data=DECODER.data[:-1] + b"x"),
        replace(DECODER, weights={"weights/a": b"1"}),
        replace(DECODER, weights={"weights/a": b"2"}),
    ]
    folders = {options(monkeypatch, each)["trt_engine_cache_path"] for each in (DECODER, *others)}
    assert len(folders) == 4
    ((_, newer),) = [("", provider_options("tensorrt", DECODER, "1.32.0"))]
    assert newer["trt_engine_cache_path"] not in folders


def test_a_cache_that_others_may_write_to_is_refused(cache: Path) -> None:
    """It holds code."""
    folder = Path(provider_options("tensorrt", DECODER, "1.23.2")["trt_engine_cache_path"])
    folder.chmod(0o777)
    with pytest.raises(CannotRead, match="can be written to by other users"):
        provider_options("tensorrt", DECODER, "1.23.2")


@pytest.mark.parametrize(("precision", "half", "int8"), [("fp32", "0", "0"), ("fp16", "1", "0"), ("int8", "1", "1")])
def test_kernels_have_the_precision_of_the_graph(
    monkeypatch: pytest.MonkeyPatch, precision: str, half: str, int8: str
) -> None:
    given = options(monkeypatch, replace(DECODER, precision=precision))
    assert (given["trt_fp16_enable"], given["trt_int8_enable"]) == (half, int8)


def shapes(text: str) -> dict[str, tuple[int, ...]]:
    found = re.fullmatch(r"\w+:\d+(x\d+)+(,\w+:\d+(x\d+)+)*", text)
    assert found is not None, text
    return {name: tuple(map(int, sides.split("x"))) for name, sides in (each.split(":") for each in text.split(","))}


def test_profiles_hold_every_picture_that_the_engine_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, encoder = options(monkeypatch, DECODER), options(monkeypatch, ENCODER)
    assert shapes(decoder["trt_profile_min_shapes"]) == {"z": (1, 8, 1, 1), "r": (1, 8, 4, 4)}
    assert shapes(decoder["trt_profile_opt_shapes"]) == {"z": (1, 8, 8, 12), "r": (1, 8, 32, 48)}
    assert shapes(decoder["trt_profile_max_shapes"]) == {"z": (1, 8, 17, 30), "r": (1, 8, 68, 120)}
    assert shapes(encoder["trt_profile_max_shapes"]) == {"image": (1088, 1920, 3)}
    for graph in (DECODER, ENCODER):
        (sizes,) = allowed_sizes("tensorrt", graph)
        assert (sizes.height.least, sizes.height.most, sizes.height.multiple) == (64, 1088, 64)
        assert (sizes.width.least, sizes.width.most, sizes.width.multiple) == (64, 1920, 64)


def test_a_graph_of_coarser_latents_is_compiled_for_whole_positions() -> None:
    graph = replace(DECODER, inputs=(Port("z", 8, 128), Port("r", 8, 16)), scalars=("beta",), size="size")
    given = provider_options("tensorrt", graph, "1.23.2")
    assert shapes(given["trt_profile_min_shapes"]) == {"z": (1, 8, 1, 1), "r": (1, 8, 8, 8)}
    assert shapes(given["trt_profile_max_shapes"]) == {"z": (1, 8, 8, 15), "r": (1, 8, 64, 120)}
    (sizes,) = allowed_sizes("tensorrt", graph)
    assert (sizes.height.most, sizes.width.most, sizes.width.multiple) == (1024, 1920, 128)


def test_the_precision_of_a_graph_reaches_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = onnxruntime_options.provider_options

    def provider_options_seen(variant: str, graph: Graph, version: str) -> dict[str, str]:
        seen.append(graph.precision)
        return real(variant, graph, version)

    monkeypatch.setattr(onnxruntime_options, "provider_options", provider_options_seen)
    monkeypatch.setattr(backend, "_package_library", lambda: None)
    with edgecodec.open_bundle(TINY, "onnxruntime") as codec:
        codec.graphs.load(ANALYSIS)
    assert seen == [BUNDLE.info.graphs[ANALYSIS].precision] == ["fp32"]
