"""Perceptual losses are those of their papers, for any weights, and files that do not hold such weights are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.signal import correlate
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, relu

from edgecodec.errors import CannotRead, CheckpointRejected, InvalidArgument
from edgecodec_train.losses import MS_SSIM_SIDE, build_perceptual
from support.perceptual_weights import ALEXNET, State, convolution, lpips_state

# VGG19 as torchvision numbers its layers: index, input and output channels of every convolution.
VGG19 = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256)}
VGG19 |= {16: (256, 256), 19: (256, 512)} | {i: (512, 512) for i in (21, 23, 25, 28, 30, 32, 34)}
BEFORE_POOLING = (3, 8, 17, 26)  # numbers of ReLUs
KINDS = ("lpips-alexnet", "vgg19-conv5_4", "vgg19-pix2pixhd")

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def alexnet() -> State:
    return lpips_state()


@pytest.fixture(scope="module")
def vgg19() -> State:
    """As torchvision's vgg19().state_dict() has it, but for most of the classifier."""
    random = np.random.default_rng(1)
    state = {"classifier.6.bias": torch.zeros(1000)}
    for i, shape in VGG19.items():
        state[f"features.{i}.weight"], state[f"features.{i}.bias"] = convolution(random, *shape, 3)
    return state


@pytest.fixture(scope="module")
def states(alexnet: State, vgg19: State) -> Mapping[str, State]:
    return dict(zip(KINDS, (alexnet, vgg19, vgg19), strict=True))


@pytest.fixture(scope="module")
def losses(states: Mapping[str, State], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, nn.Module]:
    folder = tmp_path_factory.mktemp("weights")
    built = {}
    for kind in KINDS:
        torch.save(states[kind], folder / "weights.pth")
        built[kind] = build_perceptual(kind, folder / "weights.pth")
        (folder / "weights.pth").unlink()
    return built


def pictures(side: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, side, side, generator=generator)
    rebuilt = (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    return rebuilt.requires_grad_(True), image.requires_grad_(True)


def channels(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)


def lpips_rendering(state: State, rebuilt: Tensor, image: Tensor) -> Tensor:
    """Zhang et al. 2018, equation 1, on the features of AlexNet."""

    def features(picture: Tensor) -> list[Tensor]:
        x = ((2 * picture - 1) - channels(-0.030, -0.088, -0.188)) / channels(0.458, 0.448, 0.450)
        found = []
        for i, (name, (_, _, kernel)) in enumerate(ALEXNET.items()):
            if i in (1, 2):
                x = max_pool2d(x, 3, 2)
            stride, padding = (4, 2) if i == 0 else (1, kernel // 2)
            x = relu(conv2d(x, state[f"net.{name}.weight"], state[f"net.{name}.bias"], stride, padding))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    total = torch.zeros(2)
    for i, (ours, theirs) in enumerate(zip(features(rebuilt), features(image), strict=True)):
        weighted = (ours - theirs).square() * state[f"lin{i}.model.1.weight"]
        total = total + weighted.sum(1).mean((1, 2))
    return total.mean()


def vgg_outputs(state: State, x: Tensor) -> dict[int, Tensor]:
    """Output of every layer of VGG19 that is not a pooling, by its number."""
    found = {}
    for i in VGG19:
        found[i] = conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], 1, 1)
        x = found[i + 1] = relu(found[i])
        if i + 1 in BEFORE_POOLING:
            x = max_pool2d(x, 2)
    return found


def conv5_4_rendering(state: State, rebuilt: Tensor, image: Tensor) -> Tensor:
    """Iwai et al. 2020: mean absolute difference of the last convolution's output, of pictures in [-1, 1]."""
    ours, theirs = (vgg_outputs(state, 2 * picture - 1)[34] for picture in (rebuilt, image))
    return (ours - theirs).abs().mean()


def pix2pixhd_rendering(state: State, rebuilt: Tensor, image: Tensor) -> Tensor:
    """Wang et al. 2018: weighted sum over the first ReLU of each block."""
    mean, deviation = channels(0.485, 0.456, 0.406), channels(0.229, 0.224, 0.225)
    ours, theirs = (vgg_outputs(state, (picture - mean) / deviation) for picture in (rebuilt, image))
    weights = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1}
    return torch.stack([weight * (ours[i] - theirs[i]).abs().mean() for i, weight in weights.items()]).sum()


RENDERINGS = dict(zip(KINDS, (lpips_rendering, conv5_4_rendering, pix2pixhd_rendering), strict=True))


@each_kind
def test_losses_and_gradients_are_those_of_a_plain_rendering(
    losses: Mapping[str, nn.Module], states: Mapping[str, State], kind: str
) -> None:
    rebuilt, image = pictures()
    loss = losses[kind](rebuilt, image)
    expected = RENDERINGS[kind](states[kind], rebuilt, image)
    assert loss.shape == () and loss > 0
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-7)
    (gradient,) = torch.autograd.grad(loss, rebuilt)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, rebuilt)[0], rtol=1e-3, atol=1e-6)


@each_kind
def test_a_picture_is_at_no_distance_from_itself(losses: Mapping[str, nn.Module], kind: str) -> None:
    _, image = pictures()
    assert losses[kind](image, image) == 0


@each_kind
def test_only_the_rebuilt_picture_learns(losses: Mapping[str, nn.Module], kind: str) -> None:
    rebuilt, image = pictures()
    nn.ModuleList([losses[kind]]).train()
    assert not any(module.training for module in losses[kind].modules())
    losses[kind](rebuilt, image).backward()
    assert rebuilt.grad is not None and rebuilt.grad.abs().sum() > 0 and image.grad is None
    assert not any(each.requires_grad for each in losses[kind].parameters())


@each_kind
def test_half_precision_changes_little(losses: Mapping[str, nn.Module], kind: str) -> None:
    rebuilt, image = pictures()
    exact = losses[kind](rebuilt, image)
    with torch.autocast("cpu", torch.bfloat16):
        loss = losses[kind](rebuilt, image)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.05, atol=1e-3)


def test_loss_and_gradients_are_finite_where_no_feature_responds(alexnet: State, tmp_path: Path) -> None:
    """The length of these features is 0."""
    silent = {**alexnet, "net.slice3.6.bias": torch.full((384,), -1e6)}
    torch.save(silent, tmp_path / "alex.pth")
    rebuilt, image = pictures()
    network = build_perceptual("lpips-alexnet", tmp_path / "alex.pth")
    loss = network(rebuilt, image)
    loss.backward()
    assert loss.isfinite() and rebuilt.grad is not None
    assert rebuilt.grad.isfinite().all() and rebuilt.grad.abs().sum() > 0
    with torch.autocast("cpu", torch.float16):
        torch.testing.assert_close(network(rebuilt, image), loss, rtol=0.01, atol=1e-4)


def test_small_distances_are_seen_in_half_precision(losses: Mapping[str, nn.Module]) -> None:
    _, image = pictures()
    rebuilt = image + 0.002 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.float16):
        loss = losses["lpips-alexnet"](rebuilt, image)
    torch.testing.assert_close(loss, losses["lpips-alexnet"](rebuilt, image), rtol=0.1, atol=0)


def test_safetensors_and_half_precision_weights_are_read(
    alexnet: State, losses: Mapping[str, nn.Module], tmp_path: Path
) -> None:
    save_file({name: tensor.half() for name, tensor in alexnet.items() if "lins" not in name}, tmp_path / "alex")
    loss = build_perceptual("lpips-alexnet", tmp_path / "alex")
    assert {each.dtype for each in loss.parameters()} == {torch.float32}
    torch.testing.assert_close(loss(*pictures()), losses["lpips-alexnet"](*pictures()), rtol=0.01, atol=1e-4)


def test_building_takes_no_random_numbers(alexnet: State, tmp_path: Path) -> None:
    torch.save(alexnet, tmp_path / "alex.pth")
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    build_perceptual("lpips-alexnet", tmp_path / "alex.pth")
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("name", ["net.slice5.10.bias", "lin2.model.1.weight"])
def test_a_missing_tensor_is_named(alexnet: State, tmp_path: Path, name: str) -> None:
    torch.save({key: value for key, value in alexnet.items() if key != name}, tmp_path / "alex.pth")
    with pytest.raises(CheckpointRejected, match=rf"alex\.pth: .*\n  {name}: missing.*hint: give .*lpips\.LPIPS"):
        build_perceptual("lpips-alexnet", tmp_path / "alex.pth")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (torch.zeros(64, 3, 7, 7), r"has shape \(64, 3, 7, 7\), should have \(64, 3, 11, 11\)"),
        (torch.zeros(64, 3, 11, 11, dtype=torch.int64), "holds int64"),
        ("AlexNet", "is of type str"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(alexnet: State, tmp_path: Path, value: Any, problem: str) -> None:
    torch.save({**alexnet, "net.slice1.0.weight": value}, tmp_path / "alex.pth")
    with pytest.raises(CheckpointRejected, match=f"net.slice1.0.weight: {problem}"):
        build_perceptual("lpips-alexnet", tmp_path / "alex.pth")


def test_weights_of_another_network_are_refused(alexnet: State, tmp_path: Path) -> None:
    torch.save(alexnet, tmp_path / "alex.pth")
    with pytest.raises(CheckpointRejected, match=r"(?s)features\.0\.weight: missing.*torchvision's vgg19"):
        build_perceptual("vgg19-conv5_4", tmp_path / "alex.pth")


class _Command:
    """Unpickling one would make a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"net.slice1.0.weight": _Command()}, "alex.pth")
    with pytest.raises(CheckpointRejected, match="safe loading refuses it"):
        build_perceptual("lpips-alexnet", Path("alex.pth"))
    assert not Path("ran").exists()


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="no such file"):
        build_perceptual("lpips-alexnet", tmp_path / "none.pth")
    with pytest.raises(CannotRead):
        build_perceptual("lpips-alexnet", tmp_path)
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(CheckpointRejected, match=r"text\.pth"):
        build_perceptual("lpips-alexnet", tmp_path / "text.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{]")
    with pytest.raises(CheckpointRejected, match=r"cut\.safetensors: is damaged"):
        build_perceptual("lpips-alexnet", tmp_path / "cut.safetensors")


def test_kinds_and_files_have_to_go_together(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"'lpips'.*known: lpips-alexnet, .*ms-ssim"):
        build_perceptual("lpips")
    with pytest.raises(InvalidArgument, match="needs a file of weights"):
        build_perceptual("vgg19-conv5_4")
    with pytest.raises(InvalidArgument, match="no weights to read"):
        build_perceptual("ms-ssim", tmp_path / "alex.pth")


def ms_ssim_rendering(rebuilt: np.ndarray[Any, Any], image: np.ndarray[Any, Any]) -> float:
    """Wang et al. 2003, equation 7, of one channel with values in [0, 1]: an 11x11 window of deviation 1.5."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    similarity = 1.0
    for i, exponent in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if i:
            rebuilt, image = (
                each.reshape(len(each) // 2, 2, each.shape[1] // 2, 2).mean((1, 3)) for each in (rebuilt, image)
            )
        of_x, of_y, of_xx, of_yy, of_xy = (
            correlate(each, window, "valid")
            for each in (rebuilt, image, rebuilt * rebuilt, image * image, rebuilt * image)
        )
        structure = (2 * (of_xy - of_x * of_y) + 0.03**2) / (of_xx - of_x**2 + of_yy - of_y**2 + 0.03**2)
        luminance = (2 * of_x * of_y + 0.01**2) / (of_x**2 + of_y**2 + 0.01**2)
        similarity *= (structure * luminance if i == 4 else structure).mean() ** exponent
    return similarity


def test_ms_ssim_is_its_equation() -> None:
    rebuilt, image = pictures(176)
    expected = np.mean(
        [
            ms_ssim_rendering(rebuilt[i, c].detach().double().numpy(), image[i, c].detach().double().numpy())
            for i in range(2)
            for c in range(3)
        ]
    )
    loss = build_perceptual("ms-ssim")(rebuilt, image)
    assert loss.item() == pytest.approx(1 - expected, rel=1e-3)
    loss.backward()
    assert rebuilt.grad is not None and rebuilt.grad.abs().sum() > 0


def test_ms_ssim_takes_values_beyond_white_as_white_and_is_exact_under_autocast() -> None:
    _, image = pictures(MS_SSIM_SIDE)
    loss = build_perceptual("ms-ssim")
    white = torch.ones_like(image)
    assert loss(1.5 * white, image).item() == loss(white, image).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(white, image).item() == loss(white.float(), image).item()
    assert loss(image, image).item() == pytest.approx(0, abs=1e-6)


def test_ms_ssim_refuses_pictures_that_its_scales_do_not_fit() -> None:
    image = torch.rand(1, 3, MS_SSIM_SIDE - 1, MS_SSIM_SIDE)
    with pytest.raises(InvalidArgument, match="161 by 160 pixels"):
        build_perceptual("ms-ssim")(image, image)
