"""Every imported or built model can be saved as edgecodec's own checkpoint and computes the same when read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import test_importers_agustsson_tf1
import test_importers_compressai
import test_importers_justin_tan
import test_importers_neural_compression
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.calibration import to_tensor
from edgecodec_export.checkpoints import Checkpoint, load_model, read_checkpoint, save_checkpoint
from edgecodec_export.checkpoints.configuration import configuration_text, parse_configuration
from edgecodec_export.checkpoints.importers.agustsson_tf1 import AgustssonTf1
from edgecodec_export.checkpoints.importers.compressai import CompressAI
from edgecodec_export.checkpoints.importers.justin_tan import JustinTan
from edgecodec_export.checkpoints.importers.neural_compression import NeuralCompression
from edgecodec_export.families import FAMILIES, Hific, LearnedCodec, hific
from support.make_tiny_bundle import tiny_pictures
from support.tiny_codecs import PRESETS, tiny_codec

IMPORTED: dict[str, Callable[[], Checkpoint]] = {
    "justin-tan": lambda: JustinTan().read(test_importers_justin_tan.saved(test_importers_justin_tan.small())),
    "neural-compression": lambda: NeuralCompression().read(test_importers_neural_compression.small()),
    "mbt2018-mean": lambda: CompressAI().read(test_importers_compressai.means_and_scales()),
    "bmshj2018-hyperprior": lambda: CompressAI().read(test_importers_compressai.scales_only()),
}


@torch.no_grad()
def results(model: LearnedCodec) -> list[Tensor]:
    """Latents of a picture, and the picture of drawn latents."""
    latents = model.encode(to_tensor(tiny_pictures()[1][:64, :128]))
    generator = torch.Generator().manual_seed(1)
    drawn = [
        torch.randint(0, 3, (1, each.channels, 64 // each.stride, 128 // each.stride), generator=generator).float()
        for each in model.decoder_latents()
    ]
    return [*latents, model.decode(*drawn)]


def saved(model: LearnedCodec, path: Path, preset: str = "any name") -> Path:
    save_checkpoint(path, model, model.FAMILY, preset, {"origin": "somewhere"})
    return path


def assert_same(again: Checkpoint, model: LearnedCodec) -> None:
    assert again.configuration == model.preset and again.notes == {"origin": "somewhere"}
    for found, expected in zip(results(load_model(again)), results(model), strict=True):
        assert torch.equal(found, expected) and expected.std() > 0


@pytest.mark.parametrize("origin", IMPORTED)
def test_an_imported_model_is_saved_and_computes_the_same(origin: str, tmp_path: Path) -> None:
    model = load_model(IMPORTED[origin]())
    assert_same(read_checkpoint(saved(model, tmp_path / "own.safetensors")), model)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "agustsson-sc"])
def test_a_model_of_any_configuration_is_saved_and_computes_the_same(name: str, tmp_path: Path) -> None:
    assert_same(read_checkpoint(saved(tiny_codec(name), tmp_path / "own.safetensors")), tiny_codec(name))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_configuration_survives_as_text(family: str) -> None:
    for preset in FAMILIES[family].PRESETS.values():
        assert parse_configuration(type(preset), configuration_text(preset)) == preset


def test_the_configuration_of_tensorflow_weights_survives_as_text() -> None:
    preset = AgustssonTf1().read(test_importers_agustsson_tf1.blank()).configuration
    assert preset not in FAMILIES["agustsson"].PRESETS.values()
    assert parse_configuration(type(preset), configuration_text(preset)) == preset


def test_without_its_configuration_an_imported_model_would_be_another(tmp_path: Path) -> None:
    """The conventions of its origin change no shape, so nothing else could tell."""
    model = load_model(IMPORTED["justin-tan"]())
    zero_padded = Hific(replace(model.preset, padding="zero", signed_images=False)).eval()
    zero_padded.load_state_dict(model.state_dict())
    again = load_model(read_checkpoint(saved(model, tmp_path / "own.safetensors")))
    assert not torch.equal(results(again)[-1], results(zero_padded)[-1])


def rewritten(path: Path, **changes: str | None) -> Path:
    """The file with other metadata; None takes an entry away."""
    with safe_open(path, framework="pt") as stored:
        metadata = stored.metadata() | changes
    save_file(load_file(path), path, {name: text for name, text in metadata.items() if text is not None})
    return path


def test_a_file_from_before_configurations_were_stored_is_read_by_its_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rewritten(saved(tiny_codec("hific"), tmp_path / "old.safetensors", "tiny"), configuration=None)
    assert read_checkpoint(path).configuration is None
    with pytest.raises(CheckpointRejected, match="unknown preset 'tiny'"):
        load_model(read_checkpoint(path))
    monkeypatch.setitem(Hific.PRESETS, "tiny", PRESETS["hific"])
    for found, expected in zip(results(load_model(read_checkpoint(path))), results(tiny_codec("hific")), strict=True):
        assert torch.equal(found, expected)


def changed(**fields: Any) -> str:
    """The configuration of the tiny HiFiC with other fields; None takes one away."""
    configuration = json.loads(configuration_text(PRESETS["hific"])) | fields
    return json.dumps({name: value for name, value in configuration.items() if value is not None})


def test_a_field_added_later_has_its_default() -> None:
    assert parse_configuration(hific.Preset, changed(pads_latent=None)) == PRESETS["hific"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not an object"),
        (changed(depth=3), "depth: unknown"),
        (changed(latent_channels=None), "latent_channels: missing"),
        (changed(latent_channels="8"), "latent_channels: cannot be '8'"),
        (changed(latent_channels=True), "latent_channels: cannot be True"),
        (changed(widths=[4, 8, 8, 16]), r"widths: cannot be \[4, 8, 8, 16\]"),
        (changed(widths=[4, 8, 8, 16, 1.5]), "widths: cannot be"),
        (changed(padding="circular"), "padding: cannot be 'circular'"),
        (changed(padding=["zero"]), "padding: cannot be"),
        (changed(signed_images=1), "signed_images: cannot be 1"),
    ],
)
def test_a_configuration_that_is_not_one_of_the_family_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = rewritten(saved(tiny_codec("hific"), tmp_path / "bad.safetensors"), configuration=text)
    with pytest.raises(CheckpointRejected, match=message) as refused:
        read_checkpoint(path)
    assert refused.value.where == str(path)


def test_a_configuration_of_other_sizes_is_refused_with_the_list(tmp_path: Path) -> None:
    path = rewritten(saved(tiny_codec("hific"), tmp_path / "bad.safetensors"), configuration=changed(latent_channels=9))
    with pytest.raises(CheckpointRejected, match=r"synthesis\.head\.1\.weight: has shape"):
        load_model(read_checkpoint(path))
