"""Which plan an engine takes for a graph, from the user's cache or from a folder that the user names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from edgecodec.engine import Graph
from edgecodec.errors import BadModel, CannotRead, EngineUnavailable
from edgecodec_engines.tensorrt_plans.plan_cache import Plan, PlanCache, read_description
from edgecodec_engines.tensorrt_plans.plan_key import PlanKey, Target, TensorRT, graph_sha256
from edgecodec_engines.tensorrt_plans.profiles import Shape, covers
from edgecodec_engines.tensorrt_plans.tensorrt_module import title

#: Names a folder of plans with their descriptions, as `edgecodec build -o DIR` writes them, instead of the cache.
FOLDER = "EDGECODEC_PLANS"
_HINT = "edgecodec build makes one"
#: What a plan's verification starts with.
VERIFIED, FAILED, NOT_VERIFIED = "verified", "failed", "not verified"

#: The plan that golden pictures are being decoded with, and where it is.
_ON_TRIAL: ContextVar[tuple[PlanCache, Plan] | None] = ContextVar("plan on trial", default=None)


def take_plan(
    graph: Graph, tensorrt: TensorRT, target: Target, shapes: Mapping[str, Shape], *, only_verified: bool
) -> tuple[Plan, bytes]:
    """A plan of this graph for what is installed here, and its bytes, which are those that were stored.

    The newest of those that take inputs of these shapes; where none does, the newest, and pictures are padded or cut.
    A plan that did not give the golden pictures is never taken. only_verified: neither is one that was not tried.

    Raises EngineUnavailable, naming what is wrong with a plan that is stale, foreign or damaged.
    """
    folder = os.environ.get(FOLDER)
    try:
        if (on_trial := _ON_TRIAL.get()) is not None:
            cache, plan = on_trial
            _require_suitable(plan, str(cache.path(plan)), graph, tensorrt, target)
        elif folder:
            cache = PlanCache(Path(folder))
            plan = _first([_of_folder(cache, graph, tensorrt, target)], graph, only_verified)
        else:
            cache = PlanCache.of_user()
            plans = _of_cache(cache, graph, tensorrt, target)
            plan = _first(sorted(plans, key=lambda each: not covers(each.key.profile, shapes)), graph, only_verified)
        return plan, cache.load(plan)
    except (BadModel, CannotRead) as error:
        raise EngineUnavailable(error.message, where=error.where, hint=error.hint) from error


@contextmanager
def trying(cache: PlanCache, plan: Plan) -> Iterator[None]:
    """In here, on this thread, that plan is taken and no other, whatever was found with it before."""
    token = _ON_TRIAL.set((cache, plan))
    try:
        yield
    finally:
        _ON_TRIAL.reset(token)


def _first(plans: list[Plan], graph: Graph, only_verified: bool) -> Plan:
    """The first of at least one that may be taken."""
    failed = [plan for plan in plans if (plan.verification or "").startswith(FAILED)]
    for plan in plans:
        if plan not in failed and not (only_verified and plan.verification != VERIFIED):
            return plan
    if failed:
        why = f"its plan did not give the golden pictures: {failed[0].verification}"
        raise EngineUnavailable(why, where=graph.path.name, hint="use another precision, or another engine")
    why = f"its plan is not verified, and auto takes no other: {plans[0].verification or 'not tried'}"
    raise EngineUnavailable(why, where=graph.path.name, hint="name the engine tensorrt to take it all the same")


def _of_cache(cache: PlanCache, graph: Graph, tensorrt: TensorRT, target: Target) -> list[Plan]:
    identity = graph_sha256(graph)
    if plans := cache.plans_for(identity, tensorrt, target):
        return plans
    others = [plan for plan in cache.plans() if plan.key.graph == identity]
    difference = f": {_difference(others[0].key, identity, tensorrt, target)}" if others else ""
    raise EngineUnavailable(f"there is no plan of it that runs here{difference}", where=graph.path.name, hint=_HINT)


def _of_folder(folder: PlanCache, graph: Graph, tensorrt: TensorRT, target: Target) -> Plan:
    try:
        plan = read_description(folder.folder / f"{graph.path.stem}.json")
    except BadModel as error:
        raise EngineUnavailable(error.message, where=error.where, hint=_HINT) from error
    _require_suitable(plan, str(folder.path(plan)), graph, tensorrt, target)
    return plan


def _require_suitable(plan: Plan, where: str, graph: Graph, tensorrt: TensorRT, target: Target) -> None:
    if difference := _difference(plan.key, graph_sha256(graph), tensorrt, target):
        raise EngineUnavailable(f"the plan does not run here: {difference}", where=where, hint=_HINT)


def _difference(key: PlanKey, graph: str, tensorrt: TensorRT, target: Target) -> str:
    """What a plan is of or for, and what it would have to be; "" where it suits."""
    if key.graph != graph:
        return "it is of another graph"
    if key.tensorrt != tensorrt:
        return f"it is of {title(key.tensorrt)}, here is {title(tensorrt)}"
    if key.target != target:
        return f"it is for {_words(key.target)}, here is {_words(target)}"
    return ""


def _words(target: Target) -> str:
    driver = f"driver for CUDA {target.driver}" if target.driver else ""
    return " ".join(filter(None, (target.device, target.compute_capability, driver, target.system)))
