"""HEIC and JPEG XL are read as they are meant to be seen where plugins are installed, and named where they are not."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edgecodec import jpegxl_size, picture
from edgecodec.errors import CannotRead, LimitExceeded, NotAnImage
from edgecodec.limits import Limits
from edgecodec.picture_plugins import HEIC, JPEG_XL, PLUGINS, Plugin
from support.command_line import run_command
from support.paths import TINY

HEAD = {  # of files in these formats
    HEIC: [
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"\0\0\0\x1cftypmif1\0\0\0\0mif1miafheix",
    ],
    JPEG_XL: [b"\xff\x0a\x10\x20", b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl "],
}
each_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.extra)


def _installed(plugin: Plugin) -> Any:
    """The package that the plugin is in, set up."""
    package = pytest.importorskip(plugin.package)
    plugin.register(package)
    return package


def _saved(pixels: npt.NDArray[np.uint8], plugin: Plugin, **options: Any) -> bytes:
    out = io.BytesIO()
    lossless = {"quality": -1, "chroma": 444} if plugin is HEIC else {"lossless": True}
    Image.fromarray(pixels).save(out, plugin.pillow, **lossless, **options)
    return out.getvalue()


@each_plugin
def test_the_format_is_recognised_and_no_other(plugin: Plugin) -> None:
    assert all(plugin.recognises(head) for head in HEAD[plugin])
    others = [
        b"",
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif",
        b"\x89PNG\r\n\x1a\n",
    ]
    others += [head for each in PLUGINS if each is not plugin for head in HEAD[each]]
    assert not any(plugin.recognises(other) for other in others)


@each_plugin
def test_without_the_plugin_its_extra_is_named(plugin: Plugin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, plugin.package, None)
    monkeypatch.setattr("edgecodec.picture_plugins.find_spec", lambda name: None)
    file = tmp_path / f"a{plugin.extensions[0]}"
    file.write_bytes(HEAD[plugin][0] + bytes(99))
    with pytest.raises(NotAnImage, match=plugin.title) as refused:
        picture.read(file, Limits())
    assert f"edgecodec[{plugin.extra}]" in (refused.value.hint or "")
    outcome = run_command("encode", tmp_path, "-b", TINY, "--engine", "stub")
    assert outcome.status == 2 and f"1 {plugin.extensions[0]} (pip install 'edgecodec[{plugin.extra}]')" in outcome.talk


@each_plugin
def test_pixels_and_metadata(plugin: Plugin, pixels: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    """The picture is as its plugin shows it: orientation in EXIF is not applied on top."""
    _installed(plugin)
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "someone"
    data = _saved(pixels, plugin, exif=exif.tobytes())
    found = picture.read(data, Limits())
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(found.pixels, shown)
    kept = Image.Exif()
    kept.load(found.exif or b"")
    assert kept[0x013B] == "someone" and kept.get(0x0112, 1) == 1
    (tmp_path / f"a{plugin.extensions[0]}").write_bytes(data)
    assert run_command("encode", tmp_path, "-b", TINY, "--engine", "stub").status == 0


@each_plugin
def test_limits_hold(plugin: Plugin, pixels: npt.NDArray[np.uint8]) -> None:
    _installed(plugin)
    with pytest.raises(LimitExceeded):
        picture.read(_saved(pixels, plugin), Limits(max_pixels=pixels.shape[0] * pixels.shape[1] - 1))


@each_plugin
def test_damage_is_typed(plugin: Plugin, pixels: npt.NDArray[np.uint8]) -> None:
    _installed(plugin)
    data = _saved(pixels, plugin)
    for end in (13, 40, len(data) // 2):
        with pytest.raises((NotAnImage, CannotRead)):
            picture.read(data[:end], Limits())


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (96, 64), (300, 200), (512, 512), (513, 512), (640, 360), (9000, 1)])
def test_the_size_of_jpeg_xl(size: tuple[int, int]) -> None:
    _installed(JPEG_XL)
    data = _saved(np.zeros((size[1], size[0], 3), np.uint8), JPEG_XL)
    assert jpegxl_size.size_of(data) == size
    container = data[:12] + b"\0\0\0\x14ftypjxl \0\0\0\0jxl \0\0\0\0jxlp\0\0\0\0"
    assert data.startswith(b"\xff\x0a") or data.startswith(container[:12])
    if data.startswith(b"\xff\x0a"):
        boxed = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\0jxlp\0\0\0\0" + data
        assert jpegxl_size.size_of(boxed) == size


def test_a_huge_jpeg_xl_is_refused_before_it_is_decoded() -> None:
    _installed(JPEG_XL)
    side = (1 << 30) - 1
    header = 0 | 3 << 1 | side << 3 | 1 << 33  # not small, 30 bits, square
    with pytest.raises(LimitExceeded):
        picture.read(b"\xff\x0a" + header.to_bytes(5, "little") + bytes(64), Limits())
