"""The result of an export, as values and as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgecodec.description import Closeness
from edgecodec_export.bundle.description import ExportedModel
from edgecodec_export.entropy.cost import EntropyCost
from edgecodec_export.fused.writing import FusedGraph
from edgecodec_export.options import FUSED
from edgecodec_export.text import label
from edgecodec_export.triton.repository import TritonModel


@dataclass(frozen=True)
class ReportedModel:
    """One model of the bundle.

    id: 8 hexadecimal digits, which coded pictures carry. checkpoint: name of the file that it is made of. rate: of
    several models, bits per pixel on the photographs that did not calibrate it; 0 for one.
    """

    id: str
    checkpoint: str
    rate: float

    @classmethod
    def of(cls, model: ExportedModel) -> ReportedModel:
        return cls(model.described.id, model.source.name(), model.described.rate)


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    models: in the order of their rates, so that the number of one is its quality. errors: largest absolute
    difference from PyTorch, by graph file. size: bytes of the whole folder. kept_entropy: whether the entropy model
    is that of an earlier export. fused: graphs in the folder FUSED. closeness, left_out: as `ExportedGraphs` has
    them. triton: models in the repository. doubts: of decoders that do not do what they were baked for.
    """

    path: Path
    models: tuple[ReportedModel, ...]
    errors: Mapping[str, float]
    entropy_cost: EntropyCost
    size: int
    kept_entropy: bool = False
    fused: tuple[FusedGraph, ...] = ()
    closeness: Mapping[str, Closeness] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    triton: tuple[TritonModel, ...] = ()
    doubts: tuple[str, ...] = ()


def summary(report: ExportReport) -> list[str]:
    """Lines for people: what was written, how exact the graphs are, and what the integer entropy model costs."""
    named = f"model {report.models[0].id}" if len(report.models) == 1 else f"{len(report.models)} models"
    lines = [f"{report.path}  {named}  {report.size / 1e6:.1f} MB"]
    for quality, each in enumerate(report.models if len(report.models) > 1 else ()):
        lines.append(f"  quality {quality}  model {each.id}  {each.rate:.3f} bits per pixel  {each.checkpoint}")
    for name, error in report.errors.items():
        close = report.closeness.get(name)
        measured = (
            "" if close is None else f", {close.psnr:.1f} dB to fp32, {-close.mean_loss:+.3f} dB to the originals"
        )
        lines.append(f"  {name}  largest error {error:.1e}{measured}")
    lines += [f"  {FUSED}/{each.file}  {each.size / 1e6:.1f} MB" for each in report.fused]
    lines += [f"  Triton: {each.name}  {each.size / 1e6:.1f} MB" for each in report.triton]
    cost = report.entropy_cost
    lines.append(f"  integer entropy model  {cost.overhead_percent:+.3f} % bits on {cost.pictures} photographs")
    lines += [f"    at {label(each.knobs)}  {each.overhead_percent:+.3f} %" for each in cost.by_setting]
    if cost.fitting_percent is not None:
        lines.append(f"  fitted tables  {cost.fitting_percent:+.1f} % bits on the same photographs")
    lines += [f"warning: {line}" for line in (*report.left_out, *report.doubts)]
    return lines + _warnings(cost, report.kept_entropy)


def _warnings(cost: EntropyCost, kept: bool) -> list[str]:
    expensive = cost.beyond_bound()
    if not expensive:
        return []
    settings = ", ".join(label(each.knobs) for each in expensive if each.knobs)
    remedy = (
        "without --entropy-from a new one is calibrated, which does not decode earlier files"
        if kept
        else "calibrate it on more photographs, or on others, with --calibration"
    )
    return [
        f"warning: the {'kept' if kept else 'integer'} entropy model costs more than {cost.bound_percent:g} % bits"
        f"{f' at {settings}' if settings else ''}: {remedy}"
    ]
