"""MS-SSIM (Wang et al. 2003), for training where the weights of no perceptual network are at hand."""

from __future__ import annotations

import pytorch_msssim
import torch
from torch import Tensor, nn

from edgecodec.errors import InvalidArgument

MS_SSIM_SIDE = 161  # pixels, the smallest side that its five scales take


class MsSsim(nn.Module):
    """1 - MS-SSIM of pictures (B, 3, H, W) in [0, 1], of which `rebuilt` is clamped to that range. A scalar."""

    def forward(self, rebuilt: Tensor, image: Tensor) -> Tensor:
        """Raises InvalidArgument for sides below MS_SSIM_SIDE."""
        height, width = image.shape[2:]
        if min(height, width) < MS_SSIM_SIDE:
            raise InvalidArgument(f"MS-SSIM of {width} by {height} pixels", hint=f"sides of {MS_SSIM_SIDE} or more")
        with torch.autocast(image.device.type, enabled=False):  # its variances are differences of large numbers
            similarity: Tensor = pytorch_msssim.ms_ssim(rebuilt.float().clamp(0, 1), image.float(), data_range=1.0)
        return 1 - similarity
