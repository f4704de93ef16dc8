"""A knob does what it says, files carry what decoders must know, and what was not exported is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import edgecodec
from edgecodec import container
from edgecodec.bundle import BundleInfo
from edgecodec.codec import Codec
from edgecodec.errors import EngineFailed, InvalidArgument, KnobUnavailable
from support.bundle_editing import edit_manifest, reseal
from support.make_bundles import (
    Recipe,
    analysis,
    block_means,
    doubling_model,
    plain,
    synthesis,
    synthesised,
    with_qualities,
)

Pixels = npt.NDArray[np.uint8]
Opener = Callable[..., Codec]

GAINS = {0.0: 0.125, 1.5: 0.25, 4.0: 1.0}
BETAS = (0.0, 3.84)
TUNABLE = replace(plain(), analysis=[analysis(scalar_shape=())])


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    """Opens the bundle of a recipe on ONNX Runtime."""

    def open_recipe(recipe: Recipe, **options: object) -> Codec:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}.bundle"
        return edgecodec.open_bundle(recipe.write(folder), "onnxruntime", threads=1, **options)  # type: ignore[arg-type]

    return open_recipe


@pytest.fixture
def picture() -> Pixels:
    """uint8 (64, 96, 3) in blocks of one colour."""
    return synthesised(np.random.default_rng(0).integers(-128, 128, (3, 8, 12)))


# ---- quality -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", GAINS)
def test_the_decoder_takes_the_quality_of_the_file(opened: Opener, picture: Pixels, quality: float) -> None:
    codec = opened(with_qualities(GAINS))
    encoded = codec.encode(picture, quality=quality)
    y = np.rint(GAINS[quality] * block_means(picture))
    assert encoded.info.quality == quality
    np.testing.assert_array_equal(encoded.latents["y"], y)
    np.testing.assert_array_equal(codec.decode(encoded.data).pixels, synthesised(y / GAINS[quality]))


def test_the_default_quality_is_the_bundles(opened: Opener, picture: Pixels) -> None:
    recipe = with_qualities(GAINS)
    codec = opened(replace(recipe, defaults={"quality": 1.5, "beta": 0.0}))
    assert codec.encode(picture).data == codec.encode(picture, quality=1.5).data
    assert codec.encode(picture).data != codec.encode(picture, quality=4).data


def test_a_quality_that_was_not_exported_lists_those_that_were(opened: Opener, picture: Pixels) -> None:
    codec = opened(with_qualities(GAINS))
    with pytest.raises(KnobUnavailable) as caught:
        codec.encode(picture, quality=3)
    assert "quality=3" in caught.value.message and caught.value.hint == "the bundle has quality 0, 1.5, 4"


def test_a_file_of_a_quality_that_was_not_exported(opened: Opener, picture: Pixels) -> None:
    """Encoded with a bundle that has more qualities of the same model."""
    data = opened(with_qualities(GAINS)).encode(picture, quality=4).data
    fewer = opened(with_qualities({0.0: 0.125, 1.5: 0.25}))
    with pytest.raises(KnobUnavailable) as caught:
        fewer.decode(data)
    assert caught.value.hint == "the bundle has quality 0, 1.5"
    assert fewer.decode_latents(data)["y"].shape == (3, 8, 12)


def test_a_file_that_does_not_say_its_quality(opened: Opener, picture: Pixels) -> None:
    data = opened(plain()).encode(picture).data
    with pytest.raises(KnobUnavailable, match="does not say"):
        opened(with_qualities(GAINS)).decode(data)


def test_a_quality_that_only_the_encoder_knows(opened: Opener, picture: Pixels) -> None:
    """It is in the file, and the one decoder takes all."""
    recipe = replace(with_qualities(GAINS), synthesis=[synthesis()])
    encoded = opened(recipe).encode(picture, quality=4)
    assert encoded.info.quality == 4
    np.testing.assert_array_equal(opened(recipe).decode(encoded.data).pixels, picture)


@pytest.mark.parametrize(("asked", "rounded"), [(1.3, 1.296875), (1.29688, 1.296875), (1 / 128, 0), (3 / 128, 2 / 64)])
def test_encode_rounds_the_quality_before_it_looks_for_it(
    opened: Opener, picture: Pixels, asked: float, rounded: float
) -> None:
    codec = opened(with_qualities({rounded: 0.25, 4.0: 1.0}))
    assert codec.encode(picture, quality=asked).info.quality == rounded


@pytest.mark.parametrize("quality", [1.305, -1.0, math.nan, math.inf, -math.inf, 1e308])
def test_a_quality_half_a_step_away_is_another(opened: Opener, picture: Pixels, quality: float) -> None:
    with pytest.raises(KnobUnavailable) as caught:
        opened(with_qualities({0.296875: 0.125, 1.296875: 0.25})).encode(picture, quality=quality)
    assert caught.value.hint == "the bundle has quality 0.296875, 1.296875"


# ---- beta beside quality -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
def test_beta_is_the_receivers_choice(opened: Opener, picture: Pixels, beta: float) -> None:
    recipe = with_qualities(GAINS, BETAS)
    grey = np.full_like(picture, 128)
    for quality in GAINS:
        data = opened(recipe).encode(grey, quality=quality).data
        expected = np.full_like(grey, round(128 + beta))
        np.testing.assert_array_equal(opened(recipe).decode(data, beta=beta).pixels, expected)
        np.testing.assert_array_equal(opened(recipe, beta=beta).decode(data).pixels, expected)
        (many,) = opened(recipe).decode_many([data], beta=beta)
        np.testing.assert_array_equal(many.pixels, expected)


def test_decode_many_of_several_qualities(opened: Opener, picture: Pixels) -> None:
    codec = opened(with_qualities(GAINS))
    encoded = [codec.encode(picture, quality=quality).data for quality in GAINS]
    for data, decoded in zip(encoded, codec.decode_many(encoded), strict=True):
        np.testing.assert_array_equal(decoded.pixels, codec.decode(data).pixels)


def test_a_beta_that_exists_for_one_quality_only(opened: Opener, picture: Pixels) -> None:
    recipe = with_qualities(GAINS, BETAS)
    sparse = [graph for graph in recipe.synthesis if graph[0]["knobs"] != {"quality": 0.0, "beta": 3.84}]
    codec = opened(replace(recipe, synthesis=sparse), beta=3.84)
    assert codec.decode(codec.encode(picture, quality=4).data).engine.name == "onnxruntime"
    with pytest.raises(KnobUnavailable) as caught:
        codec.decode(codec.encode(picture, quality=0).data)
    assert "beta=3.84 quality=1.5" in (caught.value.hint or "")


@pytest.mark.parametrize("knob", ["alpha", "beta"])
def test_a_decoder_knob_that_does_not_exist(opened: Opener, picture: Pixels, knob: str) -> None:
    asked: dict[str, Any] = {knob: 1.0}
    codec = opened(plain())
    data = codec.encode(picture).data
    with pytest.raises(KnobUnavailable, match=f"decode takes no {knob} .*the bundle has no knobs"):
        codec.decode(data, **asked)
    with pytest.raises(KnobUnavailable):
        next(iter(codec.decode_many([data], **asked)))
    with pytest.raises(KnobUnavailable):
        opened(plain(), **asked)


def test_a_knob_of_the_other_side_is_said_to_be_there(opened: Opener, picture: Pixels) -> None:
    """Quality is not offered to a decoder, which takes the file's."""
    both = opened(with_qualities(GAINS, BETAS))
    on_both_sides = "the knobs are quality (0, 1.5, 4) to encode, beta (0, 3.84) to decode"
    on_one_side = "the knobs are n (-2 to 2) to encode"
    tunable = opened(TUNABLE)
    for attempt, problem, hint in (
        (lambda: both.decode(b"", alpha=1), "decode takes no alpha", on_both_sides),
        (lambda: both.encode(picture, n=1), "encode takes no n", on_both_sides),
        (lambda: tunable.decode(b"", beta=1), "decode takes no beta", on_one_side),
        (lambda: tunable.encode(picture, quality=1, n=1), "encode takes no quality", on_one_side),
    ):
        with pytest.raises(KnobUnavailable) as caught:
            attempt()
        assert (caught.value.message, caught.value.hint) == (problem, hint)


# ---- n -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,)], ids=["scalar", "vector"])
@pytest.mark.parametrize("n", [-2.0, 0.75, 2.0, None])
def test_n_reaches_the_graph(opened: Opener, picture: Pixels, shape: tuple[int, ...], n: float | None) -> None:
    codec = opened(replace(TUNABLE, analysis=[analysis(scalar_shape=shape)]))
    y = np.rint(block_means(picture))
    least = 16 * ((0.5 if n is None else n) + 2)
    np.testing.assert_array_equal(codec.encode(picture, n=n).latents["y"], np.where(np.abs(y) < least, 0, y))


@pytest.mark.parametrize("n", [-2.01, 3.0, math.nan, math.inf])
def test_n_out_of_range(opened: Opener, picture: Pixels, n: float) -> None:
    with pytest.raises(KnobUnavailable) as caught:
        opened(TUNABLE).encode(picture, n=n)
    assert caught.value.hint == "the bundle takes -2 to 2"


@pytest.mark.parametrize("knob", ["n", "quality"])
def test_an_encoder_knob_that_does_not_exist(opened: Opener, picture: Pixels, knob: str) -> None:
    with pytest.raises(KnobUnavailable, match=f"encode takes no {knob} .*the bundle has no knobs"):
        opened(plain()).encode(picture, n=1.0 if knob == "n" else None, quality=1.0 if knob == "quality" else None)


@pytest.mark.parametrize("promise", ["scalars", "size_input"])
def test_inputs_that_the_graph_does_not_have(opened: Opener, picture: Pixels, promise: str) -> None:
    entry, graph = analysis()
    entry[promise] = {"scalars": {"n": {"low": 0, "high": 1, "default": 0}}, "size_input": "size"}[promise]
    with pytest.raises(EngineFailed, match="the index promises inputs"):
        opened(replace(plain(), analysis=[(entry, graph)])).encode(picture)


# ---- a target rate -------------------------------------------------------------------------------------------------


def _bpp(data: bytes, picture: Pixels) -> float:
    return 8 * len(data) / (picture.shape[0] * picture.shape[1])


def test_a_target_takes_the_best_quality_that_fits(opened: Opener, picture: Pixels) -> None:
    codec = opened(with_qualities(GAINS))
    sizes = {quality: _bpp(codec.encode(picture, quality=quality).data, picture) for quality in GAINS}
    assert sizes[0.0] < sizes[1.5] < sizes[4.0]
    for target, quality in ((sizes[1.5], 1.5), (sizes[4.0] - 1e-6, 1.5), (sizes[4.0] + 9, 4.0), (sizes[0.0], 0.0)):
        encoded = codec.encode(picture, target_bpp=target)
        assert encoded.info.quality == quality
        assert encoded.data == codec.encode(picture, quality=quality).data
        words = f"quality {quality:g} gives {sizes[quality]:.4g} bpp for a target of {target}"
        assert encoded.notes == (words.removesuffix(".0"),)


def test_a_target_below_everything_gives_the_smallest_and_says_so(opened: Opener, picture: Pixels) -> None:
    encoded = opened(with_qualities(GAINS)).encode(picture, target_bpp=1e-3)
    assert encoded.info.quality == 0
    assert "the smallest that was found" in encoded.notes[0]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 0.99])
def test_a_target_on_a_falling_rate_is_just_met(opened: Opener, picture: Pixels, share: float) -> None:
    """Files get smaller as n grows: the next smaller n on the grid must be too large."""
    codec = opened(TUNABLE)
    largest, smallest = (_bpp(codec.encode(picture, n=n).data, picture) for n in (-2, 2))
    target = smallest + share * (largest - smallest)
    encoded = codec.encode(picture, target_bpp=target)
    n = float(encoded.notes[0].split()[1])
    assert encoded.data == codec.encode(picture, n=n).data
    assert _bpp(encoded.data, picture) <= target < _bpp(codec.encode(picture, n=n - 1 / 64).data, picture)


@pytest.mark.parametrize("target", [1000, 1000.0, np.float64(1000), np.float32(1000), np.int64(1000), Fraction(1000)])
def test_a_target_is_said_as_the_number_that_it_is(opened: Opener, picture: Pixels, target: Any) -> None:
    (note,) = opened(with_qualities(GAINS)).encode(picture, target_bpp=target).notes
    assert note.endswith(" for a target of 1000")


def test_a_target_counts_metadata(opened: Opener, picture: Pixels) -> None:
    from edgecodec.picture import Picture

    codec = opened(with_qualities(GAINS))
    target = _bpp(codec.encode(picture, quality=4).data, picture)
    assert codec.encode(picture, target_bpp=target).info.quality == 4
    assert codec.encode(Picture(picture, xmp=b"x"), target_bpp=target).info.quality == 1.5


def test_rates_that_rise_and_fall(opened: Opener, picture: Pixels) -> None:
    """Whatever is looked at, the result is the largest of that within the target."""
    codec = opened(with_qualities({0.0: 0.25, 1.0: 1.0, 2.0: 0.125, 3.0: 0.5, 4.0: 0.75}))
    for target in np.linspace(0.5, 10, 12):
        data = codec.encode(picture, target_bpp=target).data
        assert _bpp(data, picture) <= target or len(data) <= len(codec.encode(picture, quality=0).data)


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan, math.inf])
def test_targets_that_are_none(opened: Opener, picture: Pixels, target: float) -> None:
    with pytest.raises(InvalidArgument):
        opened(with_qualities(GAINS)).encode(picture, target_bpp=target)


@pytest.mark.parametrize("knob", [{"quality": 0.0}, {"n": 0.0}])
def test_a_target_beside_a_knob(opened: Opener, picture: Pixels, knob: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="exclude each other"):
        opened(with_qualities(GAINS)).encode(picture, target_bpp=1.0, **knob)


def test_a_target_without_a_knob_of_the_rate(opened: Opener, picture: Pixels) -> None:
    with pytest.raises(KnobUnavailable, match="one rate only"):
        opened(plain()).encode(picture, target_bpp=1.0)


@pytest.mark.parametrize(
    ("wishes", "kind"),
    [
        ({"quality": 7.0}, KnobUnavailable),
        ({"n": 0.0}, KnobUnavailable),
        ({"seed": 1}, KnobUnavailable),
        ({"seed": -1}, InvalidArgument),
        ({"target_bpp": -1.0}, InvalidArgument),
        ({"target_bpp": 1.0, "quality": 0.0}, InvalidArgument),
    ],
)
def test_what_no_picture_can_be_encoded_with_is_refused_before_any_is_read(
    opened: Opener, tmp_path: Path, wishes: dict[str, Any], kind: type[Exception]
) -> None:
    codec = opened(with_qualities(GAINS))
    for attempt in (lambda: codec.check_encoding(**wishes), lambda: codec.encode(tmp_path / "no.png", **wishes)):
        with pytest.raises(kind):
            attempt()


def test_an_encoder_that_is_not_there(opened: Opener, picture: Pixels) -> None:
    codec = opened(replace(plain(), analysis=[]))
    for target, n in ((None, None), (1.0, None), (None, 0.0)):
        with pytest.raises(KnobUnavailable, match="holds no encoder"):
            codec.encode(picture, target_bpp=target, n=n)


# ---- what decoders are given ---------------------------------------------------------------------------------------


def test_decoder_latents_that_are_not_encoder_latents(opened: Opener, picture: Pixels) -> None:
    """The model codes y and gives 2y plus the channel; the decoder takes what it gives."""
    codec = opened(Recipe(doubling_model(), [analysis()], [synthesis(gain=2, latent="y_hat")]))
    encoded = codec.encode(picture)
    latents = codec.decode_latents(encoded.data)
    y = block_means(picture)
    assert list(encoded.latents) == ["y"] and list(latents) == ["y_hat"]
    np.testing.assert_array_equal(latents["y_hat"], 2 * y + np.arange(3)[:, None, None])
    shifted = y + np.arange(3)[:, None, None] / 2
    np.testing.assert_array_equal(codec.decode(encoded.data).pixels, synthesised(shifted))


def test_a_bundle_says_which_knobs_it_has(tmp_path: Path) -> None:
    info = edgecodec.inspect(with_qualities(GAINS, BETAS).write(tmp_path / "a.bundle"))
    assert isinstance(info, BundleInfo)
    encoders = [graph.knobs for graph in info.graphs if graph.side == "encode"]
    assert encoders == [{"quality": quality} for quality in GAINS]
    assert [(knob.name, knob.side, knob.values, knob.default) for knob in info.knobs] == [
        ("quality", "encode", tuple(GAINS), 0),
        ("beta", "decode", BETAS, 0),
        ("quality", "decode", tuple(GAINS), 0),
    ]
    tunable = edgecodec.inspect(TUNABLE.write(tmp_path / "b.bundle"))
    assert isinstance(tunable, BundleInfo)
    (n,) = tunable.knobs
    assert (n.name, n.values, n.low, n.high, n.default) == ("n", (), -2, 2, 0.5)


@pytest.mark.parametrize("quality", [0, 1 / 64, 333 / 64, (1 << 20) / 64])
def test_quality_is_kept_in_steps_of_a_64th(quality: float) -> None:
    data = container.write(b"", width=1, height=1, lanes=2, model_id="00000000", quality=quality)
    assert container.parse(data).info.quality == quality


def test_golden_pictures_of_each_quality(tmp_path: Path, picture: Pixels) -> None:
    """Each golden file names its quality, which decides the decoders it is checked with."""
    import hashlib

    from PIL import Image

    from edgecodec import verify

    bundle = with_qualities(GAINS, BETAS).write(tmp_path / "test.bundle")
    codec = edgecodec.open_bundle(bundle, "onnxruntime", threads=1)
    golden: list[dict[str, Any]] = []
    for quality in GAINS:
        data = codec.encode(picture, quality=quality).data
        (bundle / f"{quality}.edgc").write_bytes(data)
        digest = hashlib.sha256(codec.decode_latents(data)["y"].astype("<i2").tobytes()).hexdigest()
        pictures = []
        for beta in BETAS:
            name = f"{quality}-{beta}.png"
            Image.fromarray(codec.decode(data, beta=beta).pixels).save(bundle / name)
            pictures.append({"knobs": {"beta": beta}, "file": name})
        golden.append(
            {"file": f"{quality}.edgc", "knobs": {"quality": quality}, "latents_sha256": digest, "pictures": pictures}
        )
    edit_manifest(bundle, lambda manifest: manifest.update(golden=golden))
    reseal(bundle)
    checks = list(verify.verify(bundle, "onnxruntime", 1))
    assert all(check.passed for check in checks), checks
    compared = [check.subject for check in checks if "synthesis" in check.subject and ": " in check.subject]
    assert len(compared) == len(set(compared)) == len(GAINS) * len(BETAS)

    golden[0]["pictures"][0]["knobs"] = {"beta": 1.0}
    edit_manifest(bundle, lambda manifest: manifest.update(golden=golden))
    (failed,) = [check for check in verify.verify(bundle, "onnxruntime", 1) if not check.passed]
    assert "no decoder was exported for beta=1 quality=0" in failed.detail


def test_two_qualities_share_nothing_but_the_model(opened: Opener, picture: Pixels) -> None:
    """The entropy model does not depend on quality: one model id for all."""
    codec = opened(with_qualities(GAINS))
    assert {codec.encode(picture, quality=quality).info.model_id for quality in GAINS} == {codec.info.models[0].id}
