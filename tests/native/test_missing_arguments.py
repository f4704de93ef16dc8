"""An argument that is missing, or an index that is too large, is an error of the library's and no crash."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgecodec import container, native
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import InvalidArgument
from support import reference_coder
from support.native_coder import NativeCoder
from support.native_net import NativeNet
from support.paths import TINY
from support.reference_coder import Table
from support.reference_integer_net import Net, PixelShuffle, net_bytes

SIDE = 64  # pixels
ZEROS, ROOM = np.zeros(4096, np.uint8), np.empty(4096, np.uint8)
ENTROPY, GRAPH = (np.fromfile(TINY / name, np.uint8) for name in ("entropy.bin", "analysis.onnx"))
TABLES = np.frombuffer(reference_coder.table_set_bytes([Table((16000, 384))]), np.uint8)
NET = np.frombuffer(net_bytes(Net(-8, 8, [PixelShuffle(2, 4)])), np.uint8)


def _calls() -> dict[str, list[Any]]:
    """Arguments with which each function succeeds: addresses as arrays or structs, and without the last, the error."""
    written, lanes = ctypes.c_size_t(), ctypes.c_uint32()
    head = native.CoreContainer(version=1, lanes=2, width=5, height=7, section_count=1)
    head.section_tag[0], head.section[0].size, head.payload.size = container.ICC, 1, 1
    file = np.frombuffer(container.write(b"abc", width=5, height=7, lanes=2, model_id="01020304"), np.uint8)
    model, tables, net = EntropyModel(ENTROPY.tobytes()), NativeCoder(TABLES.tobytes()), NativeNet(NET.tobytes())
    shapes = model.encoder_shapes(SIDE, SIDE)
    zeros, room = (native.addresses([array] * len(shapes)) for array in (ZEROS, ROOM))
    latents = {name: np.zeros(shape, np.int16) for name, shape in shapes.items()}
    payload, chosen = model.encode(latents, width=SIDE, height=SIDE)
    coded, two = tables.encode(ZEROS[:1], ZEROS[:2].view(np.int16), [1])
    count = np.ones(1, np.uintp)
    return {
        "container_parse": [file, file.size, native.CoreContainer()],
        "container_write": [head, zeros, ZEROS, ROOM, ROOM.size, written],
        "model_open": [ENTROPY, ENTROPY.size, ctypes.c_void_p()],
        "model_cost": [model, SIDE, SIDE, native.CoreCost()],
        "decode": [model, SIDE, SIDE, chosen, np.frombuffer(payload, np.uint8), len(payload), room, 1],
        "encode": [model, SIDE, SIDE, lanes, zeros, ROOM, ROOM.size, written, 1],
        "encode_bits": [model, SIDE, SIDE, zeros, ctypes.c_uint64(), 1],
        "graph_read": [GRAPH, GRAPH.size, native.CoreWeights(), 1, written],
        "tables_open": [TABLES, TABLES.size, ctypes.c_void_p()],
        "coder_encode": [tables, ZEROS, ZEROS, count, 1, lanes, 0, ROOM, ROOM.size, written],
        "coder_decode": [tables, ZEROS, ROOM, count, 1, two, lanes, np.frombuffer(coded, np.uint8), len(coded)],
        "net_open": [NET, NET.size, ctypes.c_void_p()],
        "net_run": [net, ZEROS, 1, 1, ROOM, 1],
    }


def _passed(argument: Any) -> Any:
    """An argument as ctypes takes it."""
    if isinstance(argument, np.ndarray):
        return argument.ctypes.data
    if isinstance(argument, EntropyModel | NativeNet):
        return argument._handle
    if isinstance(argument, NativeCoder):
        return argument.handle
    return argument if argument is None or isinstance(argument, int | ctypes.Array) else ctypes.byref(argument)


def _call(name: str, arguments: list[Any]) -> None:
    native.call(getattr(native.library(), f"ec_core_{name}"), *map(_passed, arguments))


def _without_one(arguments: list[Any]) -> Iterator[list[Any]]:
    """The arguments without one of the addresses. A size behind it becomes 1: of 0 bytes none need be there."""
    for i, argument in enumerate(arguments):
        if not isinstance(argument, int):
            size = [1] if isinstance(next(iter(arguments[i + 1 :]), None), int) else []
            yield [*arguments[:i], None, *size, *arguments[i + 1 + len(size) :]]


def test_missing_arguments_are_refused() -> None:
    for name, arguments in _calls().items():
        _call(name, arguments)
        for without in _without_one(arguments):
            with pytest.raises(InvalidArgument):
                _call(name, without)
                pytest.fail(f"{name} takes {without}")


@pytest.mark.parametrize("name", ["container_write", "encode", "coder_encode"])
def test_no_more_is_written_than_there_is_room_for(name: str) -> None:
    arguments = _calls()[name]
    _call(name, arguments)
    (written,) = (argument.value for argument in arguments if isinstance(argument, ctypes.c_size_t))
    at = next(i for i, argument in enumerate(arguments) if isinstance(argument, int) and argument == ROOM.size)
    _call(name, [*arguments[:at], written, *arguments[at + 1 :]])
    with pytest.raises(InvalidArgument, match="larger than the capacity"):
        _call(name, [*arguments[:at], written - 1, *arguments[at + 1 :]])


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_a_latent_that_is_not_there_has_no_description(kind: str) -> None:
    model, core = EntropyModel(ENTROPY.tobytes()), native.library()
    describe = getattr(core, f"ec_core_model_{kind}_latent")
    count = getattr(core, f"ec_core_model_{kind}_latent_count")(model._handle)
    tensor = native.CoreTensor()
    statuses = [describe(model._handle, i, ctypes.byref(tensor)) for i in range(count + 2)]
    assert statuses == [0] * count + [InvalidArgument.code] * 2
    assert describe(model._handle, 0, None) == describe(None, 0, ctypes.byref(tensor)) == InvalidArgument.code
