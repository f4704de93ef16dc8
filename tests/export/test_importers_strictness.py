"""Every importer refuses with the same words what does not fit, and every error names its file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_importers_compressai
import test_importers_neural_compression
import torch
from torch import Tensor

from edgecodec.errors import CannotRead, CheckpointRejected
from edgecodec_export import export_bundle
from edgecodec_export.checkpoints import load_model, read_checkpoint, save_checkpoint
from edgecodec_export.checkpoints.importers import IMPORTERS
from edgecodec_export.options import ExportOptions
from support.make_tiny_bundle import second_decoder, tiny_model

Content = dict[Any, Any]

NUMBER = torch.zeros(1)
OPTIONS = {"normalize_input_image": True, "likelihood_type": "gaussian", "latent_channels": 220, "n_residual_blocks": 0}

#: For each origin, the entries by which it is recognised, and the file that holds them.
RECOGNISED: dict[str, tuple[tuple[str, ...], Callable[[Content], Content]]] = {
    "Justin-Tan/generative-compression": (("generator/decoder/conv2d/bias",), lambda state: state),
    "CompressAI": (("g_a.6.weight", "h_s.4.weight", "entropy_bottleneck.quantiles"), lambda state: state),
    "CRDR": (("encoder.interp_ca_list.0.weight",), lambda state: {"comp_model": state}),
    "fidelity_controllable_compression": (("contextmodel.c1.weight",), lambda state: {"comp_model": state}),
    "Justin-Tan/high-fidelity-generative-compression": (
        ("Hyperprior.analysis_net.conv1.bias",),
        lambda state: {"args": OPTIONS, "model_state_dict": state},
    ),
    "NeuralCompression": (("encoder.blocks.5.weight", "hyper_bottleneck.quantiles"), lambda state: state),
}


def stored(origin: str, path: Path, changes: Content) -> Path:
    """A file of that origin with a few of its entries, and `changes`."""
    names, whole = RECOGNISED[origin]
    torch.save(whole(dict.fromkeys(names, NUMBER) | changes), path)
    return path


def refusal(path: Path) -> CheckpointRejected:
    with pytest.raises(CheckpointRejected) as refused:
        read_checkpoint(path)
    assert refused.value.where == str(path)
    return refused.value


def test_every_importer_is_tried() -> None:
    assert [importer.ORIGIN.split(" ")[0] for importer in IMPORTERS] == list(RECOGNISED)


@pytest.mark.parametrize("origin", RECOGNISED)
def test_what_is_missing_or_unused_is_listed_with_the_file(origin: str, tmp_path: Path) -> None:
    error = refusal(stored(origin, tmp_path / "x.pt", {"elsewhere": NUMBER}))
    assert error.message.startswith(f"does not fit the layout of {origin}")
    assert "\n  elsewhere: unused\n" in error.message and ": missing\n" in error.message


@pytest.mark.parametrize("origin", RECOGNISED)
@pytest.mark.parametrize("key", [3, b"bias", ("a", 1), None])
def test_keys_that_are_not_names_are_refused(origin: str, key: Any, tmp_path: Path) -> None:
    error = refusal(stored(origin, tmp_path / "x.pt", {key: NUMBER}))
    assert error.message == f"holds keys that are not names:\n  {key!r}: of type {type(key).__name__}"


@pytest.mark.parametrize("origin", RECOGNISED)
def test_entries_that_are_not_tensors_are_listed(origin: str, tmp_path: Path) -> None:
    name = RECOGNISED[origin][0][0]
    error = refusal(stored(origin, tmp_path / "x.pt", {name: "text"}))
    assert f"\n  {name}: is of type str, should be a tensor" in error.message


WITH_BOTTLENECK = {
    "entropy_bottleneck": test_importers_compressai.scales_only,
    "hyper_bottleneck": test_importers_neural_compression.small,
}


@pytest.mark.parametrize("name", WITH_BOTTLENECK)
def test_a_parameter_in_both_spellings_is_refused(name: str, tmp_path: Path) -> None:
    state: dict[str, Tensor] = WITH_BOTTLENECK[name]()
    torch.save(state | {f"{name}.matrices.0": state[f"{name}._matrix0"]}, tmp_path / "x.pt")
    assert f"{name}._matrix0: there twice" in refusal(tmp_path / "x.pt").message


def test_a_constant_that_is_not_a_tensor_is_refused(tmp_path: Path) -> None:
    torch.save(test_importers_compressai.scales_only() | {"gaussian_conditional.scale_bound": 0.11}, tmp_path / "x.pt")
    assert "gaussian_conditional.scale_bound" in refusal(tmp_path / "x.pt").message


def test_the_error_for_a_model_that_cannot_be_built_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_checkpoint(path, tiny_model(), "hific", "tiny", {})
    checkpoint = read_checkpoint(path)
    del checkpoint.tensors["analysis.0.weight"]
    with pytest.raises(CheckpointRejected, match=r"analysis\.0\.weight: missing") as refused:
        load_model(checkpoint)
    assert refused.value.where == str(path)


def test_a_second_decoder_that_is_not_finite_is_refused_by_its_file(tmp_path: Path) -> None:
    main, mse = tmp_path / "gan.safetensors", tmp_path / "mse.safetensors"
    second: Any = second_decoder(tiny_model())
    with torch.no_grad():
        second.synthesis.image.bias[1] = np.nan
    for path, model in ((main, tiny_model()), (mse, second)):
        save_checkpoint(path, model, "hific", "tiny", {})
    with pytest.raises(CheckpointRejected, match=r"synthesis\.image\.bias: .* not finite") as refused:
        export_bundle(ExportOptions([main], tmp_path / "out", mse_checkpoints=[mse]))
    assert refused.value.where == str(mse)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="needs a file that cannot be read, even by root")
def test_a_file_that_cannot_be_read_is_reported_as_that() -> None:
    with pytest.raises(CannotRead) as refused:
        read_checkpoint(Path("/proc/self/mem"))
    assert refused.value.where == "/proc/self/mem"


def test_damage_anywhere_in_a_file_is_refused(tmp_path: Path) -> None:
    """Each of these makes the library that opens it raise another kind of exception."""
    arrays: dict[str, Any] = {"generator/decoder/conv2d/bias": np.arange(960, dtype=np.float32)}
    np.savez_compressed(tmp_path / "whole.npz", **arrays)
    archive = bytearray((tmp_path / "whole.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole:
        (entry,) = whole.infolist()
    extra = int.from_bytes(archive[28:30], "little")
    archive[30 + len(entry.filename) + extra] |= 0b110  # a kind of block that deflate does not have
    for name, damaged in {"a.npz": bytes(archive), "b.pt": b"\x80\x02.", "c.pt": b"\x80\x02X\x01"}.items():
        (tmp_path / name).write_bytes(damaged)
        refusal(tmp_path / name)
