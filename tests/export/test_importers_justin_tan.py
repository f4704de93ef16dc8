"""HiFiC of Justin-Tan: what it computes after import, at any size and with any option, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.calibration import to_tensor
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.checkpoints.importers.justin_tan import JustinTan
from edgecodec_export.entropy.coding_tables import GAUSSIAN, LOGISTIC, Density, gaussian_scale_boundaries
from edgecodec_export.entropy.fitted_tables import fitted_tables
from edgecodec_export.entropy.freezers.scale_hyperprior import ScaleHyperpriorFreezer
from edgecodec_export.entropy.quantise import IndexOutput, InputFormat, Quantiser
from edgecodec_export.families import Hific
from edgecodec_export.families.hific import Preset, ReflectConv2d, mirror
from edgecodec_export.layers.densities import gaussian_likelihood
from support import released_layouts
from support.make_tiny_bundle import tiny_pictures
from support.paths import VECTORS
from support.portable_random import picture
from support.stand_in_weights import JUSTIN_TAN, as_input, stand_in

WIDTHS, M, N, BLOCKS = (4, 6, 8, 10, 12), 7, 9, 2
OPTIONS = {
    "normalize_input_image": True,
    "n_residual_blocks": BLOCKS,
    "likelihood_type": "gaussian",
    "latent_channels": M,
    "use_latent_mixture_model": False,
    "use_channel_norm": True,
    "sample_noise": False,
    "regime": "low",
    "model_type": "compression_gan",
    "image_dims": (3, 256, 256),
}

State = dict[str, Tensor]


def small() -> State:
    return stand_in(released_layouts.justin_tan(WIDTHS, M, N, BLOCKS), JUSTIN_TAN)


def saved(state: State, **options: Any) -> dict[str, Any]:
    """The content of a checkpoint."""
    return {"model_state_dict": state, "args": OPTIONS | options, "epoch": 1, "steps": 200000}


def imported(content: dict[str, Any]) -> Hific:
    model = load_model(JustinTan().read(content))
    assert isinstance(model, Hific)
    return model


def close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.slow
@torch.no_grad()
def test_the_published_size_computes_what_the_origin_computes() -> None:
    published = Hific.PRESETS["published"]
    layout = released_layouts.justin_tan(published.widths, 220, 320, 9, discriminator=False)
    model = imported(saved(stand_in(layout, JUSTIN_TAN), n_residual_blocks=9, latent_channels=220))
    with np.load(VECTORS / "hific_jt.npz") as arrays:
        expected = {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}
    image = as_input(picture(190, 250), model.ALIGNMENT)
    y = model.analysis(image)
    close(y[:, ::11], expected["y"], 4e-5)
    close(model.hyper_analysis(y)[:, ::11], expected["z"], 4e-5)
    z_symbols, residual = model.encode(image)
    close(z_symbols, expected["z_hat"], 0)
    close(residual, expected["symbols"].float(), 0)
    mean, scale = model.mean(expected["z_hat"]), model.scale_network()(expected["z_hat"])
    close(mean[:, ::11], expected["means"], 9e-5)
    close(scale[:, ::11], expected["scales"], 9e-5)
    decoded = model.decode(z_symbols, residual)
    close(decoded[:, :, ::8, ::8], (torch.tanh(expected["image"]) + 1) / 2, 1.5e-5)
    bits = [-gaussian_likelihood(residual, scale).double().log2().sum()]
    bits += [-model.density.likelihood(expected["z_hat"]).double().log2().sum()]
    assert [each.item() for each in bits] == pytest.approx(
        [expected["bits_y"].item(), expected["bits_z"].item()], rel=1e-6
    )


class Origin:
    """The origin's network in its own names, as its documentation of each layer says."""

    def __init__(self, state: State, normalised: bool) -> None:
        self.state, self.normalised = state, normalised

    def layer(self, name: str, x: Tensor, pad: int | tuple[int, ...] = 0, **options: int) -> Tensor:
        margins = (pad,) * 4 if isinstance(pad, int) else pad
        x = F.pad(x, margins, mode="reflect") if any(margins) else x
        return F.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], **options)

    def up(self, name: str, x: Tensor, **options: int) -> Tensor:
        return F.conv_transpose2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], **options)

    def norm(self, name: str, x: Tensor) -> Tensor:
        variance = x.var(1, keepdim=True, unbiased=True)
        normal = (x - x.mean(1, keepdim=True)) * torch.rsqrt(variance + 1e-3)
        return self.state[f"{name}.gamma"] * normal + self.state[f"{name}.beta"]

    def latent(self, image: Tensor) -> Tensor:
        """Of a picture in [0, 1] whose sides are multiples of 16."""
        x = 2 * image - 1 if self.normalised else image
        x = self.norm("Encoder.conv_block1.2", self.layer("Encoder.conv_block1.1", x, 3)).relu()
        for k in range(2, 6):
            x = self.layer(f"Encoder.conv_block{k}.1", x, (0, 1, 1, 0), stride=2)
            x = self.norm(f"Encoder.conv_block{k}.2", x).relu()
        y = self.layer("Encoder.conv_block_out.1", x, 1)
        return F.pad(y, (0, -y.shape[3] % 4, 0, -y.shape[2] % 4), mode="reflect")

    def hyperlatent(self, y: Tensor) -> Tensor:
        x = self.layer("Hyperprior.analysis_net.conv1", y, padding=1).relu()
        x = self.layer("Hyperprior.analysis_net.conv2", x, 2, stride=2).relu()
        return self.layer("Hyperprior.analysis_net.conv3", x, 2, stride=2)

    def parameters(self, network: str, z: Tensor) -> Tensor:
        for k in (1, 2):
            z = self.up(f"Hyperprior.synthesis_{network}.conv{k}", z, stride=2, padding=2, output_padding=1).relu()
        return self.up(f"Hyperprior.synthesis_{network}.conv3", z, stride=1, padding=1)

    def cumulative_logits(self, z: Tensor) -> Tensor:
        """(C, 1, n) values."""
        for k in range(4):
            matrix, bias, factor = (self.state[f"Hyperprior.hyperlatent_likelihood.{name}_{k}"] for name in "Hba")
            z = F.softplus(matrix) @ z + bias
            z = z + torch.tanh(factor) * torch.tanh(z)
        return z

    def picture(self, y: Tensor) -> Tensor:
        """In [0, 1], but not clamped to it."""
        x = self.layer("Generator.conv_block_init.2", self.norm("Generator.conv_block_init.0", y), 1)
        head = x = self.norm("Generator.conv_block_init.3", x)
        for k in range(BLOCKS):
            name = f"Generator.resblock_{k}"
            inner = self.norm(f"{name}.norm1", self.layer(f"{name}.conv1", x, 1)).relu()
            x = x + self.norm(f"{name}.norm2", self.layer(f"{name}.conv2", inner, 1))
        x = x + head
        for k in range(1, 5):
            name = f"Generator.upconv_block{k}"
            x = self.norm(f"{name}.1", self.up(f"{name}.0", x, stride=2, padding=1, output_padding=1)).relu()
        x = self.layer("Generator.conv_block_out.1", x, 3)
        return (torch.tanh(x) + 1) / 2 if self.normalised else x


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize(("height", "width"), [(80, 112), (97, 200), (128, 128)])
@torch.no_grad()
def test_every_stage_is_that_of_the_origin_at_any_size(height: int, width: int, normalised: bool) -> None:
    model, origin = imported(saved(small(), normalize_input_image=normalised)), Origin(small(), normalised)
    image = as_input(picture(height, width), 16)
    y = origin.latent(image)
    close(model.analysis(image), y, 2e-5)
    z = origin.hyperlatent(y)
    close(model.hyper_analysis(y), z, 2e-5)
    z_symbols, residual, rebuilt = model.quantise(y)
    close(z_symbols, torch.floor(z + 0.5), 0)
    mean, scale = (origin.parameters(network, z_symbols) for network in ("mu", "std"))
    close(model.mean(z_symbols), mean, 2e-5)
    close(model.scale_network()(z_symbols), scale, 2e-5)
    close(residual, torch.floor(y - mean + 0.5), 0)
    close(rebuilt, residual + mean, 2e-5)
    decoded = model.decode(z_symbols, residual)
    close(decoded, origin.picture(residual + mean), 2e-5)
    assert decoded.shape[2:] == (-(-height // 64) * 64, -(-width // 64) * 64)


@torch.no_grad()
def test_the_density_of_z_is_that_of_the_origin_with_medians_of_zero() -> None:
    model, origin = imported(saved(small())), Origin(small(), True)
    z = torch.linspace(-30, 30, 241).repeat(N, 1, 1)
    close(model.density.logits_cumulative(z), origin.cumulative_logits(z), 1e-5)
    assert not model.density.medians.any()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 80), (48, 32), (64, 64)])
@torch.no_grad()
def test_pictures_too_small_for_the_origin_are_encoded(height: int, width: int) -> None:
    model = imported(saved(small()))
    rows, columns = -(-height // 64), -(-width // 64)
    z_symbols, residual = model.encode(as_input(picture(height, width), model.ALIGNMENT))
    assert z_symbols.shape == (1, N, rows, columns)
    assert residual.shape == (1, M, 4 * rows, 4 * columns)
    assert model.decode(z_symbols, residual).shape == (1, 3, 64 * rows, 64 * columns)


@pytest.mark.parametrize("side", range(1, 8))
def test_mirrored_edges_are_those_of_numpy_at_any_side(side: int) -> None:
    x = torch.arange(side * 3.0).reshape(1, 1, side, 3)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 3), (1, 4)), mode="reflect")
    np.testing.assert_array_equal(mirror(x, (1, 4, 2, 3)), expected)


def test_halves_are_rounded_up_and_not_to_even() -> None:
    model = imported(saved(small()))
    assert model.round(torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])).tolist() == [-1, 0, 1, 2, 3]
    assert Hific(Preset(WIDTHS, M, N, 1)).round(torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])).tolist() == [-2, 0, 0, 2, 2]


@pytest.mark.parametrize(("likelihood", "density"), [("gaussian", GAUSSIAN), ("logistic", LOGISTIC)])
def test_an_imported_model_gets_an_integer_entropy_model_of_its_likelihood(likelihood: str, density: Density) -> None:
    model = imported(saved(small(), likelihood_type=likelihood))
    freezer = ScaleHyperpriorFreezer(model)
    seen = freezer.observe(to_tensor(tiny_pictures(1)[0]))
    assert list(freezer.freeze([seen]).table_sets[1]) == fitted_tables(density, [(seen.float_indices, seen.r)])


def test_mirrored_edges_have_no_integer_form() -> None:
    network = torch.nn.Sequential(ReflectConv2d(2, 2, 3, margins=(1, 1, 1, 1)))
    with pytest.raises(CheckpointRejected, match="without an integer form"):
        Quantiser(network, [], InputFormat(np.ones(1), -1, 1), IndexOutput(gaussian_scale_boundaries()))


def test_options_and_shapes_tell_the_preset(tmp_path: Path) -> None:
    torch.save(saved(small(), likelihood_type="logistic", normalize_input_image=False), tmp_path / "med.pt")
    checkpoint = read_checkpoint(tmp_path / "med.pt")
    expected = Preset(WIDTHS, M, N, BLOCKS, "reflect", False, "half up", "logistic", pads_latent=True)
    assert (checkpoint.family, checkpoint.configuration) == ("hific", expected)
    again = JustinTan().read(saved(small())).configuration
    assert again == dataclasses.replace(expected, signed_images=True, likelihood="gaussian")


def test_parts_left_out_are_named() -> None:
    copies = {
        "Hyperprior.hyperprior_entropy_model.distribution.H_0": torch.zeros(N, 3, 1),
        "Hyperprior.hyperprior_entropy_model.CDF": torch.zeros(N, 60, dtype=torch.int32),
        "Hyperprior.prior_entropy_model.CDF": torch.zeros(64, 1481, dtype=torch.int32),
        "Hyperprior.prior_entropy_model.scale_table_tensor": torch.ones(64),
    }
    checkpoint = JustinTan().read(saved(small() | copies))
    assert checkpoint.left_out["Discriminator.*"].startswith("20 tensors")
    assert checkpoint.left_out["Hyperprior.prior_entropy_model.*"].startswith("2 tensors")
    plain = JustinTan().read(saved(small()))
    assert all(torch.equal(tensor, plain.tensors[name]) for name, tensor in checkpoint.tensors.items())
    assert "Hyperprior.prior_entropy_model.*" not in plain.left_out


def test_the_prefix_of_data_parallel_training_changes_nothing() -> None:
    wrapped = JustinTan().read(saved({f"module.{name}": tensor for name, tensor in small().items()}))
    plain = JustinTan().read(saved(small()))
    assert wrapped.tensors.keys() == plain.tensors.keys()
    assert all(torch.equal(tensor, plain.tensors[name]) for name, tensor in wrapped.tensors.items())


def test_another_bound_of_the_scales_is_refused() -> None:
    bound = {"Hyperprior.prior_entropy_model.min_scale_tensor": torch.tensor([0.11])}
    assert JustinTan().read(saved(small() | bound)).family == "hific"
    with pytest.raises(CheckpointRejected, match=r"min_scale_tensor: .* only 0\.11 is supported"):
        JustinTan().read(saved(small() | {name: tensor / 2 for name, tensor in bound.items()}))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("likelihood_type", "laplace"),
        ("latent_channels", 220),
        ("n_residual_blocks", 9),
        ("use_channel_norm", False),
        ("use_latent_mixture_model", True),
        ("sample_noise", True),
        ("normalize_input_image", "yes"),
    ],
)
def test_options_that_contradict_the_tensors_or_the_family_are_refused(option: str, value: Any) -> None:
    with pytest.raises(CheckpointRejected, match=rf"args\.{option}: is {value!r}"):
        JustinTan().read(saved(small(), **{option: value}))


@pytest.mark.parametrize("option", ["normalize_input_image", "likelihood_type", "latent_channels", "n_residual_blocks"])
def test_an_option_that_decides_what_is_computed_is_never_assumed(option: str) -> None:
    content = saved(small())
    del content["args"][option]
    with pytest.raises(CheckpointRejected, match=rf"args\.{option}: missing"):
        JustinTan().read(content)


def test_every_key_that_does_not_fit_is_listed() -> None:
    state = small()
    del state["Hyperprior.hyperlatent_likelihood.a_3"], state["Encoder.conv_block3.2.gamma"]
    state["Generator.noise.weight"] = torch.zeros(1)
    # As a plain convolution would store it.
    state["Hyperprior.synthesis_std.conv3.weight"] = state["Hyperprior.synthesis_std.conv3.weight"].transpose(0, 1)
    with pytest.raises(CheckpointRejected) as refused:
        JustinTan().read(saved(state))
    for problem in (
        "Hyperprior.hyperlatent_likelihood.a_3: missing",
        "Encoder.conv_block3.2.gamma: missing",
        "Generator.noise.weight: unused",
        "Hyperprior.synthesis_std.conv3.weight: has shape (7, 9, 3, 3), should have (9, 7, 3, 3)",
    ):
        assert problem in str(refused.value)
