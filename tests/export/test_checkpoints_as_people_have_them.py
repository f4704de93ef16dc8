"""Weights are found in whatever they were wrapped, stored in any float type, and messages are in the file's words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import test_importers_compressai
import test_importers_crdr
import test_importers_fidelity_controllable
import test_importers_justin_tan
import test_importers_neural_compression
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export import originals, pipeline
from edgecodec_export.checkpoints import Checkpoint, class_names, load_model, read_checkpoint, save_checkpoint
from edgecodec_export.checkpoints.importers import IMPORTERS
from edgecodec_export.checkpoints.importers.compressai import CompressAI
from edgecodec_export.checkpoints.importers.state_dicts import recognised
from edgecodec_export.checkpoints.loading import MOST_CLASSES
from edgecodec_export.options import ExportOptions
from edgecodec_export.pipeline import export_bundle
from support import agustsson_weights
from support.tiny_codecs import tiny_codec

State = dict[str, Tensor]

compressai = test_importers_compressai.scales_only
neural_compression = test_importers_neural_compression.small
justin_tan = test_importers_justin_tan.small
OPTIONS = test_importers_justin_tan.OPTIONS


def numbered(state: State) -> State:
    """A layout without memory, in which each tensor repeats a number of its own; constants stay as they are."""
    numbers = {name: torch.tensor(float(i)).expand(tensor.shape) for i, (name, tensor) in enumerate(state.items())}
    return {name: state[name] if name.endswith("bound") else number for name, number in numbers.items()}


#: An importable state dict of every layout, and what its origin has beside it.
LAYOUTS: dict[str, tuple[Callable[[], State], dict[str, Any]]] = {
    "hyperprior": (compressai, {}),
    "hific, NeuralCompression": (neural_compression, {}),
    "hific, Justin-Tan": (justin_tan, {"args": OPTIONS}),
    "crdr": (lambda: numbered(test_importers_crdr.released()), {}),
    "fidelity": (lambda: numbered(test_importers_fidelity_controllable.hollow()), {}),
    "agustsson": (lambda: numbered(agustsson_weights.blank()), {}),
}


def imported(content: Any) -> Checkpoint:
    found = recognised(content, IMPORTERS)
    assert found is not None, "not recognised"
    importer, stored = found
    return importer.convert(stored)


@cache
def state_of(layout: str) -> State:
    return LAYOUTS[layout][0]()


@cache
def plain(layout: str) -> Checkpoint:
    return imported({"model_state_dict": state_of(layout), **LAYOUTS[layout][1]})


def same(found: Checkpoint, expected: Checkpoint) -> bool:
    return (
        (found.family, found.preset, found.configuration) == (expected.family, expected.preset, expected.configuration)
        and found.tensors.keys() == expected.tensors.keys()
        and all(torch.equal(tensor, expected.tensors[name]) for name, tensor in found.tensors.items())
    )


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


# ---- wrappers --------------------------------------------------------------------------------------------------------

PREFIXES = ("module", "_orig_mod", "model", "net", "codec", "generator", "comp_model", "_forward_module", "x2")
MAPPINGS = ("state_dict", "model_state_dict", "model", "net", "params", "comp_model", "ema", "params_ema", "checkpoint")
NETWORKS = ("lpips.net.slice1.0", "criterion.vgg19.features.0", "discriminator.main.0", "netD.0", "perceptual_loss.fc")
BESIDE: dict[str, Any] = {
    "epoch": 3,
    "pytorch-lightning_version": "2.5.0",
    "hyper_parameters": {"lmbda": 0.01},
    "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]},
}


@settings(max_examples=40, deadline=None)
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    chain=st.lists(st.sampled_from(PREFIXES) | st.from_regex(r"[a-z_]{1,6}", fullmatch=True), max_size=4),
    nest=st.lists(st.sampled_from(MAPPINGS) | st.from_regex(r"[a-z_]{1,6}", fullmatch=True), max_size=3),
    networks=st.sets(st.sampled_from(NETWORKS)),
    beside=st.sets(st.sampled_from(sorted(BESIDE))),
)
def test_any_wrappers_in_any_order_give_the_same_tensors(
    layout: str, chain: list[str], nest: list[str], networks: set[str], beside: set[str]
) -> None:
    prefix = "".join(f"{each}." for each in chain)
    content: dict[str, Any] = prefixed(prefix, state_of(layout))
    content |= {f"{network}.weight": torch.zeros(1) for network in networks}
    for depth, key in enumerate(reversed(nest)):
        content = {name: BESIDE[name] for name in beside} | {key: content} | (LAYOUTS[layout][1] if depth == 0 else {})
    if not nest:
        content |= LAYOUTS[layout][1]
    found = imported(content)
    assert same(found, plain(layout))
    assert found.notes.get("prefix") == (f"{prefix!r} taken off" if prefix else None)
    left_out = {name: why for name, why in found.left_out.items() if why == "1 tensors: training only"}
    if "Discriminator" not in str(state_of(layout).keys()):
        assert sum(why == "1 tensors: training only" for why in left_out.values()) == len(networks)


@pytest.mark.parametrize("wrapper", ["module", "_orig_mod", "_fsdp_wrapped_module"])
def test_wrappers_of_single_layers_are_taken_off(wrapper: str) -> None:
    state = {name.replace("g_a.", f"g_a.{wrapper}."): each for name, each in compressai().items()}
    state = {name.replace("h_s.2.", f"h_s.2.{wrapper}._orig_mod."): each for name, each in state.items()}
    checkpoint = imported(prefixed("model.", state))
    assert same(checkpoint, plain("hyperprior"))
    assert checkpoint.notes["wrappers"] == "those of single layers taken off"
    del state[f"g_a.{wrapper}.0.bias"]
    state["g_a.0.bias"] = torch.zeros(12)  # only some names of the layer are wrapped
    with pytest.raises(CheckpointRejected, match=rf"g_a\.{wrapper}\."):
        CompressAI().read(state)


def by_network(state: State) -> dict[str, Any]:
    """A dictionary for each network, as people who collect them by hand save them."""
    networks: dict[str, Any] = {}
    for name, tensor in state.items():
        network, _, rest = name.partition(".")
        networks.setdefault(network, {})[rest] = tensor
    return networks


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"agustsson"}))  # whose names are paths of TensorFlow
@pytest.mark.parametrize("inside", [(), ("state",), ("run", "state_dict")])
def test_a_dictionary_for_each_network_is_joined(layout: str, inside: tuple[str, ...]) -> None:
    networks = by_network(state_of(layout))
    assert len(networks) > 1
    content: dict[str, Any] = networks | {"lpips": {"fc.weight": torch.zeros(1)}, **BESIDE}
    for key in reversed(inside):
        content = {key: content, "epoch": 3}
    found = imported(content | LAYOUTS[layout][1])
    assert same(found, plain(layout))
    assert found.notes["networks"] == "joined from a dictionary for each"
    place = "".join(f"{key}." for key in inside)
    assert found.left_out[f"{place}optimizer"] == "beside the weights" and "lpips.*" in found.left_out


def test_dictionaries_are_joined_only_where_nothing_else_is_a_layout() -> None:
    """A whole state dict beside one for each network is the one that is taken."""
    networks = by_network(other(compressai()))
    found = imported({"state_dict": compressai(), **networks})
    assert same(found, plain("hyperprior")) and "networks" not in found.notes
    assert set(networks) <= set(found.left_out)


def test_what_joined_dictionaries_lack_is_listed(tmp_path: Path) -> None:
    networks = by_network(compressai())
    del networks["h_a"]["2.weight"]
    with pytest.raises(CheckpointRejected, match=r"h_a\.2\.weight: missing"):
        imported(networks)
    del networks["h_s"]
    assert recognised(networks, IMPORTERS) is None
    torch.save(networks, tmp_path / "networks.pth")
    with pytest.raises(CheckpointRejected, match=r"h_a\.2\.weight: missing\n.*h_s\.0\.bias: missing"):
        read_checkpoint(tmp_path / "networks.pth", "hyperprior")


def test_names_that_are_taken_twice_are_not_joined() -> None:
    """Which of the two counts nobody can know."""
    networks: dict[str, Any] = by_network(compressai())
    networks["g_a.0.weight"] = torch.zeros_like(networks["g_a"]["0.weight"])
    assert recognised(networks, IMPORTERS) is None


def test_a_dictionary_that_is_named_exponentially_often_is_joined_once() -> None:
    inner: dict[str, Any] = {f"{i}.weight": torch.zeros(1) for i in range(100)}
    for _ in range(8):
        inner = {f"g_a{i}": inner for i in range(100)} | {"g_a": inner}
    assert recognised(inner, IMPORTERS) is None


def test_a_name_outside_the_prefix_never_stands_in_for_one_inside() -> None:
    state = prefixed("model.", compressai())
    state["g_a.0.bias"] = state.pop("model.g_a.0.bias")
    with pytest.raises(CheckpointRejected) as refused:
        imported(state)
    assert refused.value.message.split("\n  ")[1:] == ["g_a.0.bias: unused", "model.g_a.0.bias: missing"]


def test_what_does_not_fit_is_listed_in_the_files_own_words() -> None:
    state = prefixed("net.", compressai())
    del state["net.h_a.0.bias"]
    state["net.h_a.2.bias"] = torch.zeros(3)
    state |= {"net.extra.weight": torch.zeros(1), "other.weight": torch.zeros(1)}
    with pytest.raises(CheckpointRejected) as refused:
        imported({"state_dict": state})
    assert refused.value.message.split("\n  ")[1:] == [
        "net.extra.weight: unused",
        "other.weight: unused",
        "net.h_a.0.bias: missing",
        "net.h_a.2.bias: has shape (3,), should have (12,)",
    ]


def test_a_network_inside_the_codec_is_not_taken_for_a_metric() -> None:
    with pytest.raises(CheckpointRejected, match=r"g_a\.vgg\.0\.weight: unused"):
        imported(compressai() | {"g_a.vgg.0.weight": torch.zeros(1)})


def test_parts_that_are_no_codec_are_left_out_by_name(tmp_path: Path) -> None:
    state = prefixed("model.", compressai()) | prefixed("criterion.lpips.", {"a": torch.zeros(1), "b": torch.zeros(1)})
    content = {"state_dict": state | {"model.Discriminator.c": torch.zeros(1)}, **BESIDE}
    torch.save(content, tmp_path / "lightning.ckpt")
    checkpoint = read_checkpoint(tmp_path / "lightning.ckpt")
    assert checkpoint.notes["prefix"] == "'model.' taken off"
    left_out = {name: why for name, why in checkpoint.left_out.items() if "tables" not in why}
    assert left_out == {
        "criterion.*": "2 tensors: training only",
        "model.Discriminator.*": "1 tensors: training only",
        "hyper_parameters": "beside the weights",
        "optimizer": "beside the weights",
    }


def test_export_says_what_it_took_off_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(originals, "load_calibration_pictures", lambda *asked: None)
    monkeypatch.setattr(pipeline, "write_bundle", lambda *asked, **options: None)
    content = {"params": prefixed("net.", neural_compression()), "params_ema": prefixed("net.", neural_compression())}
    torch.save(content, tmp_path / "x.pth")
    export_bundle(ExportOptions([tmp_path / "x.pth"], tmp_path / "out"), said.append)
    assert said[1:3] == ["x.pth, taken from: params", "x.pth, prefix: 'net.' taken off"]
    assert "params_ema (another copy of the weights)" in said[3]


# ---- running averages, and other copies ------------------------------------------------------------------------------


def other(state: State) -> State:
    return {name: tensor + 1 if name.endswith("bias") else tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("raw", "averaged"),
    [("state_dict", "state_dict_ema"), ("params", "params_ema"), ("model", "ema"), ("g", "g_ema"), ("net", "netEMA")],
)
def test_the_weights_themselves_are_taken_before_running_averages(raw: str, averaged: str) -> None:
    weights, average = prefixed("module.", compressai()), other(compressai())
    for content in ({raw: weights, averaged: average}, {averaged: average, raw: weights}):
        checkpoint = imported(content)
        assert same(checkpoint, plain("hyperprior"))
        assert checkpoint.notes["taken from"] == raw
        assert checkpoint.left_out[averaged] == "another copy of the weights"
    within = imported({"state_dict": prefixed(f"{averaged}.", average) | prefixed(f"{raw}.", weights)})
    assert same(within, plain("hyperprior"))
    assert within.left_out[f"{averaged}.*"] == "another copy of the weights"


def test_running_averages_alone_are_taken() -> None:
    checkpoint = imported({"ema": {"module": compressai()}, "step": 4})
    assert same(checkpoint, plain("hyperprior")) and checkpoint.notes["taken from"] == "ema.module"


def test_the_place_where_the_origin_has_its_weights_comes_first() -> None:
    checkpoint = imported({"best": other(compressai()), "state_dict": compressai()})
    assert same(checkpoint, plain("hyperprior")) and checkpoint.left_out["best"] == "another copy of the weights"


def test_two_copies_of_equal_rank_are_refused() -> None:
    state = prefixed("student.", compressai()) | prefixed("teacher.", other(compressai()))
    with pytest.raises(CheckpointRejected, match=r"under student\. and teacher\.") as refused:
        imported(state)
    assert refused.value.hint == "save those to export in a file of their own"


# ---- Justin-Tan's options --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap", [dict, lambda state: {"model_state_dict": state}, lambda state: prefixed("model.", state)]
)
def test_weights_without_options_are_recognised_and_told_what_is_missing(
    wrap: Callable[[State], Any], tmp_path: Path
) -> None:
    torch.save(wrap(justin_tan()), tmp_path / "low.pt")
    with pytest.raises(CheckpointRejected) as refused:
        read_checkpoint(tmp_path / "low.pt")
    assert refused.value.message.split("\n  ")[1:] == ["args: missing, should hold the options of the training run"]
    hint = str(refused.value.hint)
    assert "'model_state_dict': torch.load(FILE), 'args': {'normalize_input_image': True or False" in hint
    assert "'latent_channels': 7, 'n_residual_blocks': 2}" in hint  # what the tensors tell is filled in
    filled = eval(hint[hint.index("{'model") : hint.index(", NEW")], {"torch": torch, "FILE": tmp_path / "low.pt"})
    assert same(imported(filled), plain("hific, Justin-Tan"))


# ---- float types, and other containers -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("layout", ["hyperprior", "hific, NeuralCompression", "hific, Justin-Tan"])
def test_constants_are_compared_in_the_type_that_they_are_stored_in(layout: str, dtype: torch.dtype) -> None:
    bound = {"Hyperprior.prior_entropy_model.min_scale_tensor": torch.tensor([0.11])} if "Justin" in layout else {}
    state = {
        name: each.to(dtype) if each.is_floating_point() else each for name, each in (state_of(layout) | bound).items()
    }
    checkpoint = imported({"model_state_dict": state, **LAYOUTS[layout][1]})
    for name, tensor in plain(layout).tensors.items():
        if not name.startswith("density."):  # some of Justin-Tan's density is made here
            assert torch.equal(checkpoint.tensors[name], tensor.to(dtype).float())


CONSTANTS = {
    name: tensor
    for name, tensor in compressai().items()
    if name.endswith(("pedestal", "bound")) and "likel" not in name
}


@pytest.mark.parametrize("name", CONSTANTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_another_constant_is_refused_in_every_type(name: str, dtype: torch.dtype) -> None:
    state = compressai()
    finest = torch.finfo(dtype).eps * 8
    for wrong in (float("nan"), float("inf"), -1.0, 1e-3 + CONSTANTS[name].item() * (1 + finest)):
        state[name] = torch.tensor([wrong], dtype=dtype)
        with pytest.raises(CheckpointRejected, match=rf"{name}: is .*, and only"):
            CompressAI().read(state)
    state[name] = CONSTANTS[name].to(dtype)
    assert CompressAI().read(state).family == "hyperprior"


@pytest.mark.parametrize("layout", ["hyperprior", "hific, NeuralCompression"])
def test_foreign_safetensors_are_taken_as_a_pytorch_file_is(layout: str, tmp_path: Path) -> None:
    state = prefixed("model.", state_of(layout))
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    torch.save(state, tmp_path / "model.pth")
    found, expected = (read_checkpoint(tmp_path / name) for name in ("model.safetensors", "model.pth"))
    assert same(found, expected) and (found.notes, found.left_out) == (expected.notes, expected.left_out)
    with pytest.raises(CheckpointRejected, match="does not fit the layout of CRDR"):
        read_checkpoint(tmp_path / "model.safetensors", "crdr")


# ---- pairs -----------------------------------------------------------------------------------------------------------


def test_a_pair_that_differs_is_named_by_its_files_and_their_keys(tmp_path: Path) -> None:
    gan, mse = tmp_path / "gan.pth", tmp_path / "mse.pth"
    state = compressai()
    torch.save(state, gan)
    torch.save({"state_dict": prefixed("module.", state | {"h_a.2.bias": state["h_a.2.bias"] + 1})}, mse)
    with pytest.raises(CheckpointRejected) as refused:
        export_bundle(ExportOptions([gan], tmp_path / "out", mse_checkpoints=[mse]))
    assert refused.value.message.split("\n  ") == [
        f"{gan} and {mse} do not share an encoder:",
        "h_a.2.bias and module.h_a.2.bias: outside the decoder, and the values differ",
    ]


def test_a_pair_of_edgecodecs_own_files_is_named_too(tmp_path: Path) -> None:
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    changed = copy.deepcopy(tiny_codec("hyperprior"))
    changed.analysis[0].bias += 1
    for path, model in zip(paths, (tiny_codec("hyperprior"), changed), strict=True):
        save_checkpoint(path, model, "hyperprior", "tiny", {})
    models = [load_model(read_checkpoint(path)) for path in paths]
    with pytest.raises(
        CheckpointRejected, match=rf"^{paths[0]} and {paths[1]} do not .*\n  analysis\.0\.bias: outside"
    ):
        models[0].baking(mse=models[1])


def test_values_that_are_not_finite_are_named_by_the_files_key() -> None:
    state = justin_tan()
    state["Generator.conv_block_init.2.bias"][0] = float("nan")
    state["Hyperprior.hyperlatent_likelihood.H_1"][0] = float("inf")
    state["Hyperprior.synthesis_mu.conv3.weight"][0] = float("nan")
    with pytest.raises(CheckpointRejected) as refused:
        load_model(imported({"model_state_dict": prefixed("module.", state), "args": OPTIONS}))
    assert refused.value.message.split("\n  ")[1:] == [
        "module.Hyperprior.hyperlatent_likelihood.H_1: holds values that are not finite",
        "module.Hyperprior.synthesis_mu.conv3.weight: holds values that are not finite",
        "module.Generator.conv_block_init.2.bias: holds values that are not finite",
    ]


# ---- classes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [MOST_CLASSES, 257])
def test_more_classes_than_a_label_map_has_are_refused_at_once(classes: int, tmp_path: Path) -> None:
    assert MOST_CLASSES == 256
    model = tiny_codec("agustsson-sc")
    larger = type(model)(replace(model.preset, classes=classes))
    path = tmp_path / "sc.safetensors"
    save_checkpoint(path, larger, "agustsson", "tiny", {})
    checkpoint = read_checkpoint(path)
    if classes <= MOST_CLASSES:
        assert len(class_names(checkpoint, load_model(checkpoint))) == classes
        return
    with pytest.raises(CheckpointRejected, match="its labels have 257 values") as refused:
        export_bundle(ExportOptions([path], tmp_path / "out"))
    assert refused.value.where == str(path)
