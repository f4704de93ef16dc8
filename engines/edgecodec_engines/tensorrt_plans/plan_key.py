"""Everything that binds a plan: with another value of any of it, a plan does not run, or is not the one asked for."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgecodec_engines.tensorrt_plans.profiles import Profile, ShapeRange

if TYPE_CHECKING:
    from edgecodec.engine import Graph

#: Of keys and of what lies beside a plan. To be raised when plans are built in another way, so that old ones go.
SCHEMA = 1


@dataclass(frozen=True)
class TensorRT:
    """A TensorRT. name: of its Python module, "tensorrt" or "tensorrt_rtx". version: all of it, like "10.3.0.30"."""

    name: str
    version: str


#: The device of plans that are compiled for a GPU only when they are loaded.
ANY = "any"


@dataclass(frozen=True)
class Target:
    """What a plan runs on. device: the name of the GPU, or ANY for a plan of TensorRT-RTX, which is compiled for a
    GPU only when it is loaded.

    compute_capability: like "8.7". multiprocessors: of the GPU. driver: the CUDA version of the driver under which
    kernels were measured, like "12.6". For ANY all of these are empty.
    """

    device: str
    compute_capability: str = ""
    multiprocessors: int = 0
    driver: str = ""
    system: str = field(default_factory=lambda: f"{platform.system()}-{platform.machine()}".lower())


@dataclass(frozen=True)
class BuildOptions:
    """workspace: bytes of GPU memory that a layer may use beside its tensors, None for all there are."""

    workspace: int | None = None


@dataclass(frozen=True)
class PlanKey:
    """graph: `graph_sha256`. profile: the shapes that it takes, by input."""

    graph: str
    precision: str
    profile: Profile
    tensorrt: TensorRT
    target: Target
    options: BuildOptions = BuildOptions()
    schema: int = SCHEMA

    @cached_property
    def digest(self) -> str:
        """64 hexadecimal digits, which differ where keys do."""
        return hashlib.sha256(json.dumps(self.values(), sort_keys=True).encode()).hexdigest()

    def values(self) -> dict[str, Any]:
        """As JSON has them."""
        return {**asdict(self), "profile": {name: asdict(each) for name, each in self.profile.items()}}


def key_of(values: Mapping[str, Any]) -> PlanKey:
    """The key with these `values`. Raises KeyError, TypeError, ValueError where they are none."""
    return PlanKey(
        graph=_text(values["graph"]),
        precision=_text(values["precision"]),
        profile={
            _text(name): ShapeRange(*(tuple(map(int, each[end])) for end in ("smallest", "typical", "largest")))
            for name, each in values["profile"].items()
        },
        tensorrt=TensorRT(**{name: _text(each) for name, each in values["tensorrt"].items()}),
        target=_target_of(**values["target"]),
        options=BuildOptions(**values["options"]),
        schema=int(values["schema"]),
    )


def graph_sha256(graph: Graph) -> str:
    """64 hexadecimal digits of a graph's bytes and of its weights in other files."""
    digest = hashlib.sha256()
    for part in (
        graph.data,
        *(each for name in sorted(graph.weights) for each in (name.encode(), graph.weights[name])),
    ):
        # A hash of hashes, so that no byte can pass from one part to the next.
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _target_of(
    device: object, compute_capability: object, multiprocessors: int, driver: object, system: object
) -> Target:
    return Target(_text(device), _text(compute_capability), int(multiprocessors), _text(driver), _text(system))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
