"""The losses of training, one concern a file. Pictures are (B, 3, H, W) in [0, 1]; every loss is a scalar tensor."""

from __future__ import annotations

from edgecodec_train.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss, Reference, build_adversarial_loss
from edgecodec_train.losses.feature_matching import feature_matching
from edgecodec_train.losses.grid import GRID_PERIOD, GRID_WINDOW, grid_energy
from edgecodec_train.losses.masked import mean_squared_error
from edgecodec_train.losses.ms_ssim import MS_SSIM_SIDE, MsSsim
from edgecodec_train.losses.perceptual import build_perceptual
from edgecodec_train.losses.texture import texture_distance

__all__ = [
    "ADVERSARIAL_LOSSES",
    "GRID_PERIOD",
    "GRID_WINDOW",
    "MS_SSIM_SIDE",
    "AdversarialLoss",
    "MsSsim",
    "Reference",
    "build_adversarial_loss",
    "build_perceptual",
    "feature_matching",
    "grid_energy",
    "mean_squared_error",
    "texture_distance",
]
