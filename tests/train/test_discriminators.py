"""Discriminators have the layers of their papers, use what they are told, and learn where they should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from edgecodec.description import LatentSpec
from edgecodec.errors import InvalidArgument
from edgecodec_train.discriminators import DISCRIMINATORS, Conditions, Discriminator, Inputs, build_discriminator

INPUTS = Inputs(LatentSpec("y", 5, 16), classes=4, levels=5)
#: Options with which every kind is small.
SMALL: dict[str, dict[str, Any]] = {
    "conditional": {"widths": [4, 6, 8, 10]},
    "detail": {"widths": [4, 6, 8, 10]},
    "multiscale": {"width": 4},
    "pyramid": {"widths": [4, 6, 8]},
    "independent": {"widths": [4, 6, 8, 10]},
    "shared": {"widths": [4, 6, 8, 10]},
    "hybrid-head": {"widths": [4, 6, 8, 10]},
    "hybrid-backbone": {"widths": [4, 6, 8, 10]},
}
BY_LEVEL = ("independent", "shared", "hybrid-head", "hybrid-backbone")

each_kind = pytest.mark.parametrize("kind", DISCRIMINATORS)


def small(kind: str, seed: int = 0, **options: Any) -> Discriminator:
    torch.manual_seed(seed)
    return build_discriminator(kind, INPUTS, **{**SMALL[kind], **options}).eval()


def pictures(side: int = 64, seed: int = 1) -> tuple[Tensor, Conditions]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 3, side, side, generator=generator)
    latent = torch.randint(-3, 4, (2, 5, side // 16, side // 16), generator=generator).float()
    labels = torch.randint(0, 4, (2, 1, side, side), generator=generator).float()
    return image, Conditions(latent, labels, level=2)


def parameters(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


@each_kind
def test_every_kind_judges_patches_at_each_scale(kind: str) -> None:
    image, conditions = pictures()
    judgements = small(kind)(image, conditions)
    assert len(judgements) == (3 if kind in ("multiscale", "pyramid") else 1)
    for logits, features, weight in judgements:
        assert logits.shape[:2] == (2, 1) and logits.isfinite().all()
        assert weight > 0 and len(features) >= 3
        assert all(each.ndim == 4 and len(each) == 2 and each.shape[1] > 1 for each in features)
        assert logits.shape != features[-1].shape


@each_kind
def test_the_seed_decides_weights_and_logits(kind: str) -> None:
    image, conditions = pictures()
    first, second, other = (small(kind, seed)(image, conditions) for seed in (0, 0, 1))
    assert all(torch.equal(a.logits, b.logits) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a.logits, b.logits) for a, b in zip(first, other, strict=True))


@each_kind
def test_gradients_reach_the_picture_and_every_layer_that_judges_it(kind: str) -> None:
    image, conditions = pictures()
    image.requires_grad_(True)
    network = small(kind).train()
    torch.stack([each.logits.square().mean() for each in network(image, conditions)]).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    unreached = {name for name, each in network.named_parameters() if each.grad is None}
    expected = {
        name
        for name, _ in network.named_parameters()
        if kind in BY_LEVEL
        for part in ("backbones", "heads")
        if name.startswith(f"{part}.") and len(network.get_submodule(part)) > 1  # type: ignore[arg-type]
        if not name.startswith(f"{part}.2.")
    }
    assert unreached == expected


@each_kind
def test_half_precision_changes_little(kind: str) -> None:
    image, conditions = pictures()
    network = small(kind)
    expected = network(image, conditions)
    with torch.autocast("cpu", torch.bfloat16):
        judgements = network(image, conditions)
    for ours, exact in zip(judgements, expected, strict=True):
        assert ours.logits.dtype == torch.bfloat16
        torch.testing.assert_close(ours.logits.float(), exact.logits, atol=0.03, rtol=0.03)


def test_spectral_norm_is_computed_outside_of_autocast() -> None:
    """A GPU's autocast rounds a product in it, and PyTorch then refuses to multiply with a vector that is not."""
    network = small("conditional")
    seen: list[bool] = []
    for module in network.modules():
        if type(module).__name__ == "_SpectralNorm":
            module.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", torch.bfloat16):
        network(*pictures())
    assert seen == [False] * 6


@pytest.mark.parametrize("kind", ["conditional", "detail"])
def test_the_latent_is_looked_at(kind: str) -> None:
    image, conditions = pictures()
    assert conditions.latent is not None
    network = small(kind)
    (before,) = network(image, conditions)
    (after,) = network(image, Conditions(conditions.latent + torch.eye(4)))
    assert not torch.equal(before.logits, after.logits)
    with pytest.raises(ValueError, match="latent"):
        network(image, Conditions(labels=conditions.labels, level=0))


def test_labels_are_looked_at_where_asked_for() -> None:
    image, conditions = pictures()
    assert conditions.labels is not None
    other = Conditions(labels=3 - conditions.labels)
    without, network = small("multiscale"), small("multiscale", labels=True)
    for before, after in zip(without(image, conditions), without(image, other), strict=True):
        assert torch.equal(before.logits, after.logits)
    for before, after in zip(network(image, conditions), network(image, other), strict=True):
        assert not torch.equal(before.logits, after.logits)
    with pytest.raises(ValueError, match="labels"):
        network(image, Conditions(conditions.latent))


def test_labels_come_in_as_planes_of_zeros_and_ones() -> None:
    """Rendering: the first convolution sees the picture, then a plane for each class."""
    image, conditions = pictures()
    assert conditions.labels is not None
    network = small("multiscale", labels=True)
    state = network.state_dict()
    planes = functional.one_hot(conditions.labels[:, 0].long(), 4).permute(0, 3, 1, 2).float()
    x = torch.cat([2 * image - 1, planes], 1)
    expected = functional.conv2d(x, state["scales.0.0.0.weight"], state["scales.0.0.0.bias"], stride=2, padding=2)
    feature = network(image, conditions)[0].features[0]
    torch.testing.assert_close(feature, functional.leaky_relu(expected, 0.2))


@pytest.mark.parametrize("kind", BY_LEVEL)
def test_the_level_is_looked_at(kind: str) -> None:
    image, _ = pictures()
    network = small(kind)
    logits = [network(image, Conditions(level=level))[0].logits for level in range(5)]
    assert not any(torch.equal(logits[0], other) for other in logits[1:])
    with pytest.raises(ValueError, match="rate level"):
        network(image, Conditions())
    for level in (5, -1):
        with pytest.raises(ValueError, match="the codec has 5"):
            network(image, Conditions(level=level))


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("independent", 5 * 4_689_985),
        ("shared", 4_692_865),
        ("hybrid-head", 22_409_285),
        ("hybrid-backbone", 5_730_625),
        ("multiscale", 8_299_587),
        ("conditional", 2_793_117),
    ],
)
def test_as_many_parameters_as_the_authors_networks(kind: str, count: int) -> None:
    """Counts of CRDR's released code, of pix2pixHD's network as Iwai et al. 2020 build it, and of HiFiC's in PyTorch.

    The last has no more weights at stride 1 than at the stride 2 that the port has in one layer.
    """
    with torch.device("meta"):
        assert parameters(build_discriminator(kind, Inputs(LatentSpec("y", 220, 16), levels=5))) == count


@pytest.mark.parametrize("kind", BY_LEVEL)
def test_discriminators_by_level_judge_patches_of_16_pixels(kind: str) -> None:
    (judgement,) = small(kind)(*pictures(256))
    assert judgement.logits.shape == (2, 1, 16, 16)
    assert [each.shape[2] for each in judgement.features] == [256, 128, 128, 64, 64, 32, 32, 16]


def test_conditional_is_the_papers_network() -> None:
    """Plain rendering of Mentzer et al. 2020, figure 2, with spectral norm from a singular value decomposition."""
    image, conditions = pictures(32)
    assert conditions.latent is not None
    network = small("conditional")
    network.train()
    for _ in range(400):  # until the power iteration has converged
        network(image, conditions)
    network.eval()
    (judgement,) = network(image, conditions)
    state = network.state_dict()

    def convolution(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight = state[f"{name}.parametrizations.weight.original"]
        return functional.conv2d(x, weight / _largest_singular_value(weight), state[f"{name}.bias"], stride, padding)

    latent = functional.leaky_relu(convolution(conditions.latent, "latent.convolution", 1, 1), 0.2)
    x = torch.cat([2 * image - 1, latent.repeat_interleave(16, 2).repeat_interleave(16, 3)], 1)
    for i in range(3):
        x = functional.leaky_relu(convolution(x, f"layers.{i}.0", 2, 1), 0.2)
    x = functional.leaky_relu(convolution(functional.pad(x, (1, 2, 1, 2)), "layers.3.1"), 0.2)
    torch.testing.assert_close(judgement.features[-1], x, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(judgement.logits, convolution(x, "layers.4"), rtol=1e-4, atol=1e-5)
    assert judgement.logits.shape == (2, 1, 4, 4)


def _largest_singular_value(weight: Tensor) -> Tensor:
    return torch.linalg.svdvals(weight.flatten(1))[0]


@pytest.mark.parametrize("kind", ["conditional", "detail"])
def test_pictures_need_not_be_a_multiple_of_the_latents_stride(kind: str) -> None:
    image, _ = pictures()
    (judgement,) = small(kind)(image[..., :56, :40], Conditions(torch.zeros(2, 5, 4, 3)))
    assert judgement.logits.shape == (2, 1, 7, 5)


def test_detail_judges_as_the_network_it_was() -> None:
    """Rendering as one sequence of PyTorch's own modules, built in the same order from the same seed."""
    image, conditions = pictures()
    assert conditions.latent is not None
    torch.manual_seed(3)
    network = build_discriminator("detail", INPUTS).eval()
    torch.manual_seed(3)
    latent = nn.Sequential(
        spectral_norm(nn.Conv2d(5, 12, 3, padding=1)), nn.LeakyReLU(0.2), nn.Upsample(scale_factor=16)
    )
    judge = nn.Sequential(
        spectral_norm(nn.Conv2d(18, 32, 4, 2, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(32, 64, 4, 2, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(64, 128, 4, 2, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(128, 128, 3, 1, 1)),
        nn.LeakyReLU(0.2),
        nn.Conv2d(128, 1, 1),
    )
    padded = functional.pad(image, (1, 1, 1, 1))
    count = functional.conv2d(functional.pad(torch.ones(1, 1, 64, 64), (1, 1, 1, 1)), torch.ones(1, 1, 3, 3))
    blurred = functional.conv2d(padded, torch.ones(3, 1, 3, 3), groups=3) / count
    x = torch.cat([2 * image - 1, 8 * (image - blurred), latent.eval()(conditions.latent)], 1)
    torch.testing.assert_close(network(image, conditions)[0].logits, judge.eval()(x))


def test_multiscale_halves_the_picture_with_a_mean_of_three() -> None:
    """Rendering: each mean is over the pixels inside the picture."""
    image, conditions = pictures(32)
    network = small("multiscale")
    judgements = network(image, conditions)
    assert [each.weight for each in judgements] == [1, 1, 1]
    assert [tuple(each.logits.shape[2:]) for each in judgements] == [(7, 7), (5, 5), (4, 4)]
    kernel, inside = torch.ones(3, 1, 3, 3), torch.ones(1, 3, 32, 32)
    state = network.state_dict()
    x = 2 * image - 1
    for i, judgement in enumerate(judgements):
        if i:
            sums, counts = (functional.conv2d(each, kernel, None, 2, 1, 1, 3) for each in (x, inside))
            x, inside = sums / counts, inside[..., ::2, ::2]
        first = functional.conv2d(x, state[f"scales.{i}.0.0.weight"], state[f"scales.{i}.0.0.bias"], 2, 2)
        torch.testing.assert_close(judgement.features[0], functional.leaky_relu(first, 0.2))


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_multiscale_normalises_all_layers_but_the_first_and_the_last(norm: str) -> None:
    """Rendering: the moments behind a layer, where leaky ReLU is undone."""
    image, conditions = pictures()
    network = small("multiscale", norm=norm).train()
    for judgement in network(image, conditions):
        for i, feature in enumerate(judgement.features):
            before = torch.where(feature < 0, feature / 0.2, feature)
            mean = before.mean((0, 2, 3) if norm == "batch" else (2, 3))
            assert (mean.abs().max() < 1e-4) == (norm != "none" and i > 0)


def test_multiscale_widths_double_up_to_512() -> None:
    with torch.device("meta"):
        network = build_discriminator("multiscale", INPUTS, width=64, layers=5, scales=1, norm="none")
    widths = [each.out_channels for each in network.modules() if isinstance(each, nn.Conv2d)]
    assert widths == [64, 128, 256, 512, 512, 512, 1]


@pytest.mark.parametrize("norm", ["spectral", "none"])
def test_pyramid_weighs_the_picture_its_half_and_its_quarter(norm: str) -> None:
    """Rendering: means of squares of 1, 2 and 4 pixels, with the weights of Wu et al. 2020."""
    image, conditions = pictures()
    network = small("pyramid", norm=norm)
    judgements = network(image, conditions)
    assert [each.weight for each in judgements] == [1 / 2, 1 / 4, 1 / 4]
    assert [tuple(each.logits.shape[2:]) for each in judgements] == [(8, 8), (4, 4), (2, 2)]
    for i, judgement in enumerate(judgements):
        x = (2 * image - 1).unflatten(3, (-1, 2**i)).unflatten(2, (-1, 2**i)).mean((3, 5))
        first = network.get_submodule(f"scales.{i}.0.0")
        torch.testing.assert_close(judgement.features[0], functional.leaky_relu(first(x), 0.2))
        assert hasattr(first, "parametrizations") == (norm == "spectral")
        assert not hasattr(network.get_submodule(f"scales.{i}.3"), "parametrizations")


def test_discriminators_by_level_are_plain_convolutions() -> None:
    """Rendering of the VGG-like network of the level that is asked for."""
    image, _ = pictures()
    network = small("hybrid-head")
    (judgement,) = network(image, Conditions(level=3))
    state = network.state_dict()
    x = 2 * image - 1
    for part in ("backbones.0", "heads.3"):
        for i in range(4):
            weight, bias = (state[f"{part}.{i}.0.{each}"] for each in ("weight", "bias"))
            x = functional.leaky_relu(functional.conv2d(x, weight, bias, 1 + i % 2, 1), 0.2)
    x = functional.conv2d(x, state["heads.3.4.weight"], state["heads.3.4.bias"], 1, 1)
    torch.testing.assert_close(judgement.logits, x)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("patch", {}, "known: conditional, detail, multiscale"),
        ("conditional", {"width": 3}, "no option 'width'.*known: widths"),
        ("multiscale", {"side": 3}, "no option 'side'.*known: scales, layers, width, norm, labels"),
        ("multiscale", {"norm": "group"}, "norm is 'group'.*batch, instance, none"),
        ("multiscale", {"scales": 0}, "scales is 0"),
        ("multiscale", {"layers": True}, "layers is True"),
        ("pyramid", {"widths": []}, "widths is"),
        ("pyramid", {"widths": "64"}, "widths is '64'"),
        ("shared", {"widths": [4, -1]}, "each of widths is -1"),
    ],
)
def test_wrong_kinds_and_options_are_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        build_discriminator(kind, INPUTS, **options)


def test_labels_of_a_codec_without_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="no label maps"):
        build_discriminator("multiscale", Inputs(LatentSpec("y", 5, 16)), labels=True)


@pytest.mark.parametrize("count", [1, 2])
def test_a_discriminator_by_level_may_be_shallow(count: int) -> None:
    image, conditions = pictures()
    (judgement,) = small("hybrid-head", widths=[4, 6][:count])(image, conditions)
    assert judgement.logits.shape == (2, 1, 64 >> count, 64 >> count)
