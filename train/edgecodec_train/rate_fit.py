"""The rate of a codec as a function of a scalar knob, fitted to real files (Wu, Huang, Shen 2020).

A bundle carries the fit, so that a search for a target rate begins near its end. `checkpoints.rate_fit_note` makes it a
note of a checkpoint.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from edgecodec import container
from edgecodec.description import LARGEST_RATE_FIT, RateFit
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import InvalidArgument
from edgecodec_export.calibration import CalibrationPictures, Picture, crop, load_calibration_pictures, to_tensor
from edgecodec_export.entropy.cost import as_int16, size_of
from edgecodec_export.entropy.freeze import freeze_entropy
from edgecodec_export.entropy.freezer import Observation
from edgecodec_export.families import LearnedCodec
from edgecodec_export.one_thread import one_thread

DEGREE = 3  # of the polynomial


def fit_rate(
    model: LearnedCodec,
    knob: str,
    values: Sequence[float],
    photographs: Sequence[Picture],
    *,
    calibrating: Sequence[Picture] | None = None,
    degree: int = DEGREE,
) -> RateFit:
    """Fit log2(bits per pixel) of whole files by a polynomial of `knob`, in least squares over photographs and values.

    model: on any device, in any mode; it is copied. values: of the knob, in its range; fewer than degree + 1 lower the
    degree. photographs: uint8 (H, W, 3), cut to the model's alignment, better none that calibrate. calibrating: those
    that the entropy model is frozen on, with sides that are multiples of the alignment; by default those that an export
    takes, and then this entropy model is the exported one.

    Raises InvalidArgument for a knob that is not one of the model's scalars, values beyond its range or fewer
    than two, photographs that are too small or none, and a degree that is not 0 to 7; CheckpointRejected for a model
    whose entropy side does not fit into integers.
    """
    values = sorted(set(map(float, values)))
    _check(model, knob, values, degree)
    pictures = [_cut(model, photograph) for photograph in photographs]
    if not pictures:
        raise InvalidArgument("there are no photographs to fit the rate on", where="photographs")
    if calibrating is None:
        calibrating = load_calibration_pictures(None, model.latent_alignment(), model.SMALLEST_SIDE).calibrating
    logarithms = np.log2(_bits_per_pixel(model, knob, values, pictures, calibrating)).mean(axis=1)
    curve = np.polynomial.Polynomial.fit(values, logarithms, min(degree, len(values) - 1)).convert()
    off = 2.0 ** (logarithms - curve(np.array(values))) - 1
    residual_percent = 100 * float(np.sqrt((off**2).mean()))
    return RateFit(values[0], values[-1], tuple(curve.coef.tolist()), residual_percent)


def _check(model: LearnedCodec, knob: str, values: Sequence[float], degree: int) -> None:
    ranges = {each.name: each.range for each in model.KNOBS}
    limits = ranges.get(knob)
    if limits is None:
        raise InvalidArgument(f"{knob!r} is not a scalar knob of {model.FAMILY}", where="knob")
    if len(values) < 2 or not all(limits.low <= value <= limits.high for value in values):
        raise InvalidArgument(
            f"are {list(values)}, not two or more from {limits.low:g} to {limits.high:g}", where="values"
        )
    if not 0 <= degree < LARGEST_RATE_FIT:
        raise InvalidArgument(f"is {degree}, not 0 to {LARGEST_RATE_FIT - 1}", where="degree")


def _cut(model: LearnedCodec, photograph: Picture) -> Picture:
    """The photograph without the rows and columns beyond a multiple of the alignment."""
    alignment = model.latent_alignment()
    height, width = (side // alignment * alignment for side in photograph.shape[:2])
    if min(height, width) < max(alignment, model.SMALLEST_SIDE):
        raise InvalidArgument(f"one is {photograph.shape[1]}x{photograph.shape[0]}, too small", where="photographs")
    return crop(photograph, height, width)


def _bits_per_pixel(
    model: LearnedCodec,
    knob: str,
    values: Sequence[float],
    pictures: Sequence[Picture],
    calibrating: Sequence[Picture],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(values, pictures): of whole files, as the encoder of a bundle writes them."""
    # A copy in evaluation mode, because some modules of a model in training may be in that mode on purpose.
    model = copy.deepcopy(model).cpu().float().eval()
    with one_thread() as workers:
        # Nothing is measured here, but freezing measures its cost on at least one picture.
        halves = CalibrationPictures(list(calibrating), list(calibrating[:1]))
        frozen = freeze_entropy(model.baking(), halves, None, workers, lambda line: None)

        def rates_of(picture: Picture) -> list[float]:
            image = to_tensor(picture)
            observations = (frozen.freezer.observe(image, **{knob: value}) for value in values)
            return [_file_bits(frozen.entropy, each) / (image.shape[2] * image.shape[3]) for each in observations]

        return np.array(list(workers.map(rates_of, pictures))).T


def _file_bits(entropy: EntropyModel, observation: Observation) -> int:
    """Bits of the file of one picture without metadata."""
    width, height = size_of(entropy, observation)
    payload, lanes = entropy.encode(as_int16(observation), width=width, height=height)
    file = container.write(payload, width=width, height=height, lanes=lanes, model_id=entropy.model_id)
    return 8 * len(file)
