"""Figures of a benchmark can be compared: engines take turns, stages add up, and ratios are of neighbours in time."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecodec.benchmark import measuring
from edgecodec.benchmark.measuring import Settings, benchmark
from edgecodec.benchmark.pictures import files_of
from edgecodec.benchmark.results import Benchmark, Contender, Sample, result, spread
from edgecodec.codec import Codec
from edgecodec.engine import Copies, RunningEngine
from edgecodec.errors import EngineFailed, InvalidArgument, KnobUnavailable
from edgecodec.timings import Timings
from edgecodec_engines.stub import Stub
from support.command_line import run_command
from support.paths import DATA, PHOTOS, TINY

STUB, PROCESSOR = Contender("stub", None), Contender("onnxruntime", "fp32")
QUICK = Settings(warm_up=0, runs=2, cold=False, threads=1)
RUNNING = RunningEngine("any", "1", "cpu")
STAGES = ["parse", "entropy", "upload", "engine", "download", "rest"]


@pytest.fixture
def file(tmp_path: Path, coded: bytes) -> str:
    path = tmp_path / "picture.edgc"
    path.write_bytes(coded)
    return str(path)


def sample(engine: float, processor: float = 1.0) -> Sample:
    return Sample(Timings(0, 0, 0, engine, 0, 0), processor)


# ---- statistics ----------------------------------------------------------------------------------------------------


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert (spread(values).p50, spread(values).p90, spread(values).p99) == (50, 90, 99)
    assert spread([3.0]) == replace(spread([3.0]), p50=3.0, p90=3.0, p99=3.0)
    assert spread([1.0, 2.0, 9.0]).p99 == 9


def test_ratios_are_of_pairs_and_not_of_medians() -> None:
    """The machine was slow in the middle of it, for both."""
    reference = [sample(each, each) for each in (1, 10, 100)]
    other = [sample(2 * each, each / 2) for each in (1, 10, 100)]
    found = result(STUB, RUNNING, None, other, reference)
    assert (found.ratio, found.processor_ratio, found.samples) == (2, 0.5, 3)
    assert result(STUB, RUNNING, None, reference, reference).ratio == 1


def test_a_time_of_zero_has_no_ratio() -> None:
    assert math.isnan(result(STUB, RUNNING, None, [sample(1)], [sample(0)]).ratio)


# ---- measuring -----------------------------------------------------------------------------------------------------


def test_engines_take_turns_and_each_is_first_as_often(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def recorded(work: Any, codec: Codec) -> Sample:
        order.append(work(codec).engine.name)
        return sample(1)

    monkeypatch.setattr(measuring, "_sample", recorded)
    found = benchmark(str(TINY), [file, file], [PROCESSOR, STUB], replace(QUICK, warm_up=1), lambda line: None)
    processor, stub = "onnxruntime", "stub"
    assert order == 2 * [processor, stub] + 2 * [processor, stub] + 2 * [stub, processor]
    assert [each.samples for each in found.results] == [4, 4]


def test_the_stages_of_a_sample_are_the_time_that_passed(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Stub.run

    def slow(self: Stub, inputs: Any) -> Any:
        time.sleep(0.05)
        return run(self, inputs)

    monkeypatch.setattr(Stub, "run", slow)
    decode = Codec.decode

    def busy(self: Codec, source: Any) -> Any:
        decoded = decode(self, source)
        time.sleep(0.05)  # in Python, behind the library's clocks
        return decoded

    monkeypatch.setattr(Codec, "decode", busy)
    monkeypatch.setattr(Stub, "copies", lambda self: Copies(0.02, 0.01))
    start = time.perf_counter()
    found = benchmark(str(TINY), [file], [STUB], replace(QUICK, runs=1))
    passed = time.perf_counter() - start
    stages = {name: spread.p50 for name, spread in found.results[0].stages.items()}
    assert list(stages) == STAGES
    assert (stages["upload"], stages["download"]) == (0.02, 0.01)
    assert 0.02 <= stages["engine"] < passed - 0.03
    assert all(value >= 0 for value in stages.values())
    assert math.isclose(sum(stages.values()), found.results[0].total.p50, rel_tol=1e-9)
    assert 0.1 <= found.results[0].total.p50 < passed


def test_processor_time_is_told_apart_from_waiting(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Stub.run

    def waiting(self: Stub, inputs: Any) -> Any:
        time.sleep(0.1)
        return run(self, inputs)

    monkeypatch.setattr(Stub, "run", waiting)
    found = benchmark(str(TINY), [file], [STUB], replace(QUICK, runs=1)).results[0]
    assert found.processor.p50 < 0.05 < found.total.p50


def test_a_picture_is_encoded_before_it_is_decoded() -> None:
    found = benchmark(str(TINY), [str(PHOTOS[0])], [PROCESSOR], QUICK)
    assert found.side == "decode" and found.pixels == 64 * 96 and found.results[0].engine.device == "cpu"


def test_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Codec, source: Any) -> None:
        raise AssertionError("nothing is to be decoded")

    monkeypatch.setattr(Codec, "decode", refused)
    found = benchmark(str(TINY), [str(PHOTOS[0])], [STUB], replace(QUICK, side="encode"))
    assert found.side == "encode" and found.pixels == 64 * 96 and found.results[0].samples == 2
    with pytest.raises(KnobUnavailable, match="fp8"):
        benchmark(str(TINY), [str(PHOTOS[0])], [Contender("stub", "fp8")], replace(QUICK, side="encode"))


def test_rounds_go_on_until_the_time_is_over(file: str) -> None:
    found = benchmark(str(TINY), [file], [STUB], replace(QUICK, seconds=0.2))
    assert found.runs > QUICK.runs and found.results[0].samples == found.runs
    assert benchmark(str(TINY), [file], [STUB], replace(QUICK, seconds=1e-9)).runs == 1


def test_a_cold_picture_is_that_of_another_process(file: str) -> None:
    (found,) = benchmark(str(TINY), [file], [PROCESSOR], replace(QUICK, cold=True)).results
    assert found.cold is not None
    assert found.cold.process > found.cold.open + found.cold.stages.total > 0
    assert found.cold.stages.engine > found.stages["engine"].p50  # it loads the graph


def test_an_engine_that_fails_in_a_process_of_its_own_is_named(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecodec.benchmark.cold._FUNCTION", "edgecodec.benchmark.first_picture:no_such_function")
    with pytest.raises(EngineFailed, match="in a process of its own: AttributeError"):
        benchmark(str(TINY), [file], [STUB], replace(QUICK, cold=True))


def test_a_folder_stands_for_its_coded_pictures_or_else_for_its_pictures(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    taken = {".png", ".edgc"}.__contains__
    assert files_of([str(tmp_path), "x"], taken) == [str(tmp_path / "a.png"), str(tmp_path / "b.PNG"), "x"]
    (tmp_path / "c.edgc").write_bytes(b"")
    assert files_of([str(tmp_path)], taken) == [str(tmp_path / "c.edgc")]
    with pytest.raises(InvalidArgument, match="holds no picture"):
        files_of([str(tmp_path)], {".webp"}.__contains__)


@pytest.mark.parametrize(
    ("contenders", "settings", "words"),
    [
        ([], QUICK, "nothing to measure"),
        ([STUB, STUB], QUICK, "stub is named twice"),
        ([STUB], replace(QUICK, side="encode"), "is coded already"),
        ([STUB], replace(QUICK, runs=0), "that many rounds"),
        ([STUB], replace(QUICK, seconds=0.0), "that many rounds"),
        ([STUB], replace(QUICK, warm_up=-1), "that many rounds"),
    ],
)
def test_what_cannot_be_measured(contenders: list[Contender], settings: Settings, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        benchmark(str(TINY), ["a.edgc"], contenders, settings)


# ---- the command ---------------------------------------------------------------------------------------------------


def test_the_command_shows_a_table_and_a_complete_record(file: str) -> None:
    options = ["--engine", "onnxruntime", "--engine", "stub", "--runs", 1, "--warm-up", 0, "--no-cold", "-j", 1]
    spoken = run_command("bench", TINY, file, *options, "-q")
    assert spoken.status == 0, spoken.talk
    text = spoken.output.decode()
    for words in (
        "one picture of 0.01 megapixels",
        "onnxruntime: onnxruntime 1.",
        "stub: stub",
        "of the first engine's",
    ):
        assert words in text
    assert all(f"\n  {stage}" in text for stage in [*STAGES, "total", "CPU"])
    told = run_command("bench", TINY, file, *options, "--json", "-q", "--precision", "fp32")
    (record,) = told.records
    assert record["machine"]["software"]["edgecodec"] and record["machine"]["processor"]["threads"]
    assert [each["contender"]["precision"] for each in record["results"]] == ["fp32", "fp32"]
    assert list(record["results"][0]["stages"]) == STAGES
    assert record["results"][0]["cold"] is None and record["results"][0]["ratio"] == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["absent.edgc"], 7, "absent.edgc"),
        ([DATA / "photos", "--engine", "tensorflow"], 2, "no engine 'tensorflow'"),
        ([DATA / "photos", "--engine-library", "plugin.so"], 2, "onnxruntime:NAME"),
        ([DATA / "photos", "--engine", "onnxruntime:openvino", "--engine-device", "gpu"], 2, "the plugin's library"),
        ([DATA / "photos", "--engine", "onnxruntime:cuda", "--engine-library", "plugin.so"], 6, "plugin.so"),
        ([DATA / "photos", "--precision", "fp8"], 4, "fp8"),
        ([DATA / "photos", "--knob", "delta=1"], 4, "delta"),
        ([DATA / "photos", "--runs", "0"], 2, "--runs"),
        ([DATA / "photos", "--side", "both"], 2, "--side"),
        ([TINY / "entropy.bin"], 7, "entropy.bin"),
    ],
)
def test_what_the_command_refuses(arguments: list[Any], status: int, words: str) -> None:
    outcome = run_command("bench", TINY, *arguments, "--no-cold")
    assert outcome.status == status and words in outcome.talk, outcome.talk


def test_a_damaged_picture_is_named(tmp_path: Path, coded: bytes) -> None:
    damaged = tmp_path / "damaged.edgc"
    damaged.write_bytes(coded[:-1])
    outcome = run_command("bench", TINY, damaged, "--no-cold")
    assert outcome.status == 3 and "damaged.edgc" in outcome.talk


def test_a_chart_without_matplotlib_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = run_command("bench", TINY, file, "--chart", "x", "--no-cold", "--engine", "stub")
    assert outcome.status == 6 and "edgecodec[bench]" in outcome.talk and "reading" not in outcome.talk


# ---- the chart -----------------------------------------------------------------------------------------------------


def measured(file: str) -> Benchmark:
    return benchmark(str(TINY), [file], [PROCESSOR, STUB], replace(QUICK, runs=1))


def test_a_chart_names_what_it_shows(file: str, tmp_path: Path) -> None:
    chart = pytest.importorskip("edgecodec.benchmark.chart", reason="matplotlib is not installed")
    found = measured(file)
    chart.write_chart(found, tmp_path / "split.v2")
    assert (tmp_path / "split.v2.png").read_bytes().startswith(b"\x89PNG")
    labels = set(re.findall("<!-- (.*?) -->", (tmp_path / "split.v2.svg").read_text()))
    assert {"onnxruntime fp32", "stub", "all stages", "all but the engine", "entropy", "engine", "rest"} <= labels
    assert "upload" not in labels  # nothing was copied
    copied = replace(found.results[0], stages=found.results[0].stages | {"upload": spread([0.5])})
    chart.write_chart(replace(found, results=(copied,)), tmp_path / "copied")
    assert "<!-- upload -->" in (tmp_path / "copied.svg").read_text()


def test_the_bars_are_as_long_as_the_stages(file: str) -> None:
    chart = pytest.importorskip("edgecodec.benchmark.chart", reason="matplotlib is not installed")
    found = measured(file)
    whole, without_engine = chart._figure(found).axes
    for place, each in enumerate(found.results):
        longest = max(bar.get_x() + bar.get_width() for bar in whole.patches if round(bar.get_y() + 0.3) == place)
        assert math.isclose(longest, 1000 * sum(spread.p50 for spread in each.stages.values()), rel_tol=1e-6)
    assert len(without_engine.patches) == len(whole.patches) - len(found.results)
