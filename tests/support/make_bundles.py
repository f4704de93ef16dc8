"""Bundles of every shape the index allows, small enough to make inside a test: graphs of a few nodes, plain tables.

The codec is always the same one. Its latent y (1, 3, rows, columns) is the mean colour of each block less 128, times a
gain that the knobs set; its decoder fills each block with its colour.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecodec.bundle import Bundle
from edgecodec.manifest import description_values
from support import index_file
from support.bundle_editing import INDEX, MANIFEST, edit_index, edit_manifest, reseal
from support.index_file import (
    IMAGE,
    KNOB,
    LABELS,
    LATENT,
    MASK,
    NOISE,
    REFLECT,
    SIZE,
    File,
    Fit,
    Index,
    Knob,
    Latent,
    Port,
)
from support.reference_coder import Table
from support.reference_entropy_model import (
    Affine,
    Code,
    Context,
    Labels,
    Model,
    Step,
    Tensor,
    decoder_latents,
    encoder_latents,
    model_bytes,
)

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ModuleNotFoundError:
    pytest.skip("its bundles are made with onnx, which is not installed", allow_module_level=True)

BLOCK = 8  # pixels, the stride of y
COLOURS = 3
CLASSES = ("sky", "tree", "car", "1")
LEVELS = 5  # values of y in the model with labels, -2 to 2
LEVEL = 50  # grey levels apart

#: What a recipe says of a graph beside its file.
Entry = dict[str, Any]
Graph = tuple[Entry, onnx.ModelProto]


# ---- entropy models ------------------------------------------------------------------------------------------------


def colour_model(alignment: int = BLOCK, fall: float = 0.8) -> Model:
    """y, coded directly; values close to 0 are cheap, the more so for a smaller `fall`."""
    tensors = [Tensor("y", COLOURS, BLOCK, decoder_latent=True)]
    return Model(alignment, tensors, [[_falling(fall)] * COLOURS], [], [Code("y", 0)])


def doubling_model() -> Model:
    """y is coded; the decoder latent is twice y plus the number of the channel."""
    tensors = [Tensor("y", COLOURS, BLOCK), Tensor("y_hat", COLOURS, BLOCK, decoder_latent=True)]
    steps: list[Step] = [Code("y", 0), Affine("y_hat", "y", 1, np.arange(COLOURS), -(2**15), 2**15 - 1)]
    return Model(BLOCK, tensors, [[_falling()] * COLOURS], [], steps)


def label_model() -> Model:
    """A label map, a mask, and y with five values where the mask is 1."""
    tensors = [
        Tensor("labels", 1, 1, decoder_latent=True),
        Tensor("mask", 1, BLOCK),
        Tensor("limit", 1, BLOCK),
        Tensor("y", COLOURS, BLOCK, decoder_latent=True),
    ]
    steps: list[Step] = [
        Labels("labels", len(CLASSES)),
        Context("mask", 0, 0, _one_table(1, 2)),
        Affine("limit", "mask", 14, np.zeros(1, np.int64), 0, COLOURS),
        Context("y", 0, -(LEVELS // 2), _one_table(COLOURS, LEVELS), limit="limit"),
    ]
    return Model(2 * BLOCK, tensors, [[_flat()]], [], steps)


def _falling(fall: float = 0.8) -> Table:
    shares = fall ** np.arange(64)
    frequencies = np.maximum(1, shares / shares.sum() * (2**14 - 64)).astype(int)
    frequencies[0] += 2**14 - frequencies.sum()
    return Table(tuple(frequencies.tolist()))


def _flat() -> Table:
    return Table((2**14 // 16,) * 16)


def _one_table(channels: int, symbols: int) -> npt.NDArray[np.int64]:
    return np.zeros((1, channels, symbols + 1, symbols + 1), np.int64)


# ---- graphs --------------------------------------------------------------------------------------------------------


class Nodes:
    """Builds a graph node by node; every method returns the name of its result."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, result: str | None = None, **attributes: Any) -> str:
        name = result or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def model(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        graph = helper.make_graph(self._nodes, "test", list(inputs), list(outputs), self._constants)
        opset = helper.make_opsetid("", 18)
        model: onnx.ModelProto = helper.make_model(graph, ir_version=8, opset_imports=[opset])
        onnx.checker.check_model(model)
        return model


def image_port(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.UINT8, ["height", "width", COLOURS])


def latent_port(name: str, channels: int = COLOURS) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, f"{name}_rows", f"{name}_columns"])


def analysis(
    *,
    gain: float = 1,
    knobs: dict[str, float] | None = None,
    grey: bool = False,
    scalar_shape: Sequence[int] | None = None,
    rate_fit: Fit | None = None,
    grown_to: int = 1,
    limit: float | None = None,
) -> Graph:
    """y = round(gain * (block mean - 128)).

    grey: the graph takes the picture's size and makes everything beyond grey. scalar_shape: it takes `n`, and what is
    nearer to 0 than 16 * (n + 2) becomes 0. rate_fit: of `n`. grown_to: it repeats y's edge up to a
    multiple of this. limit: of abs(y).
    """
    nodes = Nodes()
    inputs = [image_port("image")]
    entry: Entry = {"knobs": knobs or {}, "latents": {"y": "y"}}
    x = nodes.add("Sub", nodes.add("Cast", "image", to=TensorProto.FLOAT), nodes.constant(128))
    if grey:
        inputs.append(helper.make_tensor_value_info("size", TensorProto.INT64, [2]))
        entry["size_input"] = "size"
        x = nodes.add("Mul", x, _inside(nodes, "image", "size"))
    x = nodes.add("Unsqueeze", nodes.add("Transpose", x, perm=[2, 0, 1]), nodes.constant([0], np.int64))
    y = nodes.add("AveragePool", x, kernel_shape=[BLOCK, BLOCK], strides=[BLOCK, BLOCK])
    y = nodes.add("Mul", y, nodes.constant(gain))
    if scalar_shape is not None:
        inputs.append(helper.make_tensor_value_info("n", TensorProto.FLOAT, list(scalar_shape)))
        entry["scalars"] = {"n": {"low": -2.0, "high": 2.0, "default": 0.5}}
        if rate_fit is not None:
            entry["scalars"]["n"]["rate_fit"] = rate_fit
        least = nodes.add("Mul", nodes.add("Add", "n", nodes.constant(2)), nodes.constant(16))
        y = nodes.add("Where", nodes.add("Less", nodes.add("Abs", y), least), nodes.constant(0), y)
    if limit is not None:
        y = nodes.add("Clip", y, nodes.constant(-limit), nodes.constant(limit))
    if grown_to > 1:
        y = _grown(nodes, y, grown_to)
    nodes.add("Round", y, result="y")
    return entry, nodes.model(inputs, [latent_port("y")])


def synthesis(
    *,
    gain: float = 1,
    latent: str = "y",
    knobs: dict[str, float] | None = None,
    labels: bool = False,
    noise_channels: int = 0,
    shift: float = 0,
) -> Graph:
    """The picture 128 + shift + y / gain, plus the labels, plus 8 times the noise in its first three channels."""
    nodes = Nodes()
    inputs = [latent_port(latent)]
    entry: Entry = {"knobs": knobs or {}, "latents": {latent: latent}}
    x = nodes.add("Div", latent, nodes.constant(gain))
    if noise_channels:
        inputs.append(latent_port("noise", noise_channels))
        entry["noise"] = {"input": "noise", "channels": noise_channels, "stride": BLOCK}
        bounds = [nodes.constant([each], np.int64) for each in (0, COLOURS, 1)]
        first = nodes.add("Slice", "noise", *bounds)
        x = nodes.add("Add", x, nodes.add("Mul", first, nodes.constant(8 / 4096)))
    blocks = nodes.constant(np.ones((COLOURS, 1, BLOCK, BLOCK)))
    x = nodes.add("ConvTranspose", x, blocks, strides=[BLOCK, BLOCK], group=COLOURS)
    if labels:
        inputs.append(latent_port("labels", 1))
        entry["latents"]["labels"] = "labels"
        x = nodes.add("Add", x, "labels")
    x = nodes.add("Round", nodes.add("Add", x, nodes.constant(128 + shift)))
    x = nodes.add("Clip", x, nodes.constant(0), nodes.constant(255))
    x = nodes.add("Transpose", nodes.add("Squeeze", x, nodes.constant([0], np.int64)), perm=[1, 2, 0])
    nodes.add("Cast", x, to=TensorProto.UINT8, result="image")
    return entry, nodes.model(inputs, [image_port("image")])


def _inside(nodes: Nodes, image: str, size: str) -> str:
    """1 for pixels of the picture and 0 beyond, (rows, columns, 1)."""
    shape = nodes.add("Shape", image)
    masks = []
    for axis in (0, 1):
        index = nodes.constant(axis, np.int64)
        extent = nodes.add("Gather", shape, index)
        places = nodes.add("Range", nodes.constant(0, np.int64), extent, nodes.constant(1, np.int64))
        within = nodes.add("Less", places, nodes.add("Gather", size, index))
        others = nodes.constant([each for each in (0, 1, 2) if each != axis], np.int64)
        masks.append(nodes.add("Unsqueeze", nodes.add("Cast", within, to=TensorProto.FLOAT), others))
    return nodes.add("Mul", *masks)


def _grown(nodes: Nodes, y: str, multiple: int) -> str:
    sides = nodes.add("Shape", y, start=2)
    factor = nodes.constant(multiple, np.int64)
    missing = nodes.add("Mod", nodes.add("Neg", sides), factor)
    none = nodes.constant([0] * 6, np.int64)
    return nodes.add("Pad", y, nodes.add("Concat", none, missing, axis=0), mode="edge")


# ---- bundles -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """The parts of a bundle.

    padding: rule, alignment and smallest side for analysis graphs, where they are not the usual ones. side_inputs:
    latents that no graph makes, labels with their classes and masks without. defaults: of baked knobs, else their
    least.
    """

    model: Model
    analysis: Sequence[Graph]
    synthesis: Sequence[Graph]
    padding: tuple[int, int, int] | None = None
    side_inputs: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    defaults: Mapping[str, float] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the bundle to `folder`, which is created."""
        folder.mkdir()
        (folder / "entropy.bin").write_bytes(model_bytes(self.model))
        for role, graphs in (("analysis", self.analysis), ("synthesis", self.synthesis)):
            for number, (_, graph) in enumerate(graphs):
                (folder / f"{role}{number}.onnx").write_bytes(graph.SerializeToString())
        (folder / INDEX).write_bytes(index_file.encode(self.index(folder)))
        background: dict[str, Any] = {"golden": [], "parity": {}, "entropy_cost": {}, "provenance": {}, "files": {}}
        (folder / MANIFEST).write_text(json.dumps({**description_values(Bundle(folder).info), **background}))
        reseal(folder)
        return folder

    def index(self, folder: Path) -> Index:
        """Of what lies in `folder`."""
        names = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".onnx"))
        files = [(name, (folder / name).read_bytes()) for name in names]
        knobs = [*self._knobs(index_file.ENCODER, self.analysis), *self._knobs(index_file.DECODER, self.synthesis)]
        model = self._model(names.index("entropy.bin"), zlib.crc32((folder / "entropy.bin").read_bytes()))
        graphs = [
            _graph(entry, names.index(f"{role}{number}.onnx"), side, model, knobs)
            for role, side, graphs in (
                ("analysis", index_file.ENCODER, self.analysis),
                ("synthesis", index_file.DECODER, self.synthesis),
            )
            for number, (entry, _) in enumerate(graphs)
        ]
        listed = [File(name, len(data), hashlib.sha256(data).digest()) for name, data in files]
        return Index("test", "test", listed, [model], knobs, graphs)

    def _model(self, file: int, model_id: int) -> index_file.Model:
        alignment, smallest_side, rule = self.padding or (self.model.alignment, 1, REFLECT)
        noise = next((entry["noise"] for entry, _ in self.synthesis if "noise" in entry), None)
        channels, stride = (noise["channels"], noise["stride"]) if noise else (0, 0)
        encoded = [self._latent(name) for name in encoder_latents(self.model)]
        decoded = [self._latent(name, decoder=True) for name in decoder_latents(self.model)]
        return index_file.Model(
            model_id,
            file,
            0.0,
            self.model.alignment,
            alignment,
            smallest_side,
            rule,
            channels,
            stride,
            encoded,
            decoded,
        )

    def _latent(self, name: str, *, decoder: bool = False) -> Latent:
        tensor = self.model.tensor(name)
        if decoder or name not in self.side_inputs:
            return Latent(name, tensor.channels, tensor.stride)
        classes = self.side_inputs[name]
        return Latent(name, tensor.channels, tensor.stride, MASK if classes is None else LABELS, list(classes or ()))

    def _knobs(self, side: int, graphs: Sequence[Graph]) -> list[Knob]:
        knobs = []
        for name in sorted({name for entry, _ in graphs for name in entry["knobs"]}):
            values = sorted({float(entry["knobs"][name]) for entry, _ in graphs if name in entry["knobs"]})
            knobs.append(Knob(name, side, "", values, 0, 0, self.defaults.get(name, values[0])))
        scalars = {name: each for entry, _ in graphs for name, each in entry.get("scalars", {}).items()}
        for name, each in scalars.items():
            knobs.append(Knob(name, side, "", [], each["low"], each["high"], each["default"], each.get("rate_fit")))
        return knobs


def _graph(entry: Entry, file: int, side: int, model: index_file.Model, knobs: Sequence[Knob]) -> index_file.Graph:
    numbers = {knob.name: number for number, knob in enumerate(knobs) if knob.side == side}
    latents = model.encoder_latents if side == index_file.ENCODER else model.decoder_latents
    names: Mapping[str, str] = entry["latents"]
    ports = [Port(names[each.name], LATENT, number) for number, each in enumerate(latents) if each.name in names]
    image = [Port("image", IMAGE)]
    if side == index_file.ENCODER:
        size = [Port(entry["size_input"], SIZE)] if "size_input" in entry else []
        inputs = [*image, *size, *(Port(name, KNOB, numbers[name]) for name in entry.get("scalars", {}))]
        outputs = ports
    else:
        noise = [Port(entry["noise"]["input"], NOISE)] if "noise" in entry else []
        inputs, outputs = [*ports, *noise], image
    return index_file.Graph(
        side,
        0,
        file,
        entry.get("precision", "fp32"),
        [(numbers[name], float(value)) for name, value in entry["knobs"].items()],
        inputs,
        outputs,
        entry.get("levels", 0),
        0.0,
        entry.get("tiling", "its export did not say how far it looks"),
        entry.get("bytes_per_pixel", 0.0),
    )


def plain() -> Recipe:
    """One analysis, one synthesis, no knobs."""
    return Recipe(colour_model(), [analysis()], [synthesis()])


def with_qualities(gains: dict[float, float], betas: Sequence[float] = (0.0,)) -> Recipe:
    """Graphs for each quality, which sets the gain of y; synthesis graphs also for each beta, which brightens."""
    analyses = [analysis(gain=gain, knobs={"quality": quality}) for quality, gain in gains.items()]
    syntheses = [
        synthesis(gain=gain, knobs={"quality": quality, "beta": beta}, shift=beta)
        for quality, gain in gains.items()
        for beta in betas
    ]
    defaults = {"quality": next(iter(gains)), "beta": betas[0]}
    return Recipe(colour_model(), analyses, syntheses, defaults=defaults)


def write_several_rates(folder: Path, gains: Mapping[float, float], default: int = 0) -> Path:
    """A bundle of several models, each with an entropy model and graphs of its own: the gain of y by the model's rate.

    The quality that chooses a model to encode is its number in `gains`.
    """
    recipe = Recipe(
        colour_model(),
        [analysis(gain=gain, knobs={"quality": number}) for number, gain in enumerate(gains.values())],
        [synthesis(gain=gain) for gain in gains.values()],
        defaults={"quality": default},
    )
    recipe.write(folder)
    entropy = [f"entropy{number}.bin" for number in range(len(gains))]
    for number, name in enumerate(entropy):
        (folder / name).write_bytes(model_bytes(colour_model(fall=0.8 + 0.001 * number)))
    reseal(folder, *entropy)

    def change(index: Index) -> None:
        files = [file.name for file in index.files]
        (model,) = index.models
        ids = [zlib.crc32((folder / name).read_bytes()) for name in entropy]
        index.models = [
            replace(model, id=each, file=files.index(name), rate=rate)
            for each, name, rate in zip(ids, entropy, gains, strict=True)
        ]
        for side in (index_file.ENCODER, index_file.DECODER):
            for number, graph in enumerate(graph for graph in index.graphs if graph.side == side):
                graph.model = number

    edit_index(folder, change)
    edit_manifest(folder, lambda manifest: manifest.update(description_values(Bundle(folder).info)))
    return folder


def with_labels() -> Recipe:
    """Selective coding: a label map and a mask beside y, which has five values."""
    side_inputs = {"labels": CLASSES, "mask": None}
    coarse = analysis(gain=1 / LEVEL, limit=LEVELS // 2)
    return Recipe(label_model(), [coarse], [synthesis(gain=1 / LEVEL, labels=True)], side_inputs=side_inputs)


def with_noise(channels: int = COLOURS) -> Recipe:
    """The decoder takes noise."""
    return Recipe(colour_model(), [analysis()], [synthesis(noise_channels=channels)])


# ---- the same in NumPy ----------------------------------------------------------------------------------------------


def block_means(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(3, rows, columns) of a picture (height, width, 3) whose sides are multiples of BLOCK, less 128."""
    rows, columns = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    blocks = pixels.reshape(rows, BLOCK, columns, BLOCK, COLOURS).astype(np.float64)
    return blocks.mean(axis=(1, 3)).transpose(2, 0, 1) - 128


def synthesised(y: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The picture of block colours (3, rows, columns), which are less 128."""
    colours = np.clip(np.rint(y + 128), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return colours.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
