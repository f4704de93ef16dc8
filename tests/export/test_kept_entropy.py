"""`export --entropy-from`: old files decode with the new bundle; the entropy model of another checkpoint is refused."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import nn

import edgecodec
from edgecodec.errors import BundleChanged, ModelMismatch, NotABundle
from edgecodec.verify import verify
from edgecodec_export import export_bundle, pipeline
from edgecodec_export.bundle.description import Source
from edgecodec_export.calibration import CalibrationPictures
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.entropy.cost import EntropyCost
from edgecodec_export.entropy.kept import LARGEST_OVERHEAD, LARGEST_OVERHEAD_OF_COUNTS, keep_entropy, require_fit
from edgecodec_export.families import Hyperprior, LearnedCodec
from edgecodec_export.options import ExportOptions
from edgecodec_export.originals import Original
from support.command_line import run_command
from support.make_tiny_bundle import tiny_pictures
from support.tiny_codecs import PRESETS, tiny_codec

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]


def picture() -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(tiny_pictures(9)[8][:71, :85])


def save(path: Path, model: LearnedCodec, preset: str = "tiny") -> Path:
    save_checkpoint(path, model, model.FAMILY, preset, {})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, two sets of photographs, and a bundle calibrated on those in "here" with a file that it coded."""
    folder = tmp_path_factory.mktemp("kept")
    save(folder / "tiny.safetensors", tiny_codec("hyperprior"))
    for place, pictures in {"here": tiny_pictures(8)[:4], "there": tiny_pictures(8)[4:]}.items():
        (folder / place).mkdir()
        for i, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(folder / place / f"{i}.png")
    export_bundle(
        ExportOptions(
            [folder / "tiny.safetensors"], folder / "old.bundle", calibration=folder / "here", precision=("fp32",)
        )
    )
    with edgecodec.open_bundle(folder / "old.bundle", engine="onnxruntime", threads=1) as codec:
        (folder / "old.edgc").write_bytes(codec.encode(picture()).data)
    return folder


@pytest.fixture(scope="module")
def kept(folder: Path) -> Path:
    """Exported with the photographs in "there" and the entropy model of the first bundle."""
    progress: list[str] = []
    export_bundle(
        ExportOptions(
            [folder / "tiny.safetensors"],
            folder / "kept.bundle",
            calibration=folder / "there",
            entropy_from=folder / "old.bundle",
            precision=("fp32",),
        ),
        progress=progress.append,
    )
    assert "freezing the entropy model" not in progress
    return folder / "kept.bundle"


def decoded(bundle: Path, file: Path) -> npt.NDArray[np.uint8]:
    with edgecodec.open_bundle(bundle, engine="onnxruntime", threads=1) as codec:
        return codec.decode(file).pixels


def model_id_of(bundle: Path) -> str:
    (model,) = manifest_of(bundle)["models"]
    return str(model["id"])


def manifest_of(bundle: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
    return manifest


def test_a_bundle_with_another_calibration_does_not_decode_files_of_the_first(folder: Path, tmp_path: Path) -> None:
    export_bundle(
        ExportOptions([folder / "tiny.safetensors"], tmp_path / "b", calibration=folder / "there", precision=("fp32",))
    )
    assert model_id_of(tmp_path / "b") != model_id_of(folder / "old.bundle")
    with pytest.raises(ModelMismatch):
        decoded(tmp_path / "b", folder / "old.edgc")


def test_with_the_kept_model_files_decode_to_the_same_pictures(folder: Path, kept: Path) -> None:
    old = folder / "old.bundle"
    assert (kept / "entropy.bin").read_bytes() == (old / "entropy.bin").read_bytes()
    assert model_id_of(kept) == model_id_of(old)
    np.testing.assert_array_equal(decoded(kept, folder / "old.edgc"), decoded(old, folder / "old.edgc"))
    with edgecodec.open_bundle(kept, engine="onnxruntime", threads=1) as codec:
        assert codec.encode(picture()).data == (folder / "old.edgc").read_bytes()
    assert all(check.passed for check in verify(kept, "onnxruntime", threads=1))


def test_the_manifest_gives_the_origin_of_the_kept_model_and_its_cost(folder: Path, kept: Path) -> None:
    old, new = manifest_of(folder / "old.bundle"), manifest_of(kept)
    assert "entropy" not in old["provenance"]
    told = {name: old["provenance"][name] for name in ("versions", "processor")}
    assert new["provenance"]["entropy"] == {"bundle": "old.bundle", **told}
    assert new["entropy_cost"]["float_bits"] != old["entropy_cost"]["float_bits"]
    assert new["entropy_cost"]["overhead_percent"] < LARGEST_OVERHEAD
    assert "`old.bundle`" in (kept / "README.md").read_text()
    assert "did not calibrate" not in (kept / "README.md").read_text()


def test_a_bundle_may_be_replaced_by_its_own_entropy_model_and_names_what_froze_it(
    folder: Path, kept: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(kept, tmp_path / "again.bundle"))
    export_bundle(
        ExportOptions(
            [folder / "tiny.safetensors"],
            again,
            calibration=folder / "there",
            entropy_from=again,
            force=True,
            precision=("fp32",),
        )
    )
    assert manifest_of(again) == manifest_of(kept)


# ---- what is refused ------------------------------------------------------------------------------------------------


def refusal(folder: Path, tmp_path: Path, checkpoint: Path, entropy_from: Path | None = None) -> ModelMismatch:
    """Nothing is left of such an export."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ModelMismatch) as refused:
        export_bundle(
            ExportOptions(
                [checkpoint],
                tmp_path / "b",
                calibration=folder / "there",
                entropy_from=entropy_from or folder / "old.bundle",
                precision=("fp32",),
            )
        )
    assert refused.value.code == 41 and sorted(tmp_path.iterdir()) == before
    return refused.value


def retrained(change: Callable[[Hyperprior], None]) -> Hyperprior:
    model = copy.deepcopy(tiny_codec("hyperprior"))
    assert isinstance(model, Hyperprior)
    with torch.no_grad():
        change(model)
    return model


def test_a_checkpoint_of_other_scales_is_refused(folder: Path, tmp_path: Path) -> None:
    """Of the same shapes, and the same but for one layer."""

    def change(model: Any) -> None:
        model.hyper_synthesis[-1].bias[: model.latent_channels] += 2

    checkpoint = save(tmp_path / "other.safetensors", retrained(change))
    refused = refusal(folder, tmp_path, checkpoint)
    assert "does not fit" in refused.message and "more than 1 %" in refused.message
    assert refused.where == str(folder / "old.bundle")


def test_a_decoder_trained_further_keeps_the_entropy_model(folder: Path, tmp_path: Path) -> None:
    """The purpose of the option: better pictures from existing files."""

    def change(model: Any) -> None:
        model.synthesis[-1].bias += 0.1

    checkpoint = save(tmp_path / "further.safetensors", retrained(change))
    report = export_bundle(
        ExportOptions(
            [checkpoint],
            tmp_path / "b",
            calibration=folder / "there",
            entropy_from=folder / "old.bundle",
            precision=("fp32",),
        )
    )
    assert report.models[0].id == model_id_of(folder / "old.bundle")
    brighter = decoded(tmp_path / "b", folder / "old.edgc").astype(int)
    assert np.median(brighter - decoded(folder / "old.bundle", folder / "old.edgc")) in (25, 26)


def test_another_family_or_preset_or_other_latents_are_refused_and_listed(folder: Path, tmp_path: Path) -> None:
    hific = save(tmp_path / "hific.safetensors", tiny_codec("hific-reflect"), "other")
    message = refusal(folder, tmp_path, hific).message
    for line in (
        "family: hyperprior, not hific",
        "preset: tiny, not other",
        "latents that are coded: [('z', 6, 64), ('r', 10, 16)], not [('z', 8, 64), ('r', 8, 16)]",
        "alignment of pictures: 64, not 16",
    ):
        assert line in message
    assert "alignment of latents" not in message and "padding" not in message

    wider = Hyperprior(replace(PRESETS["hyperprior"], latent_channels=11)).eval()
    message = refusal(folder, tmp_path, save(tmp_path / "wider.safetensors", wider)).message
    assert message.count("\n") == 2 and message.count("('r', 11, 16)") == 2


def test_a_folder_that_is_not_a_bundle_or_was_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    model = tiny_codec("hyperprior")
    with pytest.raises(NotABundle):
        keep_entropy(tmp_path, model, "hyperprior", "tiny")
    damaged = Path(shutil.copytree(folder / "old.bundle", tmp_path / "damaged.bundle"))
    data = bytearray((damaged / "entropy.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (damaged / "entropy.bin").write_bytes(data)
    with pytest.raises(BundleChanged, match="SHA-256"):
        keep_entropy(damaged, model, "hyperprior", "tiny")


def test_the_command_line_refuses_with_the_status_of_a_mismatch(folder: Path, tmp_path: Path) -> None:
    checkpoint = save(tmp_path / "hific.safetensors", tiny_codec("hific-reflect"))
    outcome = run_command(
        *("export", "--ckpt", checkpoint, "-o", tmp_path / "b"),
        *("--entropy-from", folder / "old.bundle", "--calibration", folder / "there"),
    )
    assert outcome.status == 4 and "family: hyperprior, not hific" in outcome.talk
    assert not (tmp_path / "b").exists()


def test_every_setting_must_fit_not_only_their_sum(folder: Path) -> None:
    kept = keep_entropy(folder / "old.bundle", tiny_codec("hyperprior"), "hyperprior", "tiny")
    good = EntropyCost(2, 1e6, 1_001_000, 0.15, knobs={"quality": 0.0})
    bad = EntropyCost(2, 1e4, 10_200, 0.15, knobs={"quality": 4.0})
    whole = replace(good, knobs={}, float_bits=1_010_000.0, integer_bits=1_011_200, by_setting=(good, bad))
    assert whole.overhead_percent < LARGEST_OVERHEAD < bad.overhead_percent < LARGEST_OVERHEAD_OF_COUNTS
    with pytest.raises(ModelMismatch, match=r"more than 1 %:\n  quality 4: \+2\.00 % bits \(hint"):
        require_fit(kept, whole, counted=False)
    require_fit(kept, whole, counted=True)
    require_fit(kept, good, counted=False)
    with pytest.raises(ModelMismatch):
        require_fit(kept, replace(good, integer_bits=float("nan")), counted=True)


# ---- models whose probabilities are counted -------------------------------------------------------------------------


class Accepted(Exception):
    """Ends the export after the entropy model was accepted, before the graphs."""


def keeping(bundle: Path, name: str, model: LearnedCodec, output: Path) -> None:
    """The export of `model` with the entropy model of `bundle`, calibrated on other pictures."""
    pictures = tiny_pictures(8)
    kept = keep_entropy(bundle, model, name.partition("-")[0], "tiny")
    halves = CalibrationPictures(pictures[4:6], pictures[6:])
    source = Source(model.FAMILY, "tiny", classes=tuple(f"class {i}" for i in range(model.classes())))
    pipeline.write_bundle(output, [lambda: Original(source, model.baking(), halves, kept)])


@pytest.mark.parametrize("name", ["tunable", "agustsson-sc"])
def test_counted_probabilities_may_be_those_of_other_pictures_but_not_of_another_model(
    name: str, family_bundle: Bundles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise Accepted

    bundle = family_bundle(name)
    monkeypatch.setattr(pipeline, "export_graphs", stop)
    with pytest.raises(Accepted):
        keeping(bundle, name, tiny_codec(name), tmp_path / "b")
    other = copy.deepcopy(tiny_codec(name))
    if name == "tunable":
        for convolution in (each for each in other.analysis.modules() if isinstance(each, nn.Conv2d)):
            convolution.weight.copy_(convolution.weight.flip(0))
    else:
        other.analysis[-1].weight.mul_(0.3)
    with pytest.raises(ModelMismatch, match="more than 5 %"):
        keeping(bundle, name, other, tmp_path / "b")
