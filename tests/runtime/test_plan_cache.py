"""Plans carry code: a cache gives out what this user stored, byte by byte, for the very key, or nothing."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec.engine import Graph
from edgecodec.errors import BadModel, CannotRead, CannotWrite
from edgecodec_engines.tensorrt_plans import plan_cache
from edgecodec_engines.tensorrt_plans.plan_cache import Plan, PlanCache, Pruned
from edgecodec_engines.tensorrt_plans.plan_key import BuildOptions, PlanKey, Target, TensorRT, graph_sha256, key_of
from edgecodec_engines.tensorrt_plans.profiles import ShapeRange
from support.paths import ENVIRONMENT, ROOT
from support.plans import KEY, store

OTHERS: dict[str, PlanKey] = {
    "graph": replace(KEY, graph="cd" * 32),
    "precision": replace(KEY, precision="fp16"),
    "input": replace(KEY, profile={"z": KEY.profile["y"]}),
    "smallest": replace(KEY, profile={"y": replace(KEY.profile["y"], smallest=(1, 8, 1, 2))}),
    "typical": replace(KEY, profile={"y": replace(KEY.profile["y"], typical=(1, 8, 4, 5))}),
    "largest": replace(KEY, profile={"y": replace(KEY.profile["y"], largest=(1, 8, 9, 8))}),
    "flavour": replace(KEY, tensorrt=TensorRT("tensorrt", KEY.tensorrt.version)),
    "version": replace(KEY, tensorrt=TensorRT("tensorrt_rtx", "1.7.1.117")),
    "device": replace(KEY, target=Target("Orin")),
    "compute capability": replace(KEY, target=replace(KEY.target, compute_capability="8.7")),
    "multiprocessors": replace(KEY, target=replace(KEY.target, multiprocessors=16)),
    "driver": replace(KEY, target=replace(KEY.target, driver="12.6")),
    "system": replace(KEY, target=replace(KEY.target, system="linux-riscv64")),
    "workspace": replace(KEY, options=BuildOptions(1 << 30)),
    "schema": replace(KEY, schema=KEY.schema + 1),
}


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "cache" / "plans")


def _json_of(cache: PlanCache, plan: Plan) -> Path:
    return cache.folder / f"{plan.key.digest[:32]}.json"


def _files(cache: PlanCache) -> list[Path]:
    """But for the file by which processes wait for each other."""
    return [path for path in sorted(cache.folder.iterdir()) if path.name != "lock"]


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


# ---- keys ----


@pytest.mark.parametrize("name", OTHERS)
def test_everything_that_binds_a_plan_is_in_its_key(cache: PlanCache, name: str) -> None:
    store(cache)
    assert OTHERS[name].digest != KEY.digest
    assert cache.find(OTHERS[name]) is None
    assert cache.find(KEY) is not None


SHAPES = st.lists(st.integers(0, 1 << 20), max_size=4).map(tuple)


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(max_size=5), st.builds(ShapeRange, SHAPES, SHAPES, SHAPES), max_size=3),
    st.builds(Target, st.text(max_size=5), st.just("8.7"), st.integers(0, 1000)),
    st.none() | st.integers(0, 1 << 40),
)
def test_keys_survive_json(profile: dict[str, ShapeRange], target: Target, workspace: int | None) -> None:
    key = replace(KEY, profile=profile, target=target, options=BuildOptions(workspace))
    read = key_of(json.loads(json.dumps(key.values())))
    assert read == key
    assert read.digest == key.digest


def test_a_graph_is_known_by_its_bytes_and_its_weights() -> None:
    def sha256(data: bytes, **weights: bytes) -> str:
        return graph_sha256(Graph(Path("a"), data, (), (), weights=weights))

    different = [sha256(b"a"), sha256(b"b"), sha256(b"a", w=b"1"), sha256(b"a", w=b"2"), sha256(b"a", v=b"1")]
    # No byte passes from one part to the next.
    different += [
        sha256(b"aw", w=b""),
        sha256(b"a", w=b"", v=b"1"),
        sha256(b"a", v=b"w", w=b"1"),
        sha256(b"a", wv=b"1"),
    ]
    assert len(set(different)) == len(different)
    assert sha256(b"a", v=b"1", w=b"2") == sha256(b"a", w=b"2", v=b"1")


# ---- what is stored and given out ----


def test_a_plan_is_given_out_as_it_was_stored(cache: PlanCache) -> None:
    assert cache.find(KEY) is None
    assert cache.plans() == []
    plan = store(cache)
    assert cache.find(KEY) == plan
    assert cache.load(plan) == b"a plan"
    assert cache.path(plan).read_bytes() == b"a plan"  # for other programs
    assert plan.about == {"graph": "synthesis.onnx"}
    assert sorted(path.suffix for path in _files(cache)) == [".json", ".plan"]


def test_a_new_plan_replaces_the_one_with_its_key(cache: PlanCache) -> None:
    store(cache)
    plan = store(cache, data=b"another")
    assert cache.find(KEY) == plan
    assert cache.load(plan) == b"another"
    assert len(_files(cache)) == 2


def test_what_was_verified_is_remembered(cache: PlanCache) -> None:
    verified = cache.record_verification(store(cache), "verified")
    assert cache.find(KEY) == verified
    assert verified.verification == "verified"
    assert cache.load(verified) == b"a plan"


def test_what_was_found_with_a_plan_is_not_said_of_the_next(cache: PlanCache) -> None:
    first = store(cache)
    second = store(cache, data=b"another")
    cache.record_verification(first, "verified")
    assert cache.find(KEY) == second
    cache.prune(lambda plan: False)
    cache.record_verification(second, "verified")
    assert cache.find(KEY) is None


def test_plans_of_a_graph_are_those_for_this_tensorrt_and_target(cache: PlanCache) -> None:
    for name, key in OTHERS.items():
        store(cache, key, name.encode())
    store(cache)
    found = {cache.load(plan).decode() for plan in cache.plans_for(KEY.graph, KEY.tensorrt, KEY.target)}
    assert found == {"a plan", "precision", "input", "smallest", "typical", "largest", "workspace"}


def test_the_newest_plan_comes_first(cache: PlanCache) -> None:
    for age, name in enumerate(["version", "graph", "driver"]):
        plan = store(cache, OTHERS[name], name.encode())
        os.utime(_json_of(cache, plan), (time.time() - age, time.time() - age))
    assert [cache.load(plan) for plan in cache.plans()] == [b"version", b"graph", b"driver"]


# ---- damage ----


@pytest.mark.parametrize(
    "damage",
    {
        "truncated": lambda path: os.truncate(path, 3),
        "extended": lambda path: path.write_bytes(b"a plan!"),
        "of another": lambda path: path.write_bytes(b"b plan"),
        "empty": lambda path: os.truncate(path, 0),
        "missing": lambda path: path.unlink(),
        "a folder": lambda path: (path.unlink(), path.mkdir()),
        "a link": lambda path: (path.rename(path.with_name("elsewhere")), path.symlink_to("elsewhere")),
        "a pipe": lambda path: (path.unlink(), subprocess.run(["mkfifo", path], check=True)),
        "open to others": lambda path: path.chmod(0o622),
    }.items(),
    ids=lambda damage: damage[0],
)
def test_a_plan_that_is_not_what_was_stored_is_never_loaded(
    cache: PlanCache, damage: tuple[str, Callable[[Path], object]]
) -> None:
    plan = store(cache)
    damage[1](cache.path(plan))
    with pytest.raises(BadModel, match=r"the plan (cannot be read|is not the one)") as caught:
        cache.load(plan)
    assert caught.value.where == str(cache.path(plan))
    assert "edgecodec build" in str(caught.value.hint)
    assert cache.find_whole(KEY) is None
    again = store(cache, data=b"again")
    assert cache.find_whole(KEY) == again


@pytest.mark.parametrize(
    "change",
    {
        "another key": lambda values: values["key"].update(precision="fp16"),
        "another schema": lambda values: values["key"].update(schema=0),
        "another plan's file": lambda values: values.update(file="0" * 32 + "." + "0" * 32 + ".plan"),
        "a file elsewhere": lambda values: values.update(file="../../" + values["file"]),
        "a size of text": lambda values: values.update(size="6"),
        "no size": lambda values: values.pop("size"),
        "a huge size": lambda values: values.update(size=1 << 60),
        "more than there is": lambda values: values.update(colour="red"),
        "no key": lambda values: values.pop("key"),
        "a key of nothing": lambda values: values.update(key=None),
        "no shapes": lambda values: values["key"].update(profile={"y": {}}),
    }.items(),
    ids=lambda change: change[0],
)
def test_a_description_that_does_not_fit_counts_as_none(
    cache: PlanCache, change: tuple[str, Callable[[dict[str, Any]], object]]
) -> None:
    plan = store(cache)
    _edit(_json_of(cache, plan), change[1])
    assert cache.find(KEY) is None
    assert cache.plans() == []
    assert store(cache) == cache.find(KEY)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '{"key": 1}', "\ufeff{}", "7"])
def test_a_description_that_is_none_counts_as_none(cache: PlanCache, text: str) -> None:
    plan = store(cache)
    _json_of(cache, plan).write_text(text, encoding="utf-8")
    assert cache.find(KEY) is None
    assert cache.plans() == []


def test_a_description_under_another_name_counts_as_none(cache: PlanCache) -> None:
    plan = store(cache)
    _json_of(cache, plan).rename(_json_of(cache, replace(plan, key=OTHERS["graph"])))
    assert cache.find(OTHERS["graph"]) is None
    assert cache.plans() == []


# ---- other users ----


def test_the_cache_is_for_its_user_alone(cache: PlanCache) -> None:
    before = os.umask(0)
    try:
        plan = store(cache)
    finally:
        os.umask(before)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(cache.path(plan).stat().st_mode) == 0o600


CALLS: dict[str, Callable[[PlanCache, Plan], object]] = {
    "find": lambda cache, plan: cache.find(plan.key),
    "plans": lambda cache, plan: cache.plans(),
    "plans_for": lambda cache, plan: cache.plans_for(plan.key.graph, plan.key.tensorrt, plan.key.target),
    "load": lambda cache, plan: cache.load(plan),
    "store": lambda cache, plan: store(cache),
    "prune": lambda cache, plan: cache.prune(lambda plan: False),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(cache: PlanCache, call: str, mode: int) -> None:
    plan = store(cache)
    cache.folder.chmod(mode)
    with pytest.raises(CannotRead, match="can be written to by other users") as caught:
        CALLS[call](cache, plan)
    assert f"chmod 700 {cache.folder}" in str(caught.value.hint)


@pytest.mark.parametrize("call", CALLS)
def test_a_folder_of_another_user_is_refused(cache: PlanCache, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = store(cache)
    owned_by = os.stat(cache.folder).st_uid
    status = os.stat

    def foreign(path: Any, **keywords: Any) -> os.stat_result:
        found = status(path, **keywords)
        return os.stat_result((*found[:4], owned_by + 1, *found[5:])) if Path(path) == cache.folder else found

    monkeypatch.setattr("edgecodec_engines.tensorrt_plans.private_folder.os.stat", foreign)
    with pytest.raises(CannotRead, match="belongs to another user"):
        CALLS[call](cache, plan)


def test_a_file_of_another_user_is_refused(cache: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = store(cache)
    status = os.fstat

    def foreign(descriptor: int) -> os.stat_result:
        found = status(descriptor)
        return os.stat_result((*found[:4], found[4] + 1, *found[5:]))

    monkeypatch.setattr("edgecodec_engines.tensorrt_plans.private_folder.os.fstat", foreign)
    with pytest.raises(BadModel, match="belongs to another user"):
        cache.load(plan)
    assert cache.find(KEY) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write anywhere")
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CannotWrite):
        store(PlanCache(tmp_path / "plans"))


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "plans").write_text("")
    with pytest.raises(CannotWrite):
        store(PlanCache(tmp_path / "plans"))
    with pytest.raises(CannotRead, match="is not a folder"):
        PlanCache(tmp_path / "plans").plans()


# ---- where it is ----


def test_the_cache_is_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for named, folder in {
        str(tmp_path / "x"): tmp_path / "x",
        "": tmp_path / ".cache",
        "relative": tmp_path / ".cache",
    }.items():
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert PlanCache.of_user().folder == folder / "edgecodec" / "plans"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert PlanCache.of_user().folder == tmp_path / ".cache" / "edgecodec" / "plans"


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(CannotRead, match="no home folder"):
        PlanCache.of_user()


# ---- several processes ----


def test_concurrent_writers_leave_one_whole_plan(cache: PlanCache) -> None:
    """And readers see one of them whole at any time."""
    store(cache)
    contents = [bytes([number]) * 100_000 for number in range(4)]
    done = threading.Event()
    failures: list[str] = []

    def write(data: bytes) -> None:
        for _ in range(10):
            store(cache, data=data)

    def read() -> None:
        while not done.is_set():
            plan = cache.find(KEY)
            if plan is None:
                failures.append("no plan")
                continue
            try:
                data = cache.load(plan)
            except BadModel as error:
                # Replaced between the two calls, which the next look finds out.
                if "cannot be read" not in error.message:
                    failures.append(error.message)
            else:
                if data not in (b"a plan", *contents):
                    failures.append("a mixture")

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=[data]) for data in contents]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert failures == []
    last = cache.find(KEY)
    assert last is not None
    assert cache.load(last) in contents


@pytest.mark.parametrize("call", ["store", "record_verification", "prune"])
def test_writers_wait_for_each_other(cache: PlanCache, call: str) -> None:
    plan = store(cache)
    calls: dict[str, Callable[[], object]] = {
        "store": lambda: store(cache, data=b"another"),
        "record_verification": lambda: cache.record_verification(plan, "verified"),
        "prune": lambda: cache.prune(lambda plan: False),
    }
    writer = threading.Thread(target=calls[call])
    with open(cache.folder / "lock", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        assert cache.find(KEY) == plan  # readers do not wait
    writer.join(20)
    assert cache.find(KEY) != plan


def test_a_work_folder_is_gone_afterwards(cache: PlanCache) -> None:
    with pytest.raises(ZeroDivisionError), cache.work_folder() as work:
        (work / "plan").write_bytes(b"half")
        assert work.parent == cache.folder
        assert stat.S_IMODE(work.stat().st_mode) == 0o700
        1 / 0  # noqa: B018
    assert list(cache.folder.iterdir()) == []


def test_what_a_killed_process_leaves_is_removed_by_the_next(cache: PlanCache) -> None:
    code = """
import os, sys
from pathlib import Path
from edgecodec_engines.tensorrt_plans.plan_cache import PlanCache
with PlanCache(Path(sys.argv[1])).work_folder() as work:
    (work / "plan").write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, str(cache.folder)], env=ENVIRONMENT, cwd=ROOT, check=False, timeout=60)
    assert len(list(cache.folder.iterdir())) == 1
    with cache.work_folder() as one, cache.work_folder() as other:
        assert {*cache.folder.iterdir()} == {one, other}  # those that are worked in stay


# ---- pruning ----


def test_pruning_removes_what_is_not_wanted_and_what_belongs_to_nothing(cache: PlanCache) -> None:
    kept, unwanted, cut = store(cache), store(cache, OTHERS["version"]), store(cache, OTHERS["graph"])
    os.truncate(cache.path(cut), 1)
    (cache.folder / "broken.json").write_text("{")
    (cache.folder / ("0" * 32 + "." + "0" * 32 + ".plan")).write_bytes(b"belongs to nothing")
    timings = cache.timings(KEY.tensorrt, KEY.target)
    timings.write_bytes(b"")
    with cache.work_folder() as work:
        pruned = cache.prune(lambda plan: plan.key != unwanted.key)
        assert work.exists()
    assert {*_files(cache)} == {cache.path(kept), _json_of(cache, kept), timings}
    assert pruned.files == 6
    assert cache.plans() == [kept]
    cache.prune(lambda plan: False)
    assert _files(cache) == []


def test_pruning_an_empty_cache_removes_nothing(cache: PlanCache) -> None:
    assert cache.prune(lambda plan: False) == Pruned(0, 0)
    assert not cache.folder.exists()


def test_a_plan_of_any_size_that_is_there_can_be_described() -> None:
    assert plan_cache._LARGEST_PLAN >= 1 << 35
