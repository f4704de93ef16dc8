"""The perceptual losses by name."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from edgecodec.errors import InvalidArgument
from edgecodec_evaluate.metrics.lpips import LpipsAlexNet
from edgecodec_evaluate.metrics.pretrained import PretrainedDistance
from edgecodec_train.losses.ms_ssim import MsSsim
from edgecodec_train.losses.vgg import Vgg19Conv54, Vgg19Pix2pixHD

PRETRAINED_LOSSES: dict[str, type[PretrainedDistance]] = {
    "lpips-alexnet": LpipsAlexNet,
    "vgg19-conv5_4": Vgg19Conv54,
    "vgg19-pix2pixhd": Vgg19Pix2pixHD,
}
MS_SSIM = "ms-ssim"


def build_perceptual(kind: str, weights: Path | None = None) -> nn.Module:
    """A module that takes two batches of pictures (B, 3, H, W) in [0, 1], the rebuilt one first, and gives a scalar.

    weights: the file of the network's weights, which every kind but "ms-ssim" needs. The modules have no parameters
    that learn, and the second pictures get no gradient.

    Raises InvalidArgument for an unknown kind, for a missing file name and for one too many; CannotRead and
    CheckpointRejected as `PretrainedDistance.load` does.
    """
    if kind == MS_SSIM:
        if weights is not None:
            raise InvalidArgument(f"{kind} has no weights to read", where=str(weights))
        return MsSsim()
    if kind not in PRETRAINED_LOSSES:
        known = ", ".join((*PRETRAINED_LOSSES, MS_SSIM))
        raise InvalidArgument(f"unknown perceptual loss {kind!r}", hint=f"known: {known}")
    chosen = PRETRAINED_LOSSES[kind]
    if weights is None:
        raise InvalidArgument(f"{kind} needs a file of weights", hint=f"give {chosen.CONTENT}, or train with {MS_SSIM}")
    return chosen.load(weights)
