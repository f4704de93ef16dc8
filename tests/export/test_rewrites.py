"""Rewrites compute what the model computes, leave the model and its entropy model alone, and are proven at export."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edgecodec.errors import VerificationFailed
from edgecodec_export.baking import Baking
from edgecodec_export.baking.rewrites import defer as defer_module
from edgecodec_export.baking.rewrites import fold as fold_module
from edgecodec_export.baking.rewrites import offset as offset_module
from edgecodec_export.baking.rewrites import pack as pack_module
from edgecodec_export.baking.rewrites import split as split_module
from edgecodec_export.baking.rewrites.blocks import Blocks, with_filters
from edgecodec_export.baking.rewrites.defer import defer
from edgecodec_export.baking.rewrites.fold import CentredNorm, fold
from edgecodec_export.baking.rewrites.offset import OffsetBlocks, offset
from edgecodec_export.baking.rewrites.pack import pack
from edgecodec_export.baking.rewrites.reciprocal import ReciprocalNorm, reciprocal
from edgecodec_export.baking.rewrites.split import split
from edgecodec_export.entropy.freeze import freeze_entropy
from edgecodec_export.families import LearnedCodec
from edgecodec_export.families.hific import ReflectConv2d
from edgecodec_export.graphs.onnx_export import export_synthesis, synthesis_inputs
from edgecodec_export.graphs.parity import check_synthesis_parity
from edgecodec_export.layers.normalisation import ChannelNorm
from edgecodec_export.one_thread import one_thread
from support.make_tiny_bundle import tiny_halves
from support.tiny_codecs import PRESETS, tiny_codec

EXACT = 1e-12  # in float64, of values near 1


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def error(first: nn.Module, second: nn.Module, x: Tensor) -> float:
    expected = first(x)
    found = second(x)
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1))


def kept(inputs: int, outputs: int, size: tuple[int, int], border: Any, bias: bool) -> nn.Conv2d:
    """A convolution that keeps sides."""
    rows, columns = (side // 2 for side in size)
    if border == "margins":
        convolution: nn.Conv2d = ReflectConv2d(inputs, outputs, size[0], margins=(rows, rows, rows, rows))
    else:
        convolution = nn.Conv2d(inputs, outputs, size, padding=(rows, columns), padding_mode=border, bias=bias)
    return convolution.double()


SIZES = st.sampled_from([1, 3, 5, 7])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_packed_convolutions_give_the_same_pictures(data: st.DataObject) -> None:
    size = (data.draw(SIZES), data.draw(SIZES))
    border = data.draw(st.sampled_from(["zeros", "reflect", "replicate", "margins"]))
    inputs, halves = data.draw(st.integers(1, 9)), (data.draw(st.integers(2, 6)), data.draw(st.integers(2, 6)))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    network = nn.Sequential(nn.Conv2d(1, inputs, 1).double(), kept(inputs, 3, size, border, data.draw(st.booleans())))
    packed = copy.deepcopy(network)
    pack(packed)
    assert isinstance(packed[1], Blocks) and isinstance(network[1], nn.Conv2d)
    x = torch.randn(2, 1, *(2 * half + 2 * (max(size) // 4) for half in halves), dtype=torch.float64)
    assert error(network, packed, x) < EXACT


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 2, 3, padding=1),
        nn.Conv2d(4, 3, 3),
        nn.Conv2d(4, 3, 3, stride=2, padding=1),
        nn.Conv2d(4, 3, 3, padding=2, dilation=2),
        nn.Conv2d(3, 3, 3, padding=1, groups=3),
        nn.ConvTranspose2d(4, 3, 3, padding=1),
    ],
    ids=str,
)
def test_other_convolutions_are_not_packed(layer: nn.Module) -> None:
    network = nn.Sequential(layer)
    pack(network)
    assert network[0] is layer


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_split_doublings_give_the_same_maps(data: st.DataObject) -> None:
    size, padding, more = data.draw(
        st.sampled_from([(5, 2, 1), (6, 2, 0), (7, 3, 1), (8, 3, 0), (5, 1, -1), (7, 2, -1)])
    )
    inputs, outputs = data.draw(st.integers(1, 6)), data.draw(st.sampled_from([1, 2, 4, 5]))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    layer = nn.ConvTranspose2d(
        inputs, outputs, size, 2, padding, output_padding=max(more, 0), bias=data.draw(st.booleans())
    ).double()
    network = nn.Sequential(layer)
    divided = copy.deepcopy(network)
    split(divided)
    assert isinstance(divided[0], Blocks) == (more >= 0)  # others do not double sides
    x = torch.randn(2, inputs, data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7)), dtype=torch.float64)
    assert error(network, divided, x) < EXACT


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 3, 5, 2, 2, 1),
        nn.ConvTranspose2d(4, 4, 3, 2, 1, 1),
        nn.ConvTranspose2d(4, 4, 5, padding=2),
        nn.ConvTranspose2d(4, 4, 5, 2, 2, 1, groups=2),
        nn.ConvTranspose2d(4, 4, 5, 2, 4, 1, dilation=2),
        nn.Conv2d(4, 4, 5, padding=2),
    ],
    ids=str,
)
def test_other_layers_are_not_split(layer: nn.Module) -> None:
    network = nn.Sequential(layer)
    split(network)
    assert network[0] is layer


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_offset_doublings_give_the_same_maps(data: st.DataObject) -> None:
    inputs, outputs = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    network = nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=data.draw(st.booleans())).double())
    rewritten = copy.deepcopy(network)
    offset(rewritten)
    assert isinstance(rewritten[0], OffsetBlocks)
    x = torch.randn(2, inputs, data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7)), dtype=torch.float64)
    assert error(network, rewritten, x) < EXACT


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 4, 4, 2, 2),
        nn.ConvTranspose2d(4, 4, 4, 2, 1, 1),
        nn.ConvTranspose2d(4, 4, 4, 1, 1),
        nn.ConvTranspose2d(4, 4, (4, 2), 2, 1),
        nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=2),
        nn.ConvTranspose2d(4, 4, 4, 2, 1, dilation=2),
        nn.Conv2d(4, 4, 4, 2, 1),
    ],
    ids=str,
)
def test_other_layers_are_not_offset(layer: nn.Module) -> None:
    network = nn.Sequential(layer)
    offset(network)
    assert network[0] is layer


def doubled_picture(inner: nn.Module, doubling: nn.Module, image: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Sequential(doubling, nn.Identity(), inner), image)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_deferred_shuffles_give_the_same_pictures(data: st.DataObject) -> None:
    size, padding, more = data.draw(st.sampled_from([(5, 2, 1), (6, 2, 0), (8, 3, 0)]))
    inputs, between = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    network = doubled_picture(
        data.draw(st.sampled_from([nn.ReLU(), nn.LeakyReLU(0.2)])),
        nn.ConvTranspose2d(inputs, between, size, 2, padding, output_padding=more, bias=data.draw(st.booleans())),
        nn.Conv2d(
            between,
            3,
            3,
            padding=1,
            padding_mode=data.draw(st.sampled_from(["zeros", "reflect"])),
            bias=data.draw(st.booleans()),
        ),
    ).double()
    deferred = copy.deepcopy(network)
    defer(deferred)
    assert isinstance(deferred[1], Blocks)
    x = torch.randn(2, inputs, data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7)), dtype=torch.float64)
    assert error(network, deferred, x) < EXACT


LARGE = nn.ConvTranspose2d(4, 4, 5, 2, 2, 1)


@pytest.mark.parametrize(
    "network",
    [
        doubled_picture(nn.ReLU(), LARGE, nn.Conv2d(4, 2, 3, padding=1)),
        doubled_picture(nn.ReLU(), LARGE, nn.Conv2d(4, 3, 5, padding=2)),
        doubled_picture(nn.ReLU(), LARGE, nn.Conv2d(4, 3, 3)),
        doubled_picture(nn.ReLU(), LARGE, nn.Conv2d(4, 3, 3, padding=1, stride=2)),
        doubled_picture(nn.ReLU(), LARGE, nn.Conv2d(4, 3, 3, padding=1, padding_mode="replicate")),
        doubled_picture(nn.ReLU(), LARGE, ReflectConv2d(4, 3, 3, margins=(1, 1, 1, 1))),
        doubled_picture(nn.Softmax(1), LARGE, nn.Conv2d(4, 3, 3, padding=1)),
        doubled_picture(nn.ReLU(), nn.ConvTranspose2d(4, 4, 3, 2, 1, 1), nn.Conv2d(4, 3, 3, padding=1)),
        doubled_picture(nn.ReLU(), nn.ConvTranspose2d(4, 4, 5, padding=2), nn.Conv2d(4, 3, 3, padding=1)),
        nn.Sequential(nn.Sequential(nn.ReLU(), LARGE), nn.Conv2d(4, 3, 3, padding=1)),
    ],
    ids=str,
)
def test_other_shuffles_are_not_deferred(network: nn.Sequential) -> None:
    before = list(network.modules())
    defer(network)
    assert list(network.modules()) == before


def norm(channels: int) -> ChannelNorm:
    made = ChannelNorm(channels).double().eval()
    made.gamma.normal_()
    made.beta.normal_()
    return made


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_folded_means_and_one_division_give_the_same_maps(data: st.DataObject) -> None:
    inputs, outputs = data.draw(st.integers(1, 8)), data.draw(st.integers(2, 40))
    size, bias = data.draw(SIZES), data.draw(st.booleans())
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    convolution: nn.Module = {
        "kept": lambda: kept(inputs, outputs, (size, size), data.draw(st.sampled_from(["zeros", "reflect"])), bias),
        "halving": lambda: nn.Conv2d(inputs, outputs, size, 2, size // 2, bias=bias),
        "doubling": lambda: nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1, bias=bias),
    }[data.draw(st.sampled_from(["kept", "halving", "doubling"]))]()
    network = nn.Sequential(convolution.double(), norm(outputs), nn.ReLU(), norm(outputs))
    rewritten = copy.deepcopy(network)
    reciprocal(rewritten)
    assert error(network, rewritten, torch.randn(1, inputs, 8, 6, dtype=torch.float64)) < EXACT
    fold(rewritten)
    assert isinstance(rewritten[1], CentredNorm) and type(rewritten[3]) is ReciprocalNorm  # not behind a convolution
    assert error(network, rewritten, 3 * torch.randn(2, inputs, 8, 6, dtype=torch.float64)) < EXACT


def test_a_convolution_in_groups_has_no_mean_filter() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2).double(), norm(4))
    rewritten = copy.deepcopy(network)
    reciprocal(rewritten)
    fold(rewritten)
    assert type(rewritten[1]) is ReciprocalNorm
    assert error(network, rewritten, torch.randn(1, 4, 8, 8, dtype=torch.float64)) < EXACT


# ---- in families ---------------------------------------------------------------------------------------------------

#: Convolutions in each tiny codec's synthesis that give blocks.
BLOCKS = {
    "agustsson": 1,
    "agustsson-sc": 1,
    "crdr": 3,
    "crdr-multirate": 3,
    "fidelity": 0,
    "hific": 1,
    "hific-reflect": 1,
    "hyperprior": 3,
    "hyperprior-blocks": 0,
    "tunable": 1,
}


def latents(model: LearnedCodec) -> tuple[Tensor, ...]:
    """For a picture of 2 by 3 units."""
    sides = [cells * model.latent_alignment() for cells in (2, 3)]
    torch.manual_seed(0)
    return tuple(
        torch.randint(
            0 if each.name == "labels" else -3, 4, (1, each.channels, *(side // each.stride for side in sides))
        )
        for each in synthesis_inputs(model)
    )


def of_kind(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(type(module) is kind for module in network.modules())


@pytest.mark.parametrize("name", PRESETS)
def test_every_decoder_and_encoder_is_what_it_was(name: str) -> None:
    model = copy.deepcopy(tiny_codec(name)).double()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    baking = model.baking()
    knobs = baking.decoder_knobs()[-1]
    inputs = [each.double() for each in latents(model)]
    baked, rewritten = baking.baked_decoder(knobs), baking.decoder(knobs)
    assert error(lambda x: baked.module(*x), lambda x: rewritten.module(*x), inputs) < EXACT  # type: ignore[arg-type]
    synthesis = getattr(getattr(rewritten.module, "model", None), "synthesis", rewritten.module)
    assert of_kind(synthesis, Blocks) == BLOCKS[name]
    assert not any(of_kind(rewritten.reference, kind) for kind in (Blocks, ReciprocalNorm, CentredNorm))

    knobs = baking.encoder_knobs()[-1]
    image = torch.rand(1, 3, *(2 * model.latent_alignment(),) * 2, dtype=torch.float64)
    scalars = [torch.tensor(scalar.default) for scalar in baking.encoder(knobs).scalars.values()]
    outputs = [point.module(image, *scalars) for point in (baking.baked_encoder(knobs), baking.encoder(knobs))]
    assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_hific_subtracts_one_mean_that_is_not_behind_a_convolution() -> None:
    rewritten = tiny_codec("hific").baking().decoder({}).module.model.synthesis
    norms = [module for module in rewritten.modules() if isinstance(module, ReciprocalNorm)]
    assert [type(each) for each in norms].count(ReciprocalNorm) == 1 and isinstance(norms[0], ReciprocalNorm)
    assert len(norms) > 4


def test_what_a_rewrite_does_not_change_is_not_copied() -> None:
    model = tiny_codec("hific")
    found = {id(tensor) for tensor in model.parameters()}
    rewritten = model.baking().decoder({}).module.model
    assert id(rewritten.synthesis.head[0].norm.gamma) in found and id(rewritten.density.quantiles) in found
    assert id(rewritten.synthesis.image.convolution.weight) not in found


@pytest.mark.parametrize("name", ["hific", "crdr"])
def test_the_entropy_model_is_that_of_the_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, and with it the model id: nothing that is rewritten takes part in freezing."""
    baking = tiny_codec(name).baking()
    with one_thread() as workers:

        def frozen() -> bytes:
            return freeze_entropy(baking, tiny_halves(), None, workers, lambda line: None).data

        before = frozen()
        baking.encoder(baking.encoder_knobs()[0])
        baking.decoder(baking.decoder_knobs()[0])
        monkeypatch.delattr(Baking, "encoder")
        monkeypatch.delattr(Baking, "decoder")
        assert frozen() == before


# ---- broken algebra ------------------------------------------------------------------------------------------------


def shifted(convolution: nn.Conv2d, filters: Tensor, bias: Tensor | None) -> nn.Conv2d:
    return with_filters(convolution, filters.flip(1), bias)


def halved_root(self: ReciprocalNorm, x: Tensor) -> Tensor:
    centred = self.centred(x)
    return centred / self.norm.variance(centred).sqrt() * self.norm.gamma + self.norm.beta


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "place", "what", "instead"),
    [
        ("hific", pack_module, "with_filters", shifted),
        ("hyperprior", split_module, "with_filters", shifted),
        ("tunable", offset_module, "with_filters", shifted),
        ("tunable", defer_module, "with_filters", shifted),
        ("hific", fold_module, "_centre", lambda convolution: None),
        ("hific", ReciprocalNorm, "forward", halved_root),
    ],
    ids=["pack", "split", "offset", "defer", "fold", "reciprocal"],
)
def test_parity_refuses_a_broken_rewrite(
    name: str, place: Any, what: str, instead: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, what, instead)
    model = tiny_codec(name)
    point = model.baking().decoder({})
    path = tmp_path / "synthesis.onnx"
    export_synthesis(model, point, path)
    named = {
        latent.name: each[0].numpy().astype(np.int16)
        for latent, each in zip(synthesis_inputs(model), latents(model), strict=True)
    }
    with pytest.raises(VerificationFailed, match=r"synthesis\.onnx: differs"):
        check_synthesis_parity(path, model, point, [named])
