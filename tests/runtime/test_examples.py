"""Every example in Python runs: in docstrings with the results that they state, in pages without failing."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgecodec
from edgecodec import pillow_plugin
from edgecodec.codec import Codec
from support.paths import DATA, ROOT, TINY

PAGES = [ROOT / "README.md", ROOT / "docs" / "python.md"]
WITH_EXAMPLES = [path for path in sorted((ROOT / "edgecodec").rglob("*.py")) if ">>> " in path.read_text("utf-8")]


@pytest.fixture
def workplace(tmp_path: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples name: a bundle, a photograph, coded pictures. Pillow is as before afterwards."""
    (tmp_path / "hific.bundle").symlink_to(TINY, target_is_directory=True)
    with Image.open(DATA / "photos" / "parrots.png") as image:
        image.save(tmp_path / "photo.jpg", quality=95)
    (tmp_path / "photo.edgc").write_bytes(coded)
    (tmp_path / "coded").mkdir()
    for name in ("a", "b"):
        (tmp_path / "coded" / f"{name}.edgc").write_bytes(coded)
    monkeypatch.chdir(tmp_path)
    Image.init()
    monkeypatch.setattr(pillow_plugin, "_codecs", {})
    for registry in ("OPEN", "SAVE", "EXTENSION", "MIME"):
        monkeypatch.setattr(Image, registry, dict(getattr(Image, registry)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    return tmp_path


@pytest.fixture
def address(workplace: Path) -> Iterator[str]:
    """Of a server that gives the files of the folder and takes new ones."""

    class Handler(SimpleHTTPRequestHandler):
        def do_PUT(self) -> None:
            (workplace / self.path.lstrip("/")).write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_docstrings(workplace: Path, codec: Codec, path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    names = {"edgecodec": edgecodec, "codec": codec, "np": np, "Image": Image}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder().find(module, extraglobs=names):
        said: list[str] = []
        runner.run(test, out=said.append)
        assert not said, "".join(said)
    assert runner.tries


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_pages(workplace: Path, address: str, page: Path) -> None:
    names: dict[str, Any] = {}
    blocks = python_blocks(page.read_text("utf-8"))
    assert blocks
    for block in blocks:
        if "import imageio" in block and importlib.util.find_spec("imageio") is None:
            continue
        exec(compile(block.replace("https://example.com", address), str(page), "exec"), names)
    assert (workplace / "coded" / "b.png").exists() and (workplace / "small.edgc").exists()


def test_blocks_are_found_and_failures_seen(workplace: Path) -> None:
    assert python_blocks("a\n```python\nx = 1\n```\n```\ny\n```\n```python\nz\n```\n") == ["x = 1\n", "z\n"]
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner().run(wrong, out=lambda _: None).failed == 1


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
