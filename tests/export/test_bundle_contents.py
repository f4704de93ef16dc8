"""Whole exports: complete or absent, the same bytes when repeated, and readable by the runtime."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import edgecodec
from edgecodec.errors import (
    CannotRead,
    CannotWrite,
    CheckpointRejected,
    InvalidArgument,
    NotAnImage,
    OutputExists,
    VerificationFailed,
)
from edgecodec_export import export_bundle, pipeline
from edgecodec_export.calibration import DEFAULT_FOLDER, load_calibration_pictures
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.families import Hific
from edgecodec_export.options import ExportOptions
from edgecodec_export.report import ExportReport, summary
from edgecodec_export.text import Progress
from support.make_tiny_bundle import PRESET, second_decoder, tiny_model, tiny_pictures
from support.paths import ENVIRONMENT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two checkpoints that share an encoder, and four calibration pictures."""
    folder = tmp_path_factory.mktemp("inputs")
    save_checkpoint(folder / "main.safetensors", tiny_model(), "hific", "tiny", {"origin": "drawn", "steps": "0"})
    save_checkpoint(folder / "mse.safetensors", second_decoder(tiny_model()), "hific", "tiny", {})
    (folder / "photos").mkdir()
    for i, picture in enumerate(tiny_pictures()):
        Image.fromarray(picture).save(folder / "photos" / f"{i}.png")
    return folder


def export(inputs: Path, output: Path, progress: Progress = lambda line: None, **options: Any) -> ExportReport:
    main, mse = inputs / "main.safetensors", inputs / "mse.safetensors"
    asked = ExportOptions(
        [main], output, mse_checkpoints=[mse], calibration=inputs / "photos", **options, precision=("fp32",)
    )
    return export_bundle(asked, progress)


@pytest.fixture(scope="module")
def exported(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    output = tmp_path_factory.mktemp("exported") / "tiny.bundle"
    return output, export(inputs, output, knobs={"alpha": (0.0, 1.0)})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_manifest_describes_every_file_and_both_checkpoints(
    inputs: Path, exported: tuple[Path, ExportReport]
) -> None:
    folder, report = exported
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {name: data for name, data in contents(folder).items() if name != "manifest.json"}
    assert manifest["files"] == {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()
    }
    assert [(entry["role"], entry["name"], entry["notes"]) for entry in manifest["provenance"]["checkpoints"]] == [
        ("main", "main.safetensors", {"origin": "drawn", "steps": "0"}),
        ("mse", "mse.safetensors", {}),
    ]
    assert [entry["knobs"] for entry in manifest["graphs"]] == [{}, {"alpha": 0.0}, {"alpha": 1.0}]
    assert [(knob["name"], knob["default"]) for knob in manifest["knobs"]] == [("alpha", 1.0)]
    assert [model["id"] for model in manifest["models"]] == [each.id for each in report.models]
    assert manifest["entropy_cost"]["pictures"] == 2
    assert str(inputs) not in (folder / "manifest.json").read_text()
    assert report.size == sum(map(len, contents(folder).values()))
    assert all(error <= 1e-4 for error in report.errors.values())
    assert any("synthesis-alpha1.onnx" in line for line in summary(report))


def test_the_runtime_reproduces_the_golden_picture(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    manifest = json.loads((folder / "manifest.json").read_text())
    (golden,) = manifest["golden"]
    coded = folder / golden["file"]
    pictures = []
    for entry in golden["pictures"]:
        codec = edgecodec.open_bundle(folder, engine="onnxruntime", **entry["knobs"])
        latents = codec.decode_latents(coded)
        digest = hashlib.sha256(b"".join(latents[name].astype("<i2").tobytes() for name in ("z", "r")))
        assert digest.hexdigest() == golden["latents_sha256"]
        pictures.append(np.asarray(Image.open(folder / entry["file"])).astype(int))
        assert np.abs(codec.decode(coded).pixels.astype(int) - pictures[-1]).max() <= 1
    assert pictures[0].shape == (133, 203, 3)
    assert np.abs(pictures[0] - pictures[1]).max() > 1, "the two decoders must give different pictures"


def test_a_single_checkpoint_gives_one_decoder_without_knobs(inputs: Path, tmp_path: Path) -> None:
    export_bundle(
        ExportOptions([inputs / "main.safetensors"], tmp_path / "b", calibration=inputs / "photos", precision=("fp32",))
    )
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    decoders = [graph for graph in manifest["graphs"] if graph["side"] == "decode"]
    assert [(graph["file"], graph["knobs"]) for graph in decoders] == [("synthesis.onnx", {})]
    assert manifest["knobs"] == []
    (model,) = edgecodec.open_bundle(tmp_path / "b", engine="onnxruntime").info.models
    assert [model.id] == [each["id"] for each in manifest["models"]]


def test_a_failed_export_leaves_nothing_and_keeps_what_was_there(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> float:
        raise VerificationFailed("differs")

    monkeypatch.setattr(pipeline, "export_graphs", refuse)
    with pytest.raises(VerificationFailed):
        export(inputs, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.json").write_text("{}")
    with pytest.raises(VerificationFailed):
        export(inputs, tmp_path / "old", force=True)
    assert contents(tmp_path) == {"old/manifest.json": b"{}"}


def test_an_export_that_is_terminated_leaves_nothing(inputs: Path, tmp_path: Path) -> None:
    """By SIGTERM, as services and containers are stopped."""
    command: list[str | Path] = [sys.executable, "-m", "edgecodec", "export"]
    command += ["-o", tmp_path / "out" / "tiny.bundle"]
    command += ["--ckpt", inputs / "main.safetensors", "--ckpt-mse", inputs / "mse.safetensors"]
    command += ["--alpha", ",".join(map(str, np.linspace(0, 1, 101))), "--calibration", inputs / "photos"]
    default: dict[str, Any] = {"preexec_fn": lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=ENVIRONMENT, **default) as process:
        assert process.stderr is not None
        try:
            while process.stderr.readline() != b"freezing the entropy model\n":
                assert process.poll() is None
            (begun,) = (tmp_path / "out").iterdir()
            assert begun.suffix == ".part"
            process.terminate()
            assert process.wait(timeout=60) == 143
        finally:
            process.kill()
    assert not list((tmp_path / "out").iterdir())


@pytest.fixture
def one_thread_more() -> Iterator[None]:
    """PyTorch with another number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    yield
    torch.set_num_threads(before)


def test_force_replaces_a_bundle_with_the_same_bytes_as_any_other_export(
    inputs: Path, exported: tuple[Path, ExportReport], one_thread_more: None, tmp_path: Path
) -> None:
    output = tmp_path / "another name"
    output.mkdir()
    (output / "manifest.json").write_text("{}")
    (output / "stale").write_text("")
    with pytest.raises(OutputExists, match="--force"):
        export(inputs, output)
    export(inputs, output, knobs={"alpha": (1, 0, 1)}, force=True)
    assert contents(output) == contents(exported[0])
    assert [path.name for path in tmp_path.iterdir()] == ["another name"]


def test_force_does_not_replace_a_folder_that_is_not_a_bundle(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "beach.jpg").write_text("")
    with pytest.raises(OutputExists, match="not a bundle"):
        export(inputs, tmp_path, force=True)
    assert (tmp_path / "beach.jpg").exists()


def test_options_that_cannot_work_are_refused_before_any_work(inputs: Path, tmp_path: Path) -> None:
    main = inputs / "main.safetensors"
    progress: list[str] = []
    with pytest.raises(InvalidArgument, match="two decoders"):
        export_bundle(ExportOptions([main], tmp_path / "b", knobs={"alpha": (0.5,)}, precision=("fp32",)))
    with pytest.raises(InvalidArgument, match="between 0 and 1"):
        export(inputs, tmp_path / "b", knobs={"alpha": (2.0,)}, progress=progress.append)
    with pytest.raises(CannotRead):
        export_bundle(ExportOptions([inputs / "absent.safetensors"], tmp_path / "b", precision=("fp32",)))
    other: Any = second_decoder(tiny_model())
    other.analysis[0].weight.data[0, 0, 0, 0] += 1
    save_checkpoint(tmp_path / "other.safetensors", other, "hific", "tiny", {})
    with pytest.raises(CheckpointRejected, match=r"analysis\.0\.weight"):
        export_bundle(
            ExportOptions(
                [main], tmp_path / "b", mse_checkpoints=[tmp_path / "other.safetensors"], precision=("fp32",)
            ),
            progress=progress.append,
        )
    signed = Hific(replace(PRESET, signed_images=True))
    signed.load_state_dict(second_decoder(tiny_model()).state_dict())
    save_checkpoint(tmp_path / "other.safetensors", signed, "hific", "tiny", {})
    with pytest.raises(CheckpointRejected, match=r"signed_images: False and True"):
        export_bundle(
            ExportOptions(
                [main], tmp_path / "b", mse_checkpoints=[tmp_path / "other.safetensors"], precision=("fp32",)
            ),
            progress=progress.append,
        )
    assert progress == ["reading checkpoints"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["other.safetensors"]


def test_a_name_that_is_too_long_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="has 256 bytes"):
        export_bundle(ExportOptions([tmp_path / "absent.safetensors"], tmp_path / ("n" * 256)))


def test_calibration_pictures_are_split_and_cut_to_the_alignment(inputs: Path, tmp_path: Path) -> None:
    pictures = load_calibration_pictures(None, 64)
    assert len(pictures.calibrating) >= 6 and len(pictures.measuring) >= 6, DEFAULT_FOLDER
    for picture in (*pictures.calibrating, *pictures.measuring):
        assert picture.shape[0] % 64 == picture.shape[1] % 64 == 0 and picture.shape[2] == 3
    torch.from_numpy(pictures.measuring[0])
    with pytest.raises(InvalidArgument, match="at least two"):
        load_calibration_pictures(tmp_path, 64)
    for name in ("a.png", "b.png"):
        Image.fromarray(tiny_pictures()[0][:63]).save(tmp_path / name)
    with pytest.raises(InvalidArgument, match="smaller than 64"):
        load_calibration_pictures(tmp_path, 64)
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(NotAnImage):
        load_calibration_pictures(tmp_path, 64)
