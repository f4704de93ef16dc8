"""Losses are the equations of their papers, and their gradients reach the one who is to learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from edgecodec.errors import InvalidArgument
from edgecodec_train.discriminators import Judgement, Judgements
from edgecodec_train.losses import (
    ADVERSARIAL_LOSSES,
    GRID_PERIOD,
    GRID_WINDOW,
    build_adversarial_loss,
    feature_matching,
    grid_energy,
    mean_squared_error,
    texture_distance,
)

Array = npt.NDArray[np.float64]
WEIGHTS = (0.5, 0.25, 1.0)
SIDES = (8, 4, 2)

each_loss = pytest.mark.parametrize("kind", ADVERSARIAL_LOSSES)


def judgements(seed: int) -> Judgements:
    """Of three scales, each with two feature maps; all of them take gradients."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> Tensor:
        return torch.tensor(random.normal(0, 2, shape), dtype=torch.float32, requires_grad=True)

    return tuple(
        Judgement(normal(3, 1, side, side), (normal(3, 4, 2 * side, 2 * side), normal(3, 6, side, side)), weight)
        for side, weight in zip(SIDES, WEIGHTS, strict=True)
    )


def constant(logit: float) -> Judgements:
    return tuple(Judgement(torch.full((2, 1, side, side), logit), (), 1 / 3) for side in SIDES)


def array(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()


def log_sigmoid(x: Array) -> Array:
    """log(1 / (1 + exp(-x))), as papers write it."""
    return np.log(1 / (1 + np.exp(-x)))


def cross_entropy(x: Array, label: float) -> Array:
    """-label log sigmoid(x) - (1 - label) log(1 - sigmoid(x))."""
    sigmoid = 1 / (1 + np.exp(-x))
    return -label * np.log(sigmoid) - (1 - label) * np.log(1 - sigmoid)


#: The discriminator's and the generator's loss of logits r and f, of which the mean is taken.
EQUATIONS: dict[str, tuple[Callable[[Array, Array], Any], Callable[[Array, Array], Any]]] = {
    # Goodfellow et al. 2014, section 3: D maximises log D(x) + log(1 - D(G(z))), G maximises log D(G(z)).
    "non-saturating": (lambda r, f: -log_sigmoid(r) - log_sigmoid(-f), lambda r, f: -log_sigmoid(f)),
    # The same, equation 1: G minimises log(1 - D(G(z))).
    "log": (lambda r, f: -log_sigmoid(r) - log_sigmoid(-f), lambda r, f: np.log(1 - 1 / (1 + np.exp(-f)))),
    # Mao et al. 2017, equation 9 with a = 0, b = c = 1.
    "least-squares": (lambda r, f: (r - 1) ** 2 + f**2, lambda r, f: (f - 1) ** 2),
    # Jolicoeur-Martineau 2019, RSGAN: -log sigmoid(C(x_r) - C(x_f)), and the same with r and f exchanged.
    "relativistic": (lambda r, f: -log_sigmoid(r - f), lambda r, f: -log_sigmoid(f - r)),
    # The same, RaSGAN; the halves as in Iwai et al. 2024.
    "relativistic-average": (
        lambda r, f: (cross_entropy(r - f.mean(), 1) + cross_entropy(f - r.mean(), 0)) / 2,
        lambda r, f: (cross_entropy(r - f.mean(), 0) + cross_entropy(f - r.mean(), 1)) / 2,
    ),
    # Iwai et al. 2024: mean of two cross-entropies, r of the picture at the higher rate for G.
    "higher-rate-relativistic": (
        lambda r, f: (cross_entropy(r - f, 1) + cross_entropy(f - r, 0)) / 2,
        lambda r, f: (cross_entropy(r - f, 0) + cross_entropy(f - r, 1)) / 2,
    ),
}


@each_loss
def test_adversarial_losses_are_their_equations(kind: str) -> None:
    real, fake, loss = judgements(1), judgements(2), build_adversarial_loss(kind)
    for equation, value in zip(
        EQUATIONS[kind], (loss.discriminator(real, fake), loss.generator(fake, real)), strict=True
    ):
        at_scale = [equation(array(r.logits), array(f.logits)).mean() for r, f in zip(real, fake, strict=True)]
        assert value.shape == ()
        assert value.item() == pytest.approx(np.dot(WEIGHTS, at_scale), rel=1e-5)


@each_loss
def test_the_generator_learns_from_its_own_logits_alone(kind: str) -> None:
    reference, fake, loss = judgements(1), judgements(2), build_adversarial_loss(kind)
    loss.generator(fake, reference).backward()
    assert all(each.logits.grad is None for each in reference)
    for each in fake:
        gradient = each.logits.grad
        assert gradient is not None
        too_real = each.logits > 1 if kind == "least-squares" else torch.zeros(())
        assert torch.equal(gradient > 0, too_real.expand_as(gradient).bool())


@each_loss
def test_the_discriminator_learns_from_both(kind: str) -> None:
    real, fake, loss = judgements(1), judgements(2), build_adversarial_loss(kind)
    loss.discriminator(real, fake).backward()
    for r, f in zip(real, fake, strict=True):
        assert r.logits.grad is not None and r.logits.grad.abs().min() > 0
        assert f.logits.grad is not None and f.logits.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("kind", "of_generator", "of_discriminator"),
    [
        ("non-saturating", math.log(2), 2 * math.log(2)),
        ("log", -math.log(2), 2 * math.log(2)),
        ("least-squares", 1.0, 1.0),
        ("relativistic", math.log(2), math.log(2)),
        ("relativistic-average", math.log(2), math.log(2)),
        ("higher-rate-relativistic", math.log(2), math.log(2)),
    ],
)
def test_losses_where_the_discriminator_cannot_tell(kind: str, of_generator: float, of_discriminator: float) -> None:
    loss = build_adversarial_loss(kind)
    assert loss.generator(constant(0.0), constant(0.0)).item() == pytest.approx(of_generator)
    assert loss.discriminator(constant(0.0), constant(0.0)).item() == pytest.approx(of_discriminator)


@pytest.mark.parametrize("kind", ["relativistic", "relativistic-average", "higher-rate-relativistic"])
def test_relativistic_losses_see_only_differences(kind: str) -> None:
    loss = build_adversarial_loss(kind)
    assert loss.generator(constant(7.0), constant(7.0)).item() == pytest.approx(math.log(2))
    assert loss.discriminator(constant(-3.0), constant(-5.0)).item() == pytest.approx(math.log1p(math.exp(-2)))


@each_loss
def test_confident_and_half_precision_logits_give_finite_losses(kind: str) -> None:
    loss = build_adversarial_loss(kind)
    sure = tuple(Judgement(torch.full((2, 1, 4, 4), 200.0, dtype=torch.float16), (), 1.0) for _ in SIDES)
    unsure = tuple(Judgement(-each.logits, (), 1.0) for each in sure)
    for value in (loss.generator(unsure, sure), loss.discriminator(sure, unsure), loss.discriminator(unsure, sure)):
        assert value.dtype == torch.float32 and value.isfinite()


@each_loss
def test_a_loss_says_which_picture_it_compares_with(kind: str) -> None:
    loss = build_adversarial_loss(kind)
    expected = {"relativistic": "real", "relativistic-average": "real", "higher-rate-relativistic": "higher rate"}
    assert loss.reference == expected.get(kind, "none")
    if loss.reference == "none":
        assert loss.generator(judgements(1)).isfinite()
    else:
        with pytest.raises(ValueError, match="judgements are missing"):
            loss.generator(judgements(1))


def test_scales_have_to_match() -> None:
    loss = build_adversarial_loss("relativistic")
    with pytest.raises(ValueError):
        loss.discriminator(judgements(1), judgements(2)[:2])
    with pytest.raises(ValueError):
        loss.generator(judgements(1)[:2], judgements(2))
    with pytest.raises(ValueError):
        feature_matching(judgements(1), judgements(2)[:2])


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"'hinge'.*known: non-saturating, log, least-squares"):
        build_adversarial_loss("hinge")


def test_feature_matching_is_the_mean_over_layers_and_scales() -> None:
    """Wang et al. 2018, equation 4: the mean absolute difference of each map, here averaged."""
    real, fake = judgements(1), judgements(2)
    value = feature_matching(fake, real)
    layers = [
        np.abs(array(a) - array(b)).mean()
        for r, f in zip(real, fake, strict=True)
        for a, b in zip(r.features, f.features, strict=True)
    ]
    assert len(layers) == 6 and value.item() == pytest.approx(np.mean(layers), rel=1e-5)
    value.backward()
    assert all(feature.grad is None for each in real for feature in each.features)
    assert all(feature.grad is not None and feature.grad.abs().min() > 0 for each in fake for feature in each.features)
    assert all(each.logits.grad is None for each in fake)
    assert feature_matching(real, real) == 0


def test_squared_error_counts_what_is_kept() -> None:
    random = np.random.default_rng(0)
    rebuilt, image = (torch.tensor(random.random((2, 3, 6, 8))) for _ in range(2))
    mask = torch.tensor(random.integers(0, 2, (2, 1, 6, 8)).astype(np.float64))
    squares = (rebuilt - image).numpy() ** 2
    kept = np.broadcast_to(mask.numpy() == 1, squares.shape)
    assert mean_squared_error(rebuilt, image, mask).item() == pytest.approx(squares[kept].mean())
    assert mean_squared_error(rebuilt, image).item() == pytest.approx(squares.mean())
    weight = torch.tensor(random.random((2, 1, 6, 8)))
    average = np.average(squares, weights=np.broadcast_to(weight.numpy(), squares.shape))
    assert mean_squared_error(rebuilt, image, weight).item() == pytest.approx(average)


def test_errors_outside_of_the_mask_do_not_count() -> None:
    image = torch.zeros(1, 3, 4, 4)
    rebuilt = torch.ones(1, 3, 4, 4, requires_grad=True)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 1, 2] = 1
    loss = mean_squared_error(rebuilt, image, mask)
    loss.backward()
    assert loss == 1 and rebuilt.grad is not None
    assert torch.equal(rebuilt.grad != 0, mask.bool().expand(1, 3, 4, 4))


def test_where_nothing_is_kept_there_is_nothing_to_learn() -> None:
    rebuilt = torch.rand(1, 3, 4, 4, requires_grad=True)
    loss = mean_squared_error(rebuilt, torch.rand(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))
    loss.backward()
    assert loss == 0 and rebuilt.grad is not None and torch.equal(rebuilt.grad, torch.zeros_like(rebuilt))


def test_grid_energy_is_that_of_the_mean_pattern_of_each_window() -> None:
    """NumPy rendering: the mean over a window of each phase, less the mean of all phases, squared."""
    error = np.random.default_rng(0).normal(size=(2, 3, 70, 99))
    squares = []
    for top in range(0, 70 - GRID_WINDOW + 1, GRID_WINDOW):
        for left in range(0, 99 - GRID_WINDOW + 1, GRID_WINDOW):
            window = error[:, :, top : top + GRID_WINDOW, left : left + GRID_WINDOW]
            repeats = (GRID_WINDOW // GRID_PERIOD, GRID_PERIOD)
            pattern = window.reshape(2, 3, *repeats, *repeats).mean((2, 4))
            squares.append((pattern - pattern.mean((2, 3), keepdims=True)) ** 2)
    assert grid_energy(torch.tensor(error)).item() == pytest.approx(np.mean(squares))


def test_a_grid_has_more_energy_than_noise() -> None:
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    grid = noise[..., :GRID_PERIOD, :GRID_PERIOD].repeat(1, 1, 16, 16)
    assert grid_energy(grid) > 20 * grid_energy(noise)
    assert grid_energy(torch.full((1, 3, 64, 64), 0.5)) == 0


def grey(brightness: float, grain: float, seed: int) -> Tensor:
    """(1, 3, 64, 48) of one brightness, with grain of this amplitude."""
    return brightness + grain * torch.randn(1, 1, 64, 48, generator=torch.Generator().manual_seed(seed)).repeat(
        1, 3, 1, 1
    )


def test_texture_distance_compares_the_amplitudes_of_haar_bands() -> None:
    """NumPy rendering: regions of 16 pixels a side one after the other, then all; what is beyond does not count."""
    random = np.random.default_rng(0)
    pictures = random.uniform(size=(2, 2, 3, 40, 55))
    across, down, diagonal = [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]
    total = 0.0
    for octave in (1, 2):
        squares, energies = [], np.zeros((2, 2, 3, 6))
        for sample, top, left in np.ndindex(2, 2, 3):
            regions = pictures[:, sample, :, 16 * top : 16 * top + 16, 16 * left : 16 * left + 16]
            brightness = regions.mean(1).reshape(2, 16 // octave, octave, 16 // octave, octave)
            blocks = brightness.mean((2, 4)).reshape(2, 8 // octave, 2, 8 // octave, 2)
            for number, band in enumerate((across, down, diagonal)):
                energy = ((np.einsum("pyaxb,ab->pyx", blocks, band) / 4) ** 2).mean((1, 2))
                ours, theirs = np.sqrt(np.sqrt(energy + 1e-6))
                squares.append((ours - theirs) ** 2)
                energies[:, sample, number, 3 * top + left] = energy
        ours, theirs = np.sqrt(np.sqrt(energies.mean(3) + 1e-6))
        total += np.mean(squares) + np.mean((ours - theirs) ** 2)
    assert texture_distance(*map(torch.tensor, pictures)).item() == pytest.approx(total)


def test_texture_may_be_any_of_its_amplitude() -> None:
    image = grey(0.5, 0.05, 0)
    assert texture_distance(image, image) == 0
    other, smooth = texture_distance(grey(0.5, 0.05, 1), image), texture_distance(grey(0.5, 0, 1), image)
    assert other < smooth / 20
    assert mean_squared_error(grey(0.5, 0.05, 1), image) > 1.5 * mean_squared_error(grey(0.5, 0, 1), image)
    assert texture_distance(grey(0.7, 0.05, 0), image) < 1e-9  # and of any brightness


def test_grain_on_a_smooth_surface_is_farther_off_than_more_of_it_on_a_rough_one() -> None:
    smooth = texture_distance(grey(0.5, 0.01, 0), grey(0.5, 0, 0))
    rough = texture_distance(grey(0.5, 0.06, 0), grey(0.5, 0.05, 0))
    assert smooth > 5 * rough


def test_texture_has_a_gradient_where_there_is_none_yet() -> None:
    rebuilt = grey(0.5, 1e-3, 1).requires_grad_()
    texture_distance(rebuilt, grey(0.5, 0.05, 0)).backward()
    assert rebuilt.grad is not None and rebuilt.grad.isfinite().all() and (rebuilt.grad * (rebuilt - 0.5)).sum() < 0
