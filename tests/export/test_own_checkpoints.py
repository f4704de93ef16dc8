"""edgecodec's own checkpoints: read back as written, refused with the list of problems, never executed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from edgecodec.errors import CannotRead, CheckpointRejected, InvalidArgument
from edgecodec_export.checkpoints import Checkpoint, load_model, read_checkpoint, save_checkpoint, stored_notes
from edgecodec_export.families import Agustsson, Hific
from support.make_tiny_bundle import PRESET, tiny_model
from support.tiny_codecs import PRESETS


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Hific.PRESETS, "tiny", PRESET)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, tiny_model(), "hific", "tiny", {"stage": "none"})
    return path


def test_a_saved_model_comes_back_bit_for_bit(saved: Path) -> None:
    checkpoint = read_checkpoint(saved)
    assert (checkpoint.family, checkpoint.preset, checkpoint.notes) == ("hific", "tiny", {"stage": "none"})
    model = load_model(checkpoint)
    assert not model.training
    for name, tensor in tiny_model().state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_class_names_and_parts_left_out_come_back(saved: Path, tmp_path: Path) -> None:
    classes, left_out = ("sky", "road"), {"ema.*": "3 tensors: beside the weights"}
    checkpoint = replace(read_checkpoint(saved), classes=classes, left_out=left_out)
    path = tmp_path / "again.safetensors"
    save_checkpoint(path, load_model(checkpoint), checkpoint.family, checkpoint.preset, stored_notes(checkpoint))
    with safe_open(path, framework="pt") as stored:
        assert json.loads(stored.metadata()["notes"]) == {
            "stage": "none",
            "classes": "sky,road",
            "left out ema.*": "3 tensors: beside the weights",
        }
    again = read_checkpoint(path)
    assert (again.notes, again.classes, again.left_out) == ({"stage": "none"}, classes, left_out)


def test_half_precision_files_are_read_as_float32(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, tiny_model(), "hific", "tiny", {}, dtype=torch.float16)
    assert all(tensor.dtype == torch.float32 for tensor in load_model(read_checkpoint(path)).state_dict().values())


def test_every_key_that_does_not_fit_is_listed(saved: Path) -> None:
    checkpoint = read_checkpoint(saved)
    del checkpoint.tensors["analysis.0.weight"]
    checkpoint.tensors["discriminator.0.weight"] = torch.zeros(1)
    checkpoint.tensors["synthesis.image.bias"] = torch.zeros(4)
    checkpoint.tensors["density.quantiles"] = checkpoint.tensors["density.quantiles"] * float("nan")
    with pytest.raises(CheckpointRejected) as refused:
        load_model(checkpoint)
    text = str(refused.value)
    assert "analysis.0.weight: missing" in text
    assert "discriminator.0.weight: unused" in text
    assert "synthesis.image.bias: has shape (4,), should have (3,)" in text
    assert "density.quantiles: holds values that are not finite" in text
    assert text.count("\n  ") == 4
    assert refused.value.code == 46


@pytest.mark.parametrize(("family", "preset"), [("unheard-of", "compact"), ("hific", "gigantic")])
def test_an_unknown_family_or_preset_is_refused_with_the_known_ones(family: str, preset: str) -> None:
    with pytest.raises(CheckpointRejected, match="known: "):
        load_model(Checkpoint(family, preset, {}, {}))


def test_another_version_of_the_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "later.safetensors"
    save_file({"weight": torch.zeros(3)}, path, {"format": "edgecodec-checkpoint-2"})
    with pytest.raises(CheckpointRejected, match="its format is 'edgecodec-checkpoint-2'") as refused:
        read_checkpoint(path)
    assert refused.value.hint == "update edgecodec"


@pytest.mark.parametrize("kept", [0, 8, 9, 1000, -1])
def test_a_cut_file_is_refused(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(CheckpointRejected):
        read_checkpoint(saved)


def test_missing_metadata_is_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    save_file(load_file(saved), path, {"format": "edgecodec-checkpoint-1", "family": "hific"})
    with pytest.raises(CheckpointRejected, match="metadata is incomplete"):
        read_checkpoint(path)


def test_a_pytorch_file_is_opened_safely_and_refused_by_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pth"
    torch.save({"state_dict": {"a": torch.zeros(2)}, "epoch": 3}, path)
    with pytest.raises(CheckpointRejected, match="state_dict, epoch"):
        read_checkpoint(path)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_code_in_a_pytorch_file_is_never_run(tmp_path: Path) -> None:
    path, sprung = tmp_path / "trap.pt", tmp_path / "sprung"
    torch.save({"model": Trap(sprung)}, path)
    with pytest.raises(CheckpointRejected, match="safe loading"):
        read_checkpoint(path)
    assert not sprung.exists()
    torch.load(path, weights_only=False)
    assert sprung.exists(), "the trap itself must work, or this test proves nothing"


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CannotRead):
        read_checkpoint(tmp_path / "nothing.safetensors")


def test_a_named_family_must_be_the_files_own(saved: Path) -> None:
    checkpoint = read_checkpoint(saved)
    assert read_checkpoint(saved, checkpoint.family).tensors.keys() == checkpoint.tensors.keys()
    with pytest.raises(CheckpointRejected, match=f"is of family {checkpoint.family}, not crdr"):
        read_checkpoint(saved, "crdr")
    with pytest.raises(InvalidArgument, match=r"unknown family 'jpeg'.*crdr"):
        read_checkpoint(saved, "jpeg")


def test_a_named_family_leaves_only_its_own_importers(tmp_path: Path) -> None:
    torch.save(
        {"encoder.blocks.5.weight": torch.zeros(1), "hyper_bottleneck.quantiles": torch.zeros(1)}, tmp_path / "x"
    )
    with pytest.raises(CheckpointRejected, match="does not fit the layout of NeuralCompression"):
        read_checkpoint(tmp_path / "x")
    with pytest.raises(CheckpointRejected, match="does not fit the layout of CompressAI"):
        read_checkpoint(tmp_path / "x", "hyperprior")
    with pytest.raises(CheckpointRejected, match="not known of tunable"):
        read_checkpoint(tmp_path / "x", "tunable")


@pytest.mark.parametrize("classes", [1, 5, 19])
def test_weights_tell_the_classes_where_a_file_names_only_a_preset(
    classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest files have no configuration; the presets of selective compression are listed with 12 classes."""
    preset = replace(PRESETS["agustsson-sc"], classes=12)
    monkeypatch.setitem(Agustsson.PRESETS, "small-sc", preset)
    path = tmp_path / "old.safetensors"
    save_checkpoint(path, Agustsson(replace(preset, classes=classes)), "agustsson", "small-sc", {})
    with safe_open(path, framework="pt") as stored:
        metadata = stored.metadata()
    del metadata["configuration"]
    tensors = load_file(path)
    save_file(tensors, path, metadata)
    assert load_model(read_checkpoint(path)).preset == replace(preset, classes=classes)
    first = "synthesis.label_analysis.0.convolution.weight"
    save_file(tensors | {first: tensors[first].flatten()}, path, metadata)  # does not tell
    with pytest.raises(CheckpointRejected, match=r"label_analysis\.0\.convolution\.weight: has shape"):
        load_model(read_checkpoint(path))
