"""`edgecodec build`: one line a plan, what is there is not built again, and errors say what to do."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecodec.bundle import Bundle, BundleInfo
from edgecodec.cli.progress import Progress
from edgecodec.engine_registry import preferred_precision
from edgecodec.errors import CannotRead, EngineFailed, KnobUnavailable
from edgecodec_engines.tensorrt_plans import building, cuda_driver, tensorrt_module, verification
from edgecodec_engines.tensorrt_plans.cuda_driver import Device
from edgecodec_engines.tensorrt_plans.plan_cache import PlanCache
from edgecodec_engines.tensorrt_plans.plan_key import PlanKey, TensorRT
from edgecodec_engines.tensorrt_plans.planning import PlanWish, wanted_graphs
from edgecodec_engines.tensorrt_plans.profiles import PictureSizes, Size
from edgecodec_engines.tensorrt_plans.verification import verify_plan
from support.command_line import run_command
from support.paths import TINY
from support.plans import RTX, needs_tensorrt, store

ORIN = Device("Orin", "8.7", 16, "12.6")
SIZES = PictureSizes(None, Size(64, 64), Size(128, 128))
SMALL = ("--opt", "64x64", "--max", "128x128")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanCache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return PlanCache.of_user()


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> list[PlanKey]:
    """A TensorRT whose plans are the graphs that it was given, and the keys of what it built."""
    built: list[PlanKey] = []

    def build(cache: PlanCache, key: PlanKey, graph: Any, about: Any, **options: Any) -> building.Built:
        options["report"](building.Progress(12.0, "Building", 0.5))
        built.append(key)
        with cache.work_folder() as work:
            (work / "plan").write_bytes(graph.data)
            return building.Built(cache.store(key, work / "plan", about), ("is odd",), 1.5, 3, 1 << 20)

    monkeypatch.setattr(building, "build", build)
    monkeypatch.setattr(tensorrt_module, "find_tensorrt", lambda name=None: (RTX, None))
    monkeypatch.setattr(cuda_driver, "first_device", lambda: None)
    return built


def test_decoders_are_built_once(builder: list[PlanKey], cache: PlanCache) -> None:
    first = run_command("build", TINY, "--json", *SMALL)
    assert first.status == 0
    assert [record["graph"] for record in first.records] == [
        f"synthesis-alpha{alpha}.onnx" for alpha in ("0", "0.5", "1")
    ]
    for record, key in zip(first.records, builder, strict=True):
        plan = cache.find(key)
        assert plan is not None
        assert record["built"] is True
        assert record["plan"] == str(cache.path(plan))
        assert record["sha256"] == plan.sha256
        assert record["verification"] == plan.verification == "not verified: no GPU"
        assert record["warnings"] == ["is odd"]
        assert record["about"]["sizes"] == "64x64 64x64 128x128"
    again = run_command("build", TINY, "--json", *SMALL)
    assert [record["built"] for record in again.records] == [False] * 3
    assert len(builder) == 3
    run_command("build", TINY, "--force", *SMALL)
    assert len(builder) == 6


@pytest.mark.parametrize(
    "options",
    [("--max", "192x128"), ("--opt", "128x64"), ("--min", "128x128", "--opt", "128x128"), ("--workspace", "1G")],
    ids=lambda options: options[0],
)
def test_other_options_are_other_plans(builder: list[PlanKey], options: tuple[str, ...]) -> None:
    run_command("build", TINY, "--alpha", "1", *SMALL)
    run_command("build", TINY, "--alpha", "1", *SMALL, *options)
    assert len({key.digest for key in builder}) == 2


def test_a_damaged_plan_is_built_again(builder: list[PlanKey], cache: PlanCache) -> None:
    run_command("build", TINY, "--alpha", "1")
    (plan,) = cache.plans()
    os.truncate(cache.path(plan), 10)
    assert run_command("build", TINY, "--alpha", "1", "--json").records[0]["built"] is True
    assert cache.load(plan) == (TINY / "synthesis-alpha1.onnx").read_bytes()


def test_the_bar_says_what_tensorrt_does_and_where_the_plan_goes(
    builder: list[PlanKey], cache: PlanCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(Progress, "note", lambda self, *words: told.append(words))
    run_command("build", TINY, "--alpha", "1", *SMALL)
    assert told == [("", f"to {cache.folder}"), ("Building 50%", f"to {cache.folder}")]


def test_people_are_told_what_happens(builder: list[PlanKey]) -> None:
    talk = run_command("build", TINY, "--alpha", "1", "-v").talk
    assert "plan 1 of 1: synthesis-alpha1.onnx" in talk and "synthesis-alpha1.onnx: 12 s, Building 50%" in talk
    assert "synthesis-alpha1.onnx: TensorRT warns: is odd" in talk
    assert "built in 1.5 s  not verified: no GPU" in talk
    assert "was there" in run_command("build", TINY, "--alpha", "1").talk
    assert run_command("build", TINY, "--force", "-q").talk == ""


def test_plans_for_other_programs_are_copied_to_a_folder(builder: list[PlanKey], tmp_path: Path) -> None:
    folder = tmp_path / "a" / "plans"
    assert run_command("build", TINY, "--side", "both", "--alpha", "0.5,1", "-o", folder).status == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{name}.{kind}" for name in ("analysis", "synthesis-alpha0.5", "synthesis-alpha1") for kind in ("json", "plan")
    ]
    assert (folder / "analysis.plan").read_bytes() == (TINY / "analysis.onnx").read_bytes()
    described = json.loads((folder / "analysis.json").read_text())
    assert described["file"] == "analysis.plan"
    assert described["size"] == (TINY / "analysis.onnx").stat().st_size
    refused = run_command("build", TINY, "--alpha", "1", "-o", folder)
    assert refused.status == 2
    assert "exists already" in refused.talk
    assert run_command("build", TINY, "--alpha", "1", "-o", folder, "--force").status == 0


def test_a_graph_that_fails_does_not_stop_the_others(builder: list[PlanKey], monkeypatch: pytest.MonkeyPatch) -> None:
    build = building.build

    def failing(cache: PlanCache, key: PlanKey, graph: Any, *arguments: Any, **options: Any) -> building.Built:
        if graph.path.name == "synthesis-alpha0.onnx":
            raise EngineFailed("TensorRT crashed", where=graph.path.name)
        return build(cache, key, graph, *arguments, **options)

    monkeypatch.setattr(building, "build", failing)
    outcome = run_command("build", TINY, "--json")
    assert outcome.status == 1
    assert [record["ok"] for record in outcome.records] == [False, True, True]
    assert "2 of 3 done, 1 failed" in outcome.talk
    assert run_command("build", TINY, "--alpha", "0").status == 6


def test_plans_are_listed(builder: list[PlanKey], monkeypatch: pytest.MonkeyPatch) -> None:
    empty = run_command("build", "--list")
    assert empty.output == b"" and "no plans in" in empty.talk
    run_command("build", TINY, "--alpha", "0.5")
    monkeypatch.setattr(tensorrt_module, "runs_here", lambda key: True)
    (line,) = run_command("build", "--list").output.decode().splitlines()
    for part in ("hific tiny synthesis-alpha0.5.onnx fp32", "64x64 768x512 1920x1088", "capability 8.0, 8.6", "no GPU"):
        assert part in line
    assert "does not run here" not in line
    monkeypatch.setattr(tensorrt_module, "runs_here", lambda key: False)
    assert run_command("build", "--list").output.decode().rstrip().endswith("does not run here")
    (record,) = run_command("build", "--list", "--json").records
    assert record["runs_here"] is False


def test_plans_that_do_not_run_here_are_pruned(builder: list[PlanKey], cache: PlanCache, monkeypatch: Any) -> None:
    run_command("build", TINY)
    kept, *_ = cache.plans()
    monkeypatch.setattr(tensorrt_module, "runs_here", lambda key: key == kept.key)
    (record,) = run_command("build", "--prune", "--json").records
    assert record["files"] == 4
    assert cache.plans() == [kept]
    assert run_command("build", "--prune", "--force").status == 0
    assert cache.plans() == []


# ---- verification ----


@pytest.mark.parametrize(
    ("raised", "status", "verdict"),
    [
        (None, 0, "verified"),
        ("off by 9 levels", 8, "failed: off by 9 levels"),
    ],
)
def test_golden_pictures_are_decoded_with_the_plan(
    builder: list[PlanKey], cache: PlanCache, monkeypatch: pytest.MonkeyPatch, raised: str, status: int, verdict: str
) -> None:
    from edgecodec.errors import VerificationFailed

    asked: list[tuple[Any, ...]] = []

    def compare(*arguments: Any) -> int:
        asked.append(arguments)
        if raised:
            raise VerificationFailed(raised)
        return 1

    monkeypatch.setattr(verification, "compare_golden_pixels", compare)
    monkeypatch.setattr(cuda_driver, "first_device", lambda: replace(ORIN, compute_capability="8.6"))
    outcome = run_command("build", TINY, "--alpha", "1", "--json")
    assert outcome.status == status
    assert asked == [(TINY, "tensorrt:rtx", "synthesis-alpha1.onnx")]
    (record,) = outcome.records
    assert record["ok"] == (status == 0)
    assert verdict in record["verification" if record["ok"] else "message"]
    assert [plan.verification for plan in cache.plans()] == [verdict]
    # What was found stands: an engine does not take a plan that failed, which another try would only find out again.
    assert run_command("build", TINY, "--alpha", "1").status == status
    assert len(asked) == 1
    assert [plan.verification for plan in cache.plans()] == [verdict]


def test_what_could_not_be_verified_is_tried_again(
    builder: list[PlanKey], cache: PlanCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_command("build", TINY, "--alpha", "1")
    monkeypatch.setattr(cuda_driver, "first_device", lambda: replace(ORIN, compute_capability="8.6"))
    monkeypatch.setattr(verification, "compare_golden_pixels", lambda *arguments: 1)
    run_command("build", TINY, "--alpha", "1")
    assert [plan.verification for plan in cache.plans()] == ["verified"]
    assert len(builder) == 1


def test_what_cannot_be_verified_says_why(cache: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    info = Bundle(TINY).info
    encoder = next(graph for graph in info.graphs if graph.side == "encode")
    decoder = next(graph for graph in info.graphs if graph.side == "decode")
    plan = store(cache)
    other = replace(plan, key=replace(plan.key, tensorrt=TensorRT("tensorrt", "10.3")))
    assert verify_plan(TINY, encoder, cache, plan, ORIN) == "not verified: golden pictures are for decoders"
    assert verify_plan(TINY, decoder, cache, plan, None) == "not verified: no GPU"
    monkeypatch.setattr(verification, "_ENGINES", {"tensorrt": "nosuch", "tensorrt_rtx": "onnxruntime"})
    assert verify_plan(TINY, decoder, cache, other, ORIN) == "not verified: there is no engine 'nosuch'"
    assert verify_plan(TINY, decoder, cache, plan, ORIN) == "verified"
    unknown = replace(decoder, file="other.onnx")
    assert verify_plan(TINY, unknown, cache, plan, ORIN) == "not verified: the bundle has no golden picture of it"


def test_a_decoder_that_gives_other_pictures_fails(cache: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_ENGINES", {"tensorrt_rtx": "stub"})
    decoder = next(graph for graph in Bundle(TINY).info.graphs if graph.side == "decode")
    assert verify_plan(TINY, decoder, cache, store(cache), ORIN).startswith("failed: stub is off by ")


# ---- which graphs ----


def _with_precisions(*precisions: str) -> BundleInfo:
    """The tiny bundle with each graph in these precisions."""
    info = Bundle(TINY).info
    return replace(info, graphs=tuple(replace(each, precision=name) for each in info.graphs for name in precisions))


@pytest.mark.parametrize(
    ("has", "sides", "taken"),
    [
        (("fp32", "fp16", "int8"), ("decode",), "fp16"),
        (("fp16", "fp32"), ("decode",), "fp16"),
        (("fp32",), ("decode",), "fp32"),
        (("int8", "fp32"), ("decode",), "fp32"),
        (("fp16", "fp32"), ("encode",), "fp32"),
        (("fp16",), ("encode",), "fp16"),
    ],
)
def test_precision_is_that_of_the_runtime_on_a_gpu(has: tuple[str, ...], sides: Any, taken: str) -> None:
    info = _with_precisions(*has)
    numbers = wanted_graphs(info, PlanWish(SIZES, sides))
    assert {info.graphs[number].precision for number in numbers} == {taken}
    assert len(numbers) == len({graph.file for graph in info.graphs if graph.side in sides})


def test_tensorrt_decodes_in_the_precision_that_is_built() -> None:
    info = _with_precisions("fp32", "fp16")
    (built,) = {info.graphs[number].precision for number in wanted_graphs(info, PlanWish(SIZES))}
    assert preferred_precision("tensorrt") == preferred_precision("tensorrt:rtx") == built


def test_a_named_precision_is_that_one_or_an_error() -> None:
    info = _with_precisions("fp32", "int8")
    numbers = wanted_graphs(info, PlanWish(SIZES, ("decode", "encode"), precision="int8"))
    assert {info.graphs[number].precision for number in numbers} == {"int8"}
    with pytest.raises(KnobUnavailable, match="nothing was exported in fp16"):
        wanted_graphs(info, PlanWish(SIZES, precision="fp16"))


def test_knobs_choose_among_the_graphs_that_have_them() -> None:
    info = Bundle(TINY).info
    both = wanted_graphs(info, PlanWish(SIZES, ("decode", "encode"), {"alpha": (0.5, 1.0)}))
    assert [info.graphs[number].file for number in both] == [
        "analysis.onnx",
        "synthesis-alpha0.5.onnx",
        "synthesis-alpha1.onnx",
    ]
    with pytest.raises(KnobUnavailable, match="encode takes no alpha"):
        wanted_graphs(info, PlanWish(SIZES, ("encode",), {"alpha": (1.0,)}))


# ---- mistakes ----


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        ((), 2, "BUNDLE missing. hint: edgecodec build --list"),
        ((TINY, "--side", "left"), 2, "--side: 'left' is no side. hint: give decode, encode or both"),
        ((TINY, "--opt", "big"), 2, "--opt: 'big' is not a size"),
        ((TINY, "--min", "9x9", "--opt", "8x8"), 2, "9x9 of --min does not fit into 8x8 of --opt"),
        ((TINY, "--alpha", "0.3"), 4, "nothing was exported for alpha=0.3"),
        ((TINY, "--workspace", "lots"), 2, "'lots' is not an amount of memory"),
        (("nosuch.bundle",), 4, "nosuch.bundle"),
    ],
)
def test_mistakes_are_named(builder: list[PlanKey], arguments: tuple[Any, ...], status: int, complaint: str) -> None:
    outcome = run_command("build", *arguments)
    assert outcome.status == status
    assert complaint in outcome.talk
    assert builder == []


def test_without_tensorrt_there_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(tensorrt_module, "import_module", missing)
    for arguments in ((TINY,), ("--prune",)):
        outcome = run_command("build", *arguments)
        assert outcome.status == 6
        assert "TensorRT cannot be imported" in outcome.talk
        assert "hint: JetPack has TensorRT" in outcome.talk


@pytest.mark.parametrize("option", ["--list", "--prune", TINY])
def test_a_cache_that_others_may_write_to_is_refused(builder: list[PlanKey], cache: PlanCache, option: Any) -> None:
    cache.folder.mkdir(parents=True)
    cache.folder.chmod(0o777)
    outcome = run_command("build", option)
    assert outcome.status in (1, CannotRead("").exit_status)
    assert "can be written to by other users" in outcome.talk
    assert list(cache.folder.iterdir()) == []


@needs_tensorrt
def test_a_bundle_becomes_plans(cache: PlanCache, tmp_path: Path) -> None:
    outcome = run_command("build", TINY, "--alpha", "1", "-o", tmp_path / "out", "--json", *SMALL)
    assert outcome.status == 0, outcome.talk
    (record,) = outcome.records
    assert record["warnings"] == []
    (plan,) = cache.plans()
    assert (tmp_path / "out" / "synthesis-alpha1.plan").read_bytes() == cache.load(plan)
