"""CRDR's released layout: the public implementation's numbers stage by stage, and every trap of the layout refused.

Tolerances are ten times what one float32 implementation differs from another.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints import Checkpoint, load_model, read_checkpoint
from edgecodec_export.checkpoints.importers.crdr import CrdrCheckpoints
from edgecodec_export.families.crdr import Crdr, bake_decoder, bake_encoder
from edgecodec_export.layers.densities import gaussian_likelihood
from support.crdr_weights import drawn, released_tensors
from support.paths import VECTORS

CRDR = VECTORS / "crdr"
LAYOUT: dict[str, list[int]] = json.loads((CRDR / "layout.json").read_text())
SCALE_BOUNDS = ("entropy_model_y.scale_bound", "entropy_model_y.lower_bound_scale.bound")
QUALITY = 1.5
LATENT_STEP, PICTURE_STEP = 13, 29  # of the stored samples


@pytest.fixture(scope="module")
def expected() -> dict[str, npt.NDArray[np.float32]]:
    with np.load(CRDR / "stage3.npz") as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


@pytest.fixture(scope="module")
def model() -> Crdr:
    """At full size, from all 595 tensors."""
    content = {"iter": 3_000_000, "comp_model": released_tensors(LAYOUT)}
    loaded = load_model(CrdrCheckpoints().read(content))
    assert isinstance(loaded, Crdr)
    return loaded.requires_grad_(False)


@pytest.fixture(scope="module")
def image() -> Tensor:
    pixels = torch.from_numpy(np.array(Image.open(CRDR / "picture.png"))).permute(2, 0, 1).unsqueeze(0)
    return torch.nn.functional.pad(pixels / 255, (0, 6, 0, 2), mode="reflect")


def furthest(found: Tensor, expected: npt.NDArray[np.float32], step: int = 1) -> float:
    return float(np.abs(found.flatten()[::step].numpy() - expected.flatten()).max())


def test_the_encoder_gives_the_public_implementations_latents(
    model: Crdr, image: Tensor, expected: dict[str, npt.NDArray[np.float32]]
) -> None:
    y = model.analyse(image, QUALITY)
    assert furthest(y, expected["y"], LATENT_STEP) < 3e-4
    assert furthest(model.hyper_analysis(y), expected["z"]) < 3e-4
    z_symbols, y_fixed = model.encode(image, QUALITY)
    assert furthest(z_symbols + model.medians, expected["z_hat"]) < 1e-6
    assert torch.equal(y_fixed, (64 * y).round())
    assert furthest(bake_encoder(model, QUALITY).analysis(2 * image - 1), expected["y"], LATENT_STEP) < 3e-4


def test_the_slices_and_the_decoder_give_the_public_implementations_picture(
    model: Crdr, expected: dict[str, npt.NDArray[np.float32]]
) -> None:
    z_symbols = (torch.from_numpy(expected["z_hat"]) - model.medians).round()
    symbols = torch.from_numpy(expected["symbols"])
    slices = model.slices_of(z_symbols, symbols=symbols)
    mean, scale, residual, y_hat = (torch.cat(parts, 1) for parts in list(zip(*slices, strict=True))[1:])
    assert furthest(mean, expected["means"], LATENT_STEP) < 9e-5
    assert furthest(scale, expected["scales"], LATENT_STEP) < 9e-5
    assert furthest(residual, expected["lrp"], LATENT_STEP) < 3e-5
    assert furthest(y_hat, expected["y_hat"], LATENT_STEP) < 9e-5
    bits = -float(gaussian_likelihood(symbols, scale).log2().sum())
    assert bits == pytest.approx(float(expected["bits_y"]), rel=1e-4)
    z_bits = -float(model.density.likelihood(z_symbols + model.medians).log2().sum())
    assert z_bits == pytest.approx(float(expected["bits_z"]), rel=1e-6)
    for beta in (0, 3.84):
        baked = bake_decoder(model, QUALITY, beta)
        assert sum(parameter.numel() for parameter in baked.parameters()) == 13_378_115 - 2_661_632
        for picture in (model.synthesise(y_hat, QUALITY, beta), baked(64 * y_hat)):
            assert furthest(2 * picture - 1, expected[f"picture_beta{beta}"], PICTURE_STEP) < 8e-5


def released(**changes: Tensor | None) -> dict[str, Tensor]:
    """The tensors of a released file without allocated memory; `changes` replaces some, None removes one."""
    tensors: dict[str, Tensor | None] = {
        name: torch.tensor(0.11 if name in SCALE_BOUNDS else 0.0).expand(*shape) for name, shape in LAYOUT.items()
    }
    tensors.update({name.replace("__", "."): tensor for name, tensor in changes.items()})
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def read(tensors: dict[str, Tensor]) -> Checkpoint:
    content = {"iter": 7, "comp_model": tensors}
    assert CrdrCheckpoints().recognises(content)
    return CrdrCheckpoints().read(content)


def problems(tensors: dict[str, Tensor]) -> list[str]:
    with pytest.raises(CheckpointRejected) as refused:
        read(tensors)
    return str(refused.value).split("\n  ")[1:]


def test_a_whole_file_becomes_the_published_model() -> None:
    checkpoint = read(released())
    assert (checkpoint.family, checkpoint.preset) == ("crdr", "published")
    assert checkpoint.notes["iterations"] == "7"
    assert all(tensor.dtype == torch.float32 for tensor in checkpoint.tensors.values())
    assert sum(tensor.numel() for tensor in checkpoint.tensors.values()) == 127_712_963


def test_a_file_of_the_second_stage_has_no_beta() -> None:
    second = {name: tensor for name, tensor in released().items() if ".proj_" not in name and ".mlp." not in name}
    checkpoint = read(second)
    assert checkpoint.preset == "published-multirate"
    assert sum(tensor.numel() for tensor in checkpoint.tensors.values()) == 127_712_963 - 2_637_312


def test_both_spellings_of_the_factorised_density_are_one_model() -> None:
    density = {
        name: torch.from_numpy(drawn(name, LAYOUT[name])) for name in LAYOUT if "z._" in name and name[-1] in "01234"
    }
    assert len(density) == 14
    later = {"_matrix": "matrices.", "_bias": "biases.", "_factor": "factors."}
    respelled = {}
    for name, tensor in density.items():
        room, kind = name[:-1].split(".")
        respelled[f"{room}.{later[kind]}{name[-1]}"] = tensor
    without = {name: tensor for name, tensor in released().items() if name not in density}
    earlier, newer = read(without | density), read(without | respelled)
    for name, tensor in density.items():
        own = name.replace("entropy_model_z", "density")
        assert torch.equal(earlier.tensors[own], tensor)
        assert torch.equal(newer.tensors[own], tensor)
    assert "entropy_model_z._matrix0: there twice" in problems(without | density | respelled)


def test_stored_tables_are_never_used() -> None:
    stale = {
        "entropy_model_z._quantized_cdf": torch.arange(5).repeat(192, 1) * 16384,
        "entropy_model_z._cdf_length": torch.full((192,), 5),
        "entropy_model_z._offset": torch.full((192,), -1),
        "entropy_model_y.scale_table": torch.ones(64),
    }
    plain, with_tables = read(released()), read(released() | stale)
    assert plain.tensors.keys() == with_tables.tensors.keys()
    assert not any("cdf" in name or "offset" in name or "table" in name for name in with_tables.tensors)


@pytest.mark.parametrize("name", SCALE_BOUNDS)
@pytest.mark.parametrize("bound", [0.0, 0.2, float("nan")])
def test_another_bound_of_the_scales_is_refused(name: str, bound: float) -> None:
    with pytest.raises(CheckpointRejected, match=rf"{name}: .* only 0\.11 is supported"):
        read(released() | {name: torch.tensor([bound])})


def test_data_parallel_prefixes_are_dropped_where_all_names_have_them() -> None:
    prefixed = {f"module.{name}": tensor for name, tensor in released().items()}
    assert read(prefixed).tensors.keys() == read(released()).tensors.keys()
    # The origin's own loader cuts them off each name by itself, but no training of one model writes some of each.
    mixed = released(encoder__conv1__bias=None) | {"module.encoder.conv1.bias": torch.zeros(192)}
    assert problems(mixed) == ["module.encoder.conv1.bias: unused", "encoder.conv1.bias: missing"]


def test_every_key_that_does_not_fit_is_listed_by_the_files_own_name() -> None:
    changed = released(
        encoder__conv1__weight=None,
        encoder__interp_ca_list__7__weight=torch.zeros(4, 1, 320, 1, 1),
        hyperdecoder__hd_mu__conv3__weight=torch.zeros(320, 256, 3, 3),
        decoder__mlp__0__bias=torch.zeros(()),
        decoder__conv__weight=torch.zeros(3),
        entropy_model_z___matrix5=torch.zeros(192, 1, 3),
    )
    assert problems(changed) == [
        "decoder.conv.weight: unused",
        "entropy_model_z._matrix5: unused",
        "encoder.conv1.weight: missing",
        "decoder.mlp.0.bias: has shape (), should have (512,)",
        "encoder.interp_ca_list.7.weight: has shape (4, 1, 320, 1, 1), should have (5, 1, 320, 1, 1)",
        "hyperdecoder.hd_mu.conv3.weight: has shape (320, 256, 3, 3), should have (256, 320, 3, 3)",
    ]


def test_a_third_stage_file_without_its_embedding_is_not_read_as_second_stage() -> None:
    assert problems(released(decoder__mlp__2__weight=None)) == ["decoder.mlp.2.weight: missing"]


@pytest.mark.parametrize("index", [0, 4, 8])
def test_channel_attention_is_assigned_to_its_stage(index: int) -> None:
    tensors = read(
        released(**{f"decoder__interp_ca_list__{index}__bias": torch.ones(5, 1, 320 if index < 2 else 256, 1, 1)})
    )
    ones = [name for name, tensor in tensors.tensors.items() if tensor.any()]
    assert ones == [f"synthesis.{ {0: 'attention1', 4: 'attention2', 8: 'up4'}[index] }_rate.bias"]


def test_a_file_on_disk_is_recognised_and_opened_safely(tmp_path: Path) -> None:
    path = tmp_path / "crdr.pth.tar"
    torch.save({"iter": 1, "comp_model": {"encoder.interp_ca_list.0.weight": torch.zeros(5, 1, 192, 1, 1)}}, path)
    with pytest.raises(CheckpointRejected, match=r"CRDR.*\n  context_model.*: missing\n(.*\n)*  and \d+ more missing"):
        read_checkpoint(path)
    torch.save({"comp_model": {"elsewhere.weight": torch.zeros(1)}}, path)
    with pytest.raises(CheckpointRejected, match="layout that is not known"):
        read_checkpoint(path)
