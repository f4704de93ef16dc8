"""The operator of fused graphs, in sessions of ONNX Runtime's Python package, gives what the entropy model gives."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecodec import container, native
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import EngineUnavailable
from edgecodec.noise import normal_noise
from support.golden_files import GOLDENS
from support.paths import GOLDEN

try:
    from onnx import TensorProto, helper, numpy_helper

    from edgecodec_engines.onnxruntime import import_runtime

    onnxruntime = import_runtime()
except (ModuleNotFoundError, EngineUnavailable):
    pytest.skip("onnx or onnxruntime is not installed", allow_module_level=True)

_FATAL = 4
TINY = GOLDEN / "tiny.bin"
PHOTO = (GOLDEN / "tiny-photo-8.edgc").read_bytes()
GREY = (GOLDEN / "tiny-grey-sections.edgc").read_bytes()


def fused(model: bytes, inputs: int, **settings: int) -> Any:
    """A session of the operator alone. inputs: how many the networks behind it would take."""
    values = [f"value{i}" for i in range(inputs)]
    entropy = numpy_helper.from_array(np.frombuffer(model, np.uint8), "model")
    outputs = ["size", "greyscale", *values]
    decode = helper.make_node("Decode", ["file"], outputs, domain="edgecodec", model=entropy)
    decode.attribute.extend(helper.make_attribute(name, value) for name, value in settings.items())
    graph = helper.make_graph(
        [decode],
        "test",
        [helper.make_tensor_value_info("file", TensorProto.UINT8, ["bytes"])],
        [
            helper.make_tensor_value_info("size", TensorProto.INT64, [2]),
            helper.make_tensor_value_info("greyscale", TensorProto.BOOL, []),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in values),
        ],
    )
    operators = [helper.make_opsetid("", 18), helper.make_opsetid("edgecodec", 1)]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    options.register_custom_ops_library(native.library()._name)
    serialised = helper.make_model(graph, ir_version=8, opset_imports=operators).SerializeToString()
    return onnxruntime.InferenceSession(serialised, options, providers=["CPUExecutionProvider"])


def run(session: Any, file: bytes) -> list[npt.NDArray[Any]]:
    options = onnxruntime.RunOptions()
    options.log_severity_level = _FATAL
    outputs: list[npt.NDArray[Any]] = session.run(None, {"file": np.frombuffer(file, np.uint8)}, options)
    return outputs


def refused(session: Any, file: bytes) -> str:
    """Why. The classes of ONNX Runtime's exceptions have no common base but this."""
    with pytest.raises(Exception, match="edgecodec: ") as caught:
        run(session, file)
    return str(caught.value).split("edgecodec: ")[1]


def changed(file: bytes, **changes: Any) -> bytes:
    """The same picture under another head."""
    parsed = container.parse(file)
    info = parsed.info
    head = {
        "width": info.width,
        "height": info.height,
        "lanes": info.lanes,
        "model_id": info.model_id,
        "greyscale": info.greyscale,
        "quality": info.quality,
        "noise_seed": info.noise_seed,
    }
    return container.write(parsed.payload, **{**head, **changes})


def latents(model: EntropyModel, file: bytes) -> list[npt.NDArray[Any]]:
    parsed = container.parse(file)
    info = parsed.info
    decoded = model.decode(parsed.payload, width=info.width, height=info.height, lanes=info.lanes, threads=1)
    return [values[None].astype(np.float32) for values in decoded.values()]


@pytest.mark.parametrize("name", sorted({golden.model for golden in GOLDENS}))
def test_latents_are_those_of_the_entropy_model(name: str) -> None:
    """Of every kind of model, in sessions that are run again and again."""
    data = (GOLDEN / name).read_bytes()
    model = EntropyModel(data)
    session = fused(data, len(model.decoder_latents))
    for golden in GOLDENS:
        if golden.model != name:
            continue
        file = golden.data()
        info = container.parse(file).info
        size, greyscale, *values = run(session, file)
        assert size.tolist() == [info.height, info.width] and size.dtype == np.int64
        assert greyscale.shape == () and greyscale.dtype == np.bool_ and greyscale == info.greyscale
        expected = latents(model, file)
        assert len(values) == len(expected)
        for one, other in zip(values, expected, strict=True):
            assert one.dtype == np.float32
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_noise_is_that_of_the_files_seed(seed: int) -> None:
    model = EntropyModel(TINY.read_bytes())
    info = container.parse(PHOTO).info
    file = changed(PHOTO, noise_seed=seed)
    *_, noise = run(fused(TINY.read_bytes(), len(model.decoder_latents) + 1, noise_channels=3, noise_stride=16), file)
    rows, columns = (-(-side // model.alignment) * model.alignment // 16 for side in (info.height, info.width))
    np.testing.assert_array_equal(noise[0], normal_noise(seed, 3, rows, columns))


def test_threads_may_run_one_session() -> None:
    model = EntropyModel(TINY.read_bytes())
    session = fused(TINY.read_bytes(), len(model.decoder_latents))
    files = [PHOTO, GREY] * 8
    with ThreadPoolExecutor(4) as pool:
        for file, (_, _, *values) in zip(files, pool.map(lambda file: run(session, file), files), strict=True):
            for one, other in zip(values, latents(model, file), strict=True):
                np.testing.assert_array_equal(one, other)


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_files_that_are_not_of_the_graph_are_refused() -> None:
    session = fused(TINY.read_bytes(), 2)
    assert refused(session, b"") == "is not an edgecodec picture (at byte 0)"
    assert refused(session, PHOTO[:-1]).startswith("is damaged or incomplete (checksum) (at byte ")
    other = (GOLDEN / "small-drawn-2.edgc").read_bytes()
    ids = container.parse(other).info.model_id, EntropyModel(TINY.read_bytes()).model_id
    assert refused(session, other).startswith(f"was coded with model {ids[0]}, this graph is of {ids[1]} (hint: ")


def test_pictures_above_the_limit_are_refused() -> None:
    info = container.parse(PHOTO).info
    pixels = info.width * info.height
    run(fused(TINY.read_bytes(), 2, max_pixels=pixels), PHOTO)
    problem = refused(fused(TINY.read_bytes(), 2, max_pixels=pixels - 1), PHOTO)
    assert problem.startswith(f"{info.width}x{info.height} is more than the limit of {pixels - 1} pixels")


def test_files_of_another_quality_are_refused() -> None:
    assert container.parse(PHOTO).info.quality is None
    assert refused(fused(TINY.read_bytes(), 2, quality=0), PHOTO).startswith("the file does not say of which quality")
    file = changed(PHOTO, quality=83 / 64)
    run(fused(TINY.read_bytes(), 2, quality=83), file)
    assert refused(fused(TINY.read_bytes(), 2, quality=128), file) == (
        "the file is of quality 1.296875, this graph was baked at 2"
    )


def test_graphs_that_take_another_number_of_inputs_are_refused() -> None:
    for count in (1, 3):
        assert refused(fused(TINY.read_bytes(), count), PHOTO) == (
            f"the graph takes {count + 2} outputs of Decode, its model has 4"
        )


@pytest.mark.parametrize(
    ("model", "settings", "problem"),
    [
        (TINY.read_bytes()[:100], {}, "model: ends too early"),
        (b"", {}, "model: ends too early"),
        (TINY.read_bytes(), {"max_pixels": 0}, "max_pixels: is 0, not 1 to"),
        (TINY.read_bytes(), {"quality": -2}, "quality: is -2, not -1 to"),
        (TINY.read_bytes(), {"noise_channels": 65536}, "noise_channels: is 65536"),
        (TINY.read_bytes(), {"noise_channels": 3}, "noise_stride: is 0, not 1 to 64"),
        (TINY.read_bytes(), {"noise_channels": 3, "noise_stride": 48}, "noise_stride: does not divide"),
        (TINY.read_bytes(), {"noise_channels": 65, "noise_stride": 2}, "noise_channels: 65 planes of noise"),
    ],
)
def test_attributes_out_of_range_are_refused(model: bytes, settings: dict[str, int], problem: str) -> None:
    with pytest.raises(Exception, match=f"edgecodec: {problem}"):
        fused(model, 2, **settings)


def asked_for(version: str) -> tuple[int, str]:
    """The interface that an ONNX Runtime of this version is asked for when the operator is registered, and the problem.

    The library that is asked is made of the four functions that are called.
    """
    asked: list[int] = []
    problems: list[str] = []

    def problem(_: int, text: bytes) -> int:
        problems.append(text.decode())
        return 1  # a status

    def interface(number: int) -> int:
        asked.append(number)
        return ctypes.addressof(functions)

    failed = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p)(problem)
    done = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: None)
    functions = (ctypes.c_void_p * 29)()
    functions[0] = ctypes.cast(failed, ctypes.c_void_p)
    for domain_function in (26, 27, 28):
        functions[domain_function] = ctypes.cast(done, ctypes.c_void_p)
    text = ctypes.create_string_buffer(version.encode())
    get_api = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(interface)
    get_version = ctypes.CFUNCTYPE(ctypes.c_void_p)(lambda: ctypes.addressof(text))
    base = (ctypes.c_void_p * 2)(*(ctypes.cast(each, ctypes.c_void_p) for each in (get_api, get_version)))
    ctypes.CDLL(native.library()._name).RegisterCustomOps(None, base)
    return asked[0], "".join(problems)


@pytest.mark.parametrize("version", ["1.16.0", "1.17.3", "1.30.0", "2.0.0"])
def test_the_operator_is_made_for_the_oldest_interface_that_has_what_it_needs(version: str) -> None:
    assert asked_for(version) == (16, "")


@pytest.mark.parametrize("version", ["1.15.1", "0.16.0", "dev"])
def test_an_older_onnxruntime_is_not_asked_for_an_interface_that_it_does_not_have(version: str) -> None:
    """It would print."""
    asked, problem = asked_for(version)
    assert asked == 1
    assert problem == f"edgecodec: ONNX Runtime {version} is too old (hint: install 1.17 or newer)"
