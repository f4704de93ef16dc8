"""GC and SC: the stages and sizes of the paper, and what a label map, a mask and noise change."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec.description import LatentSpec
from edgecodec_export.checkpoints import Checkpoint, load_model
from edgecodec_export.families import build
from edgecodec_export.families.agustsson import Agustsson, Doubling, Halving, InstanceNorm, Preset

SMALL = Preset("GC", 3, (4, 6, 8, 8, 10), 2)
SMALL_SC = replace(SMALL, mode="SC", classes=5)
LEADING, TRAILING = SMALL, replace(SMALL, zero_border="trailing")


def small(preset: Preset) -> Agustsson:
    """A model whose symbols take all their values."""
    torch.manual_seed(0)
    model: Any = Agustsson(preset).eval().requires_grad_(False)
    model.analysis[1].weight *= 8
    return model


def labels_of(image: Tensor, classes: int = 5) -> Tensor:
    return (image[:, :1] * classes).floor().clamp(0, classes - 1)


def millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def test_published_sizes_are_the_papers() -> None:
    with torch.device("meta"):
        generative = Agustsson(Agustsson.PRESETS["published"])
        cityscapes: Any = Agustsson(replace(Agustsson.PRESETS["published-sc"], classes=36))
    assert millions(generative.analysis) == pytest.approx(5.59, abs=0.01)
    assert millions(generative.synthesis) == pytest.approx(154.94, abs=0.01)
    assert millions(cityscapes.synthesis.generator) == pytest.approx(171.46, abs=0.01)
    assert millions(cityscapes.synthesis.expansion) == pytest.approx(4.19, abs=0.01)
    assert millions(cityscapes.synthesis.label_analysis) == pytest.approx(5.62, abs=0.01)


@pytest.mark.parametrize("preset", [SMALL, SMALL_SC, replace(TRAILING, projection_norm=True)])
def test_symbols_are_centres_on_the_grid_of_the_mode(preset: Preset) -> None:
    torch.manual_seed(0)
    model = small(replace(preset, projection_norm=False))
    (symbols,) = model.encode(torch.rand(1, 3, 64, 96))
    (latent,) = model.encoder_latents()
    assert latent.stride == (16 if preset.mode == "GC" else 8)
    assert symbols.shape == (1, latent.channels, 64 // latent.stride, 96 // latent.stride)
    assert symbols.unique().tolist() == [-2, -1, 0, 1, 2]


def test_the_smallest_picture_is_coded() -> None:
    model = small(SMALL)
    picture = model.decode(*model.encode(torch.rand(1, 3, model.SMALLEST_SIDE, model.SMALLEST_SIDE)))
    assert picture.shape == (1, 3, 32, 32)
    assert 0 <= picture.min() <= picture.max() <= 1


@pytest.mark.parametrize("where", ["everywhere", "residual_blocks"])
def test_only_norms_in_residual_blocks_let_brightness_and_contrast_through(where: Any) -> None:
    torch.manual_seed(0)
    model, image = small(replace(SMALL, instance_norm=where)), torch.rand(1, 3, 64, 96)
    tinted = 0.5 * image + torch.tensor([0.1, 0.2, 0.5]).reshape(1, 3, 1, 1)
    projected, other = model.analysis(image), model.analysis(tinted)
    change = (other - projected).abs().mean() / (projected - projected.mean((2, 3), keepdim=True)).abs().mean()
    assert change < 0.01 if where == "everywhere" else change > 0.1
    norms = [name for name, module in model.named_modules() if isinstance(module, InstanceNorm)]
    in_blocks = [name for name in norms if name.startswith("synthesis.residual_blocks.")]
    assert len(in_blocks) == 2 * SMALL.residual_blocks
    assert (norms == in_blocks) == (where == "residual_blocks")


def test_nothing_is_coded_where_the_mask_is_zero() -> None:
    torch.manual_seed(0)
    model, image = small(SMALL_SC), torch.rand(1, 3, 64, 96)
    mask = torch.zeros(1, 1, 8, 12)
    mask[:, :, 2:5, 3:9] = 1
    (everything,), (kept,) = model.encode(image), model.encode(image, mask)
    assert torch.equal(kept, everything * mask)
    assert kept[:, :, 2:5, 3:9].any()
    assert [latent.name for latent in model.side_latents()] == ["labels", "mask"]
    assert [(latent.name, latent.stride) for latent in model.decoder_latents()] == [("labels", 1), ("symbols", 8)]
    labels = labels_of(image)
    picture = model.decode(labels, kept)
    assert picture.shape == image.shape
    assert not torch.equal(picture, model.decode(4 - labels, kept))


def test_labels_are_one_hot_planes() -> None:
    model: Any = small(SMALL_SC)
    seen: list[Tensor] = []
    model.synthesis.label_analysis.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    labels = labels_of(torch.rand(2, 3, 32, 32))
    model.decode(labels, torch.zeros(2, 3, 4, 4))
    assert torch.equal(seen[0], F.one_hot(labels[:, 0].long(), 5).permute(0, 3, 1, 2).float())


@pytest.mark.parametrize("count", [1, 3])
def test_decoding_takes_its_latents_and_no_others(count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        small(SMALL_SC).decode(*[torch.zeros(1, 1, 32, 32)] * count)


def test_noise_follows_the_latents_in_parts_of_4096() -> None:
    model: Any = small(replace(SMALL, noise_channels=2))
    assert [latent.name for latent in model.decoder_latents()] == ["symbols"]
    assert model.noise() == LatentSpec("noise", 2, 16)
    assert small(SMALL).noise() is None
    seen: list[Tensor] = []
    model.synthesis.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    symbols, noise = torch.ones(1, 3, 2, 2), torch.full((1, 2, 2, 2), -6144.0)
    noise[0, 0, 0, 0] = 1
    model.decode(symbols, noise)
    assert torch.equal(seen[0], torch.cat((symbols, noise / 4096), 1))
    assert seen[0][0, 3, 0, 0] == 2.0**-12


@pytest.mark.parametrize("at_head", [0, 2])
def test_grain_is_a_plane_of_noise_at_the_last_two_doublings(at_head: int) -> None:
    """NumPy rendering of the planes: each 2^k by 2^k block of one holds the 4^k channels of a position by rows."""
    model: Any = small(replace(SMALL, noise_channels=at_head, grain=True))
    assert model.noise() == LatentSpec("noise", at_head + 64 + 256, 16)
    noise = torch.randint(-24570, 24570, (1, at_head + 320, 2, 3)).float()
    seen: list[tuple[Tensor, Tensor]] = []
    for doubling in model.synthesis.doublings[2:]:
        doubling.register_forward_hook(lambda layer, inputs, after: seen.append((layer.linear(inputs[0]), after)))
    model.decode(torch.randint(-2, 3, (1, 3, 2, 3)).float(), noise)
    first = at_head
    for k, (grain, (before, after)) in enumerate(zip(model.synthesis.grains, seen, strict=True), 3):
        plane = np.zeros((2 << k, 3 << k), np.float32)
        for y, x in np.ndindex(2, 3):
            block = noise[0, first : first + 4**k, y, x].numpy().reshape(1 << k, 1 << k) / 4096
            plane[y << k : (y + 1) << k, x << k : (x + 1) << k] = block
        expected = (before + grain.gain * torch.from_numpy(plane)).clamp(min=0)
        torch.testing.assert_close(after, expected)
        assert not torch.equal(after, before.clamp(min=0))
        first += 4**k


def test_a_codec_becomes_the_one_with_grain_and_keeps_its_weights() -> None:
    before = build("agustsson", "compact").state_dict()
    preset, tensors = Agustsson.with_realism("compact", before)
    assert preset == "compact-grain"
    load_model(Checkpoint("agustsson", preset, {}, dict(tensors)))
    assert all(torch.equal(tensors[name], tensor) for name, tensor in before.items())
    fresh = {name: tensor.abs() for name, tensor in tensors.items() if name not in before}
    assert sorted(fresh) == [f"synthesis.grains.{i}.gain" for i in range(2)]
    assert all(0 < gain.mean() < 0.1 for gain in fresh.values())  # at 0 a gain would have no gradient but by luck
    assert Agustsson.with_realism(preset, tensors) == (preset, tensors)
    assert Agustsson.with_realism("compact-sc", {}) == ("compact-sc", {})


def _mirrored(layer: Any, x: Tensor) -> Tensor:
    """The layer as it is with rows and columns counted from the other end."""
    other = copy.deepcopy(layer)
    other.weight = nn.Parameter(layer.weight.flip(2, 3))
    return other(x.flip(2, 3)).flip(2, 3)


@pytest.mark.parametrize("kind", [Halving, Doubling])
def test_the_two_borders_mirror_each_other(kind: type[Halving] | type[Doubling]) -> None:
    torch.manual_seed(0)
    leading, trailing, x = kind(3, 4, LEADING), kind(3, 4, TRAILING), torch.randn(1, 3, 6, 8)
    trailing.load_state_dict(leading.state_dict())
    torch.testing.assert_close(trailing(x), _mirrored(leading, x))
    assert trailing(x).shape == ((1, 4, 3, 4) if kind is Halving else (1, 4, 12, 16))
    assert not torch.allclose(trailing(x), leading(x), atol=1e-2)


def test_instance_norm_is_its_formula() -> None:
    torch.manual_seed(0)
    norm = InstanceNorm(5, 1e-3)
    norm.gamma.data.normal_()
    norm.beta.data.normal_()
    x = torch.randn(2, 5, 6, 7) * 3 + 1
    wanted = F.instance_norm(
        x.double(), None, None, norm.gamma.double().flatten(), norm.beta.double().flatten(), eps=1e-3
    )
    torch.testing.assert_close(norm(x).double(), wanted, rtol=1e-5, atol=1e-5)


def test_instance_norm_keeps_its_statistics_in_float32() -> None:
    torch.manual_seed(0)
    x = (torch.randn(1, 1, 64, 64) * 40 + 500).half()
    normalised = InstanceNorm(1, 1e-5)(x)
    assert normalised.dtype == torch.float16
    wanted = (x.double() - x.double().mean()) / x.double().std(correction=0)
    torch.testing.assert_close(normalised.double(), wanted, rtol=0, atol=2e-3)


def test_instance_norm_does_not_magnify_roundings_of_an_even_map() -> None:
    """Two of them in a row, so that the second would magnify what the first had left."""
    values = torch.tensor([-37.1, 0.3, 1000.7]).reshape(1, 3, 1, 1)
    once = InstanceNorm(3, 1e-5)(values.expand(1, 3, 37, 53))
    twice = InstanceNorm(3, 1e-5)(once + values)
    assert max(once.abs().max(), twice.abs().max()) < 1e-6


def test_a_picture_of_one_label_does_not_depend_on_the_order_of_sums() -> None:
    model = small(SMALL_SC)
    for width in (96, 128):
        labels, symbols = torch.zeros(1, 1, 80, width), torch.zeros(1, 3, 10, width // 8)
        doubles = copy.deepcopy(model).double()
        picture, wanted = model.decode(labels, symbols), doubles.decode(labels.double(), symbols.double())
        torch.testing.assert_close(picture.double(), wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("preset", [SMALL, replace(SMALL_SC, noise_channels=2, grain=True)])
def test_training_reaches_every_weight_and_keeps_to_the_bound(preset: Preset) -> None:
    model: Any = small(preset).train().requires_grad_(True)
    image = torch.rand(2, 3, 64, 64)
    selective = preset.mode == "SC"
    mask = (torch.rand(2, 1, 8, 8) < 0.5).float() if selective else None
    noise = torch.randn(2, 2 + 320, 4, 4) * 4096 if selective else None
    rebuilt, rates, _, _ = model(image, labels_of(image) if selective else None, mask, noise)
    assert rebuilt.shape == image.shape
    positions = 2 * 16 if mask is None else mask.sum().item()
    assert 0 < rates.latent.item() <= positions * preset.latent_channels * math.log2(5)
    ((rebuilt - image) ** 2).mean().add(rates.latent / image.numel()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    assert model.analysis[0][0].convolution.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["compact", "compact-sc"])
def test_compact_presets_ship_in_about_6_megabytes_of_half_precision(name: str) -> None:
    with torch.device("meta"):
        assert 2 * millions(Agustsson(Agustsson.PRESETS[name])) < 6.5
