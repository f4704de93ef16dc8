"""Latents of labels and masks are those of the plain reference, and so are the errors about them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec.description import LatentSpec, Model, Padding, SideInput
from edgecodec.errors import InvalidArgument
from support import native_runtime
from support.native_runtime import outcome
from support.reference_runtime import side_inputs

ALIGNMENT = 16
Plane = npt.NDArray[np.uint8]


def _model(classes: int | None, mask_stride: int | None) -> Model:
    """With labels of so many classes, and a mask."""
    latents, given_by_caller = [LatentSpec("y", 3, 8)], {}
    if mask_stride is not None:
        latents.append(LatentSpec("kept", 1, mask_stride))
        given_by_caller["kept"] = SideInput("mask")
    if classes is not None:
        latents.append(LatentSpec("map", 1, 1))
        given_by_caller["map"] = SideInput("labels", tuple(f"class {number}" for number in range(classes)))
    image = Padding(8, "reflect", 1)
    return Model("00000000", "e", 0.0, ALIGNMENT, image, None, tuple(latents), (latents[0],), given_by_caller)


def _plane(data: st.DataObject, height: int, width: int, largest: int) -> Plane:
    """Its rows may lie further apart than they are long."""
    seed, further = data.draw(st.integers(0, 1 << 20)), data.draw(st.integers(0, 3))
    whole = np.random.default_rng(seed).integers(0, largest + 1, (height, width + further), np.uint8)
    whole[np.random.default_rng(seed + 1).random(whole.shape) < data.draw(st.sampled_from([0, 0.9, 1]))] = 0
    return whole[:, :width]


@settings(max_examples=150)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.none() | st.sampled_from([1, 2, 35, 256]),
    st.none() | st.sampled_from([1, 2, 8, 16]),
    st.data(),
)
def test_latents_are_those_of_the_reference(
    height: int, width: int, classes: int | None, mask_stride: int | None, data: st.DataObject
) -> None:
    model = _model(classes, mask_stride)
    labels, mask = None, None
    if data.draw(st.integers(0, 5)) > 0:
        labels = _plane(data, height, width, min((classes or 1) - 1 + data.draw(st.sampled_from([0, 0, 1])), 255))
    if data.draw(st.booleans()):
        mask = _plane(data, height, width, 255)
    found = outcome(lambda: native_runtime.side_inputs(model, width, height, labels, mask))
    expected = outcome(lambda: side_inputs.latents(model, width, height, labels, mask))
    if isinstance(expected, tuple) or isinstance(found, tuple):
        assert found == expected
        return
    assert found.keys() == expected.keys()
    for kind, values in expected.items():
        np.testing.assert_array_equal(found[kind], values)


@pytest.mark.parametrize(("y", "x"), [(0, 0), (0, 29), (19, 0), (19, 29)])
def test_a_label_that_is_no_class(y: int, x: int) -> None:
    """In any corner."""
    labels = np.zeros((20, 30), np.uint8)
    native_runtime.side_inputs(_model(35, None), 30, 20, labels, None)
    labels[y, x] = 35
    with pytest.raises(InvalidArgument) as caught:
        native_runtime.side_inputs(_model(35, None), 30, 20, labels, None)
    assert (caught.value.message, caught.value.where, caught.value.hint) == (
        "there is a label 35",
        "labels",
        "the classes are 0 to 34",
    )
