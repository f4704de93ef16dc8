"""Hyperpriors of CompressAI: what they compute after import, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.calibration import to_tensor
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.checkpoints.importers.compressai import CompressAI
from edgecodec_export.entropy.freezers.scale_hyperprior import ScaleHyperpriorFreezer
from edgecodec_export.families import Hyperprior
from edgecodec_export.families.hyperprior import Preset
from edgecodec_export.layers.densities import gaussian_likelihood
from support import released_layouts
from support.make_tiny_bundle import tiny_pictures
from support.paths import VECTORS
from support.portable_random import picture
from support.stand_in_weights import BMSHJ2018_HYPERPRIOR, MBT2018_MEAN, as_input, stand_in

State = dict[str, Tensor]


def vectors(name: str) -> State:
    with np.load(VECTORS / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}


def scales_only() -> State:
    return stand_in(released_layouts.compressai(12, 16, predicts_means=False), BMSHJ2018_HYPERPRIOR)


def means_and_scales() -> State:
    return stand_in(released_layouts.compressai(8, 12, predicts_means=True), MBT2018_MEAN)


def imported(state: State) -> Hyperprior:
    model = load_model(CompressAI().read(state))
    assert isinstance(model, Hyperprior)
    return model


def close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


@torch.no_grad()
def test_mbt2018_mean_computes_what_compressai_computes() -> None:
    state = stand_in(released_layouts.compressai(128, 192, predicts_means=True), MBT2018_MEAN)
    model, expected = imported(state), vectors("mbt2018_mean")
    y = model.analysis(as_input(picture(190, 250), model.ALIGNMENT))
    close(y[:, ::11], expected["y"], 4e-5)
    close(model.hyper_analysis(y)[:, ::11], expected["z"], 4e-5)
    z_symbols, residual = model.encode(as_input(picture(190, 250), model.ALIGNMENT))
    close(z_symbols + model.density.medians.reshape(1, -1, 1, 1), expected["z_hat"], 1e-6)
    close(residual, expected["symbols"].float(), 0)
    mean, scale = model.mean(expected["z_hat"]), model.scale_network()(expected["z_hat"])
    assert mean is not None
    close(mean[:, ::11], expected["means"], 9e-5)
    close(scale[:, ::11], expected["scales"], 9e-5)
    close(model.decode(z_symbols, residual)[:, :, ::8, ::8], expected["image"], 3e-5)
    bits = [-gaussian_likelihood(residual, scale).double().log2().sum()]
    bits += [-model.density.likelihood(expected["z_hat"]).double().log2().sum()]
    assert [each.item() for each in bits] == pytest.approx(
        [expected["bits_y"].item(), expected["bits_z"].item()], rel=1e-6
    )


@torch.no_grad()
def test_bmshj2018_hyperprior_computes_what_compressai_computes() -> None:
    model, expected = imported(scales_only()), vectors("bmshj2018_hyperprior")
    image = as_input(picture(100, 120), model.ALIGNMENT)
    close(model.analysis(image), expected["y"], 4e-5)
    assert (expected["y"] < 0).any(), "or the magnitudes that the hyper-analysis takes make no difference"
    close(model.hyper_analysis(model.hyper_input(expected["y"])), expected["z"], 4e-5)
    z_symbols, residual = model.encode(image)
    close(z_symbols, expected["z_symbols"].float(), 0)
    close(residual, expected["symbols"].float(), 0)
    z = z_symbols + model.density.medians.reshape(1, -1, 1, 1)
    assert model.mean(z) is None
    scale = model.scale_network()(z)
    assert (scale < 0).any(), "or the ReLU that the family leaves out makes no difference"
    close(scale.relu(), expected["scales"], 9e-5)
    close(model.decode(z_symbols, residual)[:, :, ::4, ::4], expected["image"], 3e-5)
    bits = [-gaussian_likelihood(residual, scale).double().log2().sum()]
    bits += [-model.density.likelihood(z).double().log2().sum()]
    assert [each.item() for each in bits] == pytest.approx(
        [expected["bits_y"].item(), expected["bits_z"].item()], rel=1e-6
    )


@pytest.mark.parametrize("make", [scales_only, means_and_scales])
def test_an_imported_model_gets_an_integer_entropy_model(make: Callable[[], State]) -> None:
    model = imported(make())
    freezer = ScaleHyperpriorFreezer(model)
    frozen = freezer.freeze([freezer.observe(to_tensor(tiny_pictures(1)[0]))])
    assert frozen.to_bytes()[:4]


def test_the_shapes_tell_widths_and_model() -> None:
    importer = CompressAI()
    assert importer.read(scales_only()).configuration == Preset(12, 16, predicts_means=False)
    assert importer.read(means_and_scales()).configuration == Preset(8, 12)
    assert importer.read(scales_only()).preset == "bmshj2018_hyperprior"


def respelled(state: State, matrix: str, bias: str, factor: str) -> State:
    return {
        name.replace("._matrix", matrix).replace("._bias", bias).replace("._factor", factor): tensor
        for name, tensor in state.items()
    }


def with_stale_tables(state: State) -> State:
    channels = len(state["entropy_bottleneck.quantiles"])
    tables = {
        "entropy_bottleneck._offset": torch.full((channels,), -1),
        "entropy_bottleneck._cdf_length": torch.full((channels,), 5),
        "entropy_bottleneck._quantized_cdf": torch.tensor([0, 16384, 32768, 49152, 65536]).repeat(channels, 1),
        "gaussian_conditional._quantized_cdf": torch.zeros(64, 3133, dtype=torch.int32),
        "gaussian_conditional.scale_table": torch.linspace(0.11, 256, 64),
    }
    return state | tables


@pytest.mark.parametrize(
    "disguise",
    [
        pytest.param(lambda state: respelled(state, ".matrices.", ".biases.", ".factors."), id="spelling since 1.2.7"),
        pytest.param(lambda state: respelled(state, "._matrices.", "._biases.", "._factors."), id="first spelling"),
        pytest.param(with_stale_tables, id="stale tables"),
        pytest.param(lambda state: {f"module.{name}": tensor for name, tensor in state.items()}, id="data parallel"),
        pytest.param(lambda state: {"epoch": 3, "state_dict": state, "optimizer": {}}, id="training state"),
    ],
)
def test_every_way_to_save_it_gives_the_same_tensors(disguise: Callable[[State], State], tmp_path: Path) -> None:
    plain = CompressAI().read(scales_only()).tensors
    torch.save(disguise(scales_only()), tmp_path / "saved.pth.tar")
    checkpoint = read_checkpoint(tmp_path / "saved.pth.tar")
    assert checkpoint.family == "hyperprior"
    assert checkpoint.tensors.keys() == plain.keys()
    assert all(torch.equal(tensor, plain[name]) for name, tensor in checkpoint.tensors.items())


def test_every_key_that_does_not_fit_is_listed() -> None:
    state = scales_only()
    del state["entropy_bottleneck._matrix2"], state["g_a.0.bias"]
    state["context_prediction.weight"] = torch.zeros(1)
    state["h_s.0.weight"] = torch.zeros(12, 13, 5, 5)
    with pytest.raises(CheckpointRejected) as refused:
        CompressAI().read(state)
    for problem in (
        "entropy_bottleneck._matrix2: missing",
        "g_a.0.bias: missing",
        "context_prediction.weight: unused",
        "h_s.0.weight: has shape (12, 13, 5, 5)",
    ):
        assert problem in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["gaussian_conditional.scale_bound", "g_a.1.beta_reparam.lower_bound.bound", "g_s.3.gamma_reparam.pedestal"],
)
def test_a_constant_that_the_family_does_not_have_is_refused(name: str) -> None:
    state = scales_only()
    state[name] = state[name] * math.e
    with pytest.raises(CheckpointRejected, match=name):
        CompressAI().read(state)


def test_a_model_of_another_kind_is_not_recognised() -> None:
    state = {name: tensor for name, tensor in scales_only().items() if not name.startswith("h_")}
    assert not CompressAI().recognises(state)
    assert CompressAI().recognises(scales_only())
