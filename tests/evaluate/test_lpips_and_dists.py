"""LPIPS and DISTS are those of their papers, for any weights, and files that do not hold such weights are refused."""

from __future__ import annotations

import codecs
import math
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from edgecodec.errors import CannotRead, CheckpointRejected
from edgecodec.picture import Pixels
from edgecodec_evaluate.metrics import dists
from edgecodec_evaluate.metrics.networks import NETWORKS, distance, load_networks
from edgecodec_evaluate.scores import scores
from edgecodec_train.losses.perceptual import PRETRAINED_LOSSES
from support.command_line import run_command
from support.paths import PHOTOS, TINY
from support.perceptual_weights import ALEXNET, VGG16, lpips_state, save_dists, save_lpips

Maps = npt.NDArray[np.float64]  # (channels, height, width)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return {"lpips": save_lpips(folder / "lpips.pth"), "dists": save_dists(folder / "dists.pth")}


@pytest.fixture(scope="module")
def networks(files: Mapping[str, Path]) -> Mapping[str, Any]:
    return load_networks(files)


@pytest.fixture(scope="module")
def photo() -> Pixels:
    """uint8 (45, 39, 3): odd sides, so that poolings end with half a window"""
    return np.asarray(Image.open(PHOTOS[1]))[:45, :39]


def noisy(photo: Pixels, deviation: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, deviation, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


each_network = pytest.mark.parametrize("name", [*NETWORKS])


# ---- the equations -------------------------------------------------------------------------------------------------


def windows(maps: Maps, side: int, stride: int, padding: int, filling: float = 0) -> Maps:
    """(channels, height, width, side, side)"""
    padded = np.pad(maps, ((0, 0), (padding, padding), (padding, padding)), constant_values=filling)
    return sliding_window_view(padded, (side, side), axis=(1, 2))[:, ::stride, ::stride]


def convolved(maps: Maps, state: Mapping[str, Tensor], name: str, stride: int, padding: int) -> Maps:
    """With a ReLU behind."""
    weight, bias = (state[f"{name}.{each}"].double().numpy() for each in ("weight", "bias"))
    found = np.tensordot(weight, windows(maps, weight.shape[2], stride, padding), ([1, 2, 3], [0, 3, 4]))
    return np.maximum(found + bias[:, None, None], 0)


def as_maps(pixels: Pixels) -> Maps:
    return np.moveaxis(pixels, 2, 0) / 255


def standardised(maps: Maps, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Maps:
    return (maps - np.array(mean)[:, None, None]) / np.array(deviation)[:, None, None]


def lpips_rendering(state: Mapping[str, Tensor], first: Pixels, second: Pixels) -> float:
    """Zhang et al. 2018, equation 1."""

    def features(pixels: Pixels) -> list[Maps]:
        x = standardised(2 * as_maps(pixels) - 1, (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))
        found = []
        for i, name in enumerate(ALEXNET):
            if i in (1, 2):
                x = windows(x, 3, 2, 0).max((3, 4))
            x = convolved(x, state, f"net.{name}", *((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))[i])
            found.append(x / (np.sqrt((x**2).sum(0)) + 1e-10))
        return found

    pairs = zip(features(first), features(second), strict=True)
    heads = [state[f"lin{i}.model.1.weight"].double().numpy().reshape(-1, 1, 1) for i in range(5)]
    return sum(float((head * (x - y) ** 2).sum(0).mean()) for head, (x, y) in zip(heads, pairs, strict=True))


def dists_rendering(state: Mapping[str, Tensor], first: Pixels, second: Pixels) -> float:
    """Ding et al. 2020: L2 pooling, similarities of texture and structure, and the weighted sum of both."""
    hanning = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]) / 4

    def features(pixels: Pixels) -> list[Maps]:
        found = [as_maps(pixels)]
        x = standardised(found[0], (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        for stage, layers in enumerate(VGG16, 1):
            if stage > 1:
                x = np.sqrt((windows(x**2, 3, 2, 1) * hanning).sum((3, 4)) + 1e-12)
            for layer in layers:
                x = convolved(x, state, f"stage{stage}.{layer}", 1, 1)
            found.append(x)
        return found

    alphas, betas = (
        np.split(state[name].double().flatten().numpy(), np.cumsum([3, 64, 128, 256, 512]))
        for name in ("alpha", "beta")
    )
    total = sum(float(each.sum()) for each in (*alphas, *betas))
    similarity = 0.0
    for alpha, beta, x, y in zip(alphas, betas, features(first), features(second), strict=True):
        x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
        texture = (2 * x.mean(1) * y.mean(1) + 1e-6) / (x.mean(1) ** 2 + y.mean(1) ** 2 + 1e-6)
        covariance = (x * y).mean(1) - x.mean(1) * y.mean(1)
        structure = (2 * covariance + 1e-6) / (x.var(1) + y.var(1) + 1e-6)
        similarity += float((alpha * texture).sum() + (beta * structure).sum()) / total
    return 1 - similarity


def test_lpips_is_its_equation(files: Mapping[str, Path], networks: Mapping[str, Any], photo: Pixels) -> None:
    expected = lpips_rendering(torch.load(files["lpips"]), photo, noisy(photo, 20))
    assert distance(networks["lpips"], photo, noisy(photo, 20)) == pytest.approx(expected, rel=1e-4)


def test_dists_is_its_equations_in_strips_and_whole(
    files: Mapping[str, Path], networks: Mapping[str, Any], photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strips of 2 rows, and of 14 in the first stage, of which the last has one and three."""
    expected = dists_rendering(torch.load(files["dists"]), photo, noisy(photo, 20))
    assert distance(networks["dists"], photo, noisy(photo, 20)) == pytest.approx(expected, rel=1e-4)
    for strip in (1, 64 * 39 * 14):
        monkeypatch.setattr(dists, "_STRIP", strip)
        assert distance(networks["dists"], photo, noisy(photo, 20)) == pytest.approx(expected, rel=1e-4)


def test_dists_of_flat_pictures_is_of_their_means(files: Mapping[str, Path], networks: Mapping[str, Any]) -> None:
    """Variances are 0 here; as differences of large numbers they would be anything."""
    bright, brighter = np.full((32, 32, 3), 240, np.uint8), np.full((32, 32, 3), 250, np.uint8)
    expected = dists_rendering(torch.load(files["dists"]), bright, brighter)
    assert distance(networks["dists"], bright, brighter) == pytest.approx(expected, rel=1e-3)


@each_network
def test_a_distance_is_0_for_equal_pictures_the_same_both_ways_and_grows_with_noise(
    networks: Mapping[str, Any], photo: Pixels, name: str
) -> None:
    network = networks[name]
    assert distance(network, photo, photo) == 0
    found = [distance(network, photo, noisy(photo, deviation)) or 0 for deviation in (2, 8, 32)]
    assert 0 < found[0] < found[1] < found[2] < 2
    assert distance(network, noisy(photo, 8), photo) == pytest.approx(found[1], rel=1e-5)


def test_small_pictures_have_no_lpips(networks: Mapping[str, Any], photo: Pixels) -> None:
    narrow, enough = photo[:30], photo[:31]
    assert distance(networks["lpips"], narrow, narrow) is None and distance(networks["lpips"], enough, enough) == 0
    assert distance(networks["dists"], photo[:1, :1], photo[:1, :1]) == 0


def test_scores_have_those_whose_weights_are_given(networks: Mapping[str, Any], photo: Pixels) -> None:
    rebuilt, only = noisy(photo, 8), {"dists": networks["dists"]}
    assert (scores(photo, rebuilt).lpips, scores(photo, rebuilt).dists) == (None, None)
    assert scores(photo, rebuilt, only).lpips is None
    assert scores(photo, rebuilt, networks).dists == scores(photo, rebuilt, only).dists is not None
    grey = photo[..., 0]
    assert scores(grey, rebuilt, networks) == scores(np.dstack([grey] * 3), rebuilt, networks)


def test_training_and_evaluation_have_one_lpips() -> None:
    assert PRETRAINED_LOSSES["lpips-alexnet"] is NETWORKS["lpips"]


# ---- files that are no weights -------------------------------------------------------------------------------------


def refused(name: str, path: Path, message: str, kind: type[Exception] = CheckpointRejected) -> None:
    with pytest.raises(kind, match=rf"(?s){path.name}.*{message}"):
        load_networks({name: path})


def test_the_authors_weights_alone_are_said_to_lack_the_network(tmp_path: Path) -> None:
    """The package's own file has these two; the network comes from elsewhere."""
    torch.save({name: torch.rand(1, 1475, 1, 1) for name in ("alpha", "beta")}, tmp_path / "weights.pt")
    refused("dists", tmp_path / "weights.pt", r"stage1\.0\.weight: missing.*and 14 more.*hint: give.*DISTS\(\)")


def test_weights_of_the_other_network_are_refused(files: Mapping[str, Path]) -> None:
    refused("lpips", files["dists"], "missing")
    refused("dists", files["lpips"], "missing")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(192), r"has shape \(192,\), should have \(64,\)"),
        (torch.zeros(64, dtype=torch.int32), "holds int32"),
        (torch.full((64,), math.nan), "not finite"),
        (torch.full((64,), 1e300, dtype=torch.float64), "not finite"),
        (torch.zeros(64).to_sparse(), "sparse"),
        (0.5, "is of type float"),
        (torch.zeros(1).expand(2**40), "has shape"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, value: Any, message: str) -> None:
    torch.save({**lpips_state(), "net.slice1.0.bias": value}, tmp_path / "alex.pth")
    refused("lpips", tmp_path / "alex.pth", rf"net\.slice1\.0\.bias: .*{message}")


class _Command:
    """Unpickling one would make a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


class _Buffer:
    """Unpickling one would take a terabyte."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (1 << 40,)


class _Doubled:
    """Unpickling one would make 4 KiB of four bytes, and with 30 more steps 4 TiB."""

    def __init__(self, steps: int = 10) -> None:
        self._steps = steps

    def __reduce__(self) -> tuple[Any, ...]:
        return codecs.encode, (_Doubled(self._steps - 1), "hex") if self._steps else ("abcd", "ascii")


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize(
    ("content", "message"),
    [(_Command(), "safe loading refuses it"), (_Buffer(), "holds bytes"), (_Doubled(), "holds bytes")],
)
def test_nothing_in_a_file_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, message: str, archive: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"net.slice1.0.bias": content}, tmp_path / "alex.pth", _use_new_zipfile_serialization=archive)
    refused("lpips", tmp_path / "alex.pth", message)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_whole_file_of_weights_is_refused(tmp_path: Path, files: Mapping[str, Path]) -> None:
    whole = files["lpips"].read_bytes()
    for name, content, message in (
        ("empty", b"", "is an empty file"),
        ("page", b"<html>", "neither a PyTorch file nor safetensors"),
        ("cut", whole[: len(whole) // 2], "damaged or truncated"),
        ("cut_short", whole[:3], "damaged or truncated"),
        ("cut_pickle", b"\x80\x02}", "damaged or truncated"),
        ("pickled", pickle.dumps({"net.slice1.0.bias": [0.0]}, 2), "a pickle that torch.save did not write"),
        ("cut_safetensors", b"\x10\0\0\0\0\0\0\0{]", "damaged or truncated"),
    ):
        (tmp_path / name).write_bytes(content)
        refused("lpips", tmp_path / name, message)
    torch.save([torch.zeros(3)], tmp_path / "list")
    refused("lpips", tmp_path / "list", "holds a list")
    torch.save({3: torch.zeros(3)}, tmp_path / "numbers")
    refused("lpips", tmp_path / "numbers", "not tensors by name")
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 2**20)
    refused("lpips", tmp_path / "bomb", "is a compressed archive")
    refused("lpips", tmp_path / "none", "no such file", CannotRead)
    refused("lpips", tmp_path / ("x" * 300), "(File name too long|no such file)", CannotRead)
    refused("lpips", tmp_path, "is a folder", CannotRead)
    os.mkfifo(tmp_path / "pipe")
    refused("lpips", tmp_path / "pipe", "is not a regular file", CannotRead)


def test_weights_stay_what_they_were_when_their_file_changes(tmp_path: Path, photo: Pixels) -> None:
    file = tmp_path / "alex.safetensors"
    save_file({name: entry.clone() for name, entry in lpips_state().items()}, file)
    network = load_networks({"lpips": file})["lpips"]
    with file.open("r+b") as stream:
        start = 8 + int.from_bytes(stream.read(8), "little")
        stream.seek(start)
        stream.write(bytes(file.stat().st_size - start))
    as_loaded = load_networks({"lpips": save_lpips(tmp_path / "alex.pth")})["lpips"]
    assert distance(network, photo, noisy(photo, 20)) == distance(as_loaded, photo, noisy(photo, 20))


def test_weights_are_looked_at_before_any_work(tmp_path: Path, files: Mapping[str, Path]) -> None:
    arguments = ("eval", TINY, PHOTOS[0].parent, "-o", tmp_path / "run", "--engine", "onnxruntime")
    outcome = run_command(*arguments, "--lpips", files["lpips"], "--dists", files["lpips"])
    assert outcome.status == 4 and "lpips.pth: its tensors do not fit" in outcome.talk
    assert not (tmp_path / "run").exists()
