"""A bundle's files are what its index says, or the native library refuses them.

It waits for nothing, reads no more than was promised, and uses what it has hashed.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecodec.entropy_model import EntropyModel, LatentSpec
from support import native_index
from support.index_file import DECODER, IMAGE, LATENT, File, Graph, Index, Latent, Model, Port, encode
from support.native_index import Bundle, Refusal, opened
from support.paths import GOLDEN, TINY

if not hasattr(os, "mkfifo"):
    pytest.skip("this system has no named pipes", allow_module_level=True)

INVALID, VERSION, BAD_MODEL, NOT_A_BUNDLE, CHANGED, LIMIT, CANNOT_READ = 20, 40, 42, 43, 44, 50, 70
AGAIN = "fetch or export the bundle again"

#: What a name may lead to that is no file to be read to an end.
ODD: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "empty device": lambda path: path.symlink_to("/dev/null"),
    "folder": Path.mkdir,
    "link to itself": lambda path: path.symlink_to(path.name),
}

WEIGHTS = bytes(range(200))


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


def _sized(field: int, content: bytes) -> bytes:
    """A field of a protocol buffer that is text or a message."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def graph_with_weights(*weights: tuple[str, int, int]) -> bytes:
    """An ONNX file whose initializers lie elsewhere: the location of each, offset and size in bytes, of float32."""
    tensors = b""
    for i, (location, offset, size) in enumerate(weights):
        entries = {"location": location, "offset": str(offset), "length": str(size)}
        tensor = b"\x08" + _varint(size // 4) + b"\x10\x01" + _sized(8, b"w%d" % i)
        for key, value in entries.items():
            tensor += _sized(13, _sized(1, key.encode()) + _sized(2, value.encode()))
        tensors += _sized(5, tensor + b"\x70\x01")
    return _sized(7, tensors)


def _latents(specs: tuple[LatentSpec, ...]) -> list[Latent]:
    return [Latent(spec.name, spec.channels, spec.stride) for spec in specs]


class Folder:
    """A bundle with an entropy model, a graph in a subfolder, and weights of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.contents = {
            "entropy.bin": (GOLDEN / "chain.bin").read_bytes(),
            "nets/decoder.onnx": graph_with_weights(("w/blocks.bin", 8, 12), ("w/blocks.bin", 0, 4)),
            "nets/w/blocks.bin": WEIGHTS,
        }
        coder = EntropyModel(self.contents["entropy.bin"])
        encoder, decoder = _latents(coder.encoder_latents), _latents(coder.decoder_latents)
        model = Model(int(coder.model_id, 16), 0, 0.0, coder.alignment, 1, 1, 0, 0, 0, encoder, decoder)
        inputs = [Port(f"i{i}", LATENT, i) for i in range(len(decoder))]
        graph = Graph(DECODER, 0, 1, "fp32", [], inputs, [Port("x", IMAGE)], 2, 0.0, (1, 1), 0.0)
        self.index = Index("test", "test", [], [model], [], [graph])
        self.write()

    def write(self) -> None:
        self.index.files = [
            File(name, len(data), hashlib.sha256(data).digest()) for name, data in self.contents.items()
        ]
        for name, data in self.contents.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(data)
        self.write_index()

    def write_index(self) -> None:
        (self.root / "index.bin").write_bytes(encode(self.index))

    def promise(self, name: str, size: int) -> None:
        """Let the index say that a file has `size` bytes."""
        (file,) = (file for file in self.index.files if file.name == name)
        file.size = size
        self.write_index()

    def path(self, name: str) -> Path:
        return self.root / name

    def replace(self, name: str, odd: str) -> None:
        self.path(name).unlink()
        ODD[odd](self.path(name))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "a.bundle")


FILES = ["entropy.bin", "nets/decoder.onnx", "nets/w/blocks.bin"]


def refusal(use: Callable[[], Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        use()
    return caught.value


def opening(path: Path | bytes) -> Refusal:
    return refusal(lambda: Bundle(path))


def uses(bundle: Bundle, name: str) -> list[Callable[[], Any]]:
    """All that hashes a file of the bundle."""
    ways: list[Callable[[], Any]] = [lambda: bundle.read(name), lambda: bundle.check(name)]
    return ways if name == "entropy.bin" else [*ways, lambda: bundle.graph(0)]


def test_a_bundle_is_what_its_index_says(folder: Folder) -> None:
    with opened(folder.root) as bundle:
        assert bundle.describe() == folder.index
        for name, data in folder.contents.items():
            assert bundle.read(name) == data
            bundle.check(name)
        assert bundle.graph(0) == (folder.contents["nets/decoder.onnx"], {"w/blocks.bin": WEIGHTS})


def test_a_graph_without_weights_elsewhere(folder: Folder) -> None:
    folder.contents["nets/decoder.onnx"] = (TINY / "synthesis-alpha1.onnx").read_bytes()
    folder.write()
    with opened(folder.root) as bundle:
        assert bundle.graph(0) == (folder.contents["nets/decoder.onnx"], {})


@pytest.mark.parametrize("ending", [b"", b"/", b"//", b"/."])
def test_paths_of_any_bytes(tmp_path: Path, ending: bytes) -> None:
    plain = Folder(tmp_path / "plain")
    odd = os.fsencode(tmp_path) + b"/\xff \xc3\xa9"
    os.rename(plain.root, odd)
    with opened(odd + ending) as bundle:
        assert bundle.read("nets/w/blocks.bin") == WEIGHTS
    os.unlink(odd + b"/entropy.bin")
    assert opening(odd).where == odd + b"/entropy.bin"


# ---- no index --------------------------------------------------------------------------------------------------------


def test_a_folder_without_an_index_is_no_bundle(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        (tmp_path / "file").touch()
        refused = opening(path)
        assert (refused.status, refused.message) == (NOT_A_BUNDLE, "has no index.bin")
        assert (refused.where, refused.hint) == (bytes(path), "a bundle is a folder that export wrote")


def test_a_folder_with_a_manifest_alone_is_of_an_older_version(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    refused = opening(tmp_path)
    assert (refused.status, refused.hint, refused.where) == (VERSION, "export it again", bytes(tmp_path))
    assert refused.message == "was exported by an older edgecodec: it has no index.bin"


@pytest.mark.parametrize("odd", ODD)
def test_an_index_that_is_no_regular_file_is_refused(folder: Folder, odd: str) -> None:
    folder.replace("index.bin", odd)
    refused = opening(folder.root)
    assert (refused.status, refused.where) == (CANNOT_READ, bytes(folder.path("index.bin")))
    assert refused.message == "is not a regular file" or (odd == "link to itself" and "links" in refused.message)


def test_a_damaged_index_is_named(folder: Folder) -> None:
    folder.index.models[0].alignment = 0
    folder.write_index()
    refused = opening(folder.root)
    assert (refused.status, refused.where) == (NOT_A_BUNDLE, bytes(folder.path("index.bin")))
    assert refused.message == "models[0]: alignment: is 0, not between 1 and 65535" and refused.offset > 0


def test_an_index_that_is_too_large_is_not_read(folder: Folder) -> None:
    """It takes no room on the disk, and would take all of the memory."""
    os.truncate(folder.path("index.bin"), 1 << 40)
    assert opening(folder.root).message == f"is larger than {1 << 22} bytes"


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("size", [None, 0, 4096])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_regular_file_is_refused_on_opening(folder: Folder, name: str, odd: str, size: int | None) -> None:
    """Whatever size the index gives it: that of a device is 0, that of a folder often 4096."""
    folder.replace(name, odd)
    if size is not None:
        folder.promise(name, size)
    refused = opening(folder.root)
    problem = "is missing or cannot be read" if odd == "link to itself" else "is not a regular file"
    assert (refused.status, refused.message, refused.hint) == (CHANGED, problem, AGAIN)
    assert refused.where == bytes(folder.path(name))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", FILES)
def test_what_becomes_no_regular_file_after_opening_is_refused(folder: Folder, name: str, odd: str) -> None:
    with opened(folder.root) as bundle:
        folder.replace(name, odd)
        for use in uses(bundle, name):
            refused = refusal(use)
            problem = "cannot be read" if odd == "link to itself" else "is not a regular file"
            assert (refused.status, refused.message, refused.hint) == (CHANGED, problem, AGAIN)
            assert refused.where == bytes(folder.path(name))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(folder: Folder, name: str) -> None:
    with opened(folder.root) as bundle:
        folder.path(name).unlink()
        assert {refusal(use).message for use in uses(bundle, name)} == {"cannot be read"}
    refused = opening(folder.root)
    assert (refused.status, refused.message) == (CHANGED, "is missing or cannot be read")


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_size_is_refused(folder: Folder, name: str, change: int) -> None:
    size = len(folder.contents[name])
    problem = f"has {size + change} bytes, the index says {size}"
    with opened(folder.root) as bundle:
        os.truncate(folder.path(name), size + change)
        assert {refusal(use).message for use in uses(bundle, name)} == {problem}
    refused = opening(folder.root)
    assert (refused.status, refused.message, refused.hint) == (CHANGED, problem, AGAIN)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_other_contents_is_refused_when_it_is_used(folder: Folder, name: str) -> None:
    data = bytearray(folder.contents[name])
    data[-1] ^= 1
    with opened(folder.root) as bundle:
        bundle.check(name)
        folder.path(name).write_bytes(data)
        for use in uses(bundle, name):
            refused = refusal(use)
            assert (refused.status, refused.hint) == (CHANGED, AGAIN)
            assert refused.message == "does not have the SHA-256 of the index"
            assert refused.where == bytes(folder.path(name))


def test_a_file_too_large_to_be_read_whole_is_refused(folder: Folder) -> None:
    for size, limited in (((1 << 31) - 1, False), (1 << 31, True), (1 << 40, True)):
        os.truncate(folder.path("nets/decoder.onnx"), size)
        folder.promise("nets/decoder.onnx", size)
        with opened(folder.root) as bundle:
            if limited:
                refused = refusal(lambda bundle=bundle: bundle.graph(0))  # type: ignore[misc]
                assert refused.status == LIMIT and refused.where == bytes(folder.path("nets/decoder.onnx"))
                assert refused.message == f"has {size} bytes, more than 2147483647"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 70])
def test_files_of_several_blocks_are_hashed(folder: Folder, size: int) -> None:
    folder.contents["large.bin"] = random.Random(size).randbytes(size)
    folder.write()
    with opened(folder.root) as bundle:
        bundle.check("large.bin")
        assert bundle.read("large.bin", size) == folder.contents["large.bin"]


def test_links_to_anywhere_are_followed(folder: Folder, tmp_path: Path) -> None:
    for name in (*FILES, "index.bin"):
        blob = tmp_path / hashlib.sha256(name.encode()).hexdigest()
        folder.path(name).rename(blob)
        folder.path(name).symlink_to(blob)
    (tmp_path / "link").symlink_to(folder.root)
    with opened(tmp_path / "link") as bundle:
        assert bundle.graph(0) == (folder.contents["nets/decoder.onnx"], {"w/blocks.bin": WEIGHTS})


def test_what_the_index_does_not_list_is_not_read(folder: Folder) -> None:
    folder.path("secret").write_bytes(b"")
    with opened(folder.root) as bundle:
        for name in ("secret", "", "../a.bundle/entropy.bin", "nets", "index.bin"):
            for use in (bundle.read, bundle.check):
                refused = refusal(lambda use=use, name=name: use(name))  # type: ignore[misc]
                assert (refused.status, refused.message) == (INVALID, "is not listed in the index")


def test_a_caller_needs_room_for_the_whole_file(folder: Folder) -> None:
    with opened(folder.root) as bundle:
        assert refusal(lambda: bundle.read("nets/w/blocks.bin", 199)).message == "is larger than the capacity"
        assert bundle.read("nets/w/blocks.bin", 200) == WEIGHTS


def test_a_graph_that_is_not_there_is_an_invalid_argument(folder: Folder) -> None:
    with opened(folder.root) as bundle:
        assert refusal(lambda: bundle.graph(1)).message == "there is no graph 1, of 1"


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "offset", "size", "problem"),
    [
        ("blocks.bin", 0, 4, "has weights in 'blocks.bin', not listed in the index"),
        ("nets/w/blocks.bin", 0, 4, "has weights in 'nets/w/blocks.bin', not listed in the index"),
        ("w/blocks.bin", 192, 12, "has weights beyond the end of 'w/blocks.bin'"),
        ("w/blocks.bin", 10**18 - 1, 12, "has weights beyond the end of 'w/blocks.bin'"),
        ("w/blocks.bin", 0, 204, "has weights beyond the end of 'w/blocks.bin'"),
        ("../entropy.bin", 0, 4, "not a path inside the bundle"),
    ],
)
def test_weights_that_are_not_in_the_bundle_are_refused(
    folder: Folder, location: str, offset: int, size: int, problem: str
) -> None:
    folder.contents["nets/decoder.onnx"] = graph_with_weights((location, offset, size))
    folder.write()
    with opened(folder.root) as bundle:
        refused = refusal(lambda: bundle.graph(0))
        assert (refused.status, refused.hint) == (BAD_MODEL, "export the bundle again")
        assert problem in refused.message and refused.where == bytes(folder.path("nets/decoder.onnx"))


def test_what_is_no_graph_is_refused(folder: Folder) -> None:
    folder.contents["nets/decoder.onnx"] = b"no graph"
    folder.write()
    with opened(folder.root) as bundle:
        refused = refusal(lambda: bundle.graph(0))
        assert refused.status == BAD_MODEL and "is not an ONNX graph" in refused.message


def test_weights_of_several_files(folder: Folder) -> None:
    """To the last byte of a file, and in the order in which the graph names them."""
    more = bytes(range(100, 140))
    folder.contents["nets/more.bin"] = more
    folder.contents["nets/decoder.onnx"] = graph_with_weights(
        ("w/blocks.bin", 0, 200), ("more.bin", 36, 4), ("w/blocks.bin", 196, 4)
    )
    folder.write()
    with opened(folder.root) as bundle:
        assert list(bundle.graph(0)[1].items()) == [("w/blocks.bin", WEIGHTS), ("more.bin", more)]


# ---- entropy models --------------------------------------------------------------------------------------------------


def test_an_entropy_model_is_opened_and_kept(folder: Folder) -> None:
    with opened(folder.root) as bundle:
        bundle.check_model(0)
        folder.path("entropy.bin").unlink()
        bundle.check_model(0)


def _other_id(model: Model) -> None:
    model.id ^= 1


def _other_name(model: Model) -> None:
    model.encoder_latents[0].name += "x"


def _other_channels(model: Model) -> None:
    model.decoder_latents[0].channels += 1


def _other_stride(model: Model) -> None:
    model.encoder_latents[0].stride *= 2


def _one_more(model: Model) -> None:
    model.encoder_latents.append(Latent("more", 1, 1))


@pytest.mark.parametrize("change", [_other_id, _other_name, _other_channels, _other_stride, _one_more])
def test_an_entropy_model_other_than_the_index_says_is_refused(folder: Folder, change: Callable[[Model], None]) -> None:
    change(folder.index.models[0])
    folder.write_index()
    with opened(folder.root) as bundle:
        refused = refusal(lambda: bundle.check_model(0))
    assert (refused.status, refused.hint) == (CHANGED, AGAIN)
    assert refused.message == "has another model id or other latents than the index"
    assert refused.where == bytes(folder.path("entropy.bin"))


def test_another_alignment_than_the_index_says_is_refused(folder: Folder) -> None:
    model = folder.index.models[0]
    model.alignment *= 2
    folder.write_index()
    with opened(folder.root) as bundle:
        refused = refusal(lambda: bundle.check_model(0))
    assert refused.status == CHANGED
    assert refused.message == f"has alignment {model.alignment // 2}, the index says {model.alignment}"


def test_a_damaged_entropy_model_is_located(folder: Folder) -> None:
    folder.contents["entropy.bin"] = folder.contents["entropy.bin"][:-1]
    folder.write()
    with opened(folder.root) as bundle:
        refused = refusal(lambda: bundle.check_model(0))
        assert refusal(lambda: bundle.check_model(1)).message == "there is no model 1, of 1"
    assert (refused.status, refused.where) == (BAD_MODEL, bytes(folder.path("entropy.bin")))


# ---- SHA-256 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("portable", [True, False])
def test_sha256_is_that_of_hashlib(portable: bool) -> None:
    source = random.Random(256)
    for size in (*range(301), 4095, 4096, 65537, (1 << 20) + 13):
        data = source.randbytes(size)
        assert native_index.sha256(data, portable=portable) == hashlib.sha256(data).digest(), size
