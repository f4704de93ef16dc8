"""Schedules of learning rates, by PyTorch's own schedulers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, SequentialLR

from edgecodec.errors import InvalidArgument
from edgecodec_train.value_ranges import Count, NotNegative


@dataclass(frozen=True)
class Schedule:
    """How a learning rate changes over a stage.

    warm_up: steps over which it rises linearly first. final: where half a cosine takes it by the last step, or None for
    no cosine. drops: steps, counted from the end of the warm-up, at which it is multiplied by `factor`.
    """

    warm_up: Count = 0
    final: NotNegative | None = None
    drops: tuple[Count, ...] = ()
    factor: NotNegative = 0.1

    def __post_init__(self) -> None:
        if self.final is not None and self.drops:
            raise InvalidArgument("has both a cosine (final) and drops", hint="keep one")


def scheduler_at(optimiser: Optimizer, schedule: Schedule, steps: int, done: int) -> LRScheduler:
    """The scheduler of a stage of `steps`, in the state that it has when `done` of them are done.

    It starts from the optimiser's learning rates, which must be those of step 0. Stepping again through the steps that
    are done, instead of storing the state, lets a resumed run have another schedule.
    """
    main = (
        MultiStepLR(optimiser, list(schedule.drops), schedule.factor)
        if schedule.final is None
        else CosineAnnealingLR(optimiser, max(steps - schedule.warm_up, 1), schedule.final)
    )
    scheduler: LRScheduler = main
    if schedule.warm_up:
        rise = LinearLR(optimiser, 1 / schedule.warm_up, total_iters=schedule.warm_up)
        scheduler = SequentialLR(optimiser, [rise, main], [schedule.warm_up])
    for _ in range(done):
        advance(scheduler)
    return scheduler


def advance(scheduler: LRScheduler) -> None:
    """Take the learning rates to the next step, also where the optimiser has taken none: it was skipped or undone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        scheduler.step()
