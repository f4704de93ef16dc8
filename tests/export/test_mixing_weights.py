"""A mixture of two checkpoints has the weights between theirs, and says that it is one."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from edgecodec.errors import InvalidArgument, OutputExists
from edgecodec_export.checkpoints import read_checkpoint, save_checkpoint
from edgecodec_export.families.hyperprior import Hyperprior, Preset
from support.paths import ROOT
from support.tiny_codecs import tiny_codec


def mix(*arguments: object) -> None:
    runpy.run_path(str(ROOT / "scripts" / "mix.py"))["mix"](*arguments)


def saved(path: Path, family: str, stage: str, added: float = 0.0) -> Path:
    model: Any = copy.deepcopy(tiny_codec(family))
    for name, tensor in model.state_dict().items():
        if name.startswith(model.DECODER_PREFIXES):
            tensor.add_(added)
    save_checkpoint(path, model, family, "tiny", {"stage": stage})
    return path


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_each_weight_is_between_those_of_the_two(share: float, tmp_path: Path) -> None:
    before = saved(tmp_path / "before.safetensors", "crdr", "many-rates")
    after, mixed = saved(tmp_path / "after.safetensors", "crdr", "realism", 0.5), tmp_path / "mixed.safetensors"
    mix(before, after, share, mixed)
    first, second, found = map(read_checkpoint, (before, after, mixed))
    assert found.tensors.keys() == second.tensors.keys()
    assert any(not torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
    for name, weights in found.tensors.items():
        expected = (1 - share) * first.tensors[name].double() + share * second.tensors[name].double()
        torch.testing.assert_close(weights.double(), expected)
    assert found.notes == {
        "stage": "realism",
        "mixture": f"{share:g} of these weights and {1 - share:g} of those of many-rates",
    }
    with pytest.raises(OutputExists):
        mix(before, after, share, mixed)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    crdr = saved(tmp_path / "crdr.safetensors", "crdr", "one")
    hific, output = saved(tmp_path / "hific.safetensors", "hific", "two"), tmp_path / "mixed.safetensors"
    reshaped = tmp_path / "reshaped.safetensors"
    save_checkpoint(reshaped, Hyperprior(Preset(6, 12)), "hyperprior", "tiny", {})
    other_shapes = saved(tmp_path / "hyperprior.safetensors", "hyperprior", "three")
    for start, trained in ((hific, crdr), (other_shapes, reshaped)):
        with pytest.raises(InvalidArgument, match="was not its start"):
            mix(start, trained, 0.5, output)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidArgument, match="not between 0 and 1"):
            mix(crdr, crdr, share, output)
    assert not output.exists()
