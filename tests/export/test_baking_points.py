"""What each family bakes: its points, its knobs, and an error for every knob that it does not have."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgecodec.errors import CheckpointRejected, InvalidArgument
from edgecodec_export import pipeline
from edgecodec_export.baking import Asked
from edgecodec_export.baking.interpolation import Interpolation
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.families import FAMILIES, Hific, LearnedCodec
from edgecodec_export.graphs.onnx_export import export_synthesis
from edgecodec_export.options import ExportOptions
from edgecodec_export.text import label, suffix
from support.tiny_codecs import tiny_codec


@torch.no_grad()
def second(model: LearnedCodec) -> Any:
    """A model with the same encoder and another decoder."""
    other = copy.deepcopy(model)
    for name, parameter in other.named_parameters():
        if name.startswith(model.DECODER_PREFIXES):
            parameter.add_(0.1)
    return other


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_bakes_the_knobs_that_it_names(family: str) -> None:
    model = tiny_codec(family)
    two_decoders = family in ("fidelity", "hific", "hyperprior")
    baking = model.baking(mse=second(model) if two_decoders else None)
    baked = {knob for knobs in (*baking.encoder_knobs(), *baking.decoder_knobs()) for knob in knobs}
    assert baked == set(baking.baked_knobs())
    assert {knob.name for knob in FAMILIES[family].KNOBS} == baked | baking.scalars().keys()
    assert baking.default_knobs().keys() == baked | baking.scalars().keys()
    assert all(knob.help.startswith(f"{knob.name} ") and knob.help.endswith(".") for knob in model.KNOBS)


@pytest.mark.parametrize("name", ["agustsson", "agustsson-sc", "fidelity", "hific", "hyperprior"])
def test_without_knobs_there_is_one_encoder_and_one_decoder(name: str) -> None:
    baking = tiny_codec(name).baking()
    assert (baking.encoder_knobs(), baking.decoder_knobs(), baking.default_knobs()) == ([{}], [{}], {})
    assert baking.settings() == [{}]


@pytest.mark.parametrize("name", ["fidelity", "hific", "hyperprior"])
def test_two_checkpoints_give_a_decoder_for_each_alpha(name: str) -> None:
    model = tiny_codec(name)
    mse = second(model)
    baking = model.baking({"alpha": (1, 0.25, 0, 1)}, mse)
    assert baking.decoder_knobs() == [{"alpha": 0.0}, {"alpha": 0.25}, {"alpha": 1.0}]
    assert baking.default_knobs() == {"alpha": 1.0}
    assert model.baking(mse=mse).decoder_knobs() == [{"alpha": 0.0}, {"alpha": 0.5}, {"alpha": 1.0}]
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    mixed = baking.baked_decoder({"alpha": 0.25}).module.state_dict()
    for key, tensor in before.items():
        torch.testing.assert_close(
            mixed[f"model.{key}"], 0.75 * mse.state_dict()[key] + 0.25 * tensor, rtol=1e-6, atol=1e-6
        )
        assert torch.equal(model.state_dict()[key], tensor)


def test_a_second_checkpoint_with_another_encoder_is_refused() -> None:
    model = tiny_codec("fidelity")
    mse = second(model)
    mse.context.network[0].bias += 1
    with pytest.raises(CheckpointRejected, match=r"context\.network\.0\.bias: outside the decoder"):
        model.baking(mse=mse)


def test_a_second_checkpoint_of_other_conventions_is_refused_and_they_are_named() -> None:
    """Equal weights, bit for bit, but another codec."""
    model = tiny_codec("hific-reflect")
    mse = Hific(replace(model.preset, padding="zero", rounding="half to even"))
    mse.load_state_dict(second(model).state_dict())
    with pytest.raises(CheckpointRejected) as refused:
        model.baking(mse=mse)
    listed = str(refused.value).splitlines()[1:]
    assert len(listed) == 2
    assert "configuration, padding: 'reflect' and 'zero'" in listed[0]
    assert "configuration, rounding: 'half up' and 'half to even'" in listed[1]


def test_quality_and_beta_give_a_decoder_for_each_pair_and_an_encoder_for_each_quality() -> None:
    baking = tiny_codec("crdr").baking({"quality": (4, 1.3, 1.3), "beta": (3.84, 0)})
    assert baking.encoder_knobs() == [{"quality": 1.296875}, {"quality": 4.0}]  # in steps of 1/64
    pairs = [(1.296875, 0.0), (1.296875, 3.84), (4.0, 0.0), (4.0, 3.84)]
    assert baking.decoder_knobs() == [{"quality": quality, "beta": beta} for quality, beta in pairs]
    assert baking.default_knobs() == {"quality": 1.296875, "beta": 3.84}
    # The entropy model, and with it the model id, is the same whichever qualities are baked.
    assert baking.settings() == [{"quality": level} for level in range(5)] == baking.model.baking().settings()
    assert label(baking.decoder_knobs()[3]) == "beta3.84-quality4"
    assert suffix(baking.decoder_knobs()[3]) == "-beta3.84-quality4" and suffix({}) == label({}) == ""


def test_a_quality_that_files_do_not_hold_is_rounded_and_export_says_so(tmp_path: Path) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    model = tiny_codec("crdr")
    save_checkpoint(tmp_path / "crdr.safetensors", model, "crdr", "tiny", {})
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(pipeline, "write_bundle", stop)
        pipeline.export_bundle(
            ExportOptions([tmp_path / "crdr.safetensors"], tmp_path / "out", knobs={"quality": (1.3, 4, 0.25, 1.3)}),
            progress=said.append,
        )
    assert said == ["reading checkpoints", "quality 1.3 becomes 1.296875: files hold it in 1/64"]


def test_without_a_choice_every_trained_quality_is_baked() -> None:
    baking = tiny_codec("crdr").baking()
    assert [knobs["quality"] for knobs in baking.encoder_knobs()] == [0, 1, 2, 3, 4]
    assert {knobs["beta"] for knobs in baking.decoder_knobs()} == {0, 3.84}
    assert baking.default_knobs() == {"quality": 2.0, "beta": 3.84}


def test_a_codec_without_beta_has_quality_alone() -> None:
    baking = tiny_codec("crdr-multirate").baking({"quality": (0, 4)})
    assert baking.encoder_knobs() == baking.decoder_knobs() == [{"quality": 0.0}, {"quality": 4.0}]
    with pytest.raises(InvalidArgument, match=r"crdr has no beta.*its knobs: quality\)"):
        tiny_codec("crdr-multirate").baking({"beta": (0,)})


def test_the_knob_of_the_tunable_codec_stays_an_input() -> None:
    baking = tiny_codec("tunable").baking()
    assert (baking.encoder_knobs(), baking.decoder_knobs(), baking.default_knobs()) == ([{}], [{}], {"n": 0.0})
    (n,) = baking.encoder({}).scalars.values()
    assert (n.low, n.high, n.default) == (-2, 2, 0)
    assert {setting["n"] for setting in baking.settings()} >= {-2, 0, 2}
    for point in (baking.encoder({}), baking.decoder({})):
        assert not any(isinstance(module, nn.BatchNorm2d) for module in point.module.modules())
        assert any(isinstance(module, nn.BatchNorm2d) for module in point.reference.modules())


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("agustsson", {"alpha": (0.5,)}, "agustsson has no alpha to bake .*its knobs: none"),
        ("agustsson-sc", {"beta": (0,)}, "agustsson has no beta"),
        ("crdr", {"alpha": (0,)}, "crdr has no alpha to bake .*its knobs: quality, beta"),
        ("fidelity", {"quality": (1,)}, "fidelity has no quality to bake .*its knobs: alpha"),
        ("hific", {"beta": (1,)}, "hific has no beta to bake .*its knobs: alpha"),
        ("hific", {"alpha": (0.5,)}, "alpha needs two decoders .*--ckpt-mse"),
        ("tunable", {"quality": (1,)}, r"tunable has no quality to bake .*n \(given when a picture is encoded"),
        ("crdr", {"quality": (4.5,)}, "quality must be between 0 and 4"),
        ("crdr", {"beta": (6,)}, "beta must be between 0 and 5.12"),
        ("crdr", {"quality": ()}, "there is no quality to bake"),
    ],
)
def test_a_knob_or_value_that_does_not_exist_is_refused(name: str, asked: Asked, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        tiny_codec(name).baking(asked)


@pytest.mark.parametrize("name", ["agustsson", "crdr", "tunable"])
def test_a_second_checkpoint_is_refused_where_nothing_is_interpolated(name: str) -> None:
    with pytest.raises(InvalidArgument, match="takes one checkpoint"):
        tiny_codec(name).baking(mse=second(tiny_codec(name)))


def test_a_graph_alone_keeps_its_weights_inside(tmp_path: Path) -> None:
    model = tiny_codec("crdr")
    baking = model.baking({"quality": (1,), "beta": (0,)})
    graph = export_synthesis(model, baking.decoder(baking.decoder_knobs()[0]), tmp_path / "synthesis.onnx")
    assert not any(tensor.external_data for tensor in graph.graph.initializer)
    assert [path.name for path in tmp_path.iterdir()] == ["synthesis.onnx"]


def test_an_interpolation_does_not_touch_what_it_was_given() -> None:
    model = copy.deepcopy(tiny_codec("hyperprior"))
    mse = second(model)
    copies = {name: tensor.clone() for name, tensor in mse.state_dict().items()}
    Interpolation(model, {"alpha": (0.5,)}, mse).baked_decoder({"alpha": 0.5})
    assert all(torch.equal(mse.state_dict()[name], tensor) for name, tensor in copies.items())
