"""What the card of a bundle says of knobs can be typed, and means the same."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgecodec_export.bundle.card import model_card


@given(steps=st.integers(0, 256), beta=st.floats(0, 5.12))
def test_every_value_on_the_card_is_that_of_the_bundle(steps: int, beta: float) -> None:
    card = model_card(_manifest(steps / 64, beta))
    commands = re.findall(r" --(\w+) (\S+)", card)
    statements = re.findall(r"(\w+) = (\S+?)[,.]?\s", card)
    assert len(commands) == 2 and len(statements) == 6
    for name, text in (*commands, *statements):
        assert float(text) == {"quality": steps / 64, "beta": beta}[name]


def _manifest(quality: float, beta: float) -> dict[str, Any]:
    """Of one encoder and one decoder, with the fields that a card tells of."""
    encoder, both = {"quality": quality}, {"quality": quality, "beta": beta}
    cost = {"pictures": 1, "overhead_percent": 0.0}
    return {
        "family": "test",
        "preset": "test",
        "model_id": "00000000",
        "encoder_latents": [],
        "decoder_latents": [],
        "image": {"alignment": 64, "padding": "reflect"},
        "analysis": [{"file": "analysis.onnx", "knobs": encoder, "check": {"max_abs_error": 0.0}}],
        "synthesis": [{"file": "synthesis.onnx", "knobs": both, "check": {"max_abs_error": 0.0}}],
        "given": {},
        "default_knobs": both,
        "entropy_cost": {**cost, "by_setting": [{**cost, "knobs": encoder}]},
        "provenance": {"checkpoints": [], "versions": {}, "processor": "AVX2"},
    }
