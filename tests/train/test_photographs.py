"""Photographs of any folder or tar file train a model: what is broken is skipped, what is drawn depends on the seed."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgecodec.errors import CannotRead, InvalidArgument, OutOfMemory, OutOfRange
from edgecodec_export.calibration import DEFAULT_FOLDER
from edgecodec_train.data.crops import Mirror, random_crops, require_sides, whole_photo
from edgecodec_train.data.listing import Entry
from edgecodec_train.data.photographs import PhotoSet, open_photographs
from edgecodec_train.data.picture_cache import PictureCache
from edgecodec_train.data.prefetch import Prefetch


def _file(colour: int, size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    """A flat picture, whose red says which one it is."""
    stream = io.BytesIO()
    Image.new("RGB", size, (colour, 0, 0)).save(stream, kind)
    return stream.getvalue()


def _folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def _tar(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _drawn(photos: PhotoSet, draws: int = 64, least_side: int = 8) -> list[int]:
    generator = np.random.default_rng(0)
    return [int(photos.training.draw(generator, least_side)[0, 0, 0]) for _ in range(draws)]


def _names(count: int) -> dict[str, bytes]:
    return {f"{number:03}.png": _file(number) for number in range(count)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return _folder(tmp_path / "pictures", _names(16))


# What there is to draw


def test_one_in_so_many_is_held_out_in_order_of_name(pictures: Path) -> None:
    photos = open_photographs(pictures, held_out=4)
    assert [int(photo[0, 0, 0]) for photo in photos.validation] == [3, 7, 11, 15]
    assert len(photos.training) == 12
    assert set(_drawn(photos, 500)) == {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14}


def test_fewer_are_validated_on_but_none_of_the_others_is_trained_on(pictures: Path) -> None:
    photos = open_photographs(pictures, held_out=4, most_held_out=2)
    assert [int(photo[0, 0, 0]) for photo in photos.validation] == [3, 11]
    assert set(_drawn(photos, 500)) == {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14}


def test_packing_pictures_into_tar_files_changes_nothing(tmp_path: Path) -> None:
    files = {f"{folder}/{name}": content for folder in ("a", "b.c", "b") for name, content in _names(8).items()}
    plain = _folder(tmp_path / "plain", files)
    half = {name: content for name, content in files.items() if name.startswith("a/")}
    rest = {name: content for name, content in files.items() if name not in half}
    shards = tmp_path / "shards"
    _tar(shards / "2.tar", {f"./{name}": content for name, content in half.items()})
    _tar(shards / "1.TAR", rest)
    mixture = _folder(tmp_path / "mixture", half)
    _tar(mixture / "b" / "some.tar", {name[2:]: content for name, content in rest.items() if name.startswith("b/")})
    _tar(mixture / "b.c" / "some.tar", {name[4:]: content for name, content in rest.items() if name.startswith("b.c/")})
    sources = [plain, shards, mixture, _tar(tmp_path / "one.tar", files)]
    opened = [open_photographs(source, held_out=5) for source in sources]
    assert len({photos.fingerprint for photos in opened}) == 1
    expected = _drawn(opened[0])
    assert len(set(expected)) > 4
    for photos in opened[1:]:
        assert _drawn(photos) == expected
        assert np.array_equal(photos.validation, opened[0].validation)


def test_other_photographs_have_another_fingerprint(pictures: Path) -> None:
    before = open_photographs(pictures, held_out=4).fingerprint
    assert open_photographs(pictures, held_out=8).fingerprint == before
    (pictures / "003.png").write_bytes(_file(3, (9, 9)) + b"longer")
    changed = open_photographs(pictures, held_out=4).fingerprint
    (pictures / "003.png").rename(pictures / "003.jpg")
    assert len({before, changed, open_photographs(pictures, held_out=4).fingerprint}) == 3


def test_only_pictures_are_taken(pictures: Path, tmp_path: Path) -> None:
    others = ["._000.png", ".hidden/a.png", "README.md", "list.txt", "png", "labels.h5", "scan.pdf", "a/.b/c.png"]
    before = open_photographs(pictures, held_out=4)
    unwanted = dict.fromkeys(others, b"not a picture")
    archive = _tar(tmp_path / "all.tar", _names(16) | unwanted)
    for source in (_folder(pictures, unwanted), archive):
        after = open_photographs(source, held_out=4)
        assert (len(after.training), after.fingerprint, after.skipped) == (12, before.fingerprint, {})


def test_photographs_are_as_the_runtime_reads_them(tmp_path: Path) -> None:
    """Upright and in three colours, whatever the file has."""
    exif, turned, grey = Image.Exif(), io.BytesIO(), io.BytesIO()
    exif[0x0112] = 6  # the top is at the right
    Image.new("RGB", (8, 16)).save(turned, "PNG", exif=exif)
    Image.new("I;16", (8, 16), 257 * 30).save(grey, "PNG")
    photos = open_photographs(_folder(tmp_path, {"a.png": turned.getvalue(), "b.png": grey.getvalue()}), held_out=2)
    assert photos.training.draw(np.random.default_rng(0), 8).shape == (8, 16, 3)
    assert photos.validation[0].shape == (16, 8, 3) and np.all(photos.validation[0] == 30)


ODD_NAMES = ["a b.png", "line\nbreak.png", "ünï 写.png", "100%.png", "'quoted\".JPG", "-o.png", "dots...png"]


def test_names_may_be_odd(tmp_path: Path) -> None:
    names = ODD_NAMES + ([os.fsdecode(b"\xff\xfe.png")] if sys.platform == "linux" else [])
    files = {name: _file(number, kind="PNG") for number, name in enumerate(names)}
    for source in (_folder(tmp_path / "folder", files), _tar(tmp_path / "a.tar", files)):
        photos = open_photographs(source, held_out=len(names))
        assert len(set(_drawn(photos))) == len(names) - 1 and not photos.skipped
    broken = _folder(tmp_path / "broken", dict.fromkeys(names, b""))
    _folder(broken, {"a.png": _file(0), "b.png": _file(1)})
    photos = open_photographs(broken, held_out=2)
    _drawn(photos)
    photos.skipped_summary.encode()  # can be printed
    assert "\n" not in photos.skipped_summary


@pytest.mark.skipif(os.name == "nt", reason="links need permissions there")
def test_links_are_followed_but_not_in_circles(pictures: Path, tmp_path: Path) -> None:
    before = open_photographs(pictures, held_out=4)
    _folder(tmp_path / "elsewhere", {"a.png": _file(100), "b.png": _file(101)})
    (pictures / "round").symlink_to(pictures)
    (pictures / "there").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(pictures)
    (pictures / "broken.png").symlink_to(tmp_path / "missing.png")
    (pictures / "itself.png").symlink_to(pictures / "itself.png")
    (pictures / "broken").symlink_to(tmp_path / "missing")
    os.mkfifo(pictures / "pipe.png")
    after = open_photographs(pictures, held_out=4)
    assert len(after.training) == len(before.training) + 2
    assert {100, 101} < set(_drawn(after, 500))


def test_pictures_are_listed_without_being_opened(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = Entry.read

    def read(entry: Entry) -> bytes:
        opened.append(entry.name)
        return real(entry)

    monkeypatch.setattr(Entry, "read", read)
    photos = open_photographs(pictures, held_out=8)
    assert opened == ["007.png", "015.png"]
    _drawn(photos, 1)
    assert len(opened) == 3


# What cannot be drawn


@pytest.fixture
def with_broken(pictures: Path) -> Path:
    photograph = (DEFAULT_FOLDER / "00.webp").read_bytes()
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(photograph)).convert("RGB").save(jpeg, "JPEG")
    frames = io.BytesIO()
    Image.new("L", (8, 8)).save(frames, "GIF", save_all=True, append_images=[Image.new("L", (8, 8), 9)])
    broken = {
        "000-truncated.jpg": jpeg.getvalue()[:2000],
        "000-truncated.webp": photograph[:2000],
        "004-empty.png": b"",
        "005-text.png": b"not a picture",
        "006-animated.gif": frames.getvalue(),
    }
    return _folder(pictures, broken | {"008-flat.png": _file(99, (40, 7))})


def test_broken_and_small_pictures_are_skipped_and_counted_once(with_broken: Path) -> None:
    photos = open_photographs(with_broken, held_out=22, most_held_out=1)
    assert photos.skipped == {} and photos.skipped_summary == ""
    first = _drawn(photos, 500)
    assert set(first) == set(range(15))
    assert photos.skipped == {"not readable": 5, "too small": 1}
    assert _drawn(photos, 500) == first and photos.skipped == {"not readable": 5, "too small": 1}
    assert "5 not readable (" in photos.skipped_summary and "; ...)" in photos.skipped_summary
    assert f"1 too small ({with_broken / '008-flat.png'}: 40x7)" in photos.skipped_summary
    assert 99 in _drawn(photos, 500, least_side=7)


def test_a_broken_picture_that_is_held_out_is_left_out(pictures: Path) -> None:
    (pictures / "007.png").write_bytes(b"")
    photos = open_photographs(pictures, held_out=4)
    assert [int(photo[0, 0, 0]) for photo in photos.validation] == [3, 11, 15]
    assert photos.skipped == {"not readable": 1}
    for name in ("003.png", "011.png", "015.png"):
        (pictures / name).write_bytes(b"")
    with pytest.raises(
        CannotRead, match=r"no picture that is held out can be used: 4 not readable \(.*003\.png: is empty"
    ):
        open_photographs(pictures, held_out=4)


def test_errors_of_pillows_plugins_do_not_end_a_run(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = open_photographs(pictures, held_out=4)

    def fail(*_: object) -> None:
        raise KeyError("a bug of a plugin")

    with monkeypatch.context() as patched:
        patched.setattr("edgecodec.picture._convert", fail)
        with pytest.raises(CannotRead, match="KeyError"):
            _drawn(photos)
    monkeypatch.setattr("edgecodec.picture._convert", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(OutOfMemory):
        _drawn(open_photographs(pictures, held_out=4))


def test_it_is_said_why_nothing_can_be_drawn(pictures: Path) -> None:
    photos = open_photographs(pictures, held_out=4)
    with pytest.raises(
        OutOfRange, match=r"no picture of 9 pixels a side: 12 too small \(.*\d\d\d\.png: 8x8; .*smaller crops"
    ):
        photos.training.draw(np.random.default_rng(0), 9)
    photos = open_photographs(pictures, held_out=4)
    for file in pictures.iterdir():
        file.unlink()
    with pytest.raises(CannotRead, match=r"pictures: 100 draws .* not readable \(.*\d\d\d\.png: .*No such file"):
        photos.training.draw(np.random.default_rng(0), 8)


@pytest.mark.parametrize(("count", "held_out"), [(3, 4), (16, 64)])
def test_too_few_pictures_for_both_parts_are_refused(tmp_path: Path, count: int, held_out: int) -> None:
    source = _folder(tmp_path / "few", _names(count))
    with pytest.raises(
        InvalidArgument, match=f"few: every {held_out}th of {count} pictures is held out, which leaves none"
    ):
        open_photographs(source, held_out=held_out)


@pytest.mark.parametrize(("held_out", "most"), [(1, 32), (0, 32), (4, 0)])
def test_a_split_without_both_parts_is_refused(pictures: Path, held_out: int, most: int) -> None:
    with pytest.raises(InvalidArgument, match=f"held_out is {held_out}, most_held_out is {most}"):
        open_photographs(pictures, held_out=held_out, most_held_out=most)


def test_a_source_without_pictures_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match=r"missing: .*give a folder"):
        open_photographs(tmp_path / "missing")
    with pytest.raises(CannotRead, match=r"000\.png: is neither a folder nor a \.tar file"):
        open_photographs(pictures / "000.png")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CannotRead, match="nothing: holds no pictures"):
        open_photographs(tmp_path / "nothing")
    with pytest.raises(CannotRead, match=r"text\.tar: holds no pictures"):
        open_photographs(_tar(tmp_path / "text.tar", {"a.txt": b"text"}))


def _cut(content: bytes) -> bytes:
    return content[:-20000]


def _overwritten(content: bytes) -> bytes:
    """The header of the ninth picture: of a picture's two blocks one is its header."""
    return content[: 16 * 512] + b"x" * 512 + content[17 * 512 :]


@pytest.mark.parametrize("damage", [_cut, _overwritten, lambda _: b"", lambda _: b"x" * 2048])
def test_a_damaged_tar_file_is_refused_and_named(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    archive = _tar(tmp_path / "folder" / "shard.tar", _names(16) | {"large.bmp": _file(0, (90, 90), "BMP")})
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(CannotRead, match=r"shard\.tar: is a damaged .*make it anew"):
        open_photographs(archive.parent, held_out=4)


def test_a_compressed_tar_file_is_refused_and_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w:gz") as archive:
        archive.add(DEFAULT_FOLDER, "photos")
    with pytest.raises(CannotRead, match=r"shard\.tar: is a damaged or compressed tar file.*without compression"):
        open_photographs(tmp_path)


def test_large_pictures_neither_warn_nor_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns above its limit and raises above twice that; the limit is as before afterwards."""
    source = _folder(tmp_path, {"a.png": _file(1, (20, 20)), "b.png": _file(2, (20, 20))})
    for limit in (100, 300):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            photos = open_photographs(source, held_out=2)
            with Prefetch(lambda _, photos=photos: _drawn(photos, 4), workers=4, ahead=8) as coming:  # type: ignore[misc]
                assert [coming.get(step) for step in range(4)] == [[1] * 4] * 4
        assert not caught and not photos.skipped
        assert limit == Image.MAX_IMAGE_PIXELS


# What is drawn


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    folder = tmp_path_factory.mktemp("photographs")
    for file in sorted(DEFAULT_FOLDER.glob("*.webp"))[:6]:
        shutil.copy(file, folder)
    return open_photographs(folder, held_out=6)


@pytest.mark.parametrize("cache_bytes", [0, 500, 2 << 30])
def test_draws_depend_neither_on_the_cache_nor_on_prefetching(with_broken: Path, cache_bytes: int) -> None:
    def batch(photos: PhotoSet, step: int) -> torch.Tensor:
        return random_crops(photos.training, 4, 3, np.random.default_rng((7, step)), downscale=(0.5, 1))

    alone = open_photographs(with_broken, held_out=22)
    expected = [batch(alone, step) for step in range(20)]
    photos = open_photographs(with_broken, held_out=22, cache_bytes=cache_bytes)
    with Prefetch(lambda step: batch(photos, step), workers=3, ahead=4) as coming:
        for step in (*range(8), *range(15, 20), *range(5, 20)):
            assert torch.equal(coming.get(step), expected[step])


def test_crops_are_regions_of_the_photographs_mirrored_half_of_the_time(tmp_path: Path) -> None:
    """The red of a pixel is its column, the green its row."""
    y, x = np.mgrid[:40, :60].astype(np.uint8)
    picture = Image.fromarray(np.stack([x, y, np.zeros_like(x)], 2))
    for name in ("a.png", "b.png"):
        picture.save(tmp_path / name)
    photos = open_photographs(tmp_path, held_out=2)
    orders: dict[Mirror, set[tuple[int, int]]] = {
        "none": {(1, 1)},
        "horizontal": {(1, 1), (1, -1)},
        "both": {(1, 1), (1, -1), (-1, 1), (-1, -1)},
    }
    for mirror, expected in orders.items():
        crops = random_crops(photos.training, 16, 64, np.random.default_rng(0), mirror=mirror)
        assert crops.shape == (64, 3, 16, 16) and crops.dtype == torch.float32
        assert crops.is_contiguous(memory_format=torch.channels_last)
        levels = (crops * 255).round().int()
        across, down = torch.diff(levels[:, 0], dim=2), torch.diff(levels[:, 1], dim=1)
        assert {(int(d[0, 0]), int(a[0, 0])) for d, a in zip(down, across, strict=True)} == expected
        assert all(side.unique().numel() == 1 for step in (across, down) for side in step)
        assert levels[:, 0].max() == 59 and levels[:, 1].max() == 39 and levels[:, :2].min() == 0
    with pytest.raises(InvalidArgument, match="mirror is 'vertical'"):
        random_crops(photos.training, 16, 1, np.random.default_rng(0), mirror="vertical")  # type: ignore[arg-type]


class _Scripted:
    """A generator that gives these numbers, in place of random ones."""

    def __init__(self, *uniform: float) -> None:
        self._uniform = list(uniform)

    def uniform(self, low: float, high: float) -> float:
        number = self._uniform.pop(0)
        assert low <= number <= high
        return number

    def integers(self, high: int) -> int:
        return 0


@pytest.mark.parametrize(("factor", "top", "left"), [(0.75, 0, 0), (0.75, 48, 120), (0.5, 64, 32), (1.0, 7, 9)])
def test_a_downscaled_crop_is_one_of_the_whole_photograph_resized(
    photographs: PhotoSet, factor: float, top: int, left: int
) -> None:
    photo = photographs.training.draw(_Scripted(), 1)  # type: ignore[arg-type]
    photo = photo[: photo.shape[0] // 4 * 4, : photo.shape[1] // 4 * 4]
    whole = Image.fromarray(photo).resize(
        (round(photo.shape[1] * factor), round(photo.shape[0] * factor)), Image.Resampling.LANCZOS
    )
    pictures = _Only(photo)
    script = _Scripted(factor, top, left)
    (crop,) = random_crops(pictures, 96, 1, script, mirror="none", downscale=(0.1, 1))  # type: ignore[arg-type]
    start = round(left * factor), round(top * factor)
    expected = np.asarray(whole.crop((*start, start[0] + 96, start[1] + 96))).astype(int)
    assert np.abs((crop * 255).round().int().permute(1, 2, 0).numpy() - expected).max() <= 1


class _Only:
    def __init__(self, photo: np.ndarray) -> None:
        self._photo = photo

    def draw(self, generator: object, least_side: int) -> np.ndarray:
        assert min(self._photo.shape[:2]) >= least_side
        return self._photo


def test_factors_are_drawn_from_their_range_but_leave_a_whole_crop() -> None:
    """On a slope the difference of neighbours is the inverse of the factor."""
    slope = np.repeat(np.arange(240, dtype=np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)

    def factors(side: int) -> np.ndarray:
        crops = random_crops(_Only(slope), side, 200, np.random.default_rng(0), mirror="none", downscale=(0.5, 0.8))  # type: ignore[arg-type]
        middle = crops[:, 0, 0, side // 4 : -side // 4] * 255
        return ((middle.shape[1] - 1) / (middle[:, -1] - middle[:, 0])).numpy()

    free = factors(80)
    assert 0.48 < free.min() < 0.53 and 0.77 < free.max() < 0.82 and abs(free.mean() - 0.65) < 0.02
    bound = factors(140)  # the rows of the photograph leave 0.7
    assert bound.min() > 0.69 and bound.max() < 0.82
    assert abs(factors(200) - 1).max() < 0.01


@pytest.mark.parametrize("factors", [(0.0, 0.5), (0.9, 0.8), (0.5, 1.5)])
def test_factors_that_cannot_be_are_refused(photographs: PhotoSet, factors: tuple[float, float]) -> None:
    with pytest.raises(InvalidArgument, match="downscale is"):
        random_crops(photographs.training, 8, 1, np.random.default_rng(0), downscale=factors)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_is_drawn_cannot_be_written_to(tmp_path: Path, mode: str) -> None:
    """It may be kept, and would be another picture the next time."""
    for name in ("a.png", "b.png"):
        Image.new(mode, (8, 8)).save(tmp_path / name)
    photos = open_photographs(tmp_path, held_out=2)
    with pytest.raises(ValueError, match="read-only"):
        photos.training.draw(np.random.default_rng(0), 8)[:] = 0


def test_whole_photographs_are_cropped_to_a_multiple(photographs: PhotoSet) -> None:
    photo = photographs.validation[0][:50, :135]
    image = whole_photo(photo, 16)
    assert image.shape == (1, 3, 48, 128) and image.dtype == torch.float32
    assert np.array_equal((image[0] * 255).round().byte().permute(1, 2, 0).numpy(), photo[:48, :128])


def test_photographs_too_small_to_validate_on_are_refused() -> None:
    photos = [np.zeros((64, 80, 3), np.uint8), np.zeros((63, 80, 3), np.uint8), np.zeros((90, 15, 3), np.uint8)]
    require_sides(photos, 15)
    with pytest.raises(OutOfRange, match="smaller than 64 pixels a side: 2, one of them 15x90"):
        require_sides(photos, 64)


def test_the_cache_forgets_what_was_not_used_lately() -> None:
    pictures = [np.full((2, 5), number, np.uint8) for number in range(4)]
    cache = PictureCache(30)
    for number in (0, 1, 2):
        cache.put(number, pictures[number])
    assert cache.get(0) is pictures[0]
    cache.put(3, pictures[3])
    assert [cache.get(number) is not None for number in range(4)] == [True, False, True, True]
    cache.put(4, np.zeros(31, np.uint8))  # larger than all that is kept
    cache.put(3, pictures[3])
    assert [cache.get(number) is not None for number in range(5)] == [True, False, True, True, False]


# Prefetching


def test_coming_steps_are_made_while_one_is_used() -> None:
    made, all_made = [], threading.Event()

    def make(step: int) -> int:
        made.append(step)
        if step == 8:
            all_made.set()
        return step * step

    with Prefetch(make, workers=2, ahead=3) as coming:
        assert coming.get(5) == 25
        assert all_made.wait(10)
        assert sorted(made) == [5, 6, 7, 8]
        assert coming.get(6) == 36
    assert sorted(made) in ([5, 6, 7, 8], [5, 6, 7, 8, 9])


def test_what_fails_fails_where_it_is_asked_for() -> None:
    def make(step: int) -> int:
        if step == 3:
            raise ValueError("of step 3")
        return step

    for workers in (0, 2):
        with Prefetch(make, workers, ahead=4) as coming:
            assert [coming.get(step) for step in range(3)] == [0, 1, 2]
            for _ in range(2):
                with pytest.raises(ValueError, match="of step 3"):
                    coming.get(3)
            assert coming.get(4) == 4


def test_nothing_waits_for_steps_that_nobody_asks_for() -> None:
    started: list[int] = []

    def make(step: int) -> int:
        started.append(step)
        time.sleep(0.02)
        return step

    with Prefetch(make, workers=1, ahead=1000) as coming:
        assert coming.get(0) == 0
        assert coming.get(5000) == 5000  # those after step 0 do not have to be made before
    assert len(started) < 20
    with pytest.raises(RuntimeError):
        coming.get(1)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
