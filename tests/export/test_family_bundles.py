"""A bundle of every family: exported, opened by the runtime alone, encoded with and decoded with."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from PIL import Image

import edgecodec
from edgecodec.description import INDEX, Tiling
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import BundleChanged, CheckpointRejected, KnobUnavailable, LimitExceeded, VerificationFailed
from edgecodec.verify import verify
from edgecodec_export.bundle.index import write_index
from edgecodec_export.checkpoints import Checkpoint, class_names
from edgecodec_export.graphs.needs import grids
from edgecodec_export.graphs.onnx_export import synthesis_inputs
from edgecodec_export.graphs.parity import check_synthesis_parity
from edgecodec_export.graphs.weights import SMALLEST
from edgecodec_export.precisions.trunk import trunk
from support.command_line import run_command
from support.index_description import described
from support.make_tiny_bundle import tiny_pictures
from support.paths import ENVIRONMENT
from support.tiny_codecs import tiny_codec

pytestmark = pytest.mark.slow

FAMILIES = ("agustsson-sc", "crdr", "fidelity", "hific", "hific-reflect", "hyperprior", "hyperprior-blocks", "tunable")
Bundles = Callable[[str], Path]


def picture(height: int = 71, width: int = 85) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(tiny_pictures()[1][:height, :width])


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def graphs_of(manifest: dict[str, Any], side: str) -> list[dict[str, Any]]:
    return [graph for graph in manifest["graphs"] if graph["side"] == side]


def given(name: str) -> dict[str, Any]:
    """What a codec takes beside the picture."""
    if name != "agustsson-sc":
        return {}
    keep = np.zeros((71, 85), np.uint8)
    keep[20:60, 10:50] = 1
    return {"labels": (picture()[:, :, 0] // 52).astype(np.uint8), "keep": keep}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_bundle_is_verified_on_the_machine_that_made_it(family_bundle: Bundles, name: str) -> None:
    checks = list(verify(family_bundle(name), "onnxruntime", threads=1))
    assert all(check.passed for check in checks), [check for check in checks if not check.passed]
    subjects = {check.subject for check in checks}
    assert any("latents" in subject for subject in subjects)
    assert any("synthesis" in subject and "golden" in subject for subject in subjects)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_know_whether_their_decoders_have_a_trunk(family_bundle: Bundles, name: str) -> None:
    """So that export refuses eight bits for those that have none before it begins."""
    model = tiny_codec(name)
    for file in graphs_of(manifest_of(family_bundle(name)), "decode"):
        graph = onnx.load(family_bundle(name) / file["file"])
        found = trunk(graph, grids(synthesis_inputs(model)), onnx.TensorProto.FLOAT)
        assert bool(found) == model.HAS_TRUNK


@pytest.mark.parametrize("name", FAMILIES)
def test_a_picture_goes_through_a_file_and_comes_back(family_bundle: Bundles, name: str) -> None:
    with edgecodec.open_bundle(family_bundle(name), engine="onnxruntime", threads=1) as codec:
        coded = codec.encode(picture(), **given(name))
        decoded = codec.decode(coded.data)
        latents = codec.decode_latents(coded.data)
        assert decoded.pixels.shape == picture().shape
        (described,) = codec.info.models
        assert {latent.name for latent in described.decoder_latents} == latents.keys()
        for latent in described.decoder_latents:
            if latent.name in coded.latents and "mask" not in coded.latents:
                np.testing.assert_array_equal(latents[latent.name], coded.latents[latent.name])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_commands_of_the_card_work(family_bundle: Bundles, name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture()).save("photo.png")
    Image.fromarray(np.zeros(picture().shape[:2], np.uint8)).save("map.png")
    card = (family_bundle(name) / "README.md").read_text()
    commands = [shlex.split(line)[1:] for line in card.splitlines() if line.startswith("    edgecodec ")]
    assert [command[0] for command in commands] == ["encode", "decode", "verify"]
    for command in commands:
        outcome = run_command(*(str(family_bundle(name)) if word == "THIS_FOLDER" else word for word in command))
        assert outcome.status == 0, outcome.talk


@pytest.mark.parametrize("name", FAMILIES)
def test_the_manifest_describes_the_codec(family_bundle: Bundles, name: str) -> None:
    folder, model = family_bundle(name), tiny_codec(name)
    manifest = manifest_of(folder)
    entropy = EntropyModel((folder / "entropy.bin").read_bytes())
    (described,) = manifest["models"]
    assert described["padding"] == {
        "alignment": model.ALIGNMENT,
        "rule": model.PADDING,
        "smallest_side": model.SMALLEST_SIDE,
    }
    assert described["alignment"] == entropy.alignment == model.latent_alignment()
    assert (described["id"], described["entropy"]) == (entropy.model_id, "entropy.bin")
    for side, latents in (
        ("encoder_latents", (*model.side_latents(), *model.encoder_latents())),
        ("decoder_latents", model.decoder_latents()),
    ):
        listed = [(each["name"], each["channels"], each["stride"]) for each in described[side]]
        assert listed == [(each.name, each.channels, each.stride) for each in latents]
    sources = {latent["name"]: latent["source"] for latent in described["encoder_latents"]}
    assert {name for name, source in sources.items() if source != "graph"} == {
        latent.name for latent in model.side_latents()
    }
    assert manifest["parity"].keys() == {graph["file"] for graph in manifest["graphs"]}
    assert all(error < 1e-4 for error in manifest["parity"].values())
    assert manifest["entropy_cost"]["integer_bits"] > 1000


def test_the_manifest_says_what_integers_cost_at_every_setting(family_bundle: Bundles) -> None:
    qualities = [{"quality": level} for level in range(5)]  # all, whichever are baked
    settings = {"crdr": qualities, "tunable": [{"n": n} for n in (0, -2, 2, -1, 1)], "hific": []}
    for name, expected in settings.items():
        cost = manifest_of(family_bundle(name))["entropy_cost"]
        parts = cost.pop("by_setting", [])
        assert [part.pop("knobs") for part in parts] == expected
        assert all(part.keys() == cost.keys() and part["pictures"] == cost["pictures"] == 2 for part in parts)
        for bits in ("float_bits", "integer_bits") if parts else ():
            assert sum(part[bits] for part in parts) == pytest.approx(cost[bits], abs=len(parts))
        card = (family_bundle(name) / "README.md").read_text()
        assert all(f"{part['overhead_percent']:+.3f} % at " in card for part in parts)
        assert (f"{cost.get('fitting_percent', 0):+.1f} %, against" in card) == (name != "tunable")


def test_what_only_some_families_have(family_bundle: Bundles) -> None:
    manifests = {name: manifest_of(family_bundle(name)) for name in FAMILIES}
    for name, manifest in manifests.items():
        (encoder, *_), (decoder, *_) = graphs_of(manifest, "encode"), graphs_of(manifest, "decode")
        more = {"tunable": [("n", "knob", "n")], "fidelity": [("size", "size", "")]}
        assert ports(encoder["inputs"]) == [("image", "image", ""), *more.get(name, [])]
        noisy = name == "agustsson-sc"
        assert manifest["models"][0]["noise"] == ({"channels": 2 + 320, "stride": 16} if noisy else None)
        latents = [(each["name"], "latent", each["name"]) for each in manifest["models"][0]["decoder_latents"]]
        assert ports(decoder["inputs"]) == latents + [("noise", "noise", "")] * noisy
        assert ports(decoder["outputs"]) == [("image", "image", "")]
    labels, mask, symbols = manifests["agustsson-sc"]["models"][0]["encoder_latents"]
    assert (labels["source"], mask["source"], symbols["source"]) == ("labels", "mask", "graph")
    assert labels["classes"] == [f"class {i}" for i in range(5)] and "classes" not in mask


def ports(listed: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    return [(port["name"], port["role"], port["of"]) for port in listed]


def test_knobs_are_those_of_the_family_with_the_values_that_were_baked(family_bundle: Bundles) -> None:
    knobs = {name: manifest_of(family_bundle(name))["knobs"] for name in ("crdr", "hyperprior", "tunable")}
    assert knobs["hyperprior"] == []
    listed = [(knob["name"], knob["side"], knob["values"], knob["default"]) for knob in knobs["crdr"]]
    qualities = [0.0, 3.0]
    assert listed == [
        ("quality", "encode", qualities, 3.0),
        ("quality", "decode", qualities, 3.0),
        ("beta", "decode", [3.84], 3.84),
    ]
    help_lines = {knob.name: knob.help for knob in tiny_codec("crdr").KNOBS}
    assert all(knob["help"] == help_lines[knob["name"]] for knob in knobs["crdr"])
    (n,) = knobs["tunable"]
    assert (n["name"], n["side"], n["values"]) == ("n", "encode", [])
    assert (n["low"], n["high"], n["default"], n["rate_fit"]) == (-2.0, 2.0, 0.0, None)


def test_class_names_come_from_the_checkpoint_or_are_numbers() -> None:
    model = tiny_codec("agustsson-sc")
    named = Checkpoint("agustsson", "tiny", {}, {}, classes=("sky", "road", "tree", "car", "wall"))
    assert class_names(named, model) == ("sky", "road", "tree", "car", "wall")
    assert class_names(replace(named, classes=()), model) == ("0", "1", "2", "3", "4")
    assert class_names(replace(named, classes=()), tiny_codec("hific")) == ()
    with pytest.raises(CheckpointRejected, match="name 2 classes, its labels have 5"):
        class_names(replace(named, classes=("sky", "road")), model)


def test_every_quality_has_an_encoder_decoders_and_a_golden_file(family_bundle: Bundles) -> None:
    manifest = manifest_of(family_bundle("crdr"))
    qualities = [{"quality": 0.0}, {"quality": 3.0}]
    encoders, decoders = graphs_of(manifest, "encode"), graphs_of(manifest, "decode")
    assert [entry["knobs"] for entry in encoders] == qualities
    assert [entry["file"] for entry in encoders] == ["analysis-quality0.onnx", "analysis-quality3.onnx"]
    assert [entry["knobs"] for entry in decoders] == [{**each, "beta": 3.84} for each in qualities]
    assert [entry["knobs"] for entry in manifest["golden"]] == qualities
    for golden in manifest["golden"]:
        assert [entry["knobs"] for entry in golden["pictures"]] == [{**golden["knobs"], "beta": 3.84}]


def test_a_file_says_its_quality_and_one_that_was_not_baked_is_refused(family_bundle: Bundles) -> None:
    with edgecodec.open_bundle(family_bundle("crdr"), engine="onnxruntime", threads=1) as codec:
        files = {quality: codec.encode(picture(), quality=quality) for quality in (0, 3)}
        assert [encoded.info.quality for encoded in files.values()] == [0, 3]
        low, high = (codec.decode(encoded.data).pixels for encoded in files.values())
        assert np.abs(low.astype(int) - high).max() > 0
        with pytest.raises(KnobUnavailable, match="0, 3"):
            codec.encode(picture(), quality=2)


def test_a_larger_n_gives_a_smaller_file(family_bundle: Bundles) -> None:
    with edgecodec.open_bundle(family_bundle("tunable"), engine="onnxruntime", threads=1) as codec:
        sizes = [len(codec.encode(picture(), n=n).data) for n in (-2, 0, 2)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[2]


def test_only_what_is_kept_is_coded(family_bundle: Bundles) -> None:
    with edgecodec.open_bundle(family_bundle("agustsson-sc"), engine="onnxruntime", threads=1) as codec:
        coded = codec.encode(picture(), **given("agustsson-sc"))
        latents = codec.decode_latents(coded.data)
        mask = coded.latents["mask"]
        np.testing.assert_array_equal(latents["symbols"], coded.latents["symbols"] * mask)
        assert 0 < mask.mean() < 1 and latents["symbols"].any()
        other = codec.encode(picture(), **given("agustsson-sc"), seed=9)
        assert not np.array_equal(codec.decode(other.data).pixels, codec.decode(coded.data).pixels)


def test_latents_of_a_codec_that_pads_them_itself_cover_the_larger_grid(family_bundle: Bundles) -> None:
    with edgecodec.open_bundle(family_bundle("hific-reflect"), engine="onnxruntime", threads=1) as codec:
        for height, width in ((16, 16), (65, 48), (71, 85)):
            coded = codec.encode(picture(height, width))
            rows, columns = -(-height // 64), -(-width // 64)
            assert coded.latents["z"].shape == (8, rows, columns)
            assert coded.latents["r"].shape == (8, 4 * rows, 4 * columns)
            assert codec.decode(coded.data).pixels.shape == (height, width, 3)


def test_baked_points_store_their_unchanged_weights_once(family_bundle: Bundles) -> None:
    folder = family_bundle("crdr")
    graphs = sorted(folder.glob("synthesis*.onnx"))
    initializers = [onnx.load(path, load_external_data=False).graph.initializer for path in graphs]
    stored = [[tensor.external_data for tensor in each] for each in initializers]
    used = [{entry.value for data in each for entry in data if entry.key == "location"} for each in stored]
    files = {f"weights/{path.name}": path for path in (folder / "weights").iterdir()}
    assert used[0] | used[1] == files.keys() <= manifest_of(folder)["files"].keys()
    for name, path in files.items():
        data = path.read_bytes()
        assert len(data) >= SMALLEST and name == f"weights/{hashlib.sha256(data).hexdigest()[:16]}.bin"

    synthesis = tiny_codec("crdr").synthesis
    inside = [module.inside.weight for module in synthesis.modules() if hasattr(module, "inside")]
    large = [weight for weight in inside if weight.nbytes >= SMALLEST]
    assert len(large) == len(used[0] & used[1]) == 9
    on_disk = sum(path.stat().st_size for path in (*graphs, *files.values()))
    alone = sum(onnx.load(path).ByteSize() for path in graphs)
    assert alone - on_disk > 0.95 * sum(weight.nbytes for weight in large)


@pytest.fixture
def copy(family_bundle: Bundles, tmp_path: Path) -> Path:
    """Of CRDR's bundle, to be damaged."""
    return Path(shutil.copytree(family_bundle("crdr"), tmp_path / "copy"))


@pytest.mark.parametrize("files", ["weights/*.bin", "analysis-quality3.onnx", "synthesis*quality3.onnx", "entropy.bin"])
def test_a_changed_file_is_found(copy: Path, files: str) -> None:
    for path in copy.glob(files):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(BundleChanged), edgecodec.open_bundle(copy, engine="onnxruntime", threads=1) as codec:
        codec.decode(codec.encode(picture()).data)


def test_changed_weights_fail_verification(copy: Path) -> None:
    for path in (copy / "weights").iterdir():
        path.write_bytes((np.frombuffer(path.read_bytes(), np.float32) + 0.01).tobytes())
    model = tiny_codec("crdr")
    decoder = model.baking().decoder({"quality": 3.0, "beta": 3.84})
    latents = {"y_hat": np.random.default_rng(0).integers(-300, 300, (16, 4, 8))}
    with pytest.raises(VerificationFailed, match="differs"):
        check_synthesis_parity(copy / "synthesis-beta3.84-quality3.onnx", model, decoder, [latents])


# ---- in tiles ------------------------------------------------------------------------------------------------------

TILED = ("crdr", "fidelity", "hific", "hific-reflect", "hyperprior", "hyperprior-blocks")
WHOLE_MAPS = "it takes statistics of whole maps (ReduceMean)"


def mirrored(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A large picture: a small one mirrored over and over."""
    small = tiny_pictures()[2]
    return np.pad(small, ((0, height), (0, width), (0, 0)), mode="reflect")[:height, :width]


def differences(bundle: Path, whole: Path, pixels: npt.NDArray[np.uint8], tile: int) -> tuple[int, ...]:
    """Between tiles and the whole: the largest of latents and the largest of pixels, and how many of each differ."""
    with (
        edgecodec.open_bundle(bundle, engine="onnxruntime", threads=1, tile=tile) as codec,
        edgecodec.open_bundle(whole, engine="onnxruntime", threads=1, tile="off") as reference,
    ):
        encoded, expected = codec.encode(pixels), reference.encode(pixels)
        decoded, whole_decoded = codec.decode(expected.data), reference.decode(expected.data)
    assert encoded.tiles.count > 1 and decoded.tiles.count > 1
    assert all(each.any() for each in expected.latents.values()) and whole_decoded.pixels.std() > 1
    latents = np.concatenate([(encoded.latents[name] - each).ravel() for name, each in expected.latents.items()])
    levels = decoded.pixels.astype(int) - whole_decoded.pixels
    counts = int(np.count_nonzero(latents)), int(np.count_nonzero(levels))
    return int(abs(latents).max()), int(abs(levels).max()), *counts


@pytest.mark.parametrize("name", TILED)
@pytest.mark.parametrize(("size", "tile"), [((700, 330), 64), ((333, 801), 130), ((1100, 257), 250)])
def test_tiles_are_the_whole_within_a_rounding(
    family_bundle: Bundles, name: str, size: tuple[int, int], tile: int
) -> None:
    """Sums of floats depend on a map's size in their last bits, so that a tie may fall otherwise."""
    pixels = mirrored(*size)
    latent, level, latents, levels = differences(family_bundle(name), family_bundle(name), pixels, tile)
    assert max(latent, level) <= 1
    assert max(latents, levels) <= 1e-3 * pixels.size


@pytest.mark.parametrize("name", TILED)
def test_without_a_halo_tiles_are_not_the_whole(family_bundle: Bundles, tmp_path: Path, name: str) -> None:
    bundle = Path(shutil.copytree(family_bundle(name), tmp_path / "none.bundle"))
    description = described((bundle / INDEX).read_bytes())
    graphs = tuple(replace(graph, tiling=Tiling((0, 0))) for graph in description.graphs)
    write_index(bundle, replace(description, graphs=graphs))
    _, _, latents, levels = differences(bundle, family_bundle(name), mirrored(200, 260), 64)
    assert latents > 20 and levels > 200


def test_what_looks_at_whole_maps_is_not_tiled(family_bundle: Bundles) -> None:
    """The masker of tunable acts in the encoder only, instance norm in both."""
    tunable, agustsson = (manifest_of(family_bundle(name)) for name in ("tunable", "agustsson-sc"))
    for entry in (*graphs_of(tunable, "encode"), *agustsson["graphs"]):
        assert entry["tiling"] == {"reason": WHOLE_MAPS}
    assert graphs_of(tunable, "decode")[0]["tiling"].keys() == {"halo"}
    with edgecodec.open_bundle(family_bundle("tunable"), engine="onnxruntime", threads=1, tile=64) as codec:
        pixels = mirrored(330, 410)
        with pytest.raises(LimitExceeded, match="whole maps"):
            codec.encode(pixels)
        with edgecodec.open_bundle(family_bundle("tunable"), engine="onnxruntime", threads=1) as whole:
            data = whole.encode(pixels).data
            expected = whole.decode(data).pixels.astype(int)
        decoded = codec.decode(data)
    assert decoded.tiles.count > 1
    assert abs(decoded.pixels - expected).max() <= 1


# Alone in a process, because memory that others gave back would be used first.
PEAK = """
import sys
from pathlib import Path

import numpy as np

from edgecodec.bundle import Bundle
from edgecodec.engine_registry import open_engine
from edgecodec.engine import Graph, Options, Port

SIDE = 1024


def kilobytes(field):
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith(field))


ports = tuple(Port(name, int(channels), int(stride)) for name, channels, stride in map(str.split, sys.argv[2:]))
path = Path(sys.argv[1])
bundle = Bundle(path.parent)
(number,) = (number for number, each in enumerate(bundle.info.graphs) if each.file == path.name)
contents = bundle.graph(number)
graph = Graph(path, contents.data, ports, (Port("image", 3, 1),), weights=contents.weights)
engine = open_engine("onnxruntime", graph, Options(1, low_memory=True))
maps = {port.name: np.ones((1, port.channels, SIDE // port.stride, SIDE // port.stride), np.float32) for port in ports}
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
engine.run(maps)
print((kilobytes("VmHWM") - before) * 1024 / SIDE**2)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system counts no peaks")
@pytest.mark.parametrize("name", ["crdr", "hific"])
def test_the_estimate_of_memory_is_about_what_a_call_takes(family_bundle: Bundles, name: str) -> None:
    """The runtime allows for 1.4 times as much; networks as narrow as these leave blocks of channels half empty."""
    folder = family_bundle(name)
    manifest = manifest_of(folder)
    graph = graphs_of(manifest, "decode")[0]
    latents = [
        f"{each['name']} {each['channels']} {each['stride']}" for each in manifest["models"][0]["decoder_latents"]
    ]
    command = [sys.executable, "-c", PEAK, str(folder / graph["file"]), *latents]
    measured = float(subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout)
    assert 0.5 < measured / graph["bytes_per_pixel"] < 1.6
