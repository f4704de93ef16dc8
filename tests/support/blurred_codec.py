"""A codec whose outputs depend on every input up to REACH pixels away, all with equal weight.

A halo that is too short therefore always changes a result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.make_bundles import BLOCK, COLOURS, Nodes, Recipe, colour_model, image_port, latent_port

try:
    import onnx
    from onnx import TensorProto
except ModuleNotFoundError:
    pytest.skip("its bundles are made with onnx, which is not installed", allow_module_level=True)

REACH = 20  # pixels in every direction
HALO = -(-REACH // BLOCK)


def blurred_codec(folder: Path, *, halo: tuple[int, int] = (HALO, HALO), **fields: Any) -> Path:
    """Write the bundle to `folder`. y is the mean of each block of the blurred picture, less 128; it decodes to blurred
    blocks. `fields` replace the correct tiling and memory of both graphs.
    """
    entry = {"knobs": {}, "latents": {"y": "y"}, "tiling": halo, "bytes_per_pixel": 100.0, **fields}
    return Recipe(colour_model(), [(entry, _analysis())], [(entry, _synthesis())]).write(folder)


def _analysis() -> onnx.ModelProto:
    nodes = Nodes()
    x = nodes.add("Sub", nodes.add("Cast", "image", to=TensorProto.FLOAT), nodes.constant(128))
    x = nodes.add("Unsqueeze", nodes.add("Transpose", x, perm=[2, 0, 1]), nodes.constant([0], np.int64))
    pads = nodes.constant([0, 0, REACH, REACH] * 2, np.int64)
    x = _mean(nodes, nodes.add("Pad", x, pads, mode="reflect"), 0)
    x = nodes.add("AveragePool", x, kernel_shape=[BLOCK, BLOCK], strides=[BLOCK, BLOCK])
    nodes.add("Round", x, result="y")
    return nodes.model([image_port("image")], [latent_port("y")])


def _synthesis() -> onnx.ModelProto:
    nodes = Nodes()
    blocks = nodes.constant(np.ones((COLOURS, 1, BLOCK, BLOCK)))
    x = nodes.add("ConvTranspose", "y", blocks, strides=[BLOCK, BLOCK], group=COLOURS)
    x = nodes.add("Round", nodes.add("Add", _mean(nodes, x, REACH), nodes.constant(128)))
    x = nodes.add("Clip", x, nodes.constant(0), nodes.constant(255))
    x = nodes.add("Transpose", nodes.add("Squeeze", x, nodes.constant([0], np.int64)), perm=[1, 2, 0])
    nodes.add("Cast", x, to=TensorProto.UINT8, result="image")
    return nodes.model([latent_port("y")], [image_port("image")])


def _mean(nodes: Nodes, x: str, padding: int) -> str:
    side = 2 * REACH + 1
    for shape, pads in (((side, 1), (padding, 0)), ((1, side), (0, padding))):
        weights = nodes.constant(np.full((COLOURS, 1, *shape), 1 / side))
        x = nodes.add("Conv", x, weights, pads=[*pads, *pads], group=COLOURS)
    return x
