"""Whether a bundle gives the same results on this machine as where it was made: files, golden latents and pixels."""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from edgecodec import bundle_files, container, knobs
from edgecodec.bundle import Bundle
from edgecodec.codec import Codec
from edgecodec.description import MANIFEST, SINGLE, BakedGraph, Golden, GoldenPicture, Knobs
from edgecodec.engine import Plugin, Tolerance
from edgecodec.engine_registry import plugin_of, preferred_precision, require_engine, tolerance
from edgecodec.errors import EdgecodecError, KnobUnavailable, VerificationFailed
from edgecodec.limits import Limits
from edgecodec.manifest import Manifest, differences, read_manifest
from edgecodec.steps import Step

if TYPE_CHECKING:
    from edgecodec.entropy_model import Latents
    from edgecodec.picture import Pixels

_ARM = ("aarch64", "arm64")


@dataclass(frozen=True)
class Check:
    """The result of one check. detail: what was found. is_hash: of a file's size and hash, of which there are many."""

    subject: str
    passed: bool
    detail: str
    is_hash: bool = False


def verify(
    path: str | os.PathLike[str],
    engine: str = "auto",
    threads: int | None = None,
    *,
    engine_library: str | os.PathLike[str] | None = None,
    engine_device: str | None = None,
    precision: str | None = None,
    progress: Callable[[str], object] = lambda line: None,
) -> Iterator[Check]:
    """Run the checks of a bundle one by one: the manifest against the index, hashes of all files, golden latents
    exactly, golden pixels of every baked decoder on `engine` within the tolerances that the index gives it.

    engine, engine_library, engine_device, threads: as in `open_bundle`. precision: of the decoders whose pixels are
    compared. None for all, but on ARM processors, where ONNX Runtime has computed convolutions in fp16 wrongly, for
    those in fp32. progress: receives a `Step` before each check.

    Raises NotABundle, BundleChanged, UnsupportedVersion if there is nothing to check, and EngineUnavailable,
    InvalidArgument, or KnobUnavailable for a precision that the bundle lacks, if there is nothing to check it with.
    """
    plugin = plugin_of(None if engine_library is None else os.fspath(engine_library), engine_device)
    require_engine(engine, plugin)
    bundle = Bundle(path)
    available = bundle.info.precisions("decode")
    if precision is not None and precision not in available:
        raise KnobUnavailable(f"nothing was exported in {precision}", hint=f"the bundle has {', '.join(available)}")
    if precision is None and plugin is None and preferred_precision(engine) == SINGLE and platform.machine() in _ARM:
        precision = SINGLE
    verified = _Verified(bundle, read_manifest(bundle.root), engine, threads, precision, plugin)
    files = verified.manifest.background.files
    checks = list(verified.checks())
    golden = sum(subject not in files and subject != MANIFEST for subject, _ in checks)
    for number, (subject, check) in enumerate(checks, 1 + golden - len(checks)):
        progress(Step(subject, "golden check", number, golden) if number > 0 else Step(subject))
        try:
            passed, detail = True, check()
        except EdgecodecError as error:
            passed, detail = False, str(error)
        yield Check(subject, passed, detail, is_hash=subject in files)


def compare_golden_pixels(path: str | os.PathLike[str], engine: str, graph: str) -> int:
    """Decode the golden pictures of the decoder in the file `graph`, and return how many there are.

    Raises VerificationFailed where one comes out wrong, and what opening a bundle and decoding raise.
    """
    require_engine(engine)
    bundle = Bundle(path)
    verified = _Verified(bundle, read_manifest(bundle.root), engine, None, None)
    return sum(bool(check()) for _, check in verified.pixel_checks(graph))


def latents_sha256(latents: Latents) -> str:
    """`Golden.latents_sha256` of decoder latents."""
    digest = hashlib.sha256()
    for values in latents.values():
        digest.update(values.astype("<i2").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Verified:
    """A bundle and what its golden pictures are decoded with."""

    bundle: Bundle
    manifest: Manifest
    engine: str
    threads: int | None
    precision: str | None
    plugin: Plugin | None = None

    def checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Each subject with its check, which returns the detail or raises."""
        background = self.manifest.background
        yield MANIFEST, self._compare_with_index
        for name in background.files:
            yield name, partial(self._hash, name)
        for golden in background.golden:
            yield f"{golden.file}: latents", partial(self._latents, golden)
            for expected in golden.pictures:
                if self.precision not in (None, expected.precision):
                    continue
                graphs = self._decoders(golden, expected)
                yield from (self._pixel_check(golden, expected, graph) for graph in graphs)
                if not graphs:
                    point = self._decoder_knobs(golden, expected)
                    yield f"{golden.file}: {expected.file}", partial(_no_decoder, point)

    def pixel_checks(self, file: str) -> Iterator[tuple[str, Callable[[], str]]]:
        """Those of the decoder in this file."""
        for golden in self.manifest.background.golden:
            for expected in golden.pictures:
                graphs = self._decoders(golden, expected)
                yield from (self._pixel_check(golden, expected, graph) for graph in graphs if graph.file == file)

    def _pixel_check(self, golden: Golden, expected: GoldenPicture, graph: BakedGraph) -> tuple[str, Callable[[], str]]:
        return f"{golden.file}: {graph.file}", partial(self._pixels, golden, expected, graph)

    def _read(self, name: str) -> bytes:
        return bundle_files.read(self.bundle.root / name, self.manifest.background.files[name])

    def _decoder_knobs(self, golden: Golden, expected: GoldenPicture) -> Knobs:
        """The knobs that a golden picture was decoded with, without those of the encoder alone."""
        baked = {name for graph in self.bundle.info.graphs if graph.side == "decode" for name in graph.knobs}
        return {name: value for name, value in {**golden.knobs, **expected.knobs}.items() if name in baked}

    def _decoders(self, golden: Golden, expected: GoldenPicture) -> list[BakedGraph]:
        """Those that should give this golden picture."""
        point, model = self._decoder_knobs(golden, expected), self._model(golden)
        return [
            graph
            for graph in self.bundle.info.graphs
            if (graph.side, graph.model, graph.precision) == ("decode", model, expected.precision)
            and point.items() <= graph.knobs.items()
        ]

    def _model(self, golden: Golden) -> int:
        """The number of the model of a golden file. 0 for a file that is damaged, which other checks report."""
        try:
            wanted = container.parse(self._read(golden.file)).info.model_id
        except EdgecodecError:
            return 0
        return next((number for number, model in enumerate(self.bundle.info.models) if model.id == wanted), 0)

    def _compare_with_index(self) -> str:
        if found := differences(self.manifest, self.bundle.info):
            raise VerificationFailed(
                f"says something else than the index of {', '.join(found)}", hint="fetch or export the bundle again"
            )
        return "says what the index says"

    def _hash(self, name: str) -> str:
        promised = self.manifest.background.files[name]
        bundle_files.check(self.bundle.root / name, promised)
        return f"{promised.size} bytes"

    def _latents(self, golden: Golden) -> str:
        codec = Codec(self.bundle, self.engine, {}, plugin=self.plugin)
        if latents_sha256(codec.decode_latents(self._read(golden.file))) != golden.latents_sha256:
            raise VerificationFailed(
                "decodes to other latents", hint="this build of edgecodec is broken: please report it"
            )
        return "exact"

    def _pixels(self, golden: Golden, expected: GoldenPicture, graph: BakedGraph) -> str:
        import numpy as np

        from edgecodec import picture

        # A file carries its quality.
        asked = {name: value for name, value in graph.knobs.items() if name != knobs.QUALITY}
        with Codec(self.bundle, self.engine, asked, graph.precision, threads=self.threads, plugin=self.plugin) as codec:
            decoded = codec.decode(self._read(golden.file))
        pixels, name = decoded.pixels, decoded.engine.name
        try:
            reference = picture.read(self._read(expected.file), Limits()).pixels
        except EdgecodecError as error:
            error.locate(str(self.bundle.root / expected.file))
            raise
        if pixels.shape != reference.shape:
            raise VerificationFailed(f"decodes to {pixels.shape}, the golden picture is {reference.shape}")
        difference = int(np.abs(pixels.astype(np.int16) - reference).max())
        coarser = (tolerance(name) if self.plugin is None else None) or Tolerance(0, 0.0)
        levels = max(graph.tolerance_levels, coarser.levels)
        least = min(filter(None, (graph.tolerance_db, coarser.psnr_db)), default=0.0)
        if difference > levels:
            raise VerificationFailed(
                f"{name} is off by {difference} levels, {levels} are allowed",
                hint="use another engine or precision on this device",
            )
        found = f"{name} is off by {difference} of {levels} levels"
        if not least:
            return found
        psnr = _psnr(pixels, reference)
        if psnr < least:
            raise VerificationFailed(
                f"{name} is {psnr:.1f} dB from the golden picture, {least:g} are demanded",
                hint="use another engine or precision on this device",
            )
        return f"{found}, {psnr:.1f} dB of at least {least:g}"


def _psnr(pixels: Pixels, reference: Pixels) -> float:
    """In dB, for a peak of 255."""
    import numpy as np

    error = float(np.square(pixels.astype(np.float64) - reference).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _no_decoder(point: Knobs) -> NoReturn:
    raise VerificationFailed(f"no decoder was exported for {knobs.describe(point)}")
