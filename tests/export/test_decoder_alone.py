"""The second checkpoint of a pair may be a decoder alone: the pair is what it was, and nothing else takes the file."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from edgecodec.errors import CheckpointRejected, InvalidArgument, OutputExists
from edgecodec_export.checkpoints import Checkpoint, load_model, load_models, read_checkpoint, save_checkpoint
from edgecodec_export.families import LearnedCodec
from support.paths import ROOT
from support.tiny_codecs import tiny_codec


def another_decoder(model: LearnedCodec) -> LearnedCodec:
    """The model with every tensor of its decoder changed."""
    changed = copy.deepcopy(model)
    for name, tensor in changed.state_dict().items():
        if name.startswith(changed.DECODER_PREFIXES):
            tensor.add_(0.5)
    return changed


@pytest.fixture(params=["hific", "fidelity", "crdr"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A checkpoint, a second one whole, and its decoder alone, in half precision."""
    family = request.param
    model = copy.deepcopy(tiny_codec(family))
    paths = tmp_path / "first.safetensors", tmp_path / "whole.safetensors", tmp_path / "alone.safetensors"
    save_checkpoint(paths[0], model, family, "tiny", {}, torch.float16)
    second = another_decoder(model)
    save_checkpoint(paths[1], second, family, "tiny", {"stage": "second"}, torch.float16)
    first = read_checkpoint(paths[0])
    save_checkpoint(paths[2], second, family, "tiny", {"stage": "second"}, torch.float16, beside=first)
    return paths


def test_beside_its_first_it_is_the_whole_second(pair: tuple[Path, Path, Path]) -> None:
    first, whole, alone = map(read_checkpoint, pair)
    _, expected = load_models(first, whole)
    model, found = load_models(first, alone)
    assert expected is not None and found is not None
    wanted, tensors = expected.state_dict(), found.state_dict()
    assert tensors.keys() == wanted.keys() and all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    decoders = [name for name in wanted if name.startswith(model.DECODER_PREFIXES)]
    assert decoders and not any(torch.equal(tensors[name], model.state_dict()[name]) for name in decoders)
    assert alone.notes == {"stage": "second"}
    assert alone.tensors.keys() == set(decoders)


def test_it_is_as_large_as_the_decoder(pair: tuple[Path, Path, Path]) -> None:
    _, whole, alone = pair
    weights = sum(2 * tensor.numel() for tensor in read_checkpoint(alone).tensors.values())
    assert weights < alone.stat().st_size < whole.stat().st_size


def refusal(call: Any) -> CheckpointRejected:
    with pytest.raises(CheckpointRejected) as caught:
        call()
    return caught.value


def test_by_itself_it_is_refused_with_a_way_on(pair: tuple[Path, Path, Path]) -> None:
    error = refusal(lambda: load_model(read_checkpoint(pair[2])))
    assert error.where == str(pair[2]) and "decoder alone" in str(error)
    assert error.hint is not None and "--ckpt-mse" in error.hint


def changed(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """The checkpoint with another encoder."""
    model = load_model(checkpoint)
    for name, tensor in model.state_dict().items():
        if name.startswith("analysis."):
            tensor.add_(0.25)
    save_checkpoint(path, model, checkpoint.family, "tiny", {}, torch.float16)
    return read_checkpoint(path)


def test_beside_another_encoder_it_is_refused(pair: tuple[Path, Path, Path], tmp_path: Path) -> None:
    first, _, alone = map(read_checkpoint, pair)
    other = changed(first, tmp_path / "other.safetensors")
    error = refusal(lambda: load_models(other, alone))
    assert error.where == str(pair[2]) and "other.safetensors" in str(error)


def test_it_is_not_written_beside_another_encoder(pair: tuple[Path, Path, Path], tmp_path: Path) -> None:
    first, whole, _ = map(read_checkpoint, pair)
    other, path = changed(first, tmp_path / "other.safetensors"), tmp_path / "new.safetensors"
    with pytest.raises(InvalidArgument, match="another encoder"):
        save_checkpoint(path, load_model(whole), whole.family, "tiny", {}, torch.float16, beside=other)
    assert not path.exists()


def test_the_script_that_halves_for_shipping_writes_it(pair: tuple[Path, Path, Path], tmp_path: Path) -> None:
    first, whole, alone = pair
    halve = runpy.run_path(str(ROOT / "scripts" / "halve.py"))["halve"]
    output = tmp_path / "shipped.safetensors"
    halve(whole, output, first)
    written, expected = read_checkpoint(output), read_checkpoint(alone)
    assert (written.rest, written.notes) == (expected.rest, expected.notes)
    assert written.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(written.tensors[name], tensor) for name, tensor in expected.tensors.items())
    with pytest.raises(OutputExists):
        halve(whole, output, first)
