"""Bundles on disk: files that are what the manifest says they are.

Opening compares the size of every file. Contents are hashed when they are used, and all of them by `edgecodec verify`.
Nobody else opens a file of a bundle: what is used is what was hashed, from one opening. Files may be links to anywhere,
as model hubs keep them, but each is a regular file of the promised size.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import BadModel, BundleChanged, EdgecodecError, LimitExceeded
from edgecodec.graph_file import weights_elsewhere
from edgecodec.manifest import BundleInfo, read_manifest
from edgecodec.regular_file import NOT_REGULAR, open_regular

_BLOCK = 1 << 20  # bytes
_LARGEST_READ = (1 << 31) - 1  # bytes of a file that is read whole: protocol buffers, and so graphs, end there


class Bundle:
    """An opened bundle. info: its manifest."""

    def __init__(self, path: str | os.PathLike[str], info: BundleInfo | None = None) -> None:
        """Check the sizes of all files. info: a description to use in place of the manifest, None to read that.

        Raises NotABundle, UnsupportedVersion, BundleChanged, CannotRead.
        """
        self.root = Path(path)
        self.info = read_manifest(self.root) if info is None else info
        for name in self.info.files:
            try:
                status = (self.root / name).stat()
            except OSError as error:
                raise self._changed(name, "is missing or cannot be read") from error
            if not stat.S_ISREG(status.st_mode):
                raise self._changed(name, NOT_REGULAR)
            self._compare_size(name, status.st_size)

    def entropy_model(self) -> EntropyModel:
        """Open entropy.bin and check it against the manifest. Raises BundleChanged, BadModel, LimitExceeded."""
        name = self.info.entropy
        data = self.read(name)
        try:
            model = EntropyModel(data)
        except EdgecodecError as error:
            error.locate(str(self.root / name))
            raise
        info = self.info
        found = (model.model_id, model.encoder_latents, model.decoder_latents)
        if found != (info.model_id, info.encoder_latents, info.decoder_latents):
            raise self._changed(name, "has another model id or other latents than the manifest")
        if model.alignment % info.image.alignment:
            raise self._changed(
                name, f"has alignment {model.alignment}, which is no multiple of the manifest's {info.image.alignment}"
            )
        for graph in info.synthesis:
            if graph.noise is not None and model.alignment % graph.noise.stride:
                raise self._changed(
                    name, f"has alignment {model.alignment}, no multiple of {graph.noise.stride}, the stride of noise"
                )
        return model

    def check(self, name: str) -> None:
        """Hash a file of the bundle, however large. Raises BundleChanged."""
        digest = hashlib.sha256()
        with self._opened(name) as file:
            left = self.info.files[name].size
            while block := file.read(min(left, _BLOCK)):
                digest.update(block)
                left -= len(block)
        self._compare(name, digest.hexdigest())

    def read(self, name: str) -> bytes:
        """The contents of a file of the bundle, which are those that the manifest describes.

        Raises BundleChanged, and LimitExceeded for what is too large to be a file that is read whole.
        """
        size = self.info.files[name].size
        if size > _LARGEST_READ:
            raise LimitExceeded(f"has {size} bytes, more than {_LARGEST_READ}", where=str(self.root / name))
        with self._opened(name) as file:
            data = file.read(size)
        self._compare(name, hashlib.sha256(data).hexdigest())
        return data

    def graph(self, name: str) -> tuple[bytes, dict[str, mmap]]:
        """The contents of a graph, and those of the files that hold weights of it, by the names that the graph uses.

        The weights are mapped rather than read, because an engine makes a copy of them anyway.

        Raises BundleChanged, LimitExceeded, and BadModel for what is not an ONNX graph and for one that leads out of
        the bundle.
        """
        data = self.read(name)
        folder = PurePosixPath(name).parent  # a graph names files relative to its folder, the manifest to its own
        listed: dict[str, str] = {}
        try:
            for weights in weights_elsewhere(data):
                file = str(folder / weights.location)
                if file not in self.info.files:
                    raise BadModel(f"has weights in {weights.location!r}, not listed in the manifest")
                if weights.offset + weights.size > self.info.files[file].size:
                    raise BadModel(f"has weights beyond the end of {weights.location!r}")
                listed[weights.location] = file
        except BadModel as error:
            error.locate(str(self.root / name))
            error.hint = "export the bundle again"
            raise
        return data, {location: self._mapped(file) for location, file in listed.items()}

    def _mapped(self, name: str) -> mmap:
        """Raises BundleChanged. The file is not empty, because there are weights in it."""
        with self._opened(name) as file:
            contents = mmap(file.fileno(), self.info.files[name].size, access=ACCESS_READ)
        self._compare(name, hashlib.sha256(contents).hexdigest())
        return contents

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        """A regular file of the promised size. Raises BundleChanged, also if reading it fails."""
        try:
            with open_regular(self.root / name) as file:
                self._compare_size(name, os.fstat(file.fileno()).st_size)
                yield file
        except OSError as error:
            problem = NOT_REGULAR if error.strerror == NOT_REGULAR else "cannot be read"
            raise self._changed(name, problem) from error

    def _compare_size(self, name: str, size: int) -> None:
        promised = self.info.files[name].size
        if size != promised:
            raise self._changed(name, f"has {size} bytes, the manifest says {promised}")

    def _compare(self, name: str, sha256: str) -> None:
        if sha256 != self.info.files[name].sha256:
            raise self._changed(name, "does not have the SHA-256 of the manifest")

    def _changed(self, name: str, problem: str) -> BundleChanged:
        return BundleChanged(problem, where=str(self.root / name), hint="fetch or export the bundle again")
