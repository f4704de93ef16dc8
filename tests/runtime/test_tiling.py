"""Pictures in tiles come out as they do whole, within a rounding; what cannot be tiled says so instead."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import edgecodec
from edgecodec import memory
from edgecodec.codec import Codec
from edgecodec.engine import Graph, Options
from edgecodec.errors import InvalidArgument, LimitExceeded, OutOfMemory
from edgecodec_engines.stub import Stub
from support import native_runtime
from support.blurred_codec import HALO, blurred_codec
from support.command_line import run_command as run
from support.make_bundles import BLOCK, plain
from support.paths import PHOTOS

Pixels = npt.NDArray[np.uint8]


def _picture(height: int, width: int) -> Pixels:
    """The photographs of the tests, mirrored over and over, with grain."""
    photo = np.asarray(Image.open(PHOTOS[0]))
    tiled = np.pad(photo, ((0, height), (0, width), (0, 0)), mode="reflect")[:height, :width]
    grain = np.random.default_rng(0).integers(-20, 21, tiled.shape)
    return np.clip(tiled + grain, 0, 255).astype(np.uint8)


# ---- one codec of known reach --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blurred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blurred_codec(tmp_path_factory.mktemp("blurred") / "test.bundle")


def _both(bundle: Path, picture: Pixels, whole: Codec, **options: Any) -> tuple[int, int]:
    """Values of latents and of pixels that differ between tiles and the whole."""
    with edgecodec.open_bundle(bundle, "onnxruntime", threads=1, **options) as codec:
        encoded = codec.encode(picture)
        assert encoded.tiles.count > 1
        expected = whole.encode(picture)
        latents = sum(int((encoded.latents[name] != each).sum()) for name, each in expected.latents.items())
        decoded = codec.decode(expected.data)
        assert decoded.tiles.count > 1
        pixels = int((decoded.pixels != whole.decode(expected.data).pixels).sum())
    return latents, pixels


def _whole(bundle: Path) -> Codec:
    return edgecodec.open_bundle(bundle, "onnxruntime", threads=1, tile="off")


@pytest.mark.parametrize("tile", [1, BLOCK, 3 * BLOCK, 50])
@pytest.mark.parametrize("size", [(96, 136), (201, 75), (33, 203)])
def test_tiles_of_any_size(blurred: Path, tile: int, size: tuple[int, int]) -> None:
    picture = _picture(*size)
    latents, pixels = _both(blurred, picture, _whole(blurred), tile=tile)
    assert latents <= 1e-4 * picture.size and pixels <= 1e-4 * picture.size


@pytest.mark.parametrize("halo", [(HALO - 1, HALO), (HALO, HALO - 1)])
def test_a_halo_that_is_one_unit_short_is_seen(blurred: Path, tmp_path: Path, halo: tuple[int, int]) -> None:
    short = blurred_codec(tmp_path / "short.bundle", halo=halo)
    picture = _picture(120, 120)
    latents, pixels = _both(short, picture, _whole(blurred), tile=2 * BLOCK)
    assert latents > 10 and pixels > 0.01 * picture.size


def test_greyscale_and_many_at_once(blurred: Path) -> None:
    whole = _whole(blurred)
    pictures = [_picture(90, 77)[..., 0], _picture(64, 200), _picture(30, 30)]
    with edgecodec.open_bundle(blurred, "onnxruntime", threads=1, tile=32) as codec:
        encoded = [codec.encode(picture) for picture in pictures]
        decoded = list(codec.decode_many([each.data for each in encoded]))
    assert [each.tiles.count for each in decoded] == [each.tiles.count for each in encoded]
    assert [each.tiles.count > 1 for each in decoded] == [True, True, False]
    for picture, file, tiled in zip(pictures, encoded, decoded, strict=True):
        assert tiled.pixels.shape == picture.shape
        difference = np.abs(tiled.pixels.astype(int) - whole.decode(file.data).pixels)
        assert difference.max() <= 1 and difference.mean() < 1e-3


def test_memory_decides(blurred: Path) -> None:
    """The bundle says 100 bytes a pixel."""
    picture = _picture(128, 160)
    data = _whole(blurred).encode(picture).data
    counts = []
    for room in (1 << 30, 100 * picture[..., 0].size, 1 << 20):
        with edgecodec.open_bundle(blurred, "onnxruntime", threads=1, max_memory=room) as codec:
            tiles = codec.decode(data).tiles
            assert codec.encode(picture).tiles == tiles
        assert tiles.height * tiles.width * 100 <= room
        assert (tiles.count == 1) == (tiles.overhead == 0)
        counts.append(tiles.count)
    assert counts[0] == 1 < counts[1] < counts[2]
    with edgecodec.open_bundle(blurred, "onnxruntime", max_memory=1000) as codec:
        with pytest.raises(LimitExceeded, match=r"and the smallest tile, \d+x\d+, \S+ KB"):
            codec.decode(data)
        with pytest.raises(LimitExceeded):
            codec.encode(picture)
    with edgecodec.open_bundle(blurred, "onnxruntime", max_memory=1000, tile="off") as codec:
        assert codec.decode(data).tiles.count == 1


@pytest.mark.parametrize("tiled", [True, False])
def test_as_much_memory_as_the_hint_names_is_enough(tmp_path: Path, tiled: bool) -> None:
    untiled: dict[str, Any] = {"tiling": "it is a test"}
    bundle = blurred_codec(tmp_path / "test.bundle", **({} if tiled else untiled))
    picture = _picture(128, 160)
    with edgecodec.open_bundle(bundle, "onnxruntime", max_memory=1000) as codec, pytest.raises(LimitExceeded) as caught:
        codec.encode(picture)
    amount = memory.parse((caught.value.hint or "").removeprefix("allow ").partition(" (max_memory)")[0])
    with edgecodec.open_bundle(bundle, "onnxruntime", max_memory=amount) as codec:
        assert (codec.encode(picture).tiles.count > 1) == tiled
    less = edgecodec.open_bundle(bundle, "onnxruntime", max_memory=int(0.95 * amount))
    with less as codec, pytest.raises(LimitExceeded):
        codec.encode(picture)


def test_a_picture_that_just_fits_is_whole(tmp_path: Path) -> None:
    """With the memory kept low the whole takes 1.4 times what the manifest says: 112 bytes a pixel."""
    bundle = blurred_codec(tmp_path / "test.bundle", bytes_per_pixel=80.0, tiling="it is a test")
    picture, room = _picture(128, 128), 112 * 128 * 128
    with edgecodec.open_bundle(bundle, "onnxruntime", threads=1, max_memory=room) as codec:
        assert codec.encode(picture).tiles.count == 1
    less = edgecodec.open_bundle(bundle, "onnxruntime", threads=1, max_memory=room - 1)
    with less as codec, pytest.raises(LimitExceeded):
        codec.encode(picture)


@pytest.mark.parametrize(("room", "words"), [(1 << 20, "1 MB"), ((1 << 20) - 1, "1024 KB"), (1 << 30, "1 GB")])
def test_memory_is_named_in_the_largest_unit_that_it_fills(tmp_path: Path, room: int, words: str) -> None:
    bundle = blurred_codec(tmp_path / "test.bundle", bytes_per_pixel=1e8, tiling="it is a test")
    problem = f"there is room for {words}, where 16x16 pixels need 33.4 GB"
    with edgecodec.open_bundle(bundle, "stub", max_memory=room) as codec, pytest.raises(LimitExceeded, match=problem):
        codec.encode(_picture(16, 16))


def test_an_engine_saves_memory_from_its_first_tiles_on(blurred: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    load = Stub.load

    def recorded(graph: Graph, variant: str, options: Options) -> Stub:
        asked.append(options.low_memory)
        return load(graph, variant, options)

    monkeypatch.setattr(Stub, "load", recorded)
    with edgecodec.open_bundle(blurred, "stub", tile=48) as codec:
        for side, loaded in ((32, [False]), (100, [False, True]), (32, [False, True]), (100, [False, True])):
            codec.encode(_picture(side, side))
            assert asked == loaded


def test_what_is_free_decides_where_nothing_is_said(tmp_path: Path) -> None:
    """Half of what is free, with the room that engines want: 1.4 times what they need, or twice that."""
    picture = _picture(128, 160)
    free = native_runtime.available_memory()
    assert free is not None
    for share, tiled in ((0.01, False), (0.8, True)):
        needs = blurred_codec(tmp_path / f"{share}.bundle", bytes_per_pixel=share * free / picture[..., 0].size)
        with edgecodec.open_bundle(needs, "stub") as codec:
            assert (codec.encode(picture).tiles.count > 1) == tiled
    much = edgecodec.open_bundle(blurred_codec(tmp_path / "much.bundle", bytes_per_pixel=1e14), "stub")
    with much as codec, pytest.raises(OutOfMemory, match="the smallest tile"):
        codec.encode(picture)


def test_what_cannot_be_tiled_says_why(tmp_path: Path) -> None:
    why: dict[str, Any] = {"tiling": "it takes statistics of whole maps (ReduceMean)"}
    bundle = blurred_codec(tmp_path / "test.bundle", **why)
    picture = _picture(128, 160)
    data = _whole(bundle).encode(picture).data
    forced: tuple[dict[str, Any], ...] = ({"max_memory": 1 << 20}, {"tile": 64})
    for options in forced:
        with edgecodec.open_bundle(bundle, "onnxruntime", **options) as codec:
            for call in (partial(codec.decode, data), partial(codec.encode, picture)):
                with pytest.raises(LimitExceeded, match=r"cannot be tiled: it takes statistics of whole maps") as error:
                    call()
                hint = error.value.hint or ""
                assert "tile off" in hint and ("max_memory" in hint) == ("max_memory" in options)
            assert codec.encode(picture[:20, :20]).tiles.count == 1


def test_a_bundle_that_says_nothing_is_never_tiled_unasked(tmp_path: Path) -> None:
    bundle = plain().write(tmp_path / "test.bundle")
    picture = _picture(128, 160)
    with edgecodec.open_bundle(bundle, "onnxruntime", max_memory=1) as codec:
        assert codec.encode(picture).tiles.count == 1
    with (
        edgecodec.open_bundle(bundle, "onnxruntime", tile=64) as codec,
        pytest.raises(LimitExceeded, match="its export did not say how far it looks"),
    ):
        codec.encode(picture)


@pytest.mark.parametrize("options", [{"tile": 0}, {"tile": "all"}, {"tile": True}, {"max_memory": 0}])
def test_options_that_make_no_sense(blurred: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        edgecodec.open_bundle(blurred, **options)


# ---- the command line ----------------------------------------------------------------------------------------------


def test_commands(blurred: Path, tmp_path: Path) -> None:
    Image.fromarray(_picture(150, 170)).save(tmp_path / "in.png")
    common = ("-b", blurred, "--engine", "onnxruntime", "--json", "-v", "--force")
    for options, tiled in (((), False), (("--tile", "48"), True), (("--max-memory", "1.5M"), True)):
        both = (
            run("encode", tmp_path / "in.png", *common, "-o", tmp_path / "a.edgc", *options),
            run("decode", tmp_path / "a.edgc", *common, "-o", tmp_path / "out.png", *options),
        )
        for outcome in both:
            assert outcome.status == 0, outcome.talk
            tiles = outcome.records[0]["tiles"]
            assert (tiles["count"] > 1) == tiled == (tiles["overhead"] > 0)
            said = f"{tiles['count']} tiles of {tiles['width']}x{tiles['height']}, {tiles['overhead']:.0%} more pixels"
            assert (said in outcome.talk) == tiled
    for options, status in ((("--tile", "some"), 2), (("--max-memory", "lots"), 2), (("--max-memory", "10K"), 5)):
        outcome = run("encode", tmp_path / "in.png", *common, "-o", tmp_path / "b.edgc", *options)
        assert outcome.status == status and "hint" in outcome.talk
    assert f"halo of {HALO} and {HALO}" in run("inspect", blurred).output.decode()


def test_amounts_of_memory() -> None:
    assert [memory.parse(text) for text in ("4G", "1.5k", "70", "2 TiB", "3mb")] == [
        4 << 30,
        1536,
        70,
        2 << 40,
        3 << 20,
    ]
    for text in ("", "G", "-1G", "4X", "4GG", "9" * 400, "9" * 9000):
        with pytest.raises(InvalidArgument):
            memory.parse(text)
