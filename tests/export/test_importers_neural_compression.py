"""HiFiC of NeuralCompression: what it computes after import, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.checkpoints.importers.neural_compression import NeuralCompression
from edgecodec_export.families import Hific
from edgecodec_export.families.hific import Preset
from edgecodec_export.layers.densities import gaussian_likelihood
from support import released_layouts
from support.paths import VECTORS
from support.portable_random import picture
from support.stand_in_weights import NEURAL_COMPRESSION, as_input, stand_in

SMALL = Preset((4, 6, 8, 10, 12), 7, 9, 2)

State = dict[str, Tensor]


def small() -> State:
    layout = released_layouts.neural_compression(
        SMALL.widths, SMALL.latent_channels, SMALL.hyperlatent_channels, SMALL.residual_blocks
    )
    return stand_in(layout, NEURAL_COMPRESSION)


def close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.slow
@torch.no_grad()
def test_the_published_size_computes_what_neural_compression_computes() -> None:
    published = Hific.PRESETS["published"]
    layout = released_layouts.neural_compression(published.widths, 220, 320, 9)
    checkpoint = NeuralCompression().read(stand_in(layout, NEURAL_COMPRESSION))
    assert checkpoint.configuration == published
    model: Any = load_model(checkpoint)
    with np.load(VECTORS / "hific_fb.npz") as arrays:
        expected = {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}
    image = as_input(picture(190, 250), model.ALIGNMENT)
    y = model.analysis(image)
    close(y[:, ::11], expected["y"], 4e-5)
    close(model.hyper_analysis(y)[:, ::11], expected["z"], 4e-5)
    z_symbols, residual = model.encode(image)
    close(z_symbols + model.density.medians.reshape(1, -1, 1, 1), expected["z_hat"], 1e-6)
    close(residual, expected["symbols"].float(), 0)
    mean, scale = model.mean(expected["z_hat"]), model.scale_network()(expected["z_hat"])
    close(mean[:, ::11], expected["means"], 9e-5)
    close(scale[:, ::11], expected["scales"], 9e-5)
    close(model.decode(z_symbols, residual)[:, :, ::8, ::8], expected["image"], 3e-5)
    bits = [-gaussian_likelihood(residual, scale).double().log2().sum()]
    bits += [-model.density.likelihood(expected["z_hat"]).double().log2().sum()]
    assert [each.item() for each in bits] == pytest.approx(
        [expected["bits_y"].item(), expected["bits_z"].item()], rel=1e-6
    )


def test_the_shapes_tell_the_widths() -> None:
    assert NeuralCompression().read(small()).configuration == SMALL


def respelled(state: State) -> State:
    for old, new in (("_matrix", "matrices."), ("_bias", "biases."), ("_factor", "factors.")):
        state = {name.replace(f"hyper_bottleneck.{old}", f"hyper_bottleneck.{new}"): t for name, t in state.items()}
    return state


def with_stale_tables(state: State) -> State:
    tables = {f"{name}_bottleneck._quantized_cdf": torch.zeros(9, 5, dtype=torch.int32) for name in ("hyper", "latent")}
    return state | tables | {"latent_bottleneck.scale_table": torch.ones(64)}


@pytest.mark.parametrize(
    "disguise",
    [
        pytest.param(respelled, id="spelling since 1.2.7"),
        pytest.param(with_stale_tables, id="stale tables"),
        pytest.param(lambda state: {f"module.{name}": tensor for name, tensor in state.items()}, id="data parallel"),
    ],
)
def test_every_way_to_save_it_gives_the_same_tensors(disguise: Callable[[State], State], tmp_path: Path) -> None:
    plain = NeuralCompression().read(small()).tensors
    torch.save(disguise(small()), tmp_path / "saved.ckpt")
    checkpoint = read_checkpoint(tmp_path / "saved.ckpt")
    assert (checkpoint.family, checkpoint.tensors.keys()) == ("hific", plain.keys())
    assert all(torch.equal(tensor, plain[name]) for name, tensor in checkpoint.tensors.items())


def test_every_key_that_does_not_fit_is_listed() -> None:
    state = small()
    del state["decoder.resid_blocks.0.sequence.3.weight"], state["hyper_bottleneck._factor1"]
    state["decoder.blocks.9.weight"] = torch.zeros(1)
    state["hyper_synthesis_scale.4.weight"] = state["hyper_synthesis_scale.4.weight"].transpose(0, 1)
    with pytest.raises(CheckpointRejected) as refused:
        NeuralCompression().read(state)
    for problem in (
        "decoder.resid_blocks.0.sequence.3.weight: missing",
        "hyper_bottleneck._factor1: missing",
        "decoder.blocks.9.weight: unused",
        "hyper_synthesis_scale.4.weight: has shape (9, 7, 3, 3), should have (7, 9, 3, 3)",
    ):
        assert problem in str(refused.value)


def test_another_bound_of_the_scales_is_refused() -> None:
    with pytest.raises(CheckpointRejected, match=r"only 0\.11 is supported"):
        NeuralCompression().read(small() | {"latent_bottleneck.scale_bound": torch.tensor([0.2])})
