"""What the figures should reach, and whether they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MODEL, _SIZE = "hific/published", "768x512"
_BASELINES = "latents to host picture"


@dataclass(frozen=True)
class Goal:
    """figure: None where it was not measured. is_least: whether the figure is to be at least `bound`, or at most."""

    text: str
    bound: float
    is_least: bool
    figure: float | None

    @property
    def verdict(self) -> str:
        if self.figure is None:
            return "not run"
        return "met" if (self.figure >= self.bound if self.is_least else self.figure <= self.bound) else "missed"


def goals(records: Mapping[str, Any]) -> list[Goal]:
    """records: of the steps, by their name. The engine is the fastest that decodes in fp16, PyTorch's own last."""
    baselines = _result(records, f"pytorch {_MODEL} {_SIZE}").get(_BASELINES, {})
    eager, compiled = (baselines.get(f"{way} fp16", {}).get("host") for way in ("eager", "compiled"))
    name, decoded = _fastest(_result(records, f"decode {_MODEL} {_SIZE}"))
    total, others, row = (decoded.get(key) for key in ("total", "all but the engine", "in a row over engine"))
    what = f"{_MODEL} {_SIZE} fp16, bytes to picture on the host"
    return [
        Goal(f"{what}: PyTorch eager over {name}", 2.0, True, _quotient(eager, total)),
        Goal(f"{what}: torch.compile over {name}", 1.3, True, _quotient(compiled, total)),
        Goal(f"{what}: all but the engine, ms, {name}", 3.0, False, others),
        Goal(f"{what}: decode_many over the engine's own time, {name}", 1.1, False, row),
    ]


def _result(records: Mapping[str, Any], step: str) -> dict[str, Any]:
    result: dict[str, Any] = records.get(step, {}).get("result") or {}
    return result


def _fastest(decoded: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """An engine's name and figures; those of PyTorch only where no other ran."""
    ran = {name: each for name, each in decoded.items() if isinstance(each, dict) and "fp16" in name}
    own = {name: each for name, each in ran.items() if not name.startswith("torch")} or ran
    if not own:
        return "edgecodec", {}
    name = min(own, key=lambda each: own[each]["total"])
    return name, own[name]


def _quotient(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
