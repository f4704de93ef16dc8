"""What lies beyond a picture's edge for the encoder, and the decoder's pixels as the file stores them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecodec.description import LatentSpec, Model, Padding
from edgecodec.errors import InvalidArgument
from support import native_runtime
from support.native_runtime import outcome
from support.reference_runtime import padding

Pixels = npt.NDArray[np.uint8]


def _picture(height: int, width: int, channels: int) -> Pixels:
    """A part of a larger picture, so that its rows lie further apart than they are long."""
    whole = np.random.default_rng(height * width).integers(0, 256, (height, width + 3, channels), np.uint8)
    return whole[:, :width] if channels == 3 else whole[:, :width, 0].copy()


def _model(alignment: int, image: Padding) -> Model:
    latents = (LatentSpec("y", 1, alignment),)
    return Model("00000000", "entropy.bin", 0.0, alignment, image, None, latents, latents)


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from([1, 3]),
    st.sampled_from(["reflect", "grey"]),
)
def test_padding_is_that_of_numpy(
    height: int, width: int, more_rows: int, more_columns: int, channels: int, rule: Literal["reflect", "grey"]
) -> None:
    picture = _picture(height, width, channels)
    rows, columns = height + more_rows, width + more_columns
    np.testing.assert_array_equal(
        native_runtime.pad(picture, rows, columns, rule), padding.pad(picture, rows, columns, rule)
    )


def _reflected(position: int, side: int) -> int:
    """Where a sample beyond the edge comes from, one step at a time."""
    here, step = 0, 1
    for _ in range(position):
        if side == 1:
            return 0
        if not 0 <= here + step < side:
            step = -step
        here += step
    return here


@pytest.mark.parametrize("height", range(1, 10))
def test_padding_reflects(height: int) -> None:
    for width in range(1, 10):
        picture = _picture(height, width, 3)
        rows, columns = ([_reflected(position, side) for position in range(24)] for side in (height, width))
        np.testing.assert_array_equal(native_runtime.pad(picture, 24, 24, "reflect"), picture[np.ix_(rows, columns)])


def test_a_picture_that_is_larger_is_refused() -> None:
    for rows, columns in ((7, 8), (8, 7)):
        with pytest.raises(InvalidArgument, match="is larger"):
            native_runtime.pad(_picture(8, 8, 3), rows, columns, "reflect")


@given(st.integers(1, 9), st.integers(1, 70), st.integers(0, 1 << 20))
def test_grey_is_the_rounded_mean(height: int, width: int, seed: int) -> None:
    whole = np.random.default_rng(seed).integers(0, 256, (height, width + 1, 3), np.uint8)
    decoded = whole[:, :width]
    grey = padding.as_stored(decoded, greyscale=True)
    np.testing.assert_array_equal(native_runtime.store_pixels(decoded, 1, True)[..., 0], grey)
    np.testing.assert_array_equal(native_runtime.store_pixels(decoded, 3, True), np.dstack([grey] * 3))
    np.testing.assert_array_equal(native_runtime.store_pixels(decoded, 3, False), decoded)


def test_every_sum_of_three_channels_is_rounded_alike() -> None:
    totals = np.arange(766)
    picture = np.stack([np.clip(totals - 255 * channel, 0, 255) for channel in range(3)], -1).astype(np.uint8)[None]
    np.testing.assert_array_equal(native_runtime.store_pixels(picture, 1, True)[0, :, 0], (2 * totals + 3) // 6)


@given(st.integers(1, 999), st.integers(1, 999), st.integers(1, 64), st.integers(1, 64), st.integers(1, 999))
def test_sides_for_the_encoder(width: int, height: int, padding_alignment: int, factor: int, smallest: int) -> None:
    image = Padding(padding_alignment, "reflect", smallest)
    alignment = factor * padding_alignment
    model = _model(alignment, image)
    assert native_runtime.encoder_side(height, model) == padding.encoder_side(height, image)
    expected = outcome(lambda: padding.check_room(width, height, image, alignment))
    assert outcome(lambda: native_runtime.check_room(width, height, model)) == expected


@pytest.mark.parametrize(("alignment", "smallest_side", "least"), [(8, 1, 1), (8, 16, 9), (32, 33, 33)])
def test_pictures_too_small_for_the_networks(alignment: int, smallest_side: int, least: int) -> None:
    model = _model(alignment, Padding(8, "reflect", smallest_side))
    native_runtime.check_room(least, least + 40, model)
    expected = f"{least - 1}x{least + 40} is too small for this codec: the smallest picture has {least} pixels a side"
    if least > 1:
        refused = outcome(lambda: native_runtime.check_room(least - 1, least + 40, model))
        assert refused == ("OutOfRange", expected, None, None)
