"""A NumPy engine for tests: no graph is read. It codes the mosaic of block means, so pictures stay recognisable.

Analysis puts the mean colour of each block, less 128, into the first three channels of every latent; synthesis repeats
the colours of the finest latent. A picture of one colour survives exactly. Scalars, sizes and noise change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgecodec.engine import Backend, Engine, Graph, Options, Port, RunningEngine, Variant
from edgecodec.errors import EngineFailed

if TYPE_CHECKING:
    from edgecodec.engine import Arrays

_GREY = 128
_COLOURS = 3


class Stub(Engine):
    """Needs nothing but the ports of the graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph: Graph | None = graph

    @classmethod
    def require(cls, variant: str) -> None:
        """Always there."""

    @classmethod
    def load(cls, graph: Graph, variant: str, options: Options) -> Stub:
        return cls(graph)

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        if self._graph is None:
            raise EngineFailed("the engine is closed")
        colours = [port for port in self._graph.inputs if port.channels >= _COLOURS]
        finest = min(colours or self._graph.inputs, key=lambda port: port.stride)
        if finest.is_image:
            return {port.name: _block_means(inputs[finest.name], port) for port in self._graph.outputs}
        return {port.name: _mosaic(inputs[finest.name], finest.stride) for port in self._graph.outputs}

    def close(self) -> None:
        self._graph = None

    def describe(self) -> RunningEngine:
        return RunningEngine("stub", np.__version__, "cpu", self.passed_over)


BACKEND = Backend("stub", (Variant("", "cpu", auto_rank=None),), Stub)


def _block_means(image: npt.NDArray[np.uint8], port: Port) -> npt.NDArray[np.float32]:
    if image.shape[0] % port.stride or image.shape[1] % port.stride:
        raise EngineFailed(f"the stub does not pad: {image.shape} has no whole blocks of {port.stride} pixels")
    rows, columns = image.shape[0] // port.stride, image.shape[1] // port.stride
    blocks = image.reshape(rows, port.stride, columns, port.stride, 3)
    latent = np.zeros((1, port.channels, rows, columns), np.float32)
    latent[0, :3] = np.rint(blocks.mean(axis=(1, 3)) - _GREY).transpose(2, 0, 1)[: port.channels]
    return latent


def _mosaic(latent: npt.NDArray[np.float32], stride: int) -> npt.NDArray[np.uint8]:
    colours: npt.NDArray[np.uint8] = np.clip(latent[0, :3] + _GREY, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return colours.repeat(stride, axis=0).repeat(stride, axis=1)
