"""Bundles on disk: files that are what the manifest says they are.

Opening compares the size of every file. Contents are hashed when they are used, and all of them by `edgecodec verify`.
"""

from __future__ import annotations

import hashlib
import os
from mmap import ACCESS_READ, mmap
from pathlib import Path, PurePosixPath

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import BadModel, BundleChanged, EdgecodecError
from edgecodec.graph_file import external_files
from edgecodec.manifest import BundleInfo, read_manifest


class Bundle:
    """An opened bundle. info: its manifest."""

    def __init__(self, path: str | os.PathLike[str], info: BundleInfo | None = None) -> None:
        """Check the sizes of all files. info: a description to use in place of the manifest, None to read that.

        Raises NotABundle, UnsupportedVersion, BundleChanged, CannotRead.
        """
        self.root = Path(path)
        self.info = read_manifest(self.root) if info is None else info
        for name, promised in self.info.files.items():
            try:
                size = (self.root / name).stat().st_size
            except OSError as error:
                raise self._changed(name, "is missing or cannot be read") from error
            if size != promised.size:
                raise self._changed(name, f"has {size} bytes, the manifest says {promised.size}")

    def entropy_model(self) -> EntropyModel:
        """Open entropy.bin and check it against the manifest. Raises BundleChanged, BadModel."""
        name = self.info.entropy
        data = self._checked_bytes(name)
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

    def checked(self, name: str) -> Path:
        """Path of a file of the bundle whose contents have just been hashed. Raises BundleChanged."""
        digest = hashlib.sha256()
        try:
            with open(self.root / name, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise self._changed(name, "cannot be read") from error
        self._compare(name, digest.hexdigest())
        return self.root / name

    def checked_graph(self, name: str) -> tuple[Path, dict[str, Path]]:
        """Like `checked`, for a graph and for the files that hold its weights, by the names that the graph uses.

        Raises BundleChanged, and BadModel for a graph that refers to a file which the manifest does not list.
        """
        path = self.root / name
        try:
            with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as graph:
                self._compare(name, hashlib.sha256(graph).hexdigest())
                wanted = external_files(graph)
        except OSError as error:
            raise self._changed(name, "cannot be read") from error
        except ValueError as error:  # also for an empty file, which cannot be mapped
            raise BadModel(f"is not an ONNX graph: {error}", where=str(path), hint="export the bundle again") from error
        beside = PurePosixPath(
            name
        ).parent  # a graph names files relative to its folder, the manifest relative to its own
        listed = {each: str(beside / each) for each in sorted(wanted)}
        if unlisted := [each for each, file in listed.items() if file not in self.info.files]:
            raise BadModel(
                f"has weights in {', '.join(map(repr, unlisted))}, not listed in the manifest",
                where=str(path),
                hint="export the bundle again",
            )
        return path, {each: self.checked(file) for each, file in listed.items()}

    def _checked_bytes(self, name: str) -> bytes:
        try:
            data = (self.root / name).read_bytes()
        except OSError as error:
            raise self._changed(name, "cannot be read") from error
        self._compare(name, hashlib.sha256(data).hexdigest())
        return data

    def _compare(self, name: str, sha256: str) -> None:
        if sha256 != self.info.files[name].sha256:
            raise self._changed(name, "does not have the SHA-256 of the manifest")

    def _changed(self, name: str, problem: str) -> BundleChanged:
        return BundleChanged(problem, where=str(self.root / name), hint="fetch or export the bundle again")
