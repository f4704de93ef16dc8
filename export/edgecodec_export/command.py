"""What `edgecodec export` does, free of the command line's own types."""

from __future__ import annotations

from pathlib import Path

from edgecodec.errors import InvalidArgument
from edgecodec_export.baking import suffix
from edgecodec_export.entropy.cost import EntropyCost
from edgecodec_export.entropy.freeze import Progress
from edgecodec_export.pipeline import ExportReport, export_bundle


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """ "0,0.5,1" to its numbers. Raises InvalidArgument, naming the option, for anything else."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidArgument(f"{text!r} is not a list of numbers", where=option, hint="like 0,0.5,1") from error


def export_command(
    checkpoint: Path,
    output: Path,
    mse_checkpoint: Path | None = None,
    alpha: str | None = None,
    quality: str | None = None,
    beta: str | None = None,
    family: str | None = None,
    calibration: Path | None = None,
    entropy_from: Path | None = None,
    force: bool = False,
    progress: Progress = lambda line: None,
) -> ExportReport:
    """`edgecodec export --ckpt FILE [--ckpt-mse FILE] [--alpha 0,0.5,1] [--quality 0,2,4] [--beta 0,3.84]
    [--family NAME] [--calibration DIR] [--entropy-from BUNDLE] -o DIR [--force]`.

    Errors are those of `export_bundle`.
    """
    asked = {"--alpha": alpha, "--quality": quality, "--beta": beta}
    alphas, qualities, betas = (None if text is None else parse_numbers(text, option) for option, text in asked.items())
    return export_bundle(
        checkpoint,
        output,
        mse_checkpoint,
        alphas,
        calibration,
        entropy_from=entropy_from,
        qualities=qualities,
        betas=betas,
        family=family,
        force=force,
        progress=progress,
    )


def summary(report: ExportReport) -> list[str]:
    """Lines for people: what was written and how well it holds."""
    lines = [f"{report.path}  model {report.model_id}  {report.size / 1e6:.1f} MB"]
    lines += [f"  {name}  largest error {error:.1e}" for name, error in report.errors.items()]
    cost = report.entropy_cost
    lines.append(f"  integer entropy model  {cost.overhead_percent:+.3f} % bits on {cost.pictures} photographs")
    lines += [f"    at {suffix(each.knobs)[1:]}  {each.overhead_percent:+.3f} %" for each in cost.by_setting]
    return lines + _warnings(cost, report.kept_entropy)


def _warnings(cost: EntropyCost, kept: bool) -> list[str]:
    dear = cost.beyond_bound()
    if not dear:
        return []
    settings = ", ".join(suffix(each.knobs)[1:] for each in dear if each.knobs)
    remedy = (
        "without --entropy-from a new one is calibrated, which earlier files do not go with"
        if kept
        else "calibrate it on more photographs, or on others, with --calibration"
    )
    return [
        f"warning: the {'kept' if kept else 'integer'} entropy model costs more than {cost.bound_percent:g} % bits"
        f"{f' at {settings}' if settings else ''}: {remedy}"
    ]
