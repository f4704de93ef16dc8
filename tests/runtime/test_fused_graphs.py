"""`edgecodec fuse`: one graph from bytes to pixels, which are those of the runtime, and errors in our words."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecodec
from edgecodec import container
from edgecodec.codec import Codec
from support.bundle_editing import edit_index, reseal
from support.command_line import run_command
from support.fused_sessions import decode_fused, open_fused, refusal, three_channels
from support.golden_files import GOLDENS
from support.make_bundles import colour_model, plain, synthesis, with_labels, with_noise, with_qualities
from support.paths import ENVIRONMENT, GOLDEN, ROOT, TINY
from support.reference_entropy_model import model_bytes

onnx = pytest.importorskip("onnx")

ALPHAS = (0, 0.5, 1)
GREY = (GOLDEN / "tiny-grey-sections.edgc").read_bytes()
Opened = Callable[[Path], Codec]


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny bundle's fused graphs."""
    folder = tmp_path_factory.mktemp("fused") / "graphs"
    outcome = run_command("fuse", TINY, "-o", folder)
    assert outcome.status == 0, outcome.talk
    return folder


@pytest.fixture
def opened() -> Opened:
    return lambda bundle: edgecodec.open_bundle(bundle, engine="onnxruntime", threads=1, tile="off")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def written(bundle: Path, *options: object) -> list[Path]:
    folder = bundle.parent / "fused"
    outcome = run_command("fuse", bundle, "-o", folder, *options)
    assert outcome.status == 0, outcome.talk
    return sorted(folder.iterdir())


# ---- pixels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(
    "golden", [each for each in GOLDENS if each.model == "tiny.bin"], ids=lambda each: each.picture
)
def test_the_picture_is_that_of_the_runtime(fused: Path, codec: Codec, golden: Any, alpha: float) -> None:
    """Of every golden file: of all numbers of lanes, of one pixel, and in grey with metadata."""
    expected = codec.decode(golden.data(), alpha=alpha).pixels
    image = decode_fused(open_fused(fused / f"decode-alpha{alpha}.onnx"), golden.data())
    np.testing.assert_array_equal(image, three_channels(expected))


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (17, 63), (64, 64), (64, 65), (65, 64), (120, 77)])
def test_it_is_cropped(fused: Path, codec: Codec, size: tuple[int, int]) -> None:
    height, width = size
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    session = open_fused(fused / "decode-alpha1.onnx")
    for picture in (pixels, pixels[:, :, 0]):
        data = codec.encode(np.ascontiguousarray(picture)).data
        image = decode_fused(session, data)
        assert image.shape == (height, width, 3) and image.dtype == np.uint8
        np.testing.assert_array_equal(image, three_channels(codec.decode(data, alpha=1).pixels))


def test_a_grey_picture_is_the_rounded_mean_in_three_equal_channels(fused: Path) -> None:
    """The mean of what the same latents are in colour."""
    session = open_fused(fused / "decode-alpha1.onnx")
    parsed = container.parse(GREY)
    info = parsed.info
    assert info.greyscale
    colour = container.write(
        parsed.payload, width=info.width, height=info.height, lanes=info.lanes, model_id=info.model_id, greyscale=False
    )
    channels = decode_fused(session, colour).astype(int)
    assert channels.std(axis=2).max() > 1 and len(set((channels.sum(axis=2) % 3).ravel())) == 3
    np.testing.assert_array_equal(decode_fused(session, GREY), (channels.sum(axis=2, keepdims=True) + 1) // 3 + [0] * 3)


@pytest.mark.parametrize("seed", [None, 1, 2**64 - 1])
def test_noise_is_that_of_the_file(opened: Opened, tmp_path: Path, seed: int | None) -> None:
    bundle = with_noise().write(tmp_path / "noisy.bundle")
    (graph,) = written(bundle)
    picture = np.full((20, 36, 3), 128, np.uint8)
    with opened(bundle) as codec:
        data = codec.encode(picture, seed=seed).data
        expected = codec.decode(data).pixels
    assert expected.std() > 1
    np.testing.assert_array_equal(decode_fused(open_fused(graph), data), expected)


def test_label_maps_are_latents_like_others(opened: Opened, tmp_path: Path) -> None:
    bundle = with_labels().write(tmp_path / "labels.bundle")
    (graph,) = written(bundle)
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 4, (37, 50), np.uint8)
    with opened(bundle) as codec:
        data = codec.encode(generator.integers(0, 256, (37, 50, 3), np.uint8), labels=labels).data
        np.testing.assert_array_equal(decode_fused(open_fused(graph), data), codec.decode(data).pixels)


def test_threads_may_share_a_session(fused: Path, codec: Codec, coded: bytes) -> None:
    session = open_fused(fused / "decode-alpha0.5.onnx")
    kinds = [coded, GREY]
    expected = [three_channels(codec.decode(data, alpha=0.5).pixels) for data in kinds]
    with ThreadPoolExecutor(4) as pool:
        for number, image in enumerate(pool.map(lambda data: decode_fused(session, data), kinds * 8)):
            np.testing.assert_array_equal(image, expected[number % 2])


def test_the_graph_stands_alone(fused: Path, tmp_path: Path, codec: Codec, coded: bytes) -> None:
    """Neither the bundle nor what lay beside it is needed."""
    alone = shutil.copy(fused / "decode-alpha1.onnx", tmp_path / "renamed.onnx")
    image = decode_fused(open_fused(Path(alone)), coded)
    np.testing.assert_array_equal(image, codec.decode(coded, alpha=1).pixels)


def test_values_of_the_network_may_have_any_names(opened: Opened, tmp_path: Path) -> None:
    """Those that the fused graph has itself, too, and in graphs within the graph."""
    recipe = plain()
    bundle = replace(recipe, synthesis=[(recipe.synthesis[0][0], _with_awkward_names())]).write(tmp_path / "b")
    (graph,) = written(bundle)
    with opened(bundle) as codec:
        data = codec.encode(np.random.default_rng(3).integers(0, 256, (20, 30, 3), np.uint8)).data
        np.testing.assert_array_equal(decode_fused(open_fused(graph), data), codec.decode(data).pixels)


def _with_awkward_names() -> Any:
    """The usual network behind a choice, whose branch takes a constant and a value from around it."""
    _, model = synthesis()
    make, graph = onnx.helper, model.graph
    (name,) = (port.name for port in graph.input)
    for node in graph.node:
        node.input[:] = ["cropped" if each == name else each for each in node.input]
    then = make.make_graph(
        [make.make_node("Add", ["greyscale", "one"], ["size"])],
        "file",
        [],
        [make.make_tensor_value_info("size", onnx.TensorProto.FLOAT, None)],
    )
    before = [
        make.make_node("Identity", [name], ["greyscale"]),
        make.make_node("If", ["file"], ["cropped"], then_branch=then, else_branch=then),
    ]
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(make.make_tensor("file", onnx.TensorProto.BOOL, [], [True]))
    graph.initializer.append(make.make_tensor("one", onnx.TensorProto.FLOAT, [], [1.0]))
    return model


# ---- what a session refuses -----------------------------------------------------------------------------------------


def test_files_that_cannot_be_decoded_are_refused_in_our_words(fused: Path, coded: bytes) -> None:
    session = open_fused(fused / "decode-alpha1.onnx")
    assert refusal(session, b"") == "is not an edgecodec picture (at byte 0)"
    assert refusal(session, b"no picture").startswith("is not an edgecodec picture")
    assert refusal(session, coded[:3]) == "ends too early (at byte 3)"
    for size in (10, len(coded) // 2, len(coded) - 1):
        assert refusal(session, coded[:size]).startswith("is damaged or incomplete")
    other = (GOLDEN / "small-drawn-2.edgc").read_bytes()
    assert "this graph is of b5cfa644 (hint: decode it with a graph of the bundle" in refusal(session, other)
    np.testing.assert_array_equal(decode_fused(session, coded).shape, (64, 96, 3))  # and goes on


def test_files_of_another_quality_are_refused(opened: Opened, tmp_path: Path) -> None:
    bundle = with_qualities({0.0: 0.125, 1.5: 1.0}, (0.0, 20.0)).write(tmp_path / "crdr.bundle")
    points = [("0", "0"), ("0", "1.5"), ("20", "0"), ("20", "1.5")]
    graphs = written(bundle)
    assert [path.name for path in graphs] == [f"decode-beta{beta}-quality{quality}.onnx" for beta, quality in points]
    picture = np.random.default_rng(4).integers(0, 256, (16, 24, 3), np.uint8)
    with opened(bundle) as codec:
        files = {quality: codec.encode(picture, quality=float(quality)).data for quality in ("0", "1.5")}
        for path, (beta, quality) in zip(graphs, points, strict=True):
            session = open_fused(path)
            expected = codec.decode(files[quality], beta=float(beta)).pixels
            np.testing.assert_array_equal(decode_fused(session, files[quality]), expected)
            other = {"0": "1.5", "1.5": "0"}[quality]
            said = refusal(session, files[other])
            assert said == f"the file is of quality {other}, this graph was baked at {quality}"


def test_pictures_above_the_limit_are_refused(fused: Path, tmp_path: Path, coded: bytes) -> None:
    for limit, fits in ((64 * 96, True), (64 * 96 - 1, False)):
        assert run_command("fuse", TINY, "-o", tmp_path, "--alpha", 1, "--max-pixels", limit, "--force").status == 0
        session = open_fused(tmp_path / "decode-alpha1.onnx")
        if fits:
            decode_fused(session, coded)
        else:
            assert refusal(session, coded).startswith("96x64 is more than the limit of 6143 pixels (hint: ")
    attributes = {each.name: each.i for each in _operator(fused / "decode-alpha1.onnx").attribute}
    assert attributes["max_pixels"] == 1 << 26


def _operator(path: Path) -> Any:
    (node,) = (node for node in onnx.load(path).graph.node if node.domain == "edgecodec")
    return node


# ---- files ----------------------------------------------------------------------------------------------------------


def test_the_graphs_are_plain_onnx_for_old_runtimes(fused: Path) -> None:
    for path in fused.iterdir():
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
        assert model.ir_version == 8
        assert [(each.domain, each.version) for each in model.opset_import] == [("", 18), ("edgecodec", 1)]
        assert [value.name for value in model.graph.input] == ["file"]
        assert [value.name for value in model.graph.output] == ["image"]
        assert (TINY / "entropy.bin").read_bytes() in path.read_bytes()


def test_the_same_bundle_gives_the_same_bytes(fused: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(TINY, tmp_path / "moved.bundle")
    for path in written(copy):
        assert path.read_bytes() == (fused / path.name).read_bytes()


def test_a_folder_beside_the_bundle_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(TINY, tmp_path / "hific.bundle")
    assert run_command("fuse", tmp_path / "hific.bundle", "--alpha", 0).status == 0
    assert names(tmp_path / "hific.fused") == ["decode-alpha0.onnx"]
    shutil.rmtree(tmp_path / "hific.fused")
    monkeypatch.chdir(tmp_path / "hific.bundle")
    assert run_command("fuse", ".", "--alpha", 1).status == 0
    assert names(tmp_path / "hific.fused") == ["decode-alpha1.onnx"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ALPHAS),
        (("--alpha", "0.5"), (0.5,)),
        (("--alpha", "1,0"), (0, 1)),
        (("--knob", "alpha=0.5000000001"), (0.5,)),
        (("--precision", "fp32", "--alpha", "1"), (1,)),
    ],
)
def test_knobs_choose_decoders(tmp_path: Path, options: tuple[str, ...], expected: tuple[float, ...]) -> None:
    outcome = run_command("fuse", TINY, "-o", tmp_path / "a", *options, "--json")
    assert set(names(tmp_path / "a")) == {f"decode-alpha{alpha}.onnx" for alpha in expected}
    for record, alpha in zip(outcome.records, expected, strict=True):
        file = tmp_path / "a" / f"decode-alpha{alpha}.onnx"
        assert record == {
            "ok": True,
            "output": str(file),
            "file": file.name,
            "model": "b5cfa644",
            "knobs": {"alpha": alpha},
            "precision": "fp32",
            "size": file.stat().st_size,
        }
        assert f"{file}  0.1 MB" in outcome.talk


def test_values_of_several_knobs_are_combined(tmp_path: Path) -> None:
    bundle = with_qualities({0.0: 0.125, 1.296875: 1.0}, (0.0, 20.0)).write(tmp_path / "crdr.bundle")
    graphs = written(bundle, "--quality", 1.3, "--beta", "0,20")
    assert [path.name for path in graphs] == [f"decode-beta{beta}-quality1.296875.onnx" for beta in (0, 20)]
    edit_index(bundle, lambda index: index.graphs.pop())
    outcome = run_command("fuse", bundle, "-o", tmp_path / "none", "--quality", 1.3, "--beta", 20)
    assert outcome.status == 4 and "no decoder has all of these values" in outcome.talk


@pytest.mark.parametrize(
    ("options", "status", "problem"),
    [
        (("--alpha", "0.3"), 4, "nothing was exported for alpha=0.3. hint: the bundle has alpha 0, 0.5, 1."),
        (("--alpha", "nan"), 4, "nothing was exported for alpha=nan"),
        (("--beta", "1"), 4, "decode takes no beta. hint: the bundle has alpha=0, alpha=0.5, alpha=1."),
        (("--quality", "inf"), 4, "decode takes no quality"),
        (("--precision", "fp16"), 4, "nothing was exported in fp16. hint: the bundle has fp32."),
        (("--alpha", "x"), 2, "'x' is not a list of numbers"),
        (("--max-pixels", "0"), 2, "--max-pixels"),
        (("--max-pixels", 1 << 63), 2, "max_pixels is 9223372036854775808"),
        (("--alfa", "1"), 2, "--alpha"),
    ],
)
def test_what_cannot_be_fused_is_refused(
    tmp_path: Path, options: tuple[object, ...], status: int, problem: str
) -> None:
    outcome = run_command("fuse", TINY, "-o", tmp_path / "out", *options)
    assert outcome.status == status and problem in outcome.talk
    assert not (tmp_path / "out").exists()


def test_files_that_are_there_are_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "decode-alpha1.onnx").write_bytes(b"precious")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    outcome = run_command("fuse", TINY, "-o", tmp_path)
    assert outcome.status == 2 and "--force" in outcome.talk
    assert names(tmp_path) == ["decode-alpha1.onnx", "notes.txt"]
    assert (tmp_path / "decode-alpha1.onnx").read_bytes() == b"precious"
    assert run_command("fuse", TINY, "-o", tmp_path, "--force").status == 0
    assert (tmp_path / "decode-alpha1.onnx").read_bytes() != b"precious"
    assert (tmp_path / "notes.txt").read_bytes() == b"mine"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert run_command("fuse", TINY, "-o", tmp_path / "file" / "folder").status == 7


def test_a_changed_bundle_is_refused(bundle_copy: Path, tmp_path: Path) -> None:
    for name in ("entropy.bin", "synthesis-alpha1.onnx"):
        data = bytearray((bundle_copy / name).read_bytes())
        data[len(data) // 2] ^= 1
        (bundle_copy / name).write_bytes(data)
        outcome = run_command("fuse", bundle_copy, "-o", tmp_path / "out", "--alpha", 1)
        assert outcome.status == 4 and name in outcome.talk
        data[len(data) // 2] ^= 1
        (bundle_copy / name).write_bytes(data)
    assert run_command("fuse", tmp_path, "-o", tmp_path / "out").status == 4


def test_graphs_of_an_old_opset_are_refused(tmp_path: Path) -> None:
    recipe = plain()
    entry, model = recipe.synthesis[0]
    model.opset_import[0].version = 11
    bundle = replace(recipe, synthesis=[(entry, model)]).write(tmp_path / "old.bundle")
    outcome = run_command("fuse", bundle, "-o", tmp_path / "out")
    assert outcome.status == 4 and "synthesis0.onnx: cannot be fused" in outcome.talk


def two_models(folder: Path) -> Path:
    """A bundle with a second entropy model for the same latents, with a decoder of its own."""
    plain().write(folder)
    (folder / "second.bin").write_bytes(model_bytes(colour_model(16)))
    shutil.copy(folder / "analysis0.onnx", folder / "analysis1.onnx")
    (folder / "synthesis1.onnx").write_bytes(synthesis(shift=9)[1].SerializeToString())
    reseal(folder, "second.bin", "analysis1.onnx", "synthesis1.onnx")
    second_id = zlib.crc32((folder / "second.bin").read_bytes())

    def change(index: Any) -> None:
        numbers = {file.name: number for number, file in enumerate(index.files)}
        (first,) = index.models
        index.models.append(
            replace(first, id=second_id, file=numbers["second.bin"], rate=1.0, alignment=16, padding_alignment=16)
        )
        for graph, name in zip(list(index.graphs), ("analysis1.onnx", "synthesis1.onnx"), strict=True):
            index.graphs.append(replace(graph, model=1, file=numbers[name]))

    edit_index(folder, change)
    return folder


def test_each_of_several_models_is_a_file(opened: Opened, tmp_path: Path) -> None:
    bundle = two_models(tmp_path / "two.bundle")
    ids = [model.id for model in edgecodec.inspect(bundle).models]  # type: ignore[union-attr]
    graphs = {path.name: path for path in written(bundle)}
    assert graphs.keys() == {f"decode-{each}.onnx" for each in ids}
    picture = np.random.default_rng(5).integers(0, 256, (20, 30, 3), np.uint8)
    with opened(bundle) as codec:
        data = codec.encode(picture).data
        expected = codec.decode(data).pixels
    coder = codec.decode(data).info.model_id
    other = next(each for each in ids if each != coder)
    np.testing.assert_array_equal(decode_fused(open_fused(graphs[f"decode-{coder}.onnx"]), data), expected)
    assert f"coded with model {coder}, this graph is of {other}" in refusal(
        open_fused(graphs[f"decode-{other}.onnx"]), data
    )


def test_a_precision_is_part_of_a_name_where_there_are_several(tmp_path: Path) -> None:
    """Whatever a bundle calls it, which may be a path."""
    bundle = plain().write(tmp_path / "b.bundle")

    def change(index: Any) -> None:
        for precision in ("fp16", "../../fp8 \u00e9"):
            index.graphs.append(replace(index.graphs[1], precision=precision))

    edit_index(bundle, change)
    assert [path.name for path in written(bundle)] == [
        f"decode{precision}.onnx" for precision in ("-.._.._fp8__", "-fp16", "")
    ]
    assert names(tmp_path) == ["b.bundle", "fused"]
    assert run_command("fuse", bundle, "-o", tmp_path / "half", "--precision", "fp16").status == 0
    assert names(tmp_path / "half") == ["decode-fp16.onnx"]


# ---- large graphs ---------------------------------------------------------------------------------------------------


def test_weights_lie_beside_a_graph_that_is_too_large(
    fused: Path, tmp_path: Path, codec: Codec, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgecodec_export.fused import weights

    size = (fused / "decode-alpha1.onnx").stat().st_size
    monkeypatch.setattr(weights, "LARGEST_FILE", size - 1)
    monkeypatch.setattr(weights, "SMALLEST", 1 << 10)
    outcome = run_command("fuse", TINY, "-o", tmp_path, "--alpha", 1, "--json")
    graph, beside = tmp_path / "decode-alpha1.onnx", tmp_path / "decode-alpha1.onnx.data"
    assert names(tmp_path) == [graph.name, beside.name]
    assert outcome.records[0]["size"] == graph.stat().st_size + beside.stat().st_size
    assert graph.stat().st_size < size / 2
    np.testing.assert_array_equal(decode_fused(open_fused(graph), coded), codec.decode(coded, alpha=1).pixels)
    first = beside.read_bytes()
    assert run_command("fuse", TINY, "-o", tmp_path, "--alpha", 1, "--force").status == 0
    assert beside.read_bytes() == first


# ---- the library, and what is loaded --------------------------------------------------------------------------------


def test_the_library_of_operators_is_the_one_that_is_loaded() -> None:
    from edgecodec import native

    path = edgecodec.custom_ops_library()
    assert isinstance(path, str) and Path(path).samefile(native.library()._name)


def test_the_python_of_the_documentation_works(
    tmp_path: Path, codec: Codec, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "fused.md").read_text(encoding="utf-8")
    command, code = (
        re.findall(r"^    edgecodec (fuse .*)$", page, re.MULTILINE)[0],
        page.split("```python")[1].split("```")[0],
    )
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TINY, "hific.bundle")
    Path("photo.edgc").write_bytes(coded)
    assert run_command(*command.split()).status == 0
    names: dict[str, Any] = {}
    exec(code, names)
    np.testing.assert_array_equal(names["image"], codec.decode(coded, alpha=0.5).pixels)


def test_fusing_loads_no_torch(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = sys.modules['onnxscript'] = None; from edgecodec import cli; cli.main()"
    command = [sys.executable, "-c", code, "fuse", str(TINY), "-o", str(tmp_path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_onnx_it_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['onnx'] = None; from edgecodec import cli; cli.main()"
    command = [sys.executable, "-c", code, "fuse", str(TINY), "-o", str(tmp_path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 6 and "edgecodec[export]" in done.stderr
