"""Stages of training, one kind a file."""

from __future__ import annotations

from edgecodec_train.stages.adversarial import Adversarial
from edgecodec_train.stages.reconstruction import Reconstruction
from edgecodec_train.stages.stage import Stage
from edgecodec_train.stages.start import StageContext

__all__ = ["Stage", "StageContext", "make_stage"]


def make_stage(context: StageContext) -> Stage:
    """The kind of stage that the recipe describes. Raises InvalidArgument where it does not fit its family."""
    return Reconstruction(context) if context.stage.adversarial is None else Adversarial(context)
