"""What is set without a gradient: medians of densities, and statistics of batch norms."""

from __future__ import annotations

from typing import Any

import torch

from edgecodec_export.families import Tunable, build
from edgecodec_export.families.tunable import Preset
from edgecodec_train.stages.settling import settle_medians, settle_norms

TINY = Preset((4, 6, 8), encoder_blocks=1, masker_blocks=1, decoder_blocks=1)


def test_settled_norms_keep_their_statistics_and_train() -> None:
    model = Tunable(TINY).train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    settle_norms(model)
    rebuilt = model(torch.rand(2, 3, 64, 64)).picture
    rebuilt.mean().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert all(parameter.grad is not None for parameter in model.synthesis.parameters())


def test_medians_settle_where_the_density_is_halved() -> None:
    torch.manual_seed(3)
    model: Any = build("hific", "compact")
    settle_medians(model)
    halves = torch.sigmoid(model.density.logits_cumulative(model.density.quantiles[:, :, 1:2]))
    torch.testing.assert_close(halves, torch.full_like(halves, 0.5), rtol=0, atol=1e-4)
