"""What the card of a bundle says of knobs can be typed, and means the same."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from edgecodec.manifest import AnalysisGraph, BundleInfo, Padding, SynthesisGraph, Tiling
from edgecodec_export.bundle.card import model_card


@given(steps=st.integers(0, 256), beta=st.floats(0, 5.12))
def test_every_value_on_the_card_is_that_of_the_bundle(steps: int, beta: float) -> None:
    card = model_card(_description(steps / 64, beta), {"analysis.onnx": 0.0, "synthesis.onnx": 0.0})
    commands = re.findall(r" --(\w+) (\S+)", card)
    statements = re.findall(r"(\w+) = (\S+?)[,.]?\s", card)
    assert len(commands) == 2 and len(statements) == 6
    for name, text in (*commands, *statements):
        assert float(text) == {"quality": steps / 64, "beta": beta}[name]


def _description(quality: float, beta: float) -> BundleInfo:
    """A bundle with one encoder and one decoder at these knobs."""
    encoder, both = {"quality": quality}, {"quality": quality, "beta": beta}
    cost = {"pictures": 1, "overhead_percent": 0.0}
    tiling = Tiling((0, 0))
    return BundleInfo(
        path="test.bundle",
        schema=1,
        family="crdr",
        preset="test",
        model_id="00000000",
        entropy="entropy.bin",
        encoder_latents=(),
        decoder_latents=(),
        image=Padding(64, "reflect", 1),
        analysis=(AnalysisGraph("analysis.onnx", encoder, "image", None, {}, {}, tiling, None),),
        given={},
        synthesis=(SynthesisGraph("synthesis.onnx", both, "fp32", {}, None, "image", 1, tiling, None),),
        default_knobs=both,
        golden=(),
        entropy_cost={**cost, "by_setting": [{**cost, "knobs": encoder}]},
        provenance={"checkpoints": [], "versions": {}, "processor": "AVX2"},
        files={},
    )
