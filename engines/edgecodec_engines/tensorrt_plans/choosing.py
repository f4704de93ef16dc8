"""Which plan an engine takes for a graph, from the user's cache or from a folder that the user names."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edgecodec.engine import Graph
from edgecodec.errors import BadModel, CannotRead, EdgecodecError, EngineUnavailable
from edgecodec_engines.tensorrt_plans import private_folder
from edgecodec_engines.tensorrt_plans.plan_cache import Plan, PlanCache
from edgecodec_engines.tensorrt_plans.plan_key import PlanKey, Target, TensorRT, graph_sha256, key_of
from edgecodec_engines.tensorrt_plans.tensorrt_module import title
from edgecodec_engines.tensorrt_plans.verification import FAILED, VERIFIED

#: Names a folder of plans with their descriptions, as `edgecodec build -o DIR` writes them, instead of the cache.
FOLDER = "EDGECODEC_PLANS"
_HINT = "edgecodec build makes one"
_LARGEST_JSON = 1 << 20  # bytes


def take_plan(graph: Graph, tensorrt: TensorRT, target: Target, *, only_verified: bool) -> tuple[Plan, bytes]:
    """The newest plan of this graph for what is installed here, and its bytes, which are those that were stored.

    A plan that did not give the golden pictures is never taken. only_verified: neither is one that was not tried.

    Raises EngineUnavailable, naming what is wrong with a plan that is stale, foreign or damaged.
    """
    folder = os.environ.get(FOLDER)
    try:
        if folder:
            return _of_folder(Path(folder), graph, tensorrt, target)
        return _of_cache(PlanCache.of_user(), graph, tensorrt, target, only_verified)
    except (BadModel, CannotRead) as error:
        raise EngineUnavailable(error.message, where=error.where, hint=error.hint) from error


def _of_cache(
    cache: PlanCache, graph: Graph, tensorrt: TensorRT, target: Target, only_verified: bool
) -> tuple[Plan, bytes]:
    identity = graph_sha256(graph)
    plans = cache.plans_for(identity, tensorrt, target)
    failed = [plan for plan in plans if (plan.verification or "").startswith(FAILED)]
    for plan in plans:
        if plan not in failed and not (only_verified and plan.verification != VERIFIED):
            return plan, cache.load(plan)
    if failed:
        why = f"its plan did not give the golden pictures: {failed[0].verification}"
        raise EngineUnavailable(why, where=graph.path.name, hint="use another precision, or another engine")
    if plans:
        why = f"its plan is not verified, and auto takes no other: {plans[0].verification or 'not tried'}"
        raise EngineUnavailable(why, where=graph.path.name, hint="name the engine tensorrt to take it all the same")
    others = [plan for plan in cache.plans() if plan.key.graph == identity]
    difference = f": {_difference(others[0].key, identity, tensorrt, target)}" if others else ""
    raise EngineUnavailable(f"there is no plan of it that runs here{difference}", where=graph.path.name, hint=_HINT)


def _of_folder(folder: Path, graph: Graph, tensorrt: TensorRT, target: Target) -> tuple[Plan, bytes]:
    described = folder / f"{graph.path.stem}.json"
    try:
        with private_folder.opened(described) as file:
            values = json.loads(file.read(_LARGEST_JSON))
        plan = Plan(**{**values, "key": key_of(values["key"])})
    except OSError as error:
        raise EngineUnavailable(
            f"the description of the plan cannot be read: {error.strerror or error}", where=str(described), hint=_HINT
        ) from error
    except EdgecodecError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EngineUnavailable(f"does not describe a plan: {error}", where=str(described), hint=_HINT) from error
    if os.path.basename(plan.file) != plan.file:
        raise EngineUnavailable("does not describe a plan beside it", where=str(described), hint=_HINT)
    if difference := _difference(plan.key, graph_sha256(graph), tensorrt, target):
        raise EngineUnavailable(f"the plan does not run here: {difference}", where=str(folder / plan.file), hint=_HINT)
    return plan, PlanCache(folder).load(plan)


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
