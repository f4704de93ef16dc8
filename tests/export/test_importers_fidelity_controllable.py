"""Released checkpoints of the fidelity-controllable codec give the numbers that its public implementation gives.

Each stage gets the stored input of that stage; limits are ten times the float32 noise between machines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.baking.interpolation import interpolate, require_interpolation
from edgecodec_export.checkpoint_files import limits
from edgecodec_export.checkpoints import Checkpoint, load_model, read_checkpoint
from edgecodec_export.checkpoints.importers.fidelity_controllable import MASKED, FidelityControllable, causal_taps
from edgecodec_export.families import Fidelity
from edgecodec_export.layers.causal_mixture import mixture_likelihood
from edgecodec_export.layers.normalisation import GDN
from support import fidelity_weights as origin
from support import portable_random
from support.paths import VECTORS

DIGESTS = {
    "mse": "5a2132e9e2703598b1bda8416c81b4542d0c9d783a2daf71af39057d14edb9c3",
    "gan": "2133c849b7e5011373515e88cf45b11e4cfec8eb4b5231e04d1853bdb318d701",
}
ALPHA = 0.8
HEIGHT, WIDTH = 190, 250


@pytest.fixture(scope="module")
def vectors() -> dict[str, Tensor]:
    with np.load(VECTORS / "fidelity.npz") as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


@pytest.fixture(scope="module")
def pair() -> dict[str, Checkpoint]:
    return {name: read(origin.weights(name)) for name in DIGESTS}


@pytest.fixture(scope="module")
def model(pair: dict[str, Checkpoint]) -> Fidelity:
    return loaded(pair["gan"]).requires_grad_(False)


def read(tensors: dict[str, Any]) -> Checkpoint:
    return FidelityControllable().read(origin.content(tensors))


def loaded(checkpoint: Checkpoint) -> Fidelity:
    model = load_model(checkpoint)
    assert isinstance(model, Fidelity)
    return model


def hollow() -> dict[str, Any]:
    """The right names and shapes, each over one stored zero, for tests that use names and shapes only."""
    return {name: torch.zeros(1).expand(shape) for name, shape in origin.shapes().items()}


def refusal(tensors: dict[str, Any]) -> list[str]:
    with pytest.raises(CheckpointRejected) as refused:
        read(tensors)
    return str(refused.value).split("\n  ")[1:]


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


@pytest.mark.parametrize("decoder", DIGESTS)
def test_the_weights_are_those_the_vectors_were_made_with(decoder: str) -> None:
    assert origin.digest(origin.weights(decoder)) == DIGESTS[decoder]


def test_analysis_and_rounding_are_those_of_the_origin(model: Fidelity, vectors: dict[str, Tensor]) -> None:
    picture = torch.from_numpy(portable_random.picture(HEIGHT, WIDTH)).permute(2, 0, 1)[None] / 255
    image = F.pad(picture, (0, -WIDTH % model.ALIGNMENT, 0, -HEIGHT % model.ALIGNMENT), value=0.5)
    assert model.PADDING == "grey"
    assert largest(model.analysis(2 * image - 1) - vectors["y"]) < 1.6e-4
    (y,) = model.encode(image)
    near_a_tie = (vectors["y"].frac().abs() - 0.5).abs() < 1e-4
    assert torch.equal(y[~near_a_tie], vectors["symbols"].float()[~near_a_tie])


def test_mixture_and_likelihood_are_those_of_the_origin(model: Fidelity, vectors: dict[str, Tensor]) -> None:
    y = vectors["symbols"].float()
    mixture = model.context.mixture(y)
    for name, found, limit in zip(("means", "scales", "weights"), mixture, (9e-5, 3.2e-4, 9e-5), strict=True):
        assert largest(found[:, :, ::4] - vectors[name]) < limit, name
    # The origin has no bound below its deviations, which only matters to the few that are that small.
    bits = -(mixture_likelihood(y, *mixture) + 1e-6).log2().sum()
    assert float(bits) == pytest.approx(float(vectors["bits"]), rel=5e-5)


def test_interpolated_synthesis_is_that_of_the_origin(pair: dict[str, Checkpoint], vectors: dict[str, Tensor]) -> None:
    mixed = interpolate(pair["gan"].tensors, pair["mse"].tensors, ALPHA, Fidelity.DECODER_PREFIXES)
    with torch.no_grad():
        model, y = loaded(Checkpoint("fidelity", "published", {}, mixed)), vectors["symbols"].float()
        *body, tanh = model.synthesis
        assert isinstance(tanh, torch.nn.Tanh)
        before_tanh = torch.nn.Sequential(*body)(y)
        assert largest(before_tanh[:, :, ::5, ::3] - vectors["image"]) < 3e-5
        last_row = 2 * model.decode(y)[:, :, HEIGHT - 1 : HEIGHT, :WIDTH] - 1
        assert largest(last_row - vectors["cropped"]) < 3e-5


def test_interpolating_stored_gdn_parameters_differs_from_interpolating_effective_ones(
    pair: dict[str, Checkpoint], vectors: dict[str, Tensor]
) -> None:
    tensors = interpolate(pair["gan"].tensors, pair["mse"].tensors, ALPHA, Fidelity.DECODER_PREFIXES)
    for name in tensors:
        if name.startswith("synthesis.") and ".norm." in name:
            squares = [pair[decoder].tensors[name].clamp_min(2**-18) ** 2 for decoder in ("gan", "mse")]
            tensors[name] = torch.sqrt(ALPHA * squares[0] + (1 - ALPHA) * squares[1])
    with torch.no_grad():
        synthesis = loaded(Checkpoint("fidelity", "published", {}, tensors)).synthesis[:-1]
        assert largest(synthesis(vectors["symbols"].float())[:, :, ::5, ::3] - vectors["image"]) > 1e-3


def test_one_changed_bit_before_the_decoder_is_refused_and_in_it_is_not(pair: dict[str, Checkpoint]) -> None:
    gan, mse = pair["gan"].tensors, pair["mse"].tensors
    require_interpolation(gan, mse, [ALPHA], Fidelity.DECODER_PREFIXES)
    for name in ("encoder.block1.actv2.gamma", "contextmodel.c2.weight"):
        changed = dict(origin.weights("mse"))
        changed[name] = changed[name].clone()
        changed[name].view(torch.int32)[0, 7] ^= 1
        with pytest.raises(CheckpointRejected, match="outside the decoder"):
            require_interpolation(gan, read(changed).tensors, [ALPHA], Fidelity.DECODER_PREFIXES)


def test_gdn_layers_hold_the_parameters_as_the_origin_stores_them(pair: dict[str, Checkpoint], model: Fidelity) -> None:
    stored = origin.weights("gan")["decoder.up2.c1.4.gamma"]
    assert (stored < GDN.PEDESTAL**0.5).any(), "some must lie below the bound, or nothing is tested"
    assert torch.equal(pair["gan"].tensors["synthesis.6.norm.gamma"], stored)
    assert model.synthesis[6].norm.inverse and not model.analysis[0].norm.inverse


def test_a_file_is_opened_safely_and_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FLOOR", 2**30)  # the zeros of a hollow file are stored once
    path = tmp_path / "ckpt_model1_gan.pth"
    torch.save(origin.content(hollow()) | {"discriminator": {}, "d_optimizer": {}, "d_scheduler": {}}, path)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.family, checkpoint.preset, checkpoint.notes["iterations"]) == ("fidelity", "published", "300000")
    assert sum(tensor.numel() for tensor in checkpoint.tensors.values()) == 29_717_516 - 384 * 32 * 3


def test_files_without_the_state_of_training_are_read() -> None:
    assert FidelityControllable().read({"comp_model": hollow()}).family == "fidelity"


@pytest.mark.parametrize("content", [{}, {"comp_model": None}, {"comp_model": {"context_model.a.weight": 0}}])
def test_other_layouts_are_not_recognised(content: dict[str, Any]) -> None:
    assert not FidelityControllable().recognises(content)


def test_every_missing_extra_and_misshapen_tensor_is_listed_by_its_name_in_the_file() -> None:
    tensors = hollow()
    del tensors["decoder.up1.c1.4.beta"]
    tensors["contextmodel.mask"] = torch.zeros(1)
    tensors["encoder.block1.shortcut.weight"] = torch.zeros(192, 3, 3, 3)
    tensors[MASKED] = torch.zeros(384, 32, 5, 5)
    tensors["encoder.conv2.bias"] = 0
    assert refusal(tensors) == [
        "contextmodel.mask: unused",
        "decoder.up1.c1.4.beta: missing",
        "contextmodel.mask_conv1.conv.weight: has shape (384, 32, 5, 5), should have (384, 32, 3, 5)",
        "encoder.block1.shortcut.weight: has shape (192, 3, 3, 3), should have (192, 3, 1, 1)",
        "encoder.conv2.bias: is of type int, should be a tensor",
    ]


def test_the_prefix_of_data_parallel_is_accepted_on_all_names_or_on_none() -> None:
    prefixed = {"module." + name: tensor for name, tensor in hollow().items()}
    assert FidelityControllable().recognises(origin.content(prefixed))
    assert read(prefixed).tensors.keys() == read(hollow()).tensors.keys()
    assert "module.encoder.conv2.bias: unused" in refusal(hollow() | {"module.encoder.conv2.bias": torch.zeros(32)})


def test_the_1x1_convolution_over_gathered_neighbours_is_the_masked_convolution(model: Fidelity) -> None:
    torch.manual_seed(0)
    y, kernel = torch.randn(2, 32, 7, 9, dtype=torch.float64), origin.weights("gan")[MASKED].double()
    expected = F.conv2d(F.pad(y, (2, 2, 2, 0)), kernel)
    torch.testing.assert_close(F.conv2d(model.context.gather(y), causal_taps(kernel)), expected)
    first: Any = model.context.context_network()[0]
    assert torch.equal(first.weight, causal_taps(kernel).float())


def test_stored_values_of_masked_taps_are_ignored(pair: dict[str, Checkpoint]) -> None:
    tensors = dict(origin.weights("gan"))
    tensors[MASKED] = tensors[MASKED].clone()
    tensors[MASKED][:, :, 2, 2:] = 1
    unmasked = read(tensors).tensors
    for name, tensor in pair["gan"].tensors.items():
        assert torch.equal(unmasked[name], tensor), name
