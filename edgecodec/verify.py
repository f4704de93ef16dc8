"""Whether a bundle gives the same results on this machine as where it was made: files, golden latents and pixels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np

from edgecodec import knobs, picture
from edgecodec.bundle import Bundle
from edgecodec.codec import Codec
from edgecodec.engine_registry import require_engine
from edgecodec.entropy_model import Latents
from edgecodec.errors import EdgecodecError, VerificationFailed
from edgecodec.limits import Limits
from edgecodec.manifest import Golden, GoldenPicture, Knobs, SynthesisGraph
from edgecodec.tiling import Tiler

#: Golden pictures are small enough to be decoded whole.
_WHOLE = Tiler("off", None)


@dataclass(frozen=True)
class Check:
    """The result of one check. detail: what was found."""

    subject: str
    passed: bool
    detail: str


def verify(path: str | os.PathLike[str], engine: str = "auto", threads: int | None = None) -> Iterator[Check]:
    """Run the checks of a bundle one by one: hashes of all files, golden latents exactly, golden pixels of every baked
    decoder on `engine` within the tolerance that the manifest gives it.

    Raises NotABundle, BundleChanged, UnsupportedVersion if there is nothing to check, and EngineUnavailable or
    InvalidArgument if there is nothing to check it with.
    """
    require_engine(engine)
    bundle = Bundle(path)
    for subject, check in _checks(bundle, engine, threads):
        try:
            yield Check(subject, True, check())
        except EdgecodecError as error:
            yield Check(subject, False, str(error))


def latents_sha256(latents: Latents) -> str:
    """`Golden.latents_sha256` of decoder latents."""
    digest = hashlib.sha256()
    for values in latents.values():
        digest.update(values.astype("<i2").tobytes())
    return digest.hexdigest()


def _checks(bundle: Bundle, engine: str, threads: int | None) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each subject with its check, which returns the detail or raises."""
    for name in bundle.info.files:
        yield name, partial(_hash, bundle, name)
    for golden in bundle.info.golden:
        yield f"{golden.file}: latents", partial(_latents, bundle, golden)
        for expected in golden.pictures:
            point = _decoder_knobs(bundle, golden, expected)
            graphs = knobs.matches(bundle.info.synthesis, point, {})
            for graph in graphs:
                subject = f"{golden.file}: {graph.file}"
                yield subject, partial(_pixels, bundle, golden, expected, graph, engine, threads)
            if not graphs:
                yield f"{golden.file}: {expected.file}", partial(_no_decoder, point)


def _decoder_knobs(bundle: Bundle, golden: Golden, expected: GoldenPicture) -> Knobs:
    """The knobs that a golden picture was decoded with, without those of the encoder alone."""
    baked = {name for graph in bundle.info.synthesis for name in graph.knobs}
    return {name: value for name, value in {**golden.knobs, **expected.knobs}.items() if name in baked}


def _no_decoder(point: Knobs) -> NoReturn:
    raise VerificationFailed(f"no decoder was exported for {knobs.describe(point)}")


def _hash(bundle: Bundle, name: str) -> str:
    bundle.check(name)
    return f"{bundle.info.files[name].size} bytes"


def _latents(bundle: Bundle, golden: Golden) -> str:
    codec = Codec(bundle, "auto", {}, None, Limits(), None, _WHOLE)
    if latents_sha256(codec.decode_latents(bundle.read(golden.file))) != golden.latents_sha256:
        raise VerificationFailed("decodes to other latents", hint="this build of edgecodec is broken: please report it")
    return "exact"


def _pixels(
    bundle: Bundle, golden: Golden, expected: GoldenPicture, graph: SynthesisGraph, engine: str, threads: int | None
) -> str:
    point = _decoder_knobs(bundle, golden, expected)
    asked = {name: value for name, value in point.items() if name != knobs.QUALITY}  # which the file carries
    with Codec(bundle, engine, asked, graph.precision, Limits(), threads, _WHOLE) as codec:
        decoded = codec.decode(bundle.read(golden.file))
    pixels, name = decoded.pixels, decoded.engine.name
    try:
        reference = picture.read(bundle.read(expected.file), Limits()).pixels
    except EdgecodecError as error:
        error.locate(str(bundle.root / expected.file))
        raise
    if pixels.shape != reference.shape:
        raise VerificationFailed(f"decodes to {pixels.shape}, the golden picture is {reference.shape}")
    difference = int(np.abs(pixels.astype(np.int16) - reference).max())
    if difference > graph.tolerance_levels:
        raise VerificationFailed(
            f"{name} is off by {difference} levels, {graph.tolerance_levels} are allowed",
            hint="use another engine or precision on this device",
        )
    return f"{name} is off by {difference} of {graph.tolerance_levels} levels"
