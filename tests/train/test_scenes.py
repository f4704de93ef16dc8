"""Scenes are cut with their labels, archives that lack something are refused, masks are those of the paper."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgecodec.errors import CannotRead, InvalidArgument, NotAnImage
from edgecodec_export.calibration import DEFAULT_FOLDER
from edgecodec_train.data.scenes import (
    MaskKind,
    instances_of,
    load_scenes,
    random_labelled_crops,
    random_masks,
    whole_scene,
)
from support.png_files import grey_png

WIDTH, HEIGHT = 160, 144


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    """Two scenes to train on and one to validate on, whose labels are their brightness in twelve steps."""
    picture = Image.open(DEFAULT_FOLDER / "00.webp").convert("RGB").crop((0, 0, WIDTH, HEIGHT))
    labels = Image.fromarray((np.asarray(picture.convert("L")).astype(np.uint16) * 12 // 256).astype(np.uint8))
    names = "".join(f"{number} class{number} 1 2 3\n" for number in range(12))
    files = {"classes.txt": b"# number name colour\n\n" + names.encode()}
    for name in ("train/{}/a", "train/{}/b", "val/{}/a", "test/{}/a"):
        for folder, content in (("images", picture), ("labels", labels)):
            files[f"{name.format(folder)}.png"] = _png(content)
    return files


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _archive(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_scenes_are_split_by_folder_and_cut_with_their_labels(contents: dict[str, bytes], tmp_path: Path) -> None:
    hidden = {"./train/images/._a.png": b"what macOS writes"}
    scenes = load_scenes(_archive(tmp_path / "scenes.tar", contents | hidden))
    assert (len(scenes.training), len(scenes.validation)) == (2, 1)
    assert scenes.classes == tuple(f"class{number}" for number in range(12))
    whole_image, whole_labels = whole_scene(scenes.validation[0], 64)
    assert whole_image.shape == (1, 3, 128, 128) and whole_labels.shape == (1, 1, 128, 128)
    for mirror in ("none", "horizontal", "both"):
        image, labels = random_labelled_crops(scenes.training, 64, 3, np.random.default_rng(0), mirror=mirror)
        assert image.shape == (3, 3, 64, 64) and labels.shape == (3, 1, 64, 64)
        _brightness_is_the_label(image, labels)
    _brightness_is_the_label(whole_image, whole_labels)


def _brightness_is_the_label(image: torch.Tensor, labels: torch.Tensor) -> None:
    luma = (image * torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    assert (luma * 255 * 12 / 256 - labels - 0.5).abs().max() < 0.6


def test_other_scenes_have_another_fingerprint(contents: dict[str, bytes], tmp_path: Path) -> None:
    first = load_scenes(_archive(tmp_path / "first.tar", contents)).fingerprint
    assert load_scenes(_archive(tmp_path / "same.tar", contents)).fingerprint == first
    assert load_scenes(_archive(tmp_path / "other.tar", contents | {"note": b""})).fingerprint != first


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_labels_are_the_numbers_that_are_stored(contents: dict[str, bytes], tmp_path: Path, bits: int) -> None:
    """Samples of greyscale PNG files, whatever their depth."""
    rows = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % min(12, 1 << bits)
    files = contents | {"val/labels/a.png": grey_png(rows, bits)}
    (scene,) = load_scenes(_archive(tmp_path / "other.tar", files)).validation
    assert np.array_equal(scene.labels, rows)


@pytest.mark.parametrize(
    ("changed", "content", "said"),
    [
        ("classes.txt", None, r"scenes\.tar: classes\.txt: is missing"),
        ("classes.txt", b"0 all\n", r"scenes\.tar: train/labels/a\.png: has a label \d+, but there are 1 classes"),
        ("classes.txt", b"1 first\n2 second\n", "does not number the classes from 0 up"),
        ("classes.txt", b"0 first\n0 second\n", "does not number the classes from 0 up"),
        ("classes.txt", b"zero all\n", "does not number the classes from 0 up"),
        ("classes.txt", b"0\n", "does not number the classes from 0 up"),
        ("classes.txt", b"\xff\xfe", "does not number the classes from 0 up"),
        ("classes.txt", b"# none\n", "does not number the classes from 0 up"),
        ("classes.txt", b"".join(b"%d a,%d\n" % (i, i) for i in range(12)), "has a comma in the name of a class, a,0"),
        ("classes.txt", b"".join(b"%d a\n" % i for i in range(257)), "has 257 classes, but there can be 256"),
        ("train/labels/a.png", None, r"train/images/a\.png: has no labels: there is no train/labels/a\.png"),
        ("train/labels/a.png", _png(Image.new("L", (8, 4))), r"train/labels/a\.png: is 8x4, its picture 160x144"),
        ("train/labels/a.png", _png(Image.new("RGB", (8, 4))), r"train/labels/a\.png: has pixels of mode RGB"),
        ("val/images/a.png", None, "val/images: has no pictures"),
    ],
)
def test_scenes_that_lack_something_are_refused(
    contents: dict[str, bytes], tmp_path: Path, changed: str, content: bytes | None, said: str
) -> None:
    files = {name: stored for name, stored in contents.items() if name != changed}
    if content is not None:
        files[changed] = content
    with pytest.raises(InvalidArgument, match=said) as caught:
        load_scenes(_archive(tmp_path / "scenes.tar", files))
    assert caught.value.hint and caught.value.where and caught.value.where.startswith(str(tmp_path))


def test_a_broken_file_is_named_with_its_archive(contents: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("val/labels/a.png", "val/images/a.png"):
        files = contents | {name: b"not a picture"}
        with pytest.raises(NotAnImage, match=rf"other\.tar: {name}: "):
            load_scenes(_archive(tmp_path / "other.tar", files))


def test_what_is_no_tar_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match=r"missing\.tar: No such file"):
        load_scenes(tmp_path / "missing.tar")
    (tmp_path / "text.tar").write_bytes(b"text" * 1000)
    with pytest.raises(CannotRead, match=r"text\.tar: is not a tar file"):
        load_scenes(tmp_path / "text.tar")


def _labels_of_three_instances(batch: int) -> torch.Tensor:
    """Two regions of class 1 on class 0."""
    labels = torch.zeros(batch, 1, 32, 48)
    labels[:, :, 5:, :15] = labels[:, :, :, 33:] = 1
    return labels


def _drawn(kinds: tuple[MaskKind, ...]) -> tuple[torch.Tensor, set[tuple[float, ...]]]:
    masks = random_masks(_labels_of_three_instances(512), 8, np.random.default_rng(0), kinds)
    assert masks.shape == (512, 1, 4, 6)
    return masks, {tuple(mask.flatten().tolist()) for mask in masks}


def test_masks_keep_instances_each_by_itself() -> None:
    left, right, background = torch.zeros(3, 4, 6, dtype=torch.bool)
    left[:, :2] = right[:, 4:] = background[:, 1:5] = background[0] = True
    background[0, 5] = False  # the cells 40 to 48 have nothing but the region at the right
    nothing = torch.zeros_like(left)
    unions = [a | b | c for a in (nothing, left) for b in (nothing, right) for c in (nothing, background)]
    masks, drawn = _drawn(("instances",))
    assert drawn == {tuple(union.float().flatten().tolist()) for union in unions}
    left_alone = masks[:, 0, 3, 0].mean()  # no other instance has part of this cell
    assert 0.15 < left_alone < 0.35  # a quarter of them


def test_masks_keep_boxes() -> None:
    masks, drawn = _drawn(("boxes",))
    for mask in masks[:, 0].bool():
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns)  # a product of two sets, of which each is connected
        assert all(torch.diff(side.int(), prepend=torch.zeros(1)).clamp(min=0).sum() <= 1 for side in (rows, columns))
    assert len(drawn) > 50


def test_masks_are_of_both_kinds_by_default() -> None:
    _, instances = _drawn(("instances",))
    masks = random_masks(_labels_of_three_instances(256), 8, np.random.default_rng(0))
    of_instances = sum(tuple(mask.flatten().tolist()) in instances for mask in masks)
    assert 100 < of_instances < 200


def test_instances_are_connected_regions_of_one_class() -> None:
    labels = np.array([[3, 3, 0, 3], [0, 3, 0, 3], [0, 0, 3, 3]])
    instances = instances_of(labels)
    regions = {tuple(map(tuple, np.argwhere(instances == number))) for number in range(instances.max() + 1)}
    assert regions == {
        ((0, 0), (0, 1), (1, 1)),
        ((0, 3), (1, 3), (2, 2), (2, 3)),
        ((1, 0), (2, 0), (2, 1)),
        ((0, 2), (1, 2)),
    }
