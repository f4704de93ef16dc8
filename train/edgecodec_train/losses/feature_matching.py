"""A generator's picture should look like the real one to the discriminator's layers, not only to its last."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

from edgecodec_train.discriminators import Judgements


def feature_matching(fake: Judgements, real: Judgements) -> Tensor:
    """Mean absolute difference of features, averaged over layers and scales (Wang et al. 2018, equation 4).

    The paper and the code of pix2pixHD sum over the layers of a scale: a weight of 10 there is 40 here, with four
    layers. Scales count the same, whatever their weight in the adversarial loss. A scalar in float32; no gradient flows
    into `real`.
    """
    differences = [
        l1_loss(of_fake.float(), of_real.detach().float())
        for at_scale in zip(fake, real, strict=True)
        for of_fake, of_real in zip(*(each.features for each in at_scale), strict=True)
    ]
    return torch.stack(differences).mean()
