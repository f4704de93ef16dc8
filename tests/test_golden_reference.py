"""The golden files are those of the format, not only of the library: the plain implementation gives the same bytes."""

from __future__ import annotations

from itertools import product
from typing import get_args

import make_golden
import numpy as np
import pytest
import reference_picture
from golden_set import GOLDEN, GOLDENS, Golden
from reference_entropy_model import Code, Step, encoder_latents, model_bytes
from reference_integer_net import AnyLayer, Epilogue, Layer
from reference_model_file import parse_model

from edgecodec import container
from edgecodec.entropy import EntropyModel

MODELS = {
    "channels.bin": make_golden.channels_model,
    "scales.bin": make_golden.scales_model,
    "chain.bin": make_golden.chain_model,
    "steps.bin": make_golden.steps_model,
    "small.bin": make_golden.small_model,
    "slices.bin": make_golden.slices_model,
    "mixture.bin": make_golden.mixture_model,
    "regions.bin": make_golden.regions_model,
}


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.picture)
def test_latents_give_the_payload(golden: Golden) -> None:
    coded = container.parse(golden.data())
    info = coded.info
    latents = EntropyModel(golden.model_data()).decode(
        coded.payload, width=info.width, height=info.height, lanes=info.lanes
    )
    model = parse_model(golden.model_data())
    handed = dict(zip(encoder_latents(model), (values.astype(np.int64) for values in latents.values()), strict=True))
    payload, lanes = reference_picture.encode(model, handed, info.lanes, ramp=golden.writer == "own")
    assert (payload, lanes) == (bytes(coded.payload), info.lanes)


@pytest.mark.parametrize("name", MODELS)
def test_models_are_those_of_the_script(name: str) -> None:
    assert model_bytes(MODELS[name]()) == (GOLDEN / name).read_bytes()
    assert model_bytes(parse_model((GOLDEN / name).read_bytes())) == (GOLDEN / name).read_bytes()


def test_the_set_has_every_kind_of_step_layer_and_epilogue() -> None:
    models = [parse_model(path.read_bytes()) for path in GOLDEN.glob("*.bin")]
    steps = [step for model in models for step in model.steps]
    assert {step.indices is None for step in steps if isinstance(step, Code)} == {True, False}
    assert {type(step) for step in steps} == set(get_args(Step))
    layers = [layer for model in models for net in model.nets for layer in net.layers]
    assert {type(layer) for layer in layers} == set(get_args(AnyLayer))
    convolutions = [layer for layer in layers if isinstance(layer, Layer)]
    assert {type(layer.epilogue) for layer in convolutions} == set(get_args(Epilogue))
    assert {(layer.transposed, layer.weight_bytes) for layer in convolutions} == set(product([True, False], [1, 2]))
