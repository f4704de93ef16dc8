"""The record as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpu_check.goals import goals


def table(record: Mapping[str, Any]) -> str:
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    steps = record["steps"]
    machine = steps.get("machine", {}).get("result") or {}
    yield "# GPU check"
    yield ""
    yield f"Device: {machine.get('device', 'unknown')}. PyTorch {machine.get('torch', 'unknown')}."
    yield ""
    yield "| goal | bound | figure | |\n|---|---|---|---|"
    for goal in goals(steps):
        figure = "" if goal.figure is None else f"{goal.figure:.3g}"
        bound = f"{'at least' if goal.is_least else 'at most'} {goal.bound:g}"
        yield f"| {goal.text} | {bound} | {figure} | {goal.verdict} |"
    yield ""
    yield "| step | status | seconds | |\n|---|---|---|---|"
    for name, step in steps.items():
        yield f"| {name} | {step['status']} | {step['seconds']:.1f} | {_cell(step.get('why', ''))} |"
    for name, step in steps.items():
        shown = {"pytorch": _pytorch, "decode": _decode, "exact": _exact}.get(name.partition(" ")[0])
        if step.get("result") and shown is not None:
            yield f"\n## {name}\n"
            yield from shown(step["result"])


def _pytorch(result: Mapping[str, Any]) -> Iterator[str]:
    yield "| PyTorch, channels last | latents to host picture, ms | device alone, ms |\n|---|---|---|"
    alone = result["device alone"]
    for name, times in result["latents to host picture"].items():
        device = alone[name]["device"] if alone[name]["device"] is not None else alone[name]["host"]
        yield f"| {name} | {times['host']:.2f} | {device:.2f} |"
    for name in ("compiled", "int8"):
        if name in result:
            yield f"| {name} | {result[name]} | |"


def _decode(result: Mapping[str, Any]) -> Iterator[str]:
    columns = ("total", "parse", "entropy", "upload", "engine", "download", "rest", "all but the engine", "in a row")
    yield f"| ms, {result['file bytes']} bytes | " + " | ".join(columns) + " | in a row over engine |"
    yield "|---" * (len(columns) + 2) + "|"
    for name, figures in result.items():
        if isinstance(figures, dict):
            cells = [f"{figures[column]:.2f}" for column in columns]
            yield f"| {name} | " + " | ".join(cells) + f" | {figures['in a row over engine']:.3f} |"
        elif isinstance(figures, str):
            yield f"| {name} | {_cell(figures)} |" + " |" * len(columns)


def _exact(result: Mapping[str, Any]) -> Iterator[str]:
    yield "| engine | golden latents and pixels |\n|---|---|"
    for name, found in result.items():
        words = "; ".join(found) if isinstance(found, list) else str(found)
        yield f"| {name} | {_cell(words)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
