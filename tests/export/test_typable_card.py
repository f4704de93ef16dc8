"""What the card of a bundle says of knobs can be typed, and means the same."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from edgecodec.description import Background, BakedGraph, Description, Knob, Model, Padding, Tiling
from edgecodec_export.bundle.card import model_card


@given(steps=st.integers(0, 256), beta=st.floats(0, 5.12))
def test_every_value_on_the_card_is_that_of_the_bundle(steps: int, beta: float) -> None:
    card = model_card(*_description(steps / 64, beta))
    commands = re.findall(r" --(\w+) (\S+)", card)
    statements = re.findall(r"(\w+) = (\S+?)[,.]?\s", card)
    assert len(commands) == 2 and len(statements) == 6
    for name, text in (*commands, *statements):
        assert float(text) == {"quality": steps / 64, "beta": beta}[name]


def _description(quality: float, beta: float) -> tuple[Description, Background]:
    """A bundle with one encoder and one decoder at these knobs."""
    encoder, both = {"quality": quality}, {"quality": quality, "beta": beta}
    cost = {"pictures": 1, "overhead_percent": 0.0}
    knobs = [Knob("quality", "encode", "", (quality,), quality, quality, quality)]
    knobs += [Knob(name, "decode", "", (value,), value, value, value) for name, value in both.items()]
    description = Description(
        family="crdr",
        preset="test",
        models=(Model("00000000", "entropy.bin", 0.0, 64, Padding(64, "reflect", 1), None, (), ()),),
        knobs=tuple(knobs),
        graphs=(
            BakedGraph("analysis.onnx", "encode", 0, "fp32", encoder, (), (), Tiling((0, 0))),
            BakedGraph("synthesis.onnx", "decode", 0, "fp32", both, (), (), Tiling((0, 0))),
        ),
        files={},
    )
    background = Background(
        golden=(),
        parity={"analysis.onnx": 0.0, "synthesis.onnx": 0.0},
        entropy_cost={**cost, "by_setting": [{**cost, "knobs": encoder}]},
        provenance={"checkpoints": [], "versions": {}, "processor": "AVX2"},
        files={},
    )
    return description, background
