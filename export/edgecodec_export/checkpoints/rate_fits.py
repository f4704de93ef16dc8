"""The fitted rate of scalar knobs as a note of a checkpoint, "rate_fit".

Its text is a JSON object of fits by knob, in the form that the manifest of a bundle has:

    {"n": {"coefficients": [-3.26, -0.43, -0.11, 0.01], "high": 2.0, "low": -2.0, "residual_percent": 0.4}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from edgecodec.description import LARGEST_RATE_FIT, RateFit
from edgecodec.errors import CheckpointRejected, NotABundle
from edgecodec.json_values import JsonValue
from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.families import LearnedCodec

#: Name of the note.
RATE_FIT = "rate_fit"

_HINT = "fit the rate again, or remove the note"


def rate_fit_note(fits: Mapping[str, RateFit]) -> str:
    """The note's text for fits by knob."""
    return json.dumps({knob: asdict(fit) for knob, fit in fits.items()}, sort_keys=True, allow_nan=False)


def rate_fits(checkpoint: Checkpoint, model: LearnedCodec) -> dict[str, RateFit]:
    """The fits by knob that the notes of `checkpoint` hold; none without such a note.

    Raises CheckpointRejected for a note that is not what `rate_fit_note` gives, or names a knob that `model` lacks or
    that is not a scalar.
    """
    try:
        fits = json.loads(checkpoint.notes.get(RATE_FIT, "{}"))
    except (ValueError, RecursionError) as error:
        raise _rejected(checkpoint, f"is not JSON: {error}") from error
    if not isinstance(fits, dict):
        raise _rejected(checkpoint, "is not an object")
    scalars = [knob.name for knob in model.KNOBS if knob.range is not None]
    for knob in sorted(fits.keys() - scalars):
        raise _rejected(checkpoint, f"has a fit for {knob!r}; the scalar knobs are: {', '.join(scalars) or 'none'}")
    try:
        return {knob: _read_rate_fit(JsonValue(fit, knob)) for knob, fit in fits.items()}
    except NotABundle as error:
        raise _rejected(checkpoint, f"is wrong: {error.where} {error.message}") from error


def _read_rate_fit(value: JsonValue) -> RateFit:
    """Raises NotABundle, which names the field."""
    coefficients = tuple(each.number() for each in value["coefficients"].elements())
    if not 1 <= len(coefficients) <= LARGEST_RATE_FIT:
        value["coefficients"].fail(f"has {len(coefficients)} numbers, not 1 to {LARGEST_RATE_FIT}")
    fit = RateFit(value["low"].number(), value["high"].number(), coefficients, value["residual_percent"].number())
    if fit.low >= fit.high:
        value.fail(f"goes from {fit.low:g} to {fit.high:g}")
    if fit.residual_percent < 0:
        value["residual_percent"].fail(f"is {fit.residual_percent:g}")
    return fit


def _rejected(checkpoint: Checkpoint, problem: str) -> CheckpointRejected:
    return CheckpointRejected(f"its note {RATE_FIT!r} {problem}", where=checkpoint.where, hint=_HINT)
