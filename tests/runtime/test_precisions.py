"""Which precision runs: the engine's where nobody names one, the named one or an error, and fp32 to encode."""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import edgecodec
from edgecodec import engine_registry, interface, native
from edgecodec.bundle import Bundle
from edgecodec.engine import Backend, Graph, Options, RunningEngine, Variant
from edgecodec.errors import EngineUnavailable, KnobUnavailable
from edgecodec_engines.onnxruntime import OnnxRuntime
from support.command_line import run_command
from support.engine_table import Table
from support.make_bundles import Recipe, analysis, colour_model, synthesis

GREY = np.full((32, 32, 3), 100, np.uint8)
#: What decoders and encoders of each precision add to the picture, which tells them apart.
SHIFTS = {"fp32": 0, "fp16": 5, "int8": 9}


def of(precision: str, graph: Any) -> Any:
    entry, model = graph
    return {**entry, "precision": precision}, model


def bundle(folder: Path, decoders: list[str], encoders: list[str]) -> Path:
    """Encoders of fp32 code a picture as it is; of others, 20 levels brighter."""
    analyses = [of(each, analysis(gain=1 if each == "fp32" else 1.2)) for each in encoders]
    syntheses = [of(each, synthesis(shift=SHIFTS[each])) for each in decoders]
    return Recipe(colour_model(), analyses, syntheses).write(folder / "b")


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A bundle in two precisions, that for GPUs first."""
    return bundle(tmp_path, ["fp16", "fp32"], ["fp16", "fp32"])


class Gpu(OnnxRuntime):
    """An engine that says that it is a GPU."""

    starts = True

    @classmethod
    def require(cls, variant: str) -> None:
        """Always there."""

    @classmethod
    def load(cls, graph: Graph, variant: str, options: Options) -> OnnxRuntime:
        if not cls.starts:
            raise EngineUnavailable("the driver is too old")
        return super().load(graph, "", options)

    def describe(self) -> RunningEngine:
        return RunningEngine("gpu", "1", "gpu", self.passed_over)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> type[Gpu]:
    """The first that `auto` tries."""
    module = ModuleType("fake_gpu")
    module.BACKEND = Backend("gpu", (Variant("", "gpu", auto_rank=-1, precision="fp16"),), Gpu)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fake_gpu", module)
    built_in = {"gpu": "fake_gpu", "onnxruntime": "edgecodec_engines.onnxruntime"}
    monkeypatch.setattr(engine_registry, "_BUILT_IN", built_in)
    monkeypatch.setattr(Gpu, "starts", True)
    return Gpu


def decoded(path: Path, engine: str, **options: Any) -> tuple[int, str]:
    """The level that a grey picture decodes to, less that of the picture, and the precision that is reported."""
    with edgecodec.open_bundle(path, "onnxruntime") as plain:
        coded = plain.encode(GREY).data
    with edgecodec.open_bundle(path, engine, **options) as codec:
        result = codec.decode(coded)
    return int(result.pixels[0, 0, 0]) - 100, result.engine.precision


def test_processors_decode_in_fp32_whatever_comes_first(both: Path) -> None:
    assert decoded(both, "onnxruntime") == (0, "fp32")
    assert decoded(both, "auto") == (0, "fp32")
    assert decoded(both, "onnxruntime", precision="fp16") == (5, "fp16")


def test_gpus_decode_in_fp16(both: Path, gpu: type[Gpu]) -> None:
    assert decoded(both, "gpu") == decoded(both, "auto") == (5, "fp16")
    assert decoded(both, "gpu", precision="fp32") == (0, "fp32")


def test_a_bundle_without_fp16_decodes_in_fp32_on_a_gpu_and_says_so(tmp_path: Path, gpu: type[Gpu]) -> None:
    path = bundle(tmp_path, ["fp32", "int8"], ["fp32"])
    assert decoded(path, "gpu") == (0, "fp32")
    with edgecodec.open_bundle(path, "gpu") as codec:
        assert codec.notes == ("gpu would decode in fp16, and the bundle has none: it decodes in fp32",)
        (tmp_path / "a.edgc").write_bytes(codec.encode(GREY).data)
    outcome = run_command("decode", tmp_path / "a.edgc", "-b", path, "-o", tmp_path / "a.png", "--engine", "gpu")
    assert outcome.status == 0 and "it decodes in fp32" in outcome.talk


def test_nothing_for_gpus_runs_where_auto_ends_up_on_the_processor(
    both: Path, gpu: type[Gpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "starts", False)
    assert decoded(both, "auto") == (0, "fp32")
    assert decoded(both, "auto", precision="fp16") == (5, "fp16"), "a named precision is that one"


def test_the_precision_is_told_that_runs_after_another_start(
    both: Path, gpu: type[Gpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "starts", False)
    with edgecodec.open_bundle(both, "auto") as codec:
        coded = codec.encode(GREY).data
        assert codec.decode(coded).engine.precision == "fp32"
        codec.close()
        monkeypatch.setattr(gpu, "starts", True)
        again = codec.decode(coded)
    assert (int(again.pixels[0, 0, 0]) - 100, again.engine.precision) == (5, "fp16")


def test_int8_is_never_taken_unasked(tmp_path: Path, gpu: type[Gpu]) -> None:
    path = bundle(tmp_path, ["int8", "fp32"], ["fp32"])
    assert decoded(path, "gpu")[1] == decoded(path, "onnxruntime")[1] == "fp32"
    assert decoded(path, "onnxruntime", precision="int8") == (9, "int8")


@pytest.mark.parametrize("engine", ["onnxruntime", "gpu"])
def test_encoders_are_fp32_unless_another_is_named(both: Path, gpu: type[Gpu], engine: str) -> None:
    with edgecodec.open_bundle(both, engine) as codec:
        plain = codec.encode(GREY)
    with edgecodec.open_bundle(both, engine, encode_precision="fp16") as codec:
        half = codec.encode(GREY)
    assert (plain.engine.precision, half.engine.precision) == ("fp32", "fp16")
    assert plain.data != half.data


def test_a_bundle_of_one_precision_needs_no_name(tmp_path: Path) -> None:
    path = bundle(tmp_path, ["fp16"], ["fp16"])
    assert decoded(path, "onnxruntime")[1] == "fp16"


@pytest.mark.parametrize("options", [{"precision": "int8"}, {"encode_precision": "int8"}])
def test_a_named_precision_that_is_not_there_is_told_what_is(both: Path, options: dict[str, Any]) -> None:
    with pytest.raises(KnobUnavailable, match="nothing was exported in int8") as caught:
        edgecodec.open_bundle(both, "onnxruntime", **options)
    assert caught.value.hint == "the bundle has fp16, fp32"


def test_the_command_line_names_precisions(both: Path, tmp_path: Path) -> None:
    (tmp_path / "a.ppm").write_bytes(b"P6 32 32 255\n" + GREY.tobytes())
    encode = ("encode", tmp_path / "a.ppm", "-b", both, "--engine", "onnxruntime")
    assert run_command(*encode, "-o", tmp_path / "32.edgc").status == 0
    outcome = run_command(*encode, "-o", tmp_path / "16.edgc", "--precision", "fp16", "--json")
    assert json.loads(outcome.output)["engine"]["precision"] == "fp16"
    assert (tmp_path / "32.edgc").read_bytes() != (tmp_path / "16.edgc").read_bytes()
    outcome = run_command(
        *("decode", tmp_path / "32.edgc", "-b", both, "-o", tmp_path / "b.png", "--precision", "fp16", "--json")
    )
    assert json.loads(outcome.output)["engine"]["precision"] == "fp16"
    assert run_command(*encode, "-o", tmp_path / "x.edgc", "--precision", "int8").status == 4
    shown = run_command("inspect", both).output.decode()
    assert "to encode: 1 in fp16, 1 in fp32\n" in shown and "to decode: 1 in fp16, 1 in fp32\n" in shown


def in_c(path: Path, **options: Any) -> tuple[str, str]:
    """The precisions in which a C program's codec with these options encodes and decodes; no engine runs."""
    library, held, codec = native.library(), Bundle(path), ctypes.c_void_p()
    given = interface.start(interface.CodecOptions, **options)
    native.call(library.ec_codec_open, held.handle, ctypes.byref(given), ctypes.byref(codec))
    with edgecodec.open_bundle(path, "onnxruntime") as plain:
        coded = plain.encode(GREY).data
    image = interface.start(interface.Image, pixels=GREY.ctypes.data, width=32, height=32, channels=3)
    found = []
    for begin in (
        lambda job: library.ec_job_encode(codec, ctypes.byref(image), None, job, None),
        lambda job: library.ec_job_decode(codec, coded, len(coded), None, job, None),
    ):
        job, step = ctypes.c_void_p(), interface.start(interface.Step)
        assert begin(ctypes.byref(job)) == 0
        native.call(library.ec_job_next, job, ctypes.byref(step))
        found.append(step.graph.contents.precision.decode())
        library.ec_job_close(job)
    library.ec_codec_close(codec)
    return found[0], found[1]


def table(precision: bytes | None) -> Table:
    """An engine of the caller's, which is never called."""
    made = interface.start(Table, precision=precision)
    types: dict[str, Any] = {name: kind for name, kind, *_ in Table._fields_}
    for name in ("load", "run"):
        setattr(made, name, types[name](lambda *arguments: 1))
    return made


def test_an_engine_table_says_its_precision(both: Path) -> None:
    for precision, expected in ((None, "fp32"), (b"fp16", "fp16"), (b"fp8", "fp32")):
        own = table(precision)
        assert in_c(both, engine_table=ctypes.addressof(own)) == ("fp32", expected)
        assert in_c(both, engine_table=ctypes.addressof(own), precision=b"fp32") == ("fp32", "fp32")
        named = {"precision": b"fp16", "encode_precision": b"fp16"}
        assert in_c(both, engine_table=ctypes.addressof(own), **named) == ("fp16", "fp16")


def test_an_older_engine_table_has_no_precision(both: Path) -> None:
    own = table(b"fp16")
    own.struct_size = Table.precision.offset
    assert in_c(both, engine_table=ctypes.addressof(own)) == ("fp32", "fp32")


def test_jobs_without_an_engine_are_fp32(both: Path) -> None:
    assert in_c(both, engine=interface.NO_ENGINE) == ("fp32", "fp32")
