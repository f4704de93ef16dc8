"""The check of a GPU machine goes on where it was, tells what did not run, and finds what is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgecodec.engine import Graph, Options, Port
from edgecodec.errors import EngineFailed, EngineUnavailable
from support.paths import ENVIRONMENT, ROOT

GRAPH = Graph(Path("synthesis.onnx"), b"bytes of a graph", (Port("y", 3, 16),), (Port("image", 3, 1),))
BASELINES = {"eager fp16": {"host": 12.0, "device": 11.0}, "compiled fp16": {"host": 9.0, "device": 8.0}}
DECODED = {"total": 5.0, "all but the engine": 2.5, "in a row over engine": 1.2}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "gpu")


# ---- going on where it was -----------------------------------------------------------------------------------------


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Runs the program with steps of the test's own."""
    from gpu_check import __main__ as program

    def run(steps: dict[str, Callable[[], dict[str, Any]]], *more: str) -> int:
        monkeypatch.setattr(program, "steps", lambda plan: iter(steps.items()))
        monkeypatch.setattr(sys, "argv", ["check", "--out", str(tmp_path), "--device", "cpu", *more])
        return program.main()

    before = signal.getsignal(signal.SIGALRM)
    yield run
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def recorded(folder: Path) -> dict[str, str]:
    """The status of every step, in the order in which they came."""
    steps = json.loads((folder / "check.json").read_text())["steps"]
    return {name: step["status"] for name, step in steps.items()}


def test_what_is_done_is_not_done_again(check: Callable[..., int], tmp_path: Path) -> None:
    done: list[str] = []
    assert check({"a": lambda: done.append("a") or {}, "b": lambda: {"x": 1}}) == 0  # type: ignore[func-returns-value]
    assert check({"a": lambda: done.append("again") or {}}) == 0  # type: ignore[func-returns-value]
    assert done == ["a"]
    assert check({"a": lambda: done.append("fresh") or {}}, "--fresh") == 0  # type: ignore[func-returns-value]
    assert check({"a": lambda: done.append("small") or {}}, "--small") == 0  # type: ignore[func-returns-value]
    assert done == ["a", "fresh", "small"]
    assert recorded(tmp_path) == {"a": "done"}


def test_a_fault_is_told_and_the_others_are_done(check: Callable[..., int], tmp_path: Path, capsys: Any) -> None:
    from gpu_check.steps import CheckFailed, NotRun

    def wrong() -> dict[str, Any]:
        raise CheckFailed("off by 9 levels")

    def missing() -> dict[str, Any]:
        raise NotRun("TensorRT is not installed")

    def broken() -> dict[str, Any]:
        raise RuntimeError("of all things")

    assert check({"a": wrong, "b": missing, "c": broken, "d": dict}) == 1
    assert recorded(tmp_path) == {"a": "failed", "b": "not run", "c": "failed", "d": "done"}
    table = (tmp_path / "check.md").read_text()
    for words in ("off by 9 levels", "TensorRT is not installed", "RuntimeError: of all things"):
        assert words in table
    assert check({"a": dict, "b": missing, "c": dict, "d": dict}) == 0


def test_it_stops_when_time_is_up_and_tries_the_rest_first(check: Callable[..., int], tmp_path: Path) -> None:
    order: list[str] = []

    def endless() -> dict[str, Any]:
        order.append("endless")
        time.sleep(600)
        return {}

    def quick() -> dict[str, Any]:
        order.append("quick")
        return {}

    start = time.monotonic()
    assert check({"endless": endless, "quick": quick}, "--seconds", "0.3") == 75
    assert time.monotonic() - start < 60
    assert recorded(tmp_path) == {"endless": "out of time"}
    assert check({"endless": endless, "quick": quick}, "--seconds", "0.3") == 75
    assert order == ["endless", "quick", "endless"]
    assert recorded(tmp_path)["quick"] == "done"


# ---- goals ---------------------------------------------------------------------------------------------------------


def verdicts(records: dict[str, Any]) -> list[str]:
    from gpu_check.goals import goals

    return [goal.verdict for goal in goals(records)]


def records_of(decoded: dict[str, Any]) -> dict[str, Any]:
    return {
        "pytorch hific/published 768x512": {"result": {"latents to host picture": BASELINES}},
        "decode hific/published 768x512": {"result": decoded},
    }


def test_goals_are_of_the_fastest_engine_in_fp16() -> None:
    others = {"torch:fp16": DECODED | {"total": 1.0}, "onnxruntime:cuda fp32": DECODED | {"total": 2.0}}
    assert verdicts(records_of({"tensorrt fp16": DECODED, **others})) == ["met", "met", "met", "missed"]
    slower = DECODED | {"total": 7.0, "all but the engine": 4.0, "in a row over engine": 1.05}
    assert verdicts(records_of({"tensorrt fp16": slower})) == ["missed", "missed", "missed", "met"]


def test_goals_that_were_not_measured_are_not_met() -> None:
    assert verdicts({}) == ["not run"] * 4
    assert verdicts(records_of({"tensorrt fp16": "not run: no TensorRT"})) == ["not run"] * 4
    without = records_of({"torch:fp16": DECODED}) | {"pytorch hific/published 768x512": {"why": "out of memory"}}
    assert verdicts(without) == ["not run", "not run", "met", "missed"]


# ---- PyTorch behind the seam ---------------------------------------------------------------------------------------


class Doubled(nn.Module):
    """Not a decoder of any family: y / 255 enlarged, so that levels can be foretold."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1, 3, 1, 1), 1 / 255))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return (y * self.scale).repeat_interleave(2, 2).repeat_interleave(2, 3)


@pytest.mark.parametrize("variant", ["", "fp16"])
def test_the_engine_runs_the_decoder_that_was_offered(variant: str) -> None:
    from gpu_check import torch_engine

    torch_engine.offer(GRAPH.data, Doubled(), "fp32")
    engine = torch_engine.Torch.load(GRAPH, variant, Options())
    y = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    image = engine.run({"y": y})["image"]
    assert image.dtype == np.uint8
    assert np.array_equal(image, y[0].repeat(2, 1).repeat(2, 2).transpose(1, 2, 0))
    assert engine.copies().upload > 0 and engine.copies().download > 0
    assert engine.describe().device == "cpu"
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.run({"y": y})


def test_what_the_engine_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_check import torch_engine

    torch_engine.offer(b"in int8", Doubled(), "int8")
    for data, words in ((b"another graph", "its decoder is not known"), (b"in int8", "runs no decoder in int8")):
        with pytest.raises(EngineFailed, match=words):
            torch_engine.Torch.load(Graph(GRAPH.path, data, GRAPH.inputs, GRAPH.outputs), "", Options())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch_engine, "_device", torch.device("cuda"))
    with pytest.raises(EngineUnavailable, match="no CUDA device"):
        torch_engine.Torch.require("")


# ---- the whole -----------------------------------------------------------------------------------------------------


def run_script(*arguments: str) -> subprocess.CompletedProcess[str]:
    from edgecodec import native

    environment = {**ENVIRONMENT, "PYTHON": sys.executable, "EDGECODEC_LIBRARY": native.custom_ops_library()}
    return subprocess.run(
        ["bash", str(ROOT / "gpu" / "check.sh"), *arguments], env=environment, capture_output=True, text=True
    )


def test_an_unknown_option_shows_how_it_is_called() -> None:
    done = run_script("--gpu")
    assert done.returncode == 2 and "gpu/check.sh [--wheels FOLDER]" in done.stderr


@pytest.mark.slow
def test_the_whole_flow_on_a_processor(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--small", "--out", str(tmp_path / "out")]
    done = run_script(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "out" / "check.json").read_text())
    statuses = {name.partition(" ")[0]: step["status"] for name, step in record["steps"].items()}
    plans = statuses.pop("plans")
    assert set(statuses.values()) == {"done"} and plans in ("not run", "done")
    decoded = record["steps"]["decode hific/tiny 96x64"]["result"]
    assert decoded["torch fp32"]["engine"] > 0 and decoded["torch fp32"]["upload"] > 0
    table = (tmp_path / "out" / "check.md").read_text()
    assert re.search(r"\| torch \| exact; torch is off by [01] of 1 levels", table) and "not run" in table
    again = run_script(*options)
    assert again.returncode == 0 and "done" not in again.stdout.partition("# GPU check")[0]
    assert os.listdir(tmp_path / "out" / "hific-tiny.bundle")
