"""All scores of one picture that was coded."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from edgecodec.errors import InvalidArgument
from edgecodec.picture import Pixels
from edgecodec_evaluate.metrics.channels import in_colour
from edgecodec_evaluate.metrics.detail import detail
from edgecodec_evaluate.metrics.ms_ssim import ms_ssim
from edgecodec_evaluate.metrics.networks import Networks, distance
from edgecodec_evaluate.metrics.psnr import psnr


@dataclass(frozen=True)
class Scores:
    """psnr_db: infinite for equal pictures. ms_ssim: None for small pictures. detail: None where there was none.

    lpips, dists: None for small pictures, and without their networks.
    """

    psnr_db: float
    ms_ssim: float | None
    detail: float | None
    lpips: float | None = None
    dists: float | None = None


def scores(original: Pixels, rebuilt: Pixels, networks: Networks = MappingProxyType({})) -> Scores:
    """Of uint8 (height, width, 3), or (height, width), which counts as three equal channels.

    Raises InvalidArgument for pictures of different sizes, and what `distance` raises.
    """
    first, second = in_colour(original), in_colour(rebuilt)
    if first.shape != second.shape:
        raise InvalidArgument(f"a picture of {_size(first)} came back as {_size(second)}")
    distances = {name: distance(network, first, second) for name, network in networks.items()}
    return Scores(psnr(first, second), ms_ssim(first, second), detail(first, second), **distances)


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]} pixels"
