"""Odd and damaged checkpoints are refused with the actual reason, never with another one or by a crash."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_importers_compressai
import test_importers_crdr
import test_importers_justin_tan
import test_importers_neural_compression
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from edgecodec.errors import CheckpointRejected, EdgecodecError
from edgecodec_export import originals, pipeline
from edgecodec_export.checkpoints import load_model, read_checkpoint, save_checkpoint
from edgecodec_export.checkpoints.importers.compressai import CompressAI
from edgecodec_export.checkpoints.importers.crdr import CrdrCheckpoints
from edgecodec_export.checkpoints.importers.justin_tan import JustinTan
from edgecodec_export.checkpoints.importers.neural_compression import NeuralCompression
from edgecodec_export.entropy.cost import as_int16
from edgecodec_export.options import ExportOptions
from edgecodec_export.text import printable
from support.make_tiny_bundle import tiny_halves
from support.tiny_codecs import tiny_codec

State = dict[str, Tensor]

compressai = test_importers_compressai.scales_only
neural_compression = test_importers_neural_compression.small


def justin_tan(state: State | None = None) -> dict[str, Any]:
    return test_importers_justin_tan.saved(test_importers_justin_tan.small() if state is None else state)


def stored(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def refusal(read: Callable[[], Any]) -> list[str]:
    """The lines of the message."""
    with pytest.raises(CheckpointRejected) as refused:
        read()
    return str(refused.value).split("\n  ")


# ---- names of no layout ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("encoder.whatever._offset", "foo.scale_table", "g_a.9.target", "g_a.0.likelihood_lower_bound.bound"),
        *("foo.scale_bound", "g_a.9.beta_reparam.pedestal", "entropy_bottleneck.scale_table", "foo.matrices.0"),
    ],
)
def test_tables_of_an_entropy_model_that_is_not_there_are_unused(name: str) -> None:
    extra = {name: torch.full((1,), 0.11)}
    assert refusal(lambda: CompressAI().read(compressai() | extra))[1:] == [f"{name}: unused"]


def test_tables_of_another_layouts_entropy_model_are_unused() -> None:
    extra = {"entropy_bottleneck._offset": torch.zeros(3)}
    for read, content in (
        (NeuralCompression().read, neural_compression() | extra),
        (CrdrCheckpoints().read, {"comp_model": test_importers_crdr.released() | extra}),
    ):
        assert refusal(partial(read, content))[1:] == ["entropy_bottleneck._offset: unused"]


# ---- missing tensors -------------------------------------------------------------------------------------------------

WHOLE: dict[str, tuple[Callable[[], State], Callable[[State], Any]]] = {
    "hyperprior": (compressai, CompressAI().read),
    "hific": (neural_compression, NeuralCompression().read),
    "hific-jt": (test_importers_justin_tan.small, lambda state: JustinTan().read(justin_tan(state))),
}


@pytest.mark.parametrize("layout", WHOLE)
def test_one_tensor_that_is_missing_or_misshapen_is_alone_in_the_list(layout: str) -> None:
    make, read = WHOLE[layout]
    state = make()
    names = [name for name in state if name.endswith((".bias", ".weight", ".beta", ".gamma")) and "Discr" not in name]
    for name in names[::2]:
        without = {each: tensor for each, tensor in state.items() if each != name}
        assert refusal(partial(read, without))[1:] == [f"{name}: missing"]
        wrong = state | {name: torch.zeros(5)}
        assert refusal(partial(read, wrong))[1:] == [f"{name}: has shape (5,), should have {tuple(state[name].shape)}"]


def test_widths_are_read_from_other_tensors_if_some_are_missing() -> None:
    state = compressai()
    gone = [name for name in state if name.startswith("g_a.0.")]
    kept = {name: tensor for name, tensor in state.items() if name not in gone}
    assert refusal(lambda: CompressAI().read(kept))[1:] == ["g_a.0.bias: missing", "g_a.0.weight: missing"]


@pytest.mark.parametrize(
    ("family", "content", "lines"),
    [
        (
            "hyperprior",
            lambda: {name: tensor for name, tensor in compressai().items() if name != "h_s.4.weight"},
            ["h_s.4.weight: missing"],
        ),
        (
            "hific",
            lambda: {name: each for name, each in neural_compression().items() if name != "hyper_bottleneck.quantiles"},
            ["hyper_bottleneck.quantiles: missing"],
        ),
    ],
)
def test_with_a_named_family_the_reasons_against_recognition_are_listed(
    family: str, content: Callable[[], Any], lines: list[str], tmp_path: Path
) -> None:
    path = stored(content(), tmp_path / "x.pt")
    assert refusal(lambda: read_checkpoint(path, family))[1:] == lines
    assert "--family" in refusal(lambda: read_checkpoint(path))[0]


def test_very_long_lists_are_cut_for_each_kind_of_problem(tmp_path: Path) -> None:
    path = stored({f"net.{i}": torch.zeros(1) for i in range(100)}, tmp_path / "x.pt")
    lines = refusal(lambda: read_checkpoint(path, "hyperprior"))[1:]
    assert lines[12] == "and 88 more unused" and lines[-1].endswith(" more missing") and len(lines) == 26


def test_a_pair_of_two_families_is_refused() -> None:
    for main, mse, line in (
        ("fidelity", "hific-reflect", "family: 'fidelity' and 'hific'"),
        ("hific-reflect", "fidelity", "family: 'hific' and 'fidelity'"),
    ):
        models = tiny_codec(main), tiny_codec(mse)
        assert refusal(partial(models[0].baking, mse=models[1]))[1].startswith(line)


# ---- arrays and numbers of NumPy -------------------------------------------------------------------------------------


def test_arrays_in_a_pytorch_file_are_tensors(tmp_path: Path) -> None:
    plain = CompressAI().read(compressai()).tensors
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in compressai().items()}
    arrays["g_a.0.weight"] = np.asfortranarray(arrays["g_a.0.weight"])
    arrays["g_a.0.bias"] = arrays["g_a.0.bias"].astype(">f4")
    path = stored(arrays, tmp_path / "x.pt")
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    earlier = tmp_path / "earlier.pt"
    with zipfile.ZipFile(earlier, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    np.savez(tmp_path / "x.npz", **arrays)
    for each in (path, earlier, tmp_path / "x.npz"):
        tensors = read_checkpoint(each).tensors
        assert all(torch.equal(tensor, plain[name]) for name, tensor in tensors.items())


def test_numpy_numbers_among_the_options_become_python_numbers(tmp_path: Path) -> None:
    content = justin_tan()
    content["args"] |= {
        "n_residual_blocks": np.int64(2),
        "normalize_input_image": np.bool_(False),
        "beta": np.float32(1),
    }
    checkpoint = read_checkpoint(stored(content, tmp_path / "x.pt"))
    assert type(checkpoint.configuration.signed_images) is bool
    save_checkpoint(tmp_path / "own.safetensors", load_model(checkpoint), "hific", "any", checkpoint.notes)
    assert read_checkpoint(tmp_path / "own.safetensors").configuration == checkpoint.configuration


class Pretence:
    """Pickles as a call of something with arguments, and a state."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


def _array(data: bytes, kind: Any = "f4", shape: Any = (2,), state: Any = (3, "<", None, None, None, -1, -1, 0)) -> Any:
    rebuild = np.zeros(1).__reduce__()[0]
    return Pretence(
        rebuild, (np.ndarray, (0,), b"b"), (1, shape, Pretence(np.dtype, (kind, False, True), state), False, data)
    )


@pytest.mark.parametrize(
    "odd",
    [
        np.array([{}], object),
        np.array(["text"]),
        np.zeros(2, [("a", "f4")]),
        _array(b"1234567"),
        _array(b"12345678", shape=(-1,)),
        _array(b"12345678", shape=(10**30,)),
        _array(b"12345678", shape=2),
        _array(b"12345678", state=(3, "?", None, None, None, -1, -1, 0)),
        _array(b"12345678", state=()),
        _array(b"12345678", kind=3),
        _array(b"12345678", kind=[]),
        Pretence(np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), 3),
        Pretence(np.ndarray, ((2,),)),
    ],
)
def test_arrays_that_are_not_plain_numbers_are_refused(odd: Any, tmp_path: Path) -> None:
    path = stored(compressai() | {"g_a.0.bias": odd}, tmp_path / "x.pt")
    refusal(lambda: read_checkpoint(path))
    assert refusal(lambda: read_checkpoint(path, "hyperprior"))


def test_what_safe_loading_refuses_is_named_and_what_to_save_instead(tmp_path: Path) -> None:
    path = stored(justin_tan() | {"args": argparse.Namespace(latent_channels=7)}, tmp_path / "x.pt")
    (line,) = refusal(lambda: read_checkpoint(path))
    assert "it holds argparse.Namespace, which" in line and "model.state_dict()" in line


# ---- tensors that are not weights ------------------------------------------------------------------------------------

_DENSE = torch.ones(16)
ODD: dict[str, tuple[Tensor, str]] = {
    "sparse": (_DENSE.to_sparse(), "is sparse or nested"),
    "meta": (torch.ones(16, device="meta"), "has no values"),
    "complex": (_DENSE.to(torch.complex64), "holds complex64"),
    "int8": (_DENSE.to(torch.int8), "holds int8"),
    "int64": (_DENSE.to(torch.int64), "holds int64"),
    "bool": (_DENSE.to(torch.bool), "holds bool"),
    "float8": (_DENSE.to(torch.float8_e4m3fn), "holds float8_e4m3fn"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["g_a.6.bias", "gaussian_conditional.scale_bound", "g_a.1.beta_reparam.pedestal"])
def test_tensors_that_are_not_weights_are_refused_by_name(kind: str, name: str, tmp_path: Path) -> None:
    tensor, why = ODD[kind]
    path = stored(compressai() | {name: tensor}, tmp_path / "x.pt")
    assert f"{name}: {why}" in refusal(lambda: read_checkpoint(path))[-1]


def test_half_and_double_precision_are_weights() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        state = compressai()
        state["g_a.6.bias"] = state["g_a.6.bias"].to(dtype)
        assert CompressAI().read(state).tensors["analysis.6.bias"].dtype == torch.float32


def own(path: Path, **changes: Any) -> Path:
    """A small checkpoint of edgecodec's own with other tensors or metadata."""
    model = tiny_codec("fidelity")
    save_checkpoint(path, model, model.FAMILY, "tiny", {})
    with safe_open(path, framework="pt") as whole:
        metadata = whole.metadata()
    tensors = load_file(path) | {name: each for name, each in changes.items() if isinstance(each, Tensor)}
    save_file(tensors, path, metadata | {name: each for name, each in changes.items() if isinstance(each, str)})
    return path


@pytest.mark.parametrize("kind", ["complex", "int8", "int64", "bool", "float8"])
def test_tensors_of_edgecodecs_own_file_that_are_not_weights_are_refused(kind: str, tmp_path: Path) -> None:
    tensor, why = ODD[kind]
    path = own(tmp_path / "own.safetensors", **{"analysis.0.first.bias": tensor})
    assert f"analysis.0.first.bias: {why}" in refusal(lambda: read_checkpoint(path))[1]


@pytest.mark.parametrize("channels", [10**30, 10**12, -1, 0])
def test_a_configuration_of_impossible_sizes_is_refused(channels: int, tmp_path: Path) -> None:
    text = f'{{"channels": 6, "latent_channels": {channels}, "context_channels": [8, 8], "components": 3}}'
    path = own(tmp_path / "own.safetensors", configuration=text)
    assert str(path) in refusal(lambda: load_model(read_checkpoint(path)))[0]


def test_notes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = own(tmp_path / "own.safetensors", notes='{"classes": "\\ud800"}')
    assert "metadata" in refusal(lambda: read_checkpoint(path))[0]


# ---- damage ----------------------------------------------------------------------------------------------------------


def test_damage_anywhere_is_an_error_of_edgecodecs_own(tmp_path: Path) -> None:
    """Bytes are changed where the effect is largest: in the pickle, and in the headers of every format."""
    paths = [
        stored(dict(list(compressai().items())[:4]) | {"a": np.ones(3)}, tmp_path / "zip.pt"),
        own(tmp_path / "own.safetensors"),
        tmp_path / "legacy.pt",
        tmp_path / "x.npz",
    ]
    torch.save({"a": torch.ones(3), "b": np.ones(3)}, paths[2], _use_new_zipfile_serialization=False)
    np.savez(paths[3], a=np.ones(3), b=np.ones((2, 2), np.float16))
    draw = random.Random(5)
    for path in paths:
        whole = path.read_bytes()
        for _ in range(150):
            damaged = bytearray(whole)
            for _ in range(draw.choice((1, 1, 4))):
                damaged[draw.randrange(min(len(whole), 1500))] = draw.randrange(256)
            path.write_bytes(damaged)
            with contextlib.suppress(EdgecodecError, MemoryError):
                load_model(read_checkpoint(path, draw.choice((None, "hyperprior", "hific"))))


# ---- parts that are left out -----------------------------------------------------------------------------------------


def test_parts_left_out_are_reported_and_recorded_in_the_provenance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, said = [], list[str]()
    monkeypatch.setattr(originals, "load_calibration_pictures", lambda *asked: None)
    monkeypatch.setattr(pipeline, "write_bundle", lambda output, loads, **options: sources.append(loads[0]().source))
    content = justin_tan() | {"discriminator_optimizer_state_dict": {}, "ema": torch.zeros(1), "epoch": 3}
    path = stored(content, tmp_path / "low.pt")
    pipeline.export_bundle(ExportOptions([path], tmp_path / "out"), progress=said.append)
    ((checkpoint,),) = [source.checkpoints for source in sources]
    assert checkpoint.notes["origin"].startswith("Justin-Tan") and checkpoint.notes["iterations"] == "200000"
    assert [line for line in said if "left out" in line] == [
        "low.pt, left out: Discriminator.* (20 tensors: training only);"
        " discriminator_optimizer_state_dict (beside the weights); ema (beside the weights)"
    ]
    assert checkpoint.notes["left out ema"] == "beside the weights"


def test_tables_left_out_are_counted() -> None:
    tables = {"entropy_bottleneck._offset": torch.zeros(12), "gaussian_conditional.scale_table": torch.zeros(64)}
    assert CompressAI().read(compressai() | tables).left_out["gaussian_conditional.*"].startswith("5 tensors")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_entropy_model_that_does_not_fit_into_integers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "load_calibration_pictures", lambda *asked: tiny_halves())
    state = compressai()
    state["entropy_bottleneck.quantiles"] = state["entropy_bottleneck.quantiles"] * 1e9
    path = stored(state, tmp_path / "x.pt")
    assert (
        "does not fit into integers"
        in refusal(lambda: pipeline.export_bundle(ExportOptions([path], tmp_path / "out")))[0]
    )


def test_latents_beyond_16_bits_are_refused_before_they_are_measured() -> None:
    for wild in (40_000, np.iinfo(np.int64).min):
        observation = SimpleNamespace(latents={"z": np.array([[[0, wild]]])})
        with pytest.raises(CheckpointRejected, match="latent z of a photograph"):
            as_int16(observation)


def test_names_that_are_not_text_are_escaped(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"tiny-\xff.pt")
    torch.save(compressai(), odd)
    assert read_checkpoint(odd).family == "hyperprior"
    assert printable(odd.name) == "tiny-\\udcff.pt" and printable("t\u00efny.pt") == "t\u00efny.pt"
    json.dumps(printable(odd.name), ensure_ascii=False).encode()
