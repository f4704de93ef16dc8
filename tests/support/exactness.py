"""Compares the native library with the plain reference under any entropy model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from edgecodec import native
from edgecodec.entropy_model import EntropyModel, LatentSpec
from edgecodec.errors import OutOfRange
from support import reference_entropy_model, reference_picture
from support.reference_coder import Refused
from support.reference_entropy_model import Model, model_bytes
from support.reference_integer_net import Integers

THREADS = (1, 2)


def assert_exact(model: Model, latents: Mapping[str, Integers], width: int, height: int, lanes: int = 0) -> None:
    """Assert that every kernel and thread count writes the reference's payload and decodes it to the same latents.

    Where the reference refuses the latents, the library must refuse them as well.
    """
    known = reference_entropy_model.run(model, latents)
    try:
        expected = reference_picture.encode(model, latents, lanes)
    except Refused:
        expected = None
    before = native.kernels()
    try:
        for kernels in native.kernels_available():
            native.force_kernels(kernels)
            opened = EntropyModel(model_bytes(model))
            for threads in THREADS:
                _assert_same(opened, model, latents, known, expected, (width, height, lanes, threads))
    finally:
        native.force_kernels(before)


def _assert_same(
    opened: EntropyModel,
    model: Model,
    latents: Mapping[str, Integers],
    known: Mapping[str, Integers],
    expected: tuple[bytes, int] | None,
    call: tuple[int, int, int, int],
) -> None:
    width, height, lanes, threads = call
    picture = {"width": width, "height": height, "threads": threads}
    narrow = {name: values.astype(np.int16) for name, values in latents.items()}
    if expected is None:
        with pytest.raises(OutOfRange):
            opened.encode(narrow, lanes=lanes, **picture)
        return
    where = f"{native.kernels()}, {threads} threads"
    assert opened.encode(narrow, lanes=lanes, **picture) == expected, where
    payload, chosen = expected
    decoded = opened.decode(payload, lanes=chosen, **picture)
    assert list(decoded) == reference_entropy_model.decoder_latents(model)
    for name, values in decoded.items():
        np.testing.assert_array_equal(values, known[name], f"{name}, {where}")


def latent_shape(latent: LatentSpec, alignment: int, width: int, height: int) -> tuple[int, int, int]:
    """Shape (channels, rows, columns) of a latent for a picture of this size in pixels."""
    rows, columns = (-(-side // alignment) * alignment // latent.stride for side in (height, width))
    return (latent.channels, rows, columns)
