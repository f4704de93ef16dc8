"""Several checkpoints in one bundle: each codes and decodes as in a bundle of its own, whatever stands beside it."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import edgecodec
from edgecodec.bundle import Bundle
from edgecodec.codec import Codec
from edgecodec.description import BakedGraph, Closeness, Side, Tiling
from edgecodec.errors import InvalidArgument, ModelMismatch
from edgecodec.verify import verify
from edgecodec_export import ExportReport, export_bundle, pipeline
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.entropy.freeze import freeze_entropy
from edgecodec_export.entropy.kept import KeptEntropy
from edgecodec_export.families import FAMILIES, Hyperprior, LearnedCodec
from edgecodec_export.families.hyperprior import Preset
from edgecodec_export.graphs import export_graphs as graphs_module
from edgecodec_export.graphs.export_graphs import ExportedGraphs
from edgecodec_export.graphs.shared_precisions import keep_shared_precisions
from edgecodec_export.one_thread import one_thread
from edgecodec_export.options import ExportOptions
from edgecodec_export.originals import load_originals
from edgecodec_export.report import summary
from support.command_line import run_command
from support.fused_sessions import decode_fused, open_fused
from support.make_tiny_bundle import last_convolution, tiny_halves, tiny_pictures
from support.paths import PHOTOS
from support.tiny_codecs import PRESETS

pytestmark = pytest.mark.slow

ALPHAS = (0.0, 1.0)
PRECISION = ("fp32",)


@torch.no_grad()
def hyperprior(preset: Preset, gain: float) -> Hyperprior:
    """Its rate rises with the gain of its latents."""
    torch.manual_seed(3)
    model = Hyperprior(preset).eval().requires_grad_(False)
    last_convolution(model.analysis).weight.mul_(gain)
    last_convolution(model.hyper_analysis).weight.mul_(20)
    return model


@torch.no_grad()
def faithful(model: Hyperprior) -> Hyperprior:
    """The same encoder with another decoder."""
    other = copy.deepcopy(model)
    for parameter in other.synthesis.parameters():
        parameter.mul_(1.2)
    return other


@dataclass(frozen=True)
class Inputs:
    """Checkpoints by name, of a low rate and of a high one, with a second decoder for each; and photographs."""

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def export(self, output: Path, *names: str, **options: Any) -> ExportReport:
        """With the second decoder of each."""
        mains, others = ([self[f"{name}{ending}"] for name in names] for ending in ("", "-mse"))
        options = {"calibration": self.folder / "photos", "precision": PRECISION, **options}
        return export_bundle(ExportOptions(mains, output, others, {"alpha": ALPHAS}, **options))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """The models have channels of their own."""
    folder = tmp_path_factory.mktemp("rates")
    models = {"low": hyperprior(Preset(6, 10), 20), "high": hyperprior(Preset(8, 12), 200)}
    for name, model in models.items():
        save_checkpoint(folder / f"{name}.safetensors", model, "hyperprior", f"tiny {name}", {})
        save_checkpoint(folder / f"{name}-mse.safetensors", faithful(model), "hyperprior", f"tiny {name}", {})
    (folder / "photos").mkdir()
    for number, picture in enumerate(tiny_pictures()):
        Image.fromarray(picture).save(folder / "photos" / f"{number}.png")
    return Inputs(folder)


@pytest.fixture(scope="module", autouse=True)
def remembered_graphs() -> Iterator[None]:
    """A network that has been exported before is not exported again, which takes seconds and gives the same bytes."""
    known: dict[str, tuple[bytes, Any]] = {}

    def remembered(side: Any, export: Callable[..., Any], path: Path, point: Any, precision: Any) -> Any:
        network = [side.SIDE, *(tensor.numpy().tobytes() for tensor in point.module.state_dict().values())]
        key = hashlib.sha256(repr(network).encode()).hexdigest()
        if key not in known:
            exported = export(side, path, point, precision)
            known[key] = path.read_bytes(), exported
        data, exported = known[key]
        path.write_bytes(data)
        return replace(exported, graph=replace(exported.graph, file=path.name))

    with pytest.MonkeyPatch.context() as patched:
        for kind in (graphs_module._Encoders, graphs_module._Decoders):
            patched.setattr(kind, "export", partialmethod(remembered, kind.export))
        yield


@pytest.fixture(scope="module")
def exported(inputs: Inputs, remembered_graphs: None) -> tuple[Path, ExportReport]:
    """While it is made, the networks of one checkpoint are in memory at a time."""
    networks: list[weakref.ref[LearnedCodec]] = []

    def watched(options: ExportOptions, progress: Any) -> list[Callable[[], Any]]:
        def loading(load: Callable[[], Any]) -> Any:
            assert [network() for network in networks] == [None] * len(networks)
            original = load()
            networks.append(weakref.ref(original.baking.model))
            return original

        return [partial(loading, load) for load in load_originals(options, progress)]

    output = inputs.folder / "both.bundle"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline, "load_originals", watched)
        report = inputs.export(output, "high", "low")
    assert len(networks) == 2
    return output, report


@pytest.fixture(scope="module")
def singles(inputs: Inputs, remembered_graphs: None) -> dict[str, Path]:
    for name in ("low", "high"):
        inputs.export(inputs.folder / f"{name}.bundle", name)
    return {name: inputs.folder / f"{name}.bundle" for name in ("low", "high")}


# ---- what is in it --------------------------------------------------------------------------------------------------


def test_models_stand_in_the_order_of_their_rates(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    info = Bundle(folder).info
    assert [(each.id, each.rate) for each in report.models] == [(each.id, each.rate) for each in info.models]
    assert [each.checkpoint for each in report.models] == ["low.safetensors", "high.safetensors"]
    assert 0 < 2 * info.models[0].rate < info.models[1].rate
    assert info.preset == "tiny low, tiny high"
    (quality, alpha) = info.knobs
    assert (quality.name, quality.side, quality.values, quality.default) == ("quality", "encode", (0, 1), 1)
    assert (alpha.name, alpha.side, alpha.values, alpha.default) == ("alpha", "decode", ALPHAS, 1)
    low, high = (model.id for model in info.models)
    assert [(graph.file, graph.model, dict(graph.knobs)) for graph in info.graphs] == [
        (f"analysis-{low}.onnx", 0, {"quality": 0}),
        (f"synthesis-{low}-alpha0.onnx", 0, {"alpha": 0}),
        (f"synthesis-{low}-alpha1.onnx", 0, {"alpha": 1}),
        (f"analysis-{high}.onnx", 1, {"quality": 1}),
        (f"synthesis-{high}-alpha0.onnx", 1, {"alpha": 0}),
        (f"synthesis-{high}-alpha1.onnx", 1, {"alpha": 1}),
    ]


def test_files_are_those_of_single_bundles(exported: tuple[Path, ExportReport], singles: dict[str, Path]) -> None:
    folder, report = exported
    for model, single in zip(report.models, singles.values(), strict=True):
        for file in ("entropy.bin", "analysis.onnx", "synthesis-alpha0.onnx", "synthesis-alpha1.onnx"):
            stem, dash, rest = file.partition("-")
            named = f"{stem}-{model.id}{dash}{rest}" if dash else file.replace(".", f"-{model.id}.")
            assert (folder / named).read_bytes() == (single / file).read_bytes()
        quality = report.models.index(model)
        golden = folder / "golden" / f"photo-{model.id}-quality{quality}.edgc"
        assert golden.read_bytes() == (single / "golden" / "photo.edgc").read_bytes()


def test_manifest_card_and_summary_name_every_model(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    manifest = json.loads((folder / "manifest.json").read_text())
    ids = [model.id for model in report.models]
    assert [(each["model"], each["role"], each["name"]) for each in manifest["provenance"]["checkpoints"]] == [
        *((ids[0], "main", "low.safetensors"), (ids[0], "mse", "low-mse.safetensors")),
        *((ids[1], "main", "high.safetensors"), (ids[1], "mse", "high-mse.safetensors")),
    ]
    assert [each["knobs"] for each in manifest["entropy_cost"]["by_setting"]] == [{"quality": 0}, {"quality": 1}]
    card, lines = (folder / "README.md").read_text(), "\n".join(summary(report))
    for quality, model in enumerate(report.models):
        assert f"| {quality} | `{model.id}` | {model.rate:.3f} | `{model.checkpoint}` |" in card
        assert f"quality {quality}  model {model.id}  {model.rate:.3f} bits per pixel  {model.checkpoint}" in lines


# ---- what it does ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["native", "python"])
def opened(request: pytest.FixtureRequest, exported: tuple[Path, ExportReport]) -> Callable[..., Codec]:
    """Opens bundles with the engine that the library runs, and with one that Python runs."""
    if request.param == "python":
        request.getfixturevalue("python_backend")
    return partial(edgecodec.open_bundle, engine="onnxruntime", threads=1)


def test_each_quality_codes_and_decodes_as_the_bundle_of_its_checkpoint(
    opened: Callable[..., Codec], exported: tuple[Path, ExportReport], singles: dict[str, Path]
) -> None:
    for quality, single in enumerate(singles.values()):
        for alpha in ALPHAS:
            with opened(exported[0], alpha=alpha) as several, opened(single, alpha=alpha) as alone:
                for photograph in PHOTOS:
                    encoded, expected = several.encode(photograph, quality=quality), alone.encode(photograph)
                    assert encoded.data == expected.data
                    pixels = several.decode(encoded).pixels
                    np.testing.assert_array_equal(pixels, alone.decode(expected).pixels)
                    np.testing.assert_array_equal(pixels, several.decode(expected).pixels)


def test_a_target_chooses_the_model(opened: Callable[..., Codec], exported: tuple[Path, ExportReport]) -> None:
    with opened(exported[0]) as codec:
        low, high = (codec.encode(PHOTOS[0], quality=quality) for quality in (0, 1))
        for target, best in (
            (0.5 * low.info.bits_per_pixel, low),
            (low.info.bits_per_pixel, low),
            (0.99 * high.info.bits_per_pixel, low),
            (high.info.bits_per_pixel, high),
            (9.0, high),
        ):
            assert codec.encode(PHOTOS[0], target_bpp=target).data == best.data


def test_it_verifies(exported: tuple[Path, ExportReport]) -> None:
    checks = list(verify(exported[0], "onnxruntime", threads=1))
    assert all(check.passed for check in checks), [check for check in checks if not check.passed]
    pixels = [check.subject for check in checks if "synthesis" in check.subject and not check.is_hash]
    assert len(pixels) == 4 and sum("latents" in check.subject for check in checks) == 2


def test_fused_graphs_decode_the_files_of_their_model(exported: tuple[Path, ExportReport], tmp_path: Path) -> None:
    folder, report = exported
    assert run_command("fuse", folder, "-o", tmp_path, "--alpha", 1).status == 0
    with edgecodec.open_bundle(folder, "onnxruntime", threads=1, alpha=1) as codec:
        for quality, model in enumerate(report.models):
            encoded = codec.encode(PHOTOS[0], quality=quality)
            fused = decode_fused(open_fused(tmp_path / f"decode-{model.id}-alpha1.onnx"), encoded.data)
            np.testing.assert_array_equal(fused, codec.decode(encoded).pixels)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_server_warms_up_with_a_file_of_the_decoders_model(
    exported: tuple[Path, ExportReport], tmp_path: Path
) -> None:
    folder, report = exported
    assert run_command("triton", folder, "-o", tmp_path, "--alpha", 0, "--name", "both").status == 0
    for model in report.models:
        (warmup,) = (tmp_path / f"both-{model.id}-alpha0" / "warmup").iterdir()
        assert edgecodec.inspect(warmup).model_id == model.id  # type: ignore[union-attr]
    assert run_command("triton", folder, "-o", tmp_path / "high", "--quality", 1, "--name", "both").status == 0
    high = report.models[1].id
    assert {path.name for path in (tmp_path / "high").iterdir()} == {f"both-{high}-alpha{each}" for each in (0, 1)}


# ---- how it is made -------------------------------------------------------------------------------------------------


def test_each_checkpoint_keeps_its_own_entropy_model_in_whatever_order_they_are_given(
    inputs: Inputs, exported: tuple[Path, ExportReport], singles: dict[str, Path], tmp_path: Path
) -> None:
    folder, report = exported
    (tmp_path / "photos").mkdir()
    for number, picture in enumerate(tiny_pictures(8)[4:]):
        Image.fromarray(picture).save(tmp_path / "photos" / f"{number}.png")
    again = inputs.export(tmp_path / "b", "low", "high", calibration=tmp_path / "photos", entropy_from=folder)
    for one, other in zip(again.models, report.models, strict=True):
        assert (one.id, one.checkpoint) == (other.id, other.checkpoint)
        for file in (f"entropy-{one.id}.bin", f"analysis-{one.id}.onnx", f"synthesis-{one.id}-alpha0.onnx"):
            assert (tmp_path / "b" / file).read_bytes() == (folder / file).read_bytes()
    assert again.kept_entropy
    with pytest.raises(ModelMismatch, match="not one of this checkpoint"):
        inputs.export(tmp_path / "c", "low", "high", entropy_from=singles["low"])


def test_of_entropy_models_of_the_same_shapes_the_one_that_fits_is_kept(tmp_path: Path) -> None:
    bakings = [hyperprior(Preset(6, 10), gain).baking() for gain in (5, 80)]
    with one_thread() as workers:
        frozen = [freeze_entropy(each, tiny_halves(), None, workers, lambda line: None).data for each in bakings]
        kept = KeptEntropy(tuple(frozen), tmp_path, {})
        again = [freeze_entropy(each, tiny_halves(), kept, workers, lambda line: None).data for each in bakings]
    assert again == frozen and frozen[0] != frozen[1]


def test_a_side_has_a_precision_for_all_models_or_for_none(tmp_path: Path) -> None:
    def graph(model: int, side: Side, precision: str) -> BakedGraph:
        file = f"{side}-{model}.{precision}.onnx"
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])), tmp_path / file)
        return BakedGraph(file, side, 0, precision, {}, (), (), Tiling((0, 0)))

    lists: list[list[tuple[Side, str]]] = [
        [("encode", "fp32"), ("encode", "fp16"), ("decode", "fp32"), ("decode", "fp16")],
        [("encode", "fp32"), ("encode", "fp16"), ("decode", "fp32")],
    ]
    models = []
    for number, each in enumerate(lists):
        graphs = tuple(graph(number, *one) for one in each)
        files = {one.file: 1.0 for one in graphs}
        models.append(ExportedGraphs(graphs, files, {file: Closeness(60, 0, 0) for file in files}))
    first, second = keep_shared_precisions(tmp_path, models)
    said = "so no model has fp16 to decode: it is for all of them or none"
    assert second == replace(models[1], left_out=(said,))
    removed = "decode-0.fp16.onnx"
    assert first == replace(
        models[0],
        graphs=models[0].graphs[:3],
        errors={file: 1.0 for file in models[0].errors if file != removed},
        closeness={file: close for file, close in models[0].closeness.items() if file != removed},
    )
    assert {path.name for path in tmp_path.iterdir()} == {*models[0].errors, *models[1].errors} - {removed}


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("main", "mse", "message"),
    [
        (["low", "high"], ["low-mse"], "--ckpt-mse: --ckpt is given 2 times and --ckpt-mse once"),
        (["low"], ["low-mse", "high-mse"], "--ckpt is given once and --ckpt-mse 2 times"),
        (["low", "hific"], [], "hific.safetensors: differs from {low} in family: hific, not hyperprior"),
        (["low", "high", "low"], [], "low.safetensors: is the same checkpoint as {low}"),
        (["crdr", "low"], [], "crdr.safetensors: crdr has all its rates in one checkpoint, by quality"),
        (["low", "tunable"], [], "tunable.safetensors: tunable has all its rates in one checkpoint, by n"),
        (["agustsson", "agustsson-sc"], [], "differs from {agustsson} in side inputs: labels, mask, not none"),
        (["low", "high"], ["low-mse", "low-mse"], "high.safetensors"),
    ],
)
def test_what_does_not_belong_together_is_refused_before_any_work(
    inputs: Inputs, tmp_path: Path, main: list[str], mse: list[str], message: str
) -> None:
    paths = {name: inputs[name] for name in (*main, *mse)}
    for name, path in paths.items():
        if not path.exists():
            paths[name] = tmp_path / path.name
            family = name.partition("-")[0]
            save_checkpoint(paths[name], FAMILIES[family](PRESETS[name]), family, "tiny", {})
    before = sorted(tmp_path.iterdir())
    given = [word for name in main for word in ("--ckpt", paths[name])]
    given += [word for name in mse for word in ("--ckpt-mse", paths[name])]
    outcome = run_command("export", *given, "-o", tmp_path / "b", "--calibration", inputs.folder / "photos")
    assert outcome.status != 0 and message.format(**paths) in outcome.talk, outcome.talk
    assert "calibrating" not in outcome.talk and sorted(tmp_path.iterdir()) == before


def test_files_of_one_name_are_told_apart_by_their_folders(inputs: Inputs, tmp_path: Path) -> None:
    """People keep the best of every run under the same name."""
    for run in ("low", "high"):
        (tmp_path / run).mkdir()
        shutil.copy(inputs[run], tmp_path / run / "best.safetensors")
    paths = [tmp_path / "low" / "best.safetensors", tmp_path / "high" / "best.safetensors"]
    loads = load_originals(
        ExportOptions(paths, tmp_path / "b", calibration=inputs.folder / "photos"), lambda line: None
    )
    assert [load().source.name() for load in loads] == ["low/best.safetensors", "high/best.safetensors"]


def test_two_decoders_of_one_encoder_are_no_two_rates(inputs: Inputs, tmp_path: Path) -> None:
    options = ExportOptions(
        [inputs["low"], inputs["low-mse"]], tmp_path / "b", calibration=inputs.folder / "photos", precision=PRECISION
    )
    with pytest.raises(InvalidArgument, match=r"same entropy model as low\.safetensors .*--ckpt-mse") as refused:
        export_bundle(options)
    assert refused.value.where == "low-mse.safetensors" and list(tmp_path.iterdir()) == []
