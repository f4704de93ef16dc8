"""GC checkpoints of Justin-Tan/generative-compression: computed as at their origin, and refused if anything is off."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgecodec.errors import CannotRead, CheckpointRejected
from edgecodec_export.checkpoint_files import limits
from edgecodec_export.checkpoints import read_checkpoint
from edgecodec_export.checkpoints.importers.agustsson_tf1 import AgustssonTf1
from edgecodec_export.families.agustsson import Agustsson
from support.agustsson_weights import blank, drawn, released_shapes
from support.paths import ROOT, VECTORS

LIMIT = 1.5e-4  # ten times what float32 arithmetic in another order changes


@pytest.fixture(scope="module")
def vectors() -> dict[str, Tensor]:
    with np.load(VECTORS / "agustsson_gc_C8.npz") as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


@pytest.fixture(scope="module")
def image(vectors: dict[str, Tensor]) -> Tensor:
    return vectors["image"].permute(2, 0, 1).unsqueeze(0).float() / 255


def imported(prefix: str) -> Agustsson:
    """The released size with drawn weights under `prefix` and zeros elsewhere."""
    checkpoint = AgustssonTf1().read(blank() | drawn(prefix))
    with torch.device("meta"):
        model = Agustsson(checkpoint.configuration)
    model.load_state_dict(checkpoint.tensors, assign=True)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def encoder() -> Agustsson:
    return imported("generator/encoder_image/")


def test_the_encoder_computes_what_the_origin_computes(
    encoder: Agustsson, image: Tensor, vectors: dict[str, Tensor]
) -> None:
    torch.testing.assert_close(encoder.analysis(2 * image - 1), vectors["y"], rtol=0, atol=LIMIT)
    (symbols,) = encoder.encode(image)
    assert torch.equal(symbols, vectors["symbols"].float())
    assert symbols.unique().tolist() == [0, 1, 2]  # behind a ReLU


@pytest.mark.slow
def test_the_generator_computes_what_the_origin_computes(vectors: dict[str, Tensor]) -> None:
    model = imported("generator/decoder/")
    symbols = vectors["symbols"].float()
    picture = model.synthesis(symbols)
    assert picture.shape == (1, 3, 176, 240)
    torch.testing.assert_close(picture[:, :, :40, :40], vectors["out_pre_first"], rtol=0, atol=LIMIT)
    torch.testing.assert_close(picture[:, :, -40:, -40:], vectors["out_pre_last"], rtol=0, atol=LIMIT)
    torch.testing.assert_close(
        model.decode(symbols[:, :, :4, :4]), (torch.tanh(model.synthesis(symbols[:, :, :4, :4])) + 1) / 2
    )


@pytest.mark.parametrize("change", [{"zero_border": "leading"}, {"epsilon": 1e-1}])
def test_other_conventions_give_other_results(
    encoder: Agustsson, image: Tensor, vectors: dict[str, Tensor], change: dict[str, object]
) -> None:
    with torch.device("meta"):
        other = Agustsson(replace(encoder.preset, **change))
    other.load_state_dict(encoder.state_dict(), assign=True)
    assert (other.analysis(2 * image - 1) - vectors["y"]).abs().max() > 100 * LIMIT


def test_the_layout_is_the_released_one() -> None:
    shapes = released_shapes()
    assert len(shapes) == 118
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 160_534_107


@pytest.mark.parametrize("channels", [2, 16])
def test_the_number_of_channels_is_read_from_the_projection(channels: int) -> None:
    checkpoint = AgustssonTf1().read(blank(channels))
    assert checkpoint.configuration.latent_channels == channels
    assert checkpoint.family == "agustsson"
    assert len(checkpoint.tensors) == 118


def _missing(content: dict[str, Tensor]) -> None:
    del content["generator/decoder/InstanceNorm_22/beta"]


def _moving_average(content: dict[str, Tensor]) -> None:
    content["generator/decoder/conv2d/kernel/ExponentialMovingAverage"] = content["generator/decoder/conv2d/kernel"]


def _noise(content: dict[str, Tensor]) -> None:
    content["generator/noise_generator/conv2d/kernel"] = torch.zeros(7, 7, 60, 8)


def _torch_layout(content: dict[str, Tensor]) -> None:
    content["generator/encoder_image/conv2d_1/kernel"] = torch.zeros(120, 60, 3, 3)


def _transposed_like_plain(content: dict[str, Tensor]) -> None:
    content["generator/decoder/conv2d_transpose/kernel"] = torch.zeros(3, 3, 960, 480)


def _no_projection(content: dict[str, Tensor]) -> None:
    del content["generator/encoder_image/conv2d_5/kernel"]


def _not_an_array(content: dict[str, object]) -> None:
    content["generator/encoder_image/conv2d/bias"] = "zeros"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_missing, "generator/decoder/InstanceNorm_22/beta: missing"),
        (_moving_average, "generator/decoder/conv2d/kernel/ExponentialMovingAverage: unused"),
        (_noise, "generator/noise_generator/conv2d/kernel: unused"),
        (_torch_layout, "conv2d_1/kernel: has shape (120, 60, 3, 3), should have (3, 3, 60, 120)"),
        (_transposed_like_plain, "conv2d_transpose/kernel: has shape (3, 3, 960, 480), should have (3, 3, 480, 960)"),
        (_no_projection, "generator/encoder_image/conv2d_5/kernel: missing"),
        (_not_an_array, "generator/encoder_image/conv2d/bias: is of type str, should be a tensor"),
    ],
)
def test_every_variable_that_does_not_fit_is_listed(change: Callable[[dict[str, Tensor]], None], line: str) -> None:
    content = blank()
    change(content)
    with pytest.raises(CheckpointRejected) as refused:
        AgustssonTf1().read(content)
    assert line in str(refused.value)
    assert str(refused.value).count("\n  ") == 1
    assert "raw variables" in str(refused.value)


def test_all_variables_that_do_not_fit_are_listed_at_once() -> None:
    content = blank()
    _missing(content)
    _noise(content)
    _torch_layout(content)
    with pytest.raises(CheckpointRejected) as refused:
        AgustssonTf1().read(content)
    assert str(refused.value).count("\n  ") == 3


def test_pytorch_files_and_numpy_archives_are_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FLOOR", 2**30)  # the zeros of a blank file are stored once
    torch.save(blank(), tmp_path / "gc.pt")
    assert read_checkpoint(tmp_path / "gc.pt").preset == "tensorflow1-c8"
    arrays: dict[str, Any] = {"generator/decoder/conv2d/bias": np.zeros(960, np.float32)}
    np.savez(tmp_path / "part.npz", **arrays)
    with pytest.raises(CheckpointRejected, match=r"InstanceNorm/beta: missing\n(.*\n)*  and 105 more missing"):
        read_checkpoint(tmp_path / "part.npz")


def test_names_of_another_origin_are_not_recognised(tmp_path: Path) -> None:
    shapes = {name.removeprefix("generator/"): torch.zeros(1) for name in blank()}
    torch.save(shapes, tmp_path / "renamed.pt")
    with pytest.raises(CheckpointRejected, match="Justin-Tan/generative-compression"):
        read_checkpoint(tmp_path / "renamed.pt")


@pytest.mark.parametrize("name", ["model.ckpt.index", "model.ckpt.meta", "model.ckpt.data-00000-of-00001"])
def test_a_tensorflow_file_is_refused_with_a_remedy(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(bytes(range(7, 207)))
    with pytest.raises(CheckpointRejected) as refused:
        read_checkpoint(tmp_path / name)
    assert "tensorflow.train.load_checkpoint" in str(refused.value.hint)
    (tmp_path / "other.pt").write_bytes(bytes(range(7, 207)))
    with pytest.raises(CheckpointRejected) as refused:
        read_checkpoint(tmp_path / "other.pt")
    assert refused.value.hint is None


def test_the_prefix_of_a_tensorflow_checkpoint_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt.index").touch()
    with pytest.raises(CannotRead) as refused:
        read_checkpoint(tmp_path / "model.ckpt")
    assert "tensorflow.train.load_checkpoint" in str(refused.value.hint)


def test_the_documented_lines_save_the_raw_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(import numpy, tensorflow\n.*?)```", documented, re.DOTALL)
    raw = {"generator/decoder/conv2d/kernel", "generator/encoder_image/InstanceNorm_1/beta"}
    averages = {f"{name}/ExponentialMovingAverage" for name in raw}
    variables = dict.fromkeys(raw | averages | {"discriminator/conv2d/kernel", "global_step"}, np.zeros(3, np.float32))
    saved = SimpleNamespace(get_variable_to_shape_map=lambda: variables, get_tensor=variables.__getitem__)
    stand_in = SimpleNamespace(train=SimpleNamespace(load_checkpoint={"model.ckpt": saved}.__getitem__))
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in)
    monkeypatch.chdir(tmp_path)
    exec(lines, {})
    with np.load(tmp_path / "model.npz") as archive:
        assert set(archive.files) == raw
