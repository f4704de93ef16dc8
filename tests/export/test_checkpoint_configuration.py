"""What a file says of its model costs nothing that the file does not hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints import Checkpoint, load_model
from edgecodec_export.families import FAMILIES
from support.tiny_codecs import PRESETS, tiny_codec


def claiming(name: str, **fields: Any) -> Checkpoint:
    """The tensors of a tiny codec under another configuration."""
    tensors = {key: tensor.float() for key, tensor in tiny_codec(name).state_dict().items()}
    return Checkpoint(name.partition("-")[0], "tiny", {}, tensors, replace(PRESETS[name], **fields))


@pytest.mark.parametrize(
    ("name", "field", "count"),
    [
        ("hific", "widths", (60_000,) * 5),
        ("hific", "widths", (4, 6, 8, 10, 4000)),
        ("hific", "residual_blocks", 10_000),
        ("crdr", "slices", 10_000),
        ("agustsson-sc", "classes", 10_000),
        ("tunable", "latent_channels", 10_000),
        ("fidelity", "context_channels", (8, 10_000)),
    ],
)
def test_counts_that_no_tensor_of_the_file_reaches_are_refused(
    name: str, field: str, count: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = claiming(name, **{field: count})
    monkeypatch.setattr(FAMILIES[checkpoint.family], "__init__", lambda *_: pytest.fail("the model is laid out"))
    with pytest.raises(CheckpointRejected) as refused:
        load_model(checkpoint)
    assert str(refused.value).splitlines()[1:] == [f"  {field}: {count!r}"]


def test_sides_of_empty_tensors_do_not_count() -> None:
    checkpoint = claiming("hific", residual_blocks=10_000)
    checkpoint.tensors["hollow"] = torch.zeros(0, 10_000)
    with pytest.raises(CheckpointRejected, match="residual_blocks: 10000"):
        load_model(checkpoint)


@pytest.mark.parametrize("name", PRESETS)
def test_the_counts_of_every_codec_are_accepted(name: str) -> None:
    load_model(claiming(name))


@pytest.mark.parametrize(
    ("name", "field", "count", "said"),
    [
        ("hific", "latent_channels", -1, "hific cannot be built with Preset"),
        ("crdr", "slices", 0, "crdr cannot be built with Preset"),
        ("tunable", "latent_channels", 0, "would have empty tensors"),
        ("hific", "widths", (4, 8, 8, 16, 15), "should have"),
    ],
)
def test_counts_that_do_not_fit_are_refused_before_a_model_has_weights(
    name: str, field: str, count: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = claiming(name, **{field: count})
    family = FAMILIES[checkpoint.family]
    made = family.__init__

    def layout_only(self: Any, preset: Any) -> None:
        assert torch.empty(0).is_meta, "a model is made"
        made(self, preset)

    monkeypatch.setattr(family, "__init__", layout_only)
    with pytest.raises(CheckpointRejected, match=said):
        load_model(checkpoint)
