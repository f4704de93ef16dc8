"""The entropy half of an export: photographs are observed, the model is frozen, and its cost is measured."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from edgecodec.description import Knobs
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import CheckpointRejected
from edgecodec.steps import Step
from edgecodec_export.baking import Baking
from edgecodec_export.calibration import CalibrationPictures, Picture, to_tensor
from edgecodec_export.entropy.cost import EntropyCost, measure, summed
from edgecodec_export.entropy.freezer import Counting, Freezer, Observation
from edgecodec_export.entropy.kept import KeptEntropy, require_fit
from edgecodec_export.text import Progress, label


@dataclass(frozen=True)
class Frozen:
    """An entropy model of integers, ready to be written.

    freezer: observed the photographs. data: the bytes of entropy.bin. entropy: the same, opened. cost: on photographs
    that did not calibrate it. kept: its origin if it is that of an earlier bundle.
    """

    freezer: Freezer
    data: bytes
    entropy: EntropyModel
    cost: EntropyCost
    kept: KeptEntropy | None = None


def freeze_entropy(
    baking: Baking, pictures: CalibrationPictures, kept: KeptEntropy | None, workers: Executor, progress: Progress
) -> Frozen:
    """The entropy model for everything that `baking` bakes; or the kept one, measured again.

    workers: each observes one photograph at a time. Raises ModelMismatch if a kept model does not fit,
    CheckpointRejected if the model's parameters do not fit into integers.
    """
    freezer = baking.model.freezer()
    observer = _Observer(freezer, workers, progress)
    if kept is None:
        candidates: tuple[bytes, ...] = (_freeze(observer, baking, pictures.calibrating),)
    else:
        candidates = kept.candidates
        if isinstance(freezer, Counting):
            freezer.count(observer.at_all(baking, pictures.calibrating))
    models = list(map(EntropyModel, candidates))
    costs = _measure(observer, models, baking, pictures.measuring)
    data, entropy, cost = min(zip(candidates, models, costs, strict=True), key=lambda each: each[2].integer_bits)
    if kept is not None:
        require_fit(kept, cost, counted=isinstance(freezer, Counting))
    return Frozen(freezer, data, entropy, cost, kept)


@dataclass(frozen=True)
class _Observer:
    """Lets a freezer observe photographs, several at a time."""

    freezer: Freezer
    workers: Executor
    progress: Progress

    def at(self, knobs: Knobs, pictures: Sequence[Picture], step: Step) -> list[Observation]:
        """An observation of each picture, in order."""
        self.progress(step)
        return list(self.workers.map(lambda picture: self.freezer.observe(to_tensor(picture), **knobs), pictures))

    def at_all(self, baking: Baking, pictures: Sequence[Picture]) -> list[Observation]:
        """An observation of each picture at every setting.

        If each setting had only some of the pictures, too few would set the ranges of its activations. All observations
        are in memory at once: 0.3 GB for CRDR at full size with eight photographs at five qualities.
        """
        return [each for knobs, step in _settings(baking, "calibrating") for each in self.at(knobs, pictures, step)]


def _freeze(observer: _Observer, baking: Baking, pictures: Sequence[Picture]) -> bytes:
    observations = observer.at_all(baking, pictures)
    observer.progress(Step("freezing the entropy model"))
    try:
        return observer.freezer.freeze(observations).to_bytes()
    except (OverflowError, struct.error) as error:
        raise CheckpointRejected(
            f"its entropy model does not fit into integers: {error}", hint="the checkpoint is damaged, or untrained"
        ) from error


def _measure(
    observer: _Observer, models: Sequence[EntropyModel], baking: Baking, pictures: Sequence[Picture]
) -> list[EntropyCost]:
    """The cost of every picture at every setting with each model. The observations of one setting are in memory at a
    time.
    """
    costs: list[list[EntropyCost]] = [[] for _ in models]
    for knobs, step in _settings(baking, "measuring"):
        observed = observer.at(knobs, pictures, step)
        for entropy, so_far in zip(models, costs, strict=True):
            so_far.append(replace(measure(observer.freezer, entropy, observed), knobs=knobs))
    return list(map(summed, costs))


def _settings(baking: Baking, purpose: str) -> Iterator[tuple[Knobs, Step]]:
    """Every setting, and what is said before it is used."""
    settings = baking.settings()
    for number, knobs in enumerate(settings, 1):
        yield knobs, Step(f"{purpose} at {label(knobs)}" if knobs else purpose, number=number, total=len(settings))
