"""Bundles of several models: encoding chooses one by quality or by a target rate, a file names its own to decode."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import edgecodec
from edgecodec.bundle import BundleInfo
from edgecodec.codec import Codec
from edgecodec.errors import BundleChanged, KnobUnavailable, ModelMismatch
from edgecodec.graph_choice import choose
from edgecodec_engines.onnxruntime import OnnxRuntime
from support.bundle_editing import edit_index
from support.command_line import run_command
from support.make_bundles import synthesised, write_several_rates
from support.paths import TINY

#: The gain of y, by bits per pixel as the index states them: about those of `picture`.
GAINS = {0.2: 0.02, 0.3: 0.06, 0.5: 0.2, 0.9: 1.0}


def picture(seed: int = 0) -> npt.NDArray[np.uint8]:
    return synthesised(np.random.default_rng(seed).integers(-100, 100, (3, 8, 12)))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rates; the third is the default."""
    return write_several_rates(tmp_path_factory.mktemp("several") / "four.bundle", GAINS, default=2)


@pytest.fixture(params=["native", "python"])
def several(request: pytest.FixtureRequest, bundle: Path) -> Iterator[Codec]:
    """With the engine that the library runs, and with one that Python runs."""
    if request.param == "python":
        request.getfixturevalue("python_backend")
    with edgecodec.open_bundle(bundle, "onnxruntime", threads=1) as opened:
        yield opened


def test_each_quality_is_a_model(several: Codec) -> None:
    ids = [model.id for model in several.info.models]
    assert len(set(ids)) == len(GAINS)
    sizes = []
    for quality, gain in enumerate(GAINS.values()):
        encoded = several.encode(picture(), quality=quality)
        assert encoded.info.model_id == ids[quality]
        assert encoded.info.quality is None, "the model's id says it"
        sizes.append(encoded.info.file_bytes)
        block = picture()[::8, ::8].astype(np.float64).transpose(2, 0, 1) - 128
        y = np.rint(np.float32(gain) * block.astype(np.float32))
        np.testing.assert_array_equal(encoded.latents["y"], y)
        np.testing.assert_array_equal(several.decode(encoded).pixels, synthesised(y / np.float32(gain)))
    assert sizes == sorted(sizes)
    assert several.encode(picture()).data == several.encode(picture(), quality=2).data


def test_a_quality_that_there_is_not_is_refused_with_those_that_there_are(several: Codec) -> None:
    with pytest.raises(
        KnobUnavailable, match=r"nothing was exported for quality=4 .*the bundle has quality 0, 1, 2, 3"
    ):
        several.encode(picture(), quality=4)
    with pytest.raises(KnobUnavailable, match="decode takes no quality"):
        several.decode(several.encode(picture()), quality=1)


@pytest.mark.parametrize("share", [0.5, 0.99, 1.0, 1.01, 1.5, 100])
@pytest.mark.parametrize("near", range(len(GAINS)))
def test_a_target_takes_the_largest_file_within_it(several: Codec, near: int, share: float) -> None:
    files = [several.encode(picture(1), quality=quality) for quality in range(len(GAINS))]
    target = share * files[near].info.bits_per_pixel
    within = [each for each in files if each.info.bits_per_pixel <= target]
    best = max(within, key=lambda each: each.info.file_bytes) if within else files[0]
    found = several.encode(picture(1), target_bpp=target)
    assert found.data == best.data
    np.testing.assert_array_equal(found.latents["y"], best.latents["y"])
    (note,) = found.notes
    assert note.startswith(f"quality {files.index(best)} gives ")
    assert ("smallest" in note) is (not within)


@pytest.mark.parametrize("rates", [(0, 0, 0, 0), (9, 3, 2, 1), (-1, -2, -3, -4), (1e308, -1e308, 5e-324, 1e308)])
def test_rates_that_mislead_change_no_file(rates: Sequence[float], bundle: Path, tmp_path: Path) -> None:
    odd = write_several_rates(tmp_path / "odd.bundle", dict(zip(range(4), GAINS.values(), strict=True)))

    def mislead(index: Any) -> None:
        for model, rate in zip(index.models, rates, strict=True):
            model.rate = float(rate)

    edit_index(odd, mislead)
    with edgecodec.open_bundle(bundle, "onnxruntime") as right, edgecodec.open_bundle(odd, "onnxruntime") as wrong:
        for target in (0.1, 0.35, 0.6, 2.0):
            assert wrong.encode(picture(), target_bpp=target).data == right.encode(picture(), target_bpp=target).data


@pytest.mark.usefixtures("python_backend")
def test_the_rates_save_encodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight models bisection tries five for each target; the rates of another picture leave three or four."""
    gains = {float(number): 0.02 * 1.8**number for number in range(8)}
    bundle = write_several_rates(tmp_path / "eight.bundle", gains)
    with edgecodec.open_bundle(bundle, "onnxruntime", threads=1) as opened:
        rates = [opened.encode(picture(3), quality=quality).info.bits_per_pixel for quality in gains]

    def told(index: Any) -> None:
        for model, rate in zip(index.models, rates, strict=True):
            model.rate = rate

    edit_index(bundle, told)
    asked: list[Any] = []
    run = OnnxRuntime.run

    def counted(*given: Any) -> Any:
        asked.append(given)
        return run(*given)

    monkeypatch.setattr(OnnxRuntime, "run", counted)
    with edgecodec.open_bundle(bundle, "onnxruntime", threads=1) as opened:
        for target in (rates[2], rates[4], rates[6]):
            opened.encode(picture(4), target_bpp=1.02 * target)
    assert len(asked) <= 10


def test_only_the_model_of_a_file_is_opened(bundle: Path, tmp_path: Path) -> None:
    """Whatever is wrong with another, which is said where it is wanted."""
    damaged = write_several_rates(tmp_path / "damaged.bundle", GAINS)
    data = bytearray((damaged / "entropy1.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (damaged / "entropy1.bin").write_bytes(data)
    with edgecodec.open_bundle(bundle, "onnxruntime") as whole, edgecodec.open_bundle(damaged, "onnxruntime") as codec:
        for quality in (0, 2, 3):
            encoded = whole.encode(picture(), quality=quality)
            assert codec.encode(picture(), quality=quality).data == encoded.data
            np.testing.assert_array_equal(codec.decode(encoded).pixels, whole.decode(encoded).pixels)
        encoded = whole.encode(picture(), quality=1)
        for work in (lambda: codec.decode(encoded), lambda: codec.encode(picture(), quality=1)):
            with pytest.raises(BundleChanged) as refused:
                work()
            assert refused.value.where == str(damaged / "entropy1.bin")


def test_a_file_of_another_bundle_is_refused_with_the_models_that_there_are(several: Codec, coded: bytes) -> None:
    first, second, third, fourth = (model.id for model in several.info.models)
    with pytest.raises(ModelMismatch, match=f"this bundle is {first}, {second}, {third} and {fourth}"):
        several.decode(coded)
    with edgecodec.open_bundle(TINY, "onnxruntime") as other, pytest.raises(ModelMismatch):
        other.decode(several.encode(picture()))


def test_a_pickled_codec_has_all_models(several: Codec) -> None:
    copy = pickle.loads(pickle.dumps(several))
    for quality in (0, 3):
        assert copy.encode(picture(), quality=quality).data == several.encode(picture(), quality=quality).data


def test_a_quality_chooses_decoders_for_other_commands(bundle: Path) -> None:
    info = edgecodec.inspect(bundle)
    assert isinstance(info, BundleInfo)
    assert [info.quality(number) for number in range(4)] == [0, 1, 2, 3]
    chosen = [info.graphs[number] for number in choose(info, ["decode", "encode"], {"quality": [1, 3]}, None)]
    assert sorted((graph.side, graph.model) for graph in chosen) == [
        *(("decode", 1), ("decode", 3)),
        *(("encode", 1), ("encode", 3)),
    ]
    with pytest.raises(KnobUnavailable, match="quality 0, 1, 2, 3"):
        choose(info, ["decode"], {"quality": [4]}, None)
    tiny = edgecodec.inspect(TINY)
    assert isinstance(tiny, BundleInfo) and tiny.quality(0) is None


def test_inspect_shows_the_rates(bundle: Path) -> None:
    text = " ".join(run_command("inspect", bundle).output.decode().split())
    ids = [model.id for model in edgecodec.open_bundle(bundle, "stub").info.models]
    for number, (rate, model) in enumerate(zip(GAINS, ids, strict=True)):
        assert f"quality {number}, about {rate} bits per pixel, {model}: y 3 channels" in text
    assert "quality to encode: 0, 1, 2, 3; default 2" in text
