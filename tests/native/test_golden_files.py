"""What was written once is read for ever: the files of tests/data/golden, with every set of kernels and threads.

tests/native/golden.cpp checks the same through the C interface alone, for processors that the tests do not run on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest

from edgecodec import container, native
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import Corrupt, LatentsDiffer
from support.golden_files import GOLDENS, Golden
from support.paths import GOLDEN

each_golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.picture)


@pytest.fixture(params=native.kernels_available())
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    before = native.kernels()
    native.force_kernels(request.param)
    yield request.param
    native.force_kernels(before)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("threads", [1, 2])
@each_golden
def test_latents_are_those_that_are_listed(golden: Golden, threads: int) -> None:
    coded = container.parse(golden.data())
    info = coded.info
    size = {"width": info.width, "height": info.height}
    model = EntropyModel(golden.model_data())
    latents = model.decode(coded.payload, lanes=info.lanes, threads=threads, **size)
    digests = (f"{name}={zlib.crc32(values.astype('<i2').tobytes()):08x}" for name, values in latents.items())
    assert tuple(digests) == golden.digests
    if golden.writer == "own":
        handed = dict(zip((each.name for each in model.encoder_latents), latents.values(), strict=True))
        payload, _ = model.encode(handed, lanes=info.lanes, threads=threads, **size)
        rewritten = container.write(
            payload,
            lanes=info.lanes,
            model_id=model.model_id,
            greyscale=info.greyscale,
            quality=info.quality,
            icc=coded.icc,
            exif=coded.exif,
            xmp=coded.xmp,
            noise_seed=info.noise_seed,
            **size,
        )
        assert rewritten == golden.data()


def test_every_file_is_listed_and_every_model_used() -> None:
    assert sorted(golden.picture for golden in GOLDENS) == sorted(path.name for path in GOLDEN.glob("*.edgc"))
    assert {golden.model for golden in GOLDENS} == {path.name for path in GOLDEN.glob("*.bin")}


def test_the_set_covers_the_format() -> None:
    infos = [container.parse(golden.data()).info for golden in GOLDENS]
    assert {info.lanes for info in infos} == {2, 8, 32, 64}
    assert any(
        info.greyscale and info.quality and info.icc_bytes and info.exif_bytes and info.xmp_bytes for info in infos
    )
    assert {info.quality is None for info in infos} == {True, False}
    assert {info.noise_seed for info in infos} == {0, 0xFEDCBA9876543210}
    assert any((info.width, info.height) == (1, 1) for info in infos)
    models = {golden.model: EntropyModel(golden.model_data()) for golden in GOLDENS}
    assert any(info.width % models[golden.model].alignment for golden, info in zip(GOLDENS, infos, strict=True))


@pytest.mark.usefixtures("kernels")
@each_golden
def test_a_changed_payload_is_refused(golden: Golden) -> None:
    """One bit in the middle, as if the sender had put it there: the comparison above is not of anything with itself."""
    coded = container.parse(golden.data())
    info = coded.info
    payload = bytearray(coded.payload)
    payload[len(payload) // 2] ^= 1
    with pytest.raises((Corrupt, LatentsDiffer)):
        EntropyModel(golden.model_data()).decode(payload, width=info.width, height=info.height, lanes=info.lanes)
