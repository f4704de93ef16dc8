"""The golden files are those of the format, not only of the library: the plain implementation gives the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from edgecodec import container
from edgecodec.entropy import EntropyModel
from tests import make_golden, reference_picture
from tests.golden_set import GOLDEN, GOLDENS, Golden
from tests.reference_entropy_model import model_bytes

MODELS = {
    "channels.bin": make_golden.channels_model,
    "scales.bin": make_golden.scales_model,
    "chain.bin": make_golden.chain_model,
}


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.picture)
def test_latents_give_the_payload(golden: Golden) -> None:
    coded = container.parse(golden.data())
    info = coded.info
    latents = EntropyModel(golden.model_data()).decode(
        coded.payload, width=info.width, height=info.height, lanes=info.lanes
    )
    payload, lanes = reference_picture.encode(
        reference_picture.parse_model(golden.model_data()),
        {name: values.astype(np.int64) for name, values in latents.items()},
        info.lanes,
        ramp=golden.writer == "own",
    )
    assert (payload, lanes) == (bytes(coded.payload), info.lanes)


@pytest.mark.parametrize("name", MODELS)
def test_models_are_those_of_the_script(name: str) -> None:
    assert model_bytes(MODELS[name]()) == (GOLDEN / name).read_bytes()
    assert model_bytes(reference_picture.parse_model((GOLDEN / name).read_bytes())) == (GOLDEN / name).read_bytes()


def test_the_set_has_both_kinds_of_code_step() -> None:
    models = [reference_picture.parse_model(path.read_bytes()) for path in GOLDEN.glob("*.bin")]
    steps = [step for model in models for step in reference_picture.code_steps(model)]
    assert {step.indices is None for step in steps} == {True, False}
