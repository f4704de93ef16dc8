"""The entropy half of an export: photographs are observed, the model is frozen, and what that costs is measured."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from edgecodec.entropy import EntropyModel
from edgecodec.errors import CheckpointRejected
from edgecodec_export.baking import Baking, Knobs, suffix
from edgecodec_export.calibration import CalibrationPictures, Picture, to_tensor
from edgecodec_export.entropy.cost import EntropyCost, measure, summed
from edgecodec_export.entropy.freezers import Counting, Freezer, Observation, freezer_of
from edgecodec_export.entropy.kept import KeptEntropy, require_fit

#: Told what an export is about to do.
Progress = Callable[[str], object]


@dataclass(frozen=True)
class Frozen:
    """freezer: what observed the photographs. data: entropy.bin. entropy: that, opened. cost: on photographs that did
    not calibrate it.
    """

    freezer: Freezer
    data: bytes
    entropy: EntropyModel
    cost: EntropyCost


def freeze_entropy(
    baking: Baking, pictures: CalibrationPictures, kept: KeptEntropy | None, workers: Executor, progress: Progress
) -> Frozen:
    """The entropy model of what `baking` bakes; or the kept one, measured anew. workers: each observes one photograph.

    Raises ModelMismatch where a kept one does not fit, CheckpointRejected for what cannot be made integer.
    """
    freezer = freezer_of(baking.model)
    observer = _Observer(freezer, workers, progress)
    if kept is None:
        data = _freeze(observer, baking, pictures.calibrating)
    else:
        data = kept.data
        if isinstance(freezer, Counting):
            freezer.count(observer.at_all(baking, pictures.calibrating))
    entropy = EntropyModel(data)
    cost = _measure(observer, entropy, baking, pictures.measuring)
    if kept is not None:
        require_fit(kept, cost, counted=isinstance(freezer, Counting))
    return Frozen(freezer, data, entropy, cost)


@dataclass(frozen=True)
class _Observer:
    """Shows photographs to a freezer."""

    freezer: Freezer
    workers: Executor
    progress: Progress

    def at(self, knobs: Knobs, pictures: Sequence[Picture], purpose: str) -> list[Observation]:
        """Of every picture, in their order."""
        self.progress(f"{purpose}{_words(knobs)}")
        return list(self.workers.map(lambda picture: self.freezer.observe(to_tensor(picture), **knobs), pictures))

    def at_all(self, baking: Baking, pictures: Sequence[Picture]) -> list[Observation]:
        """Of every picture at every setting.

        Were pictures shared out among the settings, few would range the activations of each. All observations are held
        at once: of CRDR at full size, with eight photographs at five qualities, 0.3 GB.
        """
        return [each for knobs in baking.settings() for each in self.at(knobs, pictures, "calibrating")]


def _freeze(observer: _Observer, baking: Baking, pictures: Sequence[Picture]) -> bytes:
    observations = observer.at_all(baking, pictures)
    observer.progress("freezing the entropy model")
    try:
        return observer.freezer.freeze(observations).to_bytes()
    except (OverflowError, struct.error) as error:
        raise CheckpointRejected(
            f"its entropy model does not fit into integers: {error}", hint="the checkpoint is damaged, or untrained"
        ) from error


def _measure(observer: _Observer, entropy: EntropyModel, baking: Baking, pictures: Sequence[Picture]) -> EntropyCost:
    """Of every picture at every setting; those of one setting are in memory at a time."""
    return summed([
        replace(measure(observer.freezer, entropy, observer.at(knobs, pictures, "measuring")), knobs=knobs)
        for knobs in baking.settings()
    ])  # fmt: skip


def _words(knobs: Knobs) -> str:
    return f" at {suffix(knobs)[1:]}" if knobs else ""
