"""Every exported graph against the PyTorch modules it came from, before rounding hides anything.

The numbers compared are those just ahead of the graph's last rounding: latents before they become integers, and the
picture before it becomes bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor

from edgecodec.errors import VerificationFailed
from edgecodec.export.families.hyperprior import ScaleHyperprior
from edgecodec.export.graphs import SynthesisGraph

LARGEST_ERROR = 1e-4  # absolute for values up to 1, relative to the largest value beyond

FloatArray = npt.NDArray[np.float32]


@torch.no_grad()
def verify_analysis(graph: onnx.ModelProto, model: ScaleHyperprior, pictures: Sequence[npt.NDArray[np.uint8]]) -> float:
    """Largest error of the unrounded latents over `pictures` (H, W, 3), sides multiples of the alignment.

    Raises VerificationFailed beyond 1e-4.
    """
    z_unrounded, r_unrounded = (_source(graph, _producer(graph, name)) for name in ("z", "r"))
    session = _session(graph, [z_unrounded, r_unrounded])
    medians = model.density.medians.reshape(1, -1, 1, 1)
    errors = []
    for picture in pictures:
        z, graph_z, graph_r = session.run(["z", z_unrounded, r_unrounded], {"image": picture})
        y = model.analysis(torch.from_numpy(picture).float().permute(2, 0, 1)[None] / 255)
        # The graph's own z, so that a value on the edge between two integers does not count as an error of r.
        mean = model.mean(torch.from_numpy(z) + medians)
        errors.append(_error(model.hyper_analysis(model.hyper_input(y)) - medians, graph_z))
        errors.append(_error(y if mean is None else y - mean, graph_r))
    return _accept(max(errors), "analysis graph")


@torch.no_grad()
def verify_synthesis(
    graph: onnx.ModelProto, model: ScaleHyperprior, latents: Sequence[tuple[Tensor, Tensor]], name: str
) -> float:
    """Largest error of the picture before it becomes bytes, over pairs of z (1, N, h, w) and r (1, M, 4h, 4w).

    name: what an error calls the graph. Raises VerificationFailed beyond 1e-4, and where the bytes are not the
    rounded picture.
    """
    scaled = _scaled_picture(graph)
    unscaled = _source(graph, scaled)
    session = _session(graph, [unscaled])
    reference = SynthesisGraph(model)
    errors = []
    for z, r in latents:
        levels, picture = session.run(["image", unscaled], {"z": z.numpy(), "r": r.numpy()})
        errors.append(_error(reference.reconstruct(z, r), picture))
        rounded = np.clip(np.rint(picture * np.float32(255)), 0, 255)[0].transpose(1, 2, 0)
        if not np.array_equal(levels, rounded):
            raise VerificationFailed("the bytes are not the rounded picture", where=name)
    return _accept(max(errors), name)


def _accept(error: float, name: str) -> float:
    if not error <= LARGEST_ERROR:
        raise VerificationFailed(f"differs from PyTorch by {error:.2e}, more than {LARGEST_ERROR:.0e}", where=name)
    return error


def _error(expected: Tensor, actual: FloatArray) -> float:
    reference = expected.numpy()
    return float(np.abs(reference - actual).max() / max(1.0, np.abs(reference).max()))


def _producer(graph: onnx.ModelProto, tensor: str) -> onnx.NodeProto:
    (node,) = (node for node in graph.graph.node if tensor in node.output)
    return node


def _source(graph: onnx.ModelProto, node: onnx.NodeProto) -> str:
    """The input of `node` that another node computes."""
    computed = {output for each in graph.graph.node for output in each.output}
    (name,) = (name for name in node.input if name in computed)
    return name


def _scaled_picture(graph: onnx.ModelProto) -> onnx.NodeProto:
    """The multiplication by 255 that starts the tail from the picture to its bytes."""
    node = _producer(graph, "image")
    while node.op_type != "Mul":
        node = _producer(graph, _source(graph, node))
    return node


def _session(graph: onnx.ModelProto, extra_outputs: Sequence[str]) -> onnxruntime.InferenceSession:
    """The graph on the processor, with more of its tensors as outputs."""
    opened = onnx.ModelProto()
    opened.CopyFrom(graph)
    present = {output.name for output in opened.graph.output}
    for name in extra_outputs:
        if name not in present:
            opened.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(opened.SerializeToString(), options, providers=["CPUExecutionProvider"])
