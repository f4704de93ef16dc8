"""Half precision: what stays single, what leaves the range, and which convolutions are the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edgecodec.description import Closeness
from edgecodec.errors import InvalidArgument, VerificationFailed
from edgecodec_export.baking import Baking, Point
from edgecodec_export.calibration import to_tensor
from edgecodec_export.graphs.closeness import EQUAL_DB, Decode, closeness
from edgecodec_export.graphs.onnx_export import SynthesisModule, synthesis_inputs
from edgecodec_export.graphs.sample_latents import SampleLatents
from edgecodec_export.layers.normalisation import GDN, ChannelNorm
from edgecodec_export.precisions import SINGLE, Precision, named
from edgecodec_export.precisions.half import LARGEST, Half
from edgecodec_export.precisions.last_convolutions import last_convolutions
from support.make_tiny_bundle import tiny_pictures
from support.tiny_codecs import PRESETS, tiny_codec

HALF = Half()
#: All that may happen in half precision: convolutions, and what neither divides nor sums many values nor rounds.
_OPERATORS = """
    _to_copy add add_ avg_pool2d cat clone constant_pad_nd convolution detach expand index_select leaky_relu leaky_relu_
    lift_fresh mul pixel_shuffle reflection_pad2d replication_pad2d relu relu_ sigmoid slice split_with_sizes
    unsafe_view view
"""
IN_HALF = frozenset(_OPERATORS.split())
#: The layers of each family behind which only arithmetic follows until latents are rounded.
LAST = {
    "agustsson": {"model.analysis.1"},
    "agustsson-sc": {"model.analysis.1"},
    "crdr": {
        "analysis.13",  # the last halving, and then what is added to it in the attention
        *(f"analysis.14.trunk.{i}.leave" for i in range(3)),
        "analysis.14.mask.3",
        "hyper_analysis.4",
    },
    "fidelity": {"model.analysis.10"},
    "hific": {"model.analysis.15", "model.hyper_analysis.4", "model.hyper_synthesis_mean.4"},
    "hific-reflect": {"model.analysis.15", "model.hyper_analysis.4", "model.hyper_synthesis_mean.4"},
    "hyperprior": {"model.analysis.6", "model.hyper_analysis.4", "model.hyper_synthesis.4"},
    "hyperprior-blocks": {"model.analysis.2", "model.hyper_analysis.4", "model.hyper_synthesis.4"},
    "tunable": {"model.analysis.omega.1.0", "model.masker.importance.2"},
}
LAST["crdr-multirate"] = LAST["crdr"]


class Recorder(TorchDispatchMode):
    """Records every operator with the types of its float inputs and outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[torch.dtype], list[torch.dtype]]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        inputs, outputs = (
            [each.dtype for each in tree_leaves(values) if isinstance(each, Tensor) and each.is_floating_point()]
            for values in (args, result)
        )
        self.seen.append((function.overloadpacket.__name__, inputs, outputs))
        return result


def baking_of(name: str) -> Baking:
    baking: Baking = tiny_codec(name).baking({"quality": (2,)} if name.startswith("crdr") else {})
    return baking


def encoder_of(name: str) -> tuple[Point, list[Tensor]]:
    baking = baking_of(name)
    point = baking.encoder(baking.encoder_knobs()[0])
    return point, [to_tensor(tiny_pictures(1)[0]), *(torch.tensor(each.default) for each in point.scalars.values())]


def decoder_of(name: str) -> tuple[Point, list[Tensor]]:
    baking = baking_of(name)
    latents = synthesis_inputs(baking.model)
    torch.manual_seed(0)
    return baking.decoder(baking.decoder_knobs()[-1]), [
        torch.randint(0, 3, (1, each.channels, 128 // each.stride, 128 // each.stride)).float() for each in latents
    ]


def recorded(module: nn.Module, inputs: Sequence[Tensor]) -> list[tuple[str, list[torch.dtype], list[torch.dtype]]]:
    with torch.no_grad(), Recorder() as recorder:
        outputs = module(*inputs)
    assert all(each.dtype == torch.float32 for each in tree_leaves(outputs)), "ports stay single"
    return recorder.seen


def require_kept_single(seen: Sequence[tuple[str, list[torch.dtype], list[torch.dtype]]]) -> None:
    for name, inputs, outputs in seen:
        if torch.float16 in outputs:
            assert name in IN_HALF, f"{name} in half precision"
        if name in ("round", "floor", "ge", "gt", "sqrt", "div", "mean", "reciprocal"):
            assert set(inputs) == {torch.float32}, name


def names_of(module: nn.Module, layers: set[nn.Module]) -> set[str]:
    return {name for name, layer in module.named_modules() if layer in layers}


@pytest.mark.parametrize("name", PRESETS)
def test_encoders_round_in_single_precision_what_no_layer_halved(name: str) -> None:
    point, inputs = encoder_of(name)
    half = HALF.converted(point.module, "encode", inputs)
    seen = recorded(half, inputs)
    require_kept_single(seen)
    assert any(inputs == [torch.float16] * len(inputs) for kind, inputs, _ in seen if kind == "convolution")
    last = last_convolutions(half, inputs)
    assert names_of(half, last) == LAST[name]
    assert all(layer.weight.dtype == torch.float32 for layer in last)


@pytest.mark.parametrize("name", PRESETS)
def test_decoders_halve_every_convolution_and_end_in_single(name: str) -> None:
    point, inputs = decoder_of(name)
    half = HALF.converted(point.module, "decode", inputs)
    seen = recorded(half, inputs)
    require_kept_single(seen)
    assert any(kind == "convolution" for kind, *_ in seen)
    last_half = max(i for i, (_, _, outputs) in enumerate(seen) if torch.float16 in outputs)
    assert {kind for kind, *_ in seen[last_half + 1 :]} & IN_HALF <= {
        *("_to_copy", "add", "mul", "pixel_shuffle", "view", "clone", "slice", "cat")
    }, "nothing learned follows"
    assert all(each.dtype == torch.float32 for each in point.module.parameters()), "the original is not changed"


@pytest.mark.parametrize(
    ("norm", "largest"), [(ChannelNorm(6), 3000), (GDN(6), 3000), (GDN(6, inverse=True), 700)], ids=repr
)
def test_norms_of_halves_square_in_single_precision(norm: nn.Module, largest: float) -> None:
    """Values whose squares are beyond its range."""
    torch.manual_seed(1)
    first = nn.Conv2d(3, 6, 1)
    network = nn.Sequential(first, norm.eval(), nn.Conv2d(6, 3, 1)).requires_grad_(False)
    x = largest * torch.rand(1, 3, 8, 8)
    assert first(x).square().max() > LARGEST
    (found,) = HALF.run(HALF.converted(network, "decode", [x]), [x])
    expected = network(x)
    assert (found - expected).abs().mean() < 0.01 * expected.abs().mean()


def test_values_that_leave_the_range_are_found() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)).requires_grad_(False)
    for weight in (each for name, each in network.named_parameters() if name.endswith("weight")):
        weight.fill_(300.0)
    half = HALF.converted(network, "decode", [torch.ones(1, 1, 2, 2)])
    with pytest.raises(VerificationFailed, match="leaves the range of half precision, which ends at 65504"):
        HALF.run(half, [torch.ones(1, 1, 2, 2)])
    HALF.run(half, [torch.full((1, 1, 2, 2), 0.1)])


def test_a_weight_beyond_the_range_is_named() -> None:
    convolution = nn.Conv2d(1, 1, 1).requires_grad_(False)
    convolution.weight.fill_(7e4)
    network = nn.Sequential(nn.ReLU(), convolution)
    with pytest.raises(VerificationFailed, match=r"a weight of 7e\+04 in 1"):
        HALF.converted(network, "decode", [torch.ones(1, 1, 2, 2)])


def test_sums_of_convolutions_are_single() -> None:
    """As on tensor cores: 4096 halves of 1/4096 next to 1 would be lost, one by one."""
    convolution = nn.Conv2d(4097, 1, 1, bias=False).requires_grad_(False)
    convolution.weight.fill_(1 / 4096)
    convolution.weight[:, 0] = 1
    x = torch.ones(1, 4097, 1, 1)
    (found,) = HALF.run(HALF.converted(convolution, "decode", [x]), [x])
    assert found.item() == 2


def test_the_last_convolutions_are_found_through_branches_and_comparisons() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(2, 2, 1) for _ in range(4))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.a(x)
            z = self.b(torch.relu(y)) + y
            return (z > 0).float(), torch.round(self.d(self.c(z)))

    module = Branching()
    assert last_convolutions(module, [torch.rand(1, 2, 2, 2)]) == {module.a, module.b, module.d}


def decode_with(precision: Precision, module: nn.Module) -> Decode:
    decoder = precision.decoder(SynthesisModule(module), Path("of no file"))
    return lambda sample: decoder({name: values.astype(np.float32) for name, values in sample.latents.items()})


def sample_of(inputs: Sequence[Tensor]) -> SampleLatents:
    latents = {str(i): each.numpy().astype(np.int16) for i, each in enumerate(inputs)}
    return SampleLatents({}, np.full((128, 128, 3), 90, np.uint8), latents)


def test_a_decoder_that_is_too_far_from_single_precision_fails() -> None:
    point, inputs = decoder_of("hific")
    sample = sample_of(inputs)
    single = decode_with(SINGLE, point.module)
    half = HALF.converted(point.module, "decode", inputs)
    found = closeness(HALF, single, decode_with(HALF, half), [sample])
    assert HALF.LEAST_DB < found.psnr < EQUAL_DB
    assert found.mean_loss == found.largest_loss != 0
    for layer in half.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.mul_(1.02)
    with pytest.raises(VerificationFailed, match="dB from fp32 on a photograph, less than 55"):
        closeness(HALF, single, decode_with(HALF, half), [sample, sample])
    assert closeness(SINGLE, single, single, [sample]) == Closeness(EQUAL_DB, 0, 0)


def test_what_a_precision_loses_is_bounded_on_average_and_on_each_photograph() -> None:
    """Against figures that are computed here: pictures that are off by one level, and by two."""
    original = np.full((8, 8, 3), 100, np.uint8)
    samples = [SampleLatents({}, original, {}), SampleLatents({}, original + np.uint8(10), {})]

    def decode(offsets: Sequence[int]) -> Decode:
        return lambda sample: sample.picture + np.uint8(offsets[sample.picture is not original])

    step = 20 * math.log10(2)  # from an error of one level to one of two
    found = closeness(HALF, decode([1, 1]), decode([1, 2]), samples[:1])
    assert (found.psnr, found.mean_loss, found.largest_loss) == (EQUAL_DB, 0, 0)

    class Bounded(Half):
        LEAST_DB = 0.0

    found = closeness(Bounded(), decode([1, 1]), decode([1, 2]), samples)
    assert (found.mean_loss, found.largest_loss) == (round(step / 2, 4), round(step, 4))
    Bounded.LARGEST_LOSS = 6.0
    with pytest.raises(VerificationFailed, match=r"loses 6\.02 dB on a photograph, more than 6"):
        closeness(Bounded(), decode([1, 1]), decode([1, 2]), samples)
    Bounded.LARGEST_MEAN_LOSS = 3.0
    with pytest.raises(VerificationFailed, match=r"loses 3\.01 dB on photographs, more than 3"):
        closeness(Bounded(), decode([1, 1]), decode([1, 2]), samples)


def test_precisions_are_named_once_and_in_their_own_order() -> None:
    assert [each.name for each in named(None)] == ["fp32", "fp16"]
    assert [each.name for each in named(["fp16", "fp32", "fp16"])] == ["fp32", "fp16"]
    assert [each.name for each in named(["int8", "fp16"])] == ["fp16", "int8"]
    assert [each.name for each in named(["int8"])] == ["fp32", "int8"], "it has no encoders"
    for names in (["fp23"], ["fp32", ""], []):
        with pytest.raises(InvalidArgument) as caught:
            named(names)
        assert caught.value.hint == "the precisions are fp32, fp16, int8"
