"""The fitted rate of scalar knobs as a note of a checkpoint, "rate_fit".

Its text is a JSON object of fits by knob, in the form that the manifest of a bundle has:

    {"n": {"coefficients": [-3.26, -0.43, -0.11, 0.01], "high": 2.0, "low": -2.0, "residual_percent": 0.4}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from edgecodec.errors import CheckpointRejected, NotABundle
from edgecodec.manifest import RateFit, read_rate_fit
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
        return {knob: read_rate_fit(fit, knob) for knob, fit in fits.items()}
    except NotABundle as error:
        raise _rejected(checkpoint, f"is wrong: {error.where} {error.message}") from error


def _rejected(checkpoint: Checkpoint, problem: str) -> CheckpointRejected:
    return CheckpointRejected(f"its note {RATE_FIT!r} {problem}", where=checkpoint.where, hint=_HINT)
