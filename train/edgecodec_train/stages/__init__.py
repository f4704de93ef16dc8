"""Stages of training, one kind a file."""

from __future__ import annotations

from edgecodec_train.stages.adversarial import Adversarial
from edgecodec_train.stages.reconstruction import Reconstruction, Setting
from edgecodec_train.stages.stage import Stage

__all__ = ["Setting", "Stage", "make_stage"]


def make_stage(setting: Setting) -> Stage:
    """The kind of stage that the recipe describes. Raises InvalidArgument where it does not fit its family."""
    return Reconstruction(setting) if setting.stage.adversarial is None else Adversarial(setting)
