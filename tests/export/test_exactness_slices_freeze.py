"""CRDR frozen: the native library and the plain reference agree, and the integers stay close to the float model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from test_crdr import tiny

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import BadModel
from edgecodec_export.calibration import to_tensor
from edgecodec_export.entropy import entropy_file
from edgecodec_export.entropy.cost import measure
from edgecodec_export.entropy.freezers import channel_slices
from edgecodec_export.entropy.freezers.channel_slices import (
    BYTES,
    PRECISIONS,
    WIDE,
    ChannelSlicesFreezer,
    Observation,
    Precision,
)
from edgecodec_export.entropy.integer_net import IntegerLayer
from edgecodec_export.families import build
from edgecodec_export.families.crdr import Crdr
from edgecodec_export.layers.fixed_point import LATENT_UNIT
from support.exactness import assert_exact
from support.make_tiny_bundle import tiny_pictures
from support.reference_entropy_model import run
from support.reference_model_file import parse_model

Precisions = tuple[Precision, Precision]
PICTURES = [to_tensor(picture) for picture in tiny_pictures(4)]
WIDTH, HEIGHT = 192, 128


@cache
def compact() -> Crdr:
    """A random one of the size that is trained, with latents and scales as wide as a trained one's."""
    torch.manual_seed(0)
    model: Any = build("crdr", "compact-multirate").eval().requires_grad_(False)
    model.analysis.down4.weight.mul_(40)
    for scale in model.context.scale:
        scale[-1].bias.fill_(1.5)
    return model


@cache
def observations() -> list[Observation]:
    """Of tiny(): four pictures at two qualities each."""
    freezer = ChannelSlicesFreezer(tiny())
    return [freezer.observe(picture, quality) for picture in PICTURES for quality in (1.0, 3.0)]


def frozen(precisions: Precisions, monkeypatch: pytest.MonkeyPatch) -> entropy_file.EntropyFile:
    """tiny() in these precisions, whatever they cost, by half of its observations."""
    monkeypatch.setattr(channel_slices, "PRECISIONS", (precisions,))
    return ChannelSlicesFreezer(tiny()).freeze(observations()[:4])


def weight_bytes(model: entropy_file.EntropyFile) -> set[int]:
    return {layer.weight_bytes for net in model.nets for layer in net.layers if isinstance(layer, IntegerLayer)}


def test_it_is_what_freezes_crdr() -> None:
    assert isinstance(tiny().freezer(), ChannelSlicesFreezer)


@pytest.mark.parametrize("precisions", PRECISIONS)
def test_the_native_library_decodes_what_the_reference_does(
    precisions: Precisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = parse_model(frozen(precisions, monkeypatch).to_bytes())
    assert_exact(model, observations()[-1].latents, WIDTH, HEIGHT)


def test_the_size_that_is_trained_is_exact() -> None:
    freezer = ChannelSlicesFreezer(compact())
    seen = [freezer.observe(picture[:, :, :64, :128], 2.0) for picture in PICTURES[:2]]
    model = freezer.freeze(seen[:1])
    opened = EntropyModel(model.to_bytes())
    narrow = {name: values.astype(np.int16) for name, values in seen[1].latents.items()}
    payload, lanes = opened.encode(narrow, width=128, height=64)
    (decoded,) = opened.decode(payload, width=128, height=64, lanes=lanes).values()
    np.testing.assert_array_equal(decoded, run(parse_model(model.to_bytes()), seen[1].latents)["y_hat"])


@pytest.mark.parametrize(("precisions", "tolerance"), list(zip(PRECISIONS, (0.02, 0.006, 0.002), strict=True)))
def test_slices_are_those_of_the_float_model(
    precisions: Precisions, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along the integer model's symbols, which differ from the float model's where that was nearly undecided."""
    model, observed = frozen(precisions, monkeypatch), observations()[-1]
    known = run(parse_model(model.to_bytes()), observed.latents)
    symbols = np.concatenate([known[f"symbols{i}"] for i in range(tiny().slices)])
    walked = tiny().slices_of(torch.from_numpy(observed.z).float(), symbols=torch.from_numpy(symbols)[None].float())
    for i, part in enumerate(walked):
        mean, y = (each[0].double().numpy() / LATENT_UNIT for each in (part.mean, part.y_hat))
        allowed = tolerance**2 * np.square(y).mean()
        assert np.square(known[f"mean{i}"] - mean).mean() < allowed
        assert np.square(known[f"y{i}"] - y).mean() < allowed
        assert np.abs(known[f"residual{i}"]).max() <= 32
        assert np.abs(known[f"residual{i}"] - part.residual[0].double().numpy() / LATENT_UNIT).mean() < 1
    assert np.abs(symbols - observed.symbols[0]).max() <= 2


@pytest.mark.parametrize("precisions", PRECISIONS)
def test_integers_cost_little_on_pictures_that_did_not_calibrate(
    precisions: Precisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have the tables that were fitted to those that did."""
    monkeypatch.setattr(channel_slices, "PRECISIONS", (precisions,))
    freezer: Any = ChannelSlicesFreezer(tiny())
    opened = EntropyModel(freezer.freeze(observations()[:4]).to_bytes())
    cost = measure(freezer, opened, observations()[4:])
    assert cost.float_bits > 10_000
    assert abs(cost.overhead_percent) < 0.5


def test_integers_widen_only_while_the_budget_is_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    freezer = ChannelSlicesFreezer(tiny())
    monkeypatch.setattr(channel_slices, "PRECISION_BUDGET", 1.0)
    cheap = freezer.freeze(observations()[:4])
    monkeypatch.setattr(channel_slices, "PRECISION_BUDGET", -1.0)
    dear = freezer.freeze(observations()[:4])
    assert weight_bytes(cheap) == {1}
    assert 2 in weight_bytes(dear)


def test_means_and_residuals_are_of_bytes_where_these_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    model = frozen((BYTES, WIDE), monkeypatch)
    nets = {step.destination: model.nets[step.net] for step in model.steps if isinstance(step, entropy_file.Apply)}
    for i in range(tiny().slices):
        for net in (nets[f"mean{i}"], nets[f"residual{i}"]):
            assert net.high - net.low <= 255
            hidden: Any = net.layers[:-1]
            assert all(layer.epilogue.high <= 255 for layer in hidden)
        assert nets[f"table{i}"].high > 255


def test_sums_that_could_overflow_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = frozen((WIDE, WIDE), monkeypatch)
    EntropyModel(model.to_bytes())
    k = len(model.nets) - 1
    first, *others = model.nets[k].layers
    assert isinstance(first, IntegerLayer)
    taps = first.weight[0].size
    for change in (
        {"weight": np.sign(first.weight) * 127, "bias": np.full_like(first.bias, 2**31 - 1 - taps)},
        {"weight": np.full_like(first.weight, 32767), "weight_bytes": 2},
    ):
        net = replace(model.nets[k], layers=(replace(first, **change), *others))
        with pytest.raises(BadModel):
            EntropyModel(replace(model, nets=(*model.nets[:k], net)).to_bytes())
