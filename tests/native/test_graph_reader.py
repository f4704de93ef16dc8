"""A graph is read by the native reader as every other reader reads it, or refused; none leads out of its bundle."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edgecodec.errors import BadModel
from support.graph_file import Weights, weights_elsewhere
from support.onnx_wire import (
    EIGHT_BYTES,
    END_GROUP,
    FOUR_BYTES,
    GROUP,
    SIZED,
    VARINT,
    Field,
    every_list,
    fields,
    inside,
    message,
    messages,
    sized,
    tag,
    value,
    varint,
    wire_type,
)
from support.paths import DATA, TINY

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnx.external_data_helper import set_external_data
except ModuleNotFoundError:
    pytest.skip("its graphs are made with onnx, which is not installed", allow_module_level=True)

HIDDEN = DATA / "graphs" / "hidden_external_data.onnx"
OUTSIDE = "../secret"


def tensor(location: str | None = None, name: str = "w", **entries: Any) -> TensorProto:
    """Three floats, in the graph or in a file of their own."""
    made = numpy_helper.from_array(np.arange(3, dtype=np.float32), name)
    if location is not None:
        set_external_data(made, location, **entries)
        made.ClearField("raw_data")
    return made


def sparse(values: TensorProto, indices: TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[3])


def model(*initializers: TensorProto, nodes: Any = (), **changes: Any) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "test", [], [], list(initializers))
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)], **changes)


def refused(data: bytes) -> str:
    """Why. A typed error is no crash and no bug of the library."""
    with pytest.raises(BadModel) as caught:
        weights_elsewhere(data)
    offset = caught.value.offset
    assert offset is not None and 0 <= offset <= len(data)
    return caught.value.message


# ---- real graphs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [path.name for path in sorted(TINY.glob("*.onnx"))])
def test_graphs_that_export_wrote_are_read(name: str) -> None:
    assert weights_elsewhere((TINY / name).read_bytes()) == []


def test_weights_are_reported_in_order() -> None:
    """More than the caller first has room for."""
    many = [tensor(f"weights/{i:x}.bin", f"w{i}", offset=4 * i, length=12) for i in range(600)]
    expected = [Weights(f"weights/{i:x}.bin", 4 * i, 12) for i in range(600)]
    assert weights_elsewhere(model(*many).SerializeToString()) == expected


def test_hidden_external_data_are_refused() -> None:
    """ONNX Runtime sees them; onnx does not."""
    data = HIDDEN.read_bytes()
    assert OUTSIDE.encode() in data
    assert "a field number is larger than 29 bits" in refused(data)


# ---- what readers understand differently ----------------------------------------------------------------------------

#: Fields of newer versions and of no use, which are refused.
LEFT_OUT = {
    "onnx.ModelProto.configuration",
    "onnx.NodeProto.device_configurations",
    "onnx.TensorProto.segment",
    "onnx.TypeProto.opaque_type",
}
#: An empty entry of external data says nothing that it may.
NOT_EMPTY = {"onnx.TensorProto.external_data"}


def every_field() -> Iterator[tuple[str, tuple[int, ...], Any]]:
    """Name, the way to the message that has it, and its descriptor."""
    beyond = {"DeviceConfigurationProto", "NodeDeviceConfigurationProto", "ShardingSpecProto", "ShardedDimProto"}
    beyond |= {"SimpleShardedDimProto", "IntIntListEntryProto", "Segment", "Opaque"}
    for path, descriptor in messages().values():
        if descriptor.name not in beyond:
            for field in descriptor.fields:
                yield field.full_name, path, field


FIELDS = [pytest.param(path, field, id=name) for name, path, field in every_field()]
KNOWN = [each for each in FIELDS if each.id not in LEFT_OUT]


def placed(path: tuple[int, ...], field: Any, content: bytes) -> bytes:
    """A model in which `content`, which is of this field, ends the message that has the field."""
    return content if field.full_name == "onnx.ModelProto.graph" else inside(path, content)


def whole(field: Any) -> bytes:
    """The smallest occurrence of a field."""
    return tag(field.number, wire_type(field)) + value(wire_type(field))


@pytest.mark.parametrize(("path", "field"), FIELDS)
def test_every_field_of_onnx_is_known_or_left_out_on_purpose(path: tuple[int, ...], field: Any) -> None:
    data = placed(path, field, whole(field))
    onnx.load_from_string(data)
    if field.full_name in LEFT_OUT:
        assert f"unknown field {field.number}" in refused(data)
    elif field.full_name not in NOT_EMPTY:
        assert weights_elsewhere(data) == []


@pytest.mark.parametrize(("path", "field"), KNOWN)
def test_every_field_is_refused_in_any_other_form(path: tuple[int, ...], field: Any) -> None:
    kind, number = wire_type(field), field.number
    packed = field.is_repeated and kind != SIZED
    for other in (VARINT, EIGHT_BYTES, SIZED, FOUR_BYTES):
        if other != kind and not (other == SIZED and packed):
            assert "another wire type" in refused(placed(path, field, tag(number, other) + value(other)))
    for group in (GROUP, END_GROUP, 6, 7):
        assert f"wire type {group}" in refused(placed(path, field, tag(number, group)))
    assert "wire type" in refused(placed(path, field, tag(number, GROUP) + tag(number, END_GROUP)))
    for high in (1 << 29, 1 << 40, 1 << 60):
        assert "larger than" in refused(placed(path, field, tag(number + high, kind) + value(kind)))
    key = number << 3 | kind
    assert "shortest form" in refused(placed(path, field, varint(key, 4) + value(kind)))
    if kind == VARINT:
        assert "shortest form" in refused(placed(path, field, tag(number, kind) + b"\x80\0"))
        assert "larger than 64 bits" in refused(placed(path, field, tag(number, kind) + b"\xff" * 9 + b"\x02"))
        assert "larger than 64 bits" in refused(placed(path, field, tag(number, kind) + b"\xff" * 11))
    if kind == SIZED or packed:
        assert "shortest form" in refused(placed(path, field, tag(number, SIZED) + b"\x80\0"))
        assert "beyond its message" in refused(placed(path, field, tag(number, SIZED) + b"\x01"))
        assert "beyond its message" in refused(placed(path, field, tag(number, SIZED) + varint((1 << 64) - 1)))
        assert "beyond its message" in refused(placed(path, field, tag(number, SIZED) + varint(1 << 32)))
    if packed:
        refused(placed(path, field, sized(number, b"\x80" if kind == VARINT else b"\0" * 3)))
    if not field.is_repeated:
        assert f"has {field.name} twice" in refused(placed(path, field, whole(field) * 2))
    if field.type in (field.TYPE_INT32, field.TYPE_ENUM):
        for wide in (1 << 31, 1 << 32 | 1, (1 << 64) - (1 << 31) - 1):
            assert "larger than 32 bits" in refused(placed(path, field, tag(number, VARINT) + varint(wide)))


@pytest.mark.parametrize("name", messages())
def test_unknown_fields_are_refused_in_every_message(name: str) -> None:
    """A newer engine may know them, as a place for tensors."""
    path = messages()[name][0]
    for content in (sized(99, b""), sized((1 << 29) - 1, b"x"), tag(19, VARINT) + b"\0", b"\0\0", b"\x02\0"):
        refused(inside(path, content))


def test_a_second_graph_is_refused() -> None:
    """Protocol buffers merge the two."""
    hidden = onnx.ModelProto()
    hidden.graph.initializer.append(tensor(OUTSIDE))
    plain = model(tensor()).SerializeToString()
    merged = onnx.load_from_string(plain + hidden.SerializeToString())
    assert [each.data_location for each in merged.graph.initializer] == [0, 1]
    assert "has graph twice" in refused(plain + hidden.SerializeToString())


@pytest.mark.parametrize("kind", [2, 7, 1 << 32 | 1, (1 << 64) - 1])
def test_places_of_data_that_nobody_knows_are_refused(kind: int) -> None:
    refused(inside((7, 5), tag(14, VARINT) + varint(kind)))


def test_a_file_in_the_format_of_onnx_runtime_is_refused() -> None:
    """It goes by four bytes, which can be anything in a model, such as the size and the text of a first field."""
    data = tag(6, SIZED) + varint(300) + b"xORTM" + b"x" * 295 + sized(7, b"")
    assert data[4:8] == b"ORTM" and onnx.load_from_string(data).HasField("graph")
    assert "ONNX Runtime's format" in refused(data)


@pytest.mark.parametrize("levels", [40, 2000])
@pytest.mark.parametrize(
    "way", [(1, 5, 6), (1, 5, 11), (11, 2, 4, 1), (1, 5, 14, 9, 1)], ids=["graph", "graphs", "sequence", "optional"]
)
def test_deep_nesting_is_refused(way: tuple[int, ...], levels: int) -> None:
    loop = way[-2:] if way[-1] == 1 else way
    assert "nested too deeply" in refused(inside((7, *way, *loop * levels), b""))


def test_nesting_that_graphs_have_is_read() -> None:
    assert weights_elsewhere(inside((7, *(1, 5, 6) * 18), b"")) == []


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x3a\x7f", b"\xff" * 20, b"\x08\x08", bytes(64)], ids=repr)
def test_what_is_no_model_is_refused(data: bytes) -> None:
    assert "is not an ONNX graph" in refused(data)


# ---- external data --------------------------------------------------------------------------------------------------


def node(**attribute: Any) -> onnx.NodeProto:
    made = onnx.NodeProto(op_type="Odd", output=["y"])
    made.attribute.add(name="a", **attribute)
    return made


def everywhere() -> Iterator[tuple[str, onnx.ModelProto]]:
    """The name of a place, and a model whose only tensor outside stands there."""
    out, here = tensor(OUTSIDE), tensor()
    below = helper.make_graph([], "below", [], [], [out])
    attributes: dict[str, dict[str, Any]] = {
        "t": {"t": out},
        "tensors[1]": {"tensors": [here, out]},
        "sparse_tensor.values": {"sparse_tensor": sparse(out, here)},
        "sparse_tensor.indices": {"sparse_tensor": sparse(here, out)},
        "sparse_tensors[0].values": {"sparse_tensors": [sparse(out, here)]},
        "sparse_tensors[0].indices": {"sparse_tensors": [sparse(here, out)]},
        "g.initializer[0]": {"g": below},
        "graphs[1].initializer[0]": {"graphs": [onnx.GraphProto(), below]},
        "g.sparse_initializer[0].values": {"g": onnx.GraphProto(sparse_initializer=[sparse(out, here)])},
        "g.node[0].attribute[0].t": {"g": onnx.GraphProto(node=[node(t=out)])},
        "g.node[0].attribute[0].g.initializer[0]": {"g": onnx.GraphProto(node=[node(g=below)])},
    }
    for place, attribute in attributes.items():
        yield f"graph.node[1].attribute[0].{place}", model(nodes=[onnx.NodeProto(), node(**attribute)])
        function = onnx.FunctionProto(name="F", domain="test", node=[node(**attribute)])
        yield f"functions[0].node[0].attribute[0].{place}", model(functions=[function])
    function = onnx.FunctionProto(name="F", domain="test")
    function.attribute_proto.add(name="a").t.CopyFrom(out)
    yield "functions[0].attribute_proto[0].t", model(functions=[function])
    for part, both in {"values": (out, here), "indices": (here, out)}.items():
        made = model()
        made.graph.sparse_initializer.append(sparse(*both))
        yield f"graph.sparse_initializer[0].{part}", made
    for part in ("initialization", "algorithm"):
        made = model()
        getattr(made.training_info.add(), part).CopyFrom(below)
        yield f"training_info[0].{part}.initializer[0]", made


@pytest.mark.parametrize(("place", "made"), [pytest.param(*each, id=each[0]) for each in everywhere()])
def test_only_initializers_of_the_main_graph_have_weights_elsewhere(place: str, made: onnx.ModelProto) -> None:
    assert refused(made.SerializeToString()).startswith(f"{place} has its values in another file")
    hide(made)
    assert weights_elsewhere(made.SerializeToString()) == []


def hide(proto: Any) -> None:
    """Put all tensors into the graph."""
    for each in tensors(proto):
        each.ClearField("external_data")
        each.ClearField("data_location")


@pytest.mark.parametrize("siblings", [0, 10])
def test_a_place_of_more_than_96_bytes_is_shortened_in_its_middle(siblings: int) -> None:
    """So that a message has room for the problem. Ten siblings make the place one byte longer."""
    place = f"node[{siblings}].attribute[0].sparse_tensor.indices"
    nodes = [*[onnx.NodeProto()] * siblings, node(sparse_tensor=sparse(tensor(), tensor(OUTSIDE)))]
    for _ in range(2):
        place = f"node[10].attribute[0].g.{place}"
        nodes = [*[onnx.NodeProto()] * 10, node(g=onnx.GraphProto(node=nodes))]
    place = f"graph.{place}"
    shown = place if len(place) == 96 else f"{place[:48]}...{place[-48:]}"
    assert refused(model(nodes=nodes).SerializeToString()).startswith(f"{shown} has its values in another file")


LISTED = "weights/0123.bin"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda w: w.external_data.add(key="location", value=LISTED), "location for the second time"),
        (lambda w: w.external_data.add(key="length", value="12"), "length for the second time"),
        (lambda w: w.external_data.add(key="checksum", value="0"), "is not location, offset or length"),
        (lambda w: w.external_data.add(), "is not location, offset or length"),
        (lambda w: w.external_data.pop(0), "not a path inside the bundle"),
        (lambda w: w.ClearField("data_location"), "its data_location is the graph"),
        (lambda w: w.ClearField("name"), "no name"),
        (lambda w: setattr(w, "raw_data", b""), "in the graph and in another file"),
        (lambda w: w.float_data.append(1), "in the graph and in another file"),
        (lambda w: w.int32_data.append(1), "in the graph and in another file"),
        (lambda w: w.dims.append(2), "another length than its dimensions give"),
        (lambda w: w.dims.append(0), "a dimension of 0"),
        (lambda w: w.dims.append(-3), "a dimension of -3"),
        (lambda w: w.dims.extend([1 << 31, 1 << 31]), "a dimension of 2147483648"),
        (lambda w: w.dims.extend([1] * 8), "more than 8 dimensions"),
        (lambda w: setattr(w, "data_type", TensorProto.STRING), "weights of type 8"),
        (lambda w: setattr(w, "data_type", TensorProto.UINT4), "weights of type 21"),
        (lambda w: setattr(w, "data_type", -1), "weights of type"),
        (lambda w: w.ClearField("data_type"), "weights of type 0"),
        (lambda w: setattr(w, "data_type", TensorProto.DOUBLE), "another length than its dimensions give"),
        *(
            (lambda w, text=text: setattr(w.external_data[1], "value", text), "has the offset")
            for text in ("", "-1", "+1", "0x0", "00", "1 ", " 1", "1.0", "9" * 19, "1\0")
        ),
    ],
)
def test_weights_elsewhere_that_are_not_plain_are_refused(change: Callable[[TensorProto], Any], problem: str) -> None:
    outside = tensor(LISTED, offset=0, length=12)
    assert weights_elsewhere(model(outside).SerializeToString()) == [Weights(LISTED, 0, 12)]
    change(outside)
    why = refused(model(tensor(name="first"), outside).SerializeToString())
    assert why.startswith("graph.initializer[1]") and problem in why


def test_offset_and_length_may_be_left_out() -> None:
    assert weights_elsewhere(model(tensor(LISTED)).SerializeToString()) == [Weights(LISTED, 0, 12)]


def test_weights_elsewhere_end_within_64_bits() -> None:
    """The largest offset there can be, and as many bytes behind it as 63 bits can count, or one more."""
    largest = 10**18 - 1
    for size, fits in ((2**63 - 1 - largest, True), (2**63 - largest, False)):
        outside = tensor(LISTED, offset=largest)
        outside.data_type = TensorProto.UINT8
        outside.dims[:] = [size]
        graph = model(outside).SerializeToString()
        if fits:
            assert weights_elsewhere(graph) == [Weights(LISTED, largest, size)]
        else:
            assert "an offset beyond 64 bits" in refused(graph)


@pytest.mark.parametrize(
    "location",
    [
        *("", ".", "..", "../a", "a/../b", "a/..", "/a", "//a", "a//b", "a/", "./a", "a/.", "a\\b", "..\\a", "C:a"),
        *("*/_ORT_MEM_ADDR_/*", "file://a", "a b", "é", "~/a%", "$HOME/a", "a\0b", "a" * 256),
    ],
)
def test_places_outside_the_bundle_are_refused(location: str) -> None:
    assert "not a path inside the bundle" in refused(model(tensor(location)).SerializeToString())


@pytest.mark.parametrize(
    "other",
    [
        model(tensor(LISTED), tensor()),
        model(tensor(LISTED), tensor("other.bin")),
        model(tensor(LISTED), nodes=[helper.make_node("Constant", [], ["w"], value=tensor())]),
        model(tensor(LISTED), nodes=[helper.make_node("Split", ["x"], ["", "w"])]),
    ],
    ids=["initializer", "other file", "constant", "output"],
)
def test_names_of_weights_are_unique(other: onnx.ModelProto) -> None:
    """An engine that takes the last, or the first, would look for the other's file by itself."""
    assert "defines 'w' twice" in refused(other.SerializeToString())


def test_names_may_occur_again_below_and_be_left_out() -> None:
    branch = helper.make_graph([], "branch", [], [], [tensor()])
    nodes = [
        node(g=branch),
        helper.make_node("Dropout", ["y"], ["z", ""]),
        helper.make_node("Dropout", ["z"], ["", ""]),
    ]
    assert len(weights_elsewhere(model(tensor(LISTED), nodes=nodes).SerializeToString())) == 1


def test_more_values_than_any_graph_has_are_refused() -> None:
    """Each takes the reader more memory than the file."""
    assert "too many values" in refused(inside((7, 1), sized(2, b"a") * ((1 << 20) + 1)))


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_operators_that_load_files_are_refused(domain: str) -> None:
    loads = helper.make_node("EPContext", ["x"], ["y"], domain=domain, ep_cache_context="../secret", embed_mode=0)
    assert "EPContext, which loads a file" in refused(model(nodes=[loads]).SerializeToString())


# ---- any bytes ------------------------------------------------------------------------------------------------------


def tensors(proto: Any) -> Iterator[TensorProto]:
    """Every tensor in a message of whatever kind."""
    if isinstance(proto, TensorProto):
        yield proto
        return
    for field, content in proto.ListFields():
        if field.message_type is not None:
            for each in content if field.is_repeated else [content]:
                yield from tensors(each)


def accepted_as_onnx_reads_it(data: bytes) -> bool:
    """Whether the reader accepts. If so, onnx must find the same weights in other files, and nothing that it skips."""
    try:
        found = weights_elsewhere(data)
    except BadModel:
        return False
    parsed = onnx.load_from_string(data)
    size = parsed.ByteSize()
    parsed.DiscardUnknownFields()
    assert parsed.ByteSize() == size
    expected = []
    for each in tensors(parsed):
        entries = {entry.key: entry.value for entry in each.external_data}
        assert bool(entries) == (each.data_location == TensorProto.EXTERNAL)
        if entries:
            size = int(np.prod(each.dims, dtype=object)) * helper.tensor_dtype_to_np_dtype(each.data_type).itemsize
            assert int(entries.get("length", size)) == size
            expected.append(Weights(entries["location"], int(entries.get("offset", 0)), size))
    assert found == expected
    return True


def seeds() -> list[bytes]:
    """Small models with everything in them."""
    body = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor())], "body", [], [], [tensor()])
    nodes = [
        helper.make_node("If", ["x"], ["v"], then_branch=body, else_branch=body),
        helper.make_node("Odd", ["v"], ["y"], domain="test", floats=[0.5, 1.5], ints=[-1, 3, 1 << 40], f=2.0, s="text"),
        node(sparse_tensor=sparse(tensor(), tensor()), tensors=[tensor(), tensor()]),
    ]
    nodes[2].output[0] = "last"
    function = helper.make_function("test", "F", ["a"], ["b"], [nodes[1]], [helper.make_opsetid("", 18)])
    rich = model(
        tensor("a.bin", "w0"), tensor("w/b.bin", "w1", offset=12, length=12), nodes=nodes, functions=[function]
    )
    rich.graph.input.append(helper.make_tensor_value_info("x", TensorProto.BOOL, ["rows", 3]))
    rich.graph.output.append(helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None))
    rich.graph.initializer.append(TensorProto(name="packed", dims=[2], data_type=1, float_data=[1, 2]))
    rich.graph.initializer.append(TensorProto(name="number", dims=[2], data_type=6, int32_data=[-1, 200]))
    rich.metadata_props.add(key="a", value="b")
    small = model(tensor("a.bin"), tensor("../b", "outside"))
    graphs = [each.SerializeToString() for each in (rich, small, model(tensor("a.bin")))]
    return [*graphs, HIDDEN.read_bytes()]


SEEDS = seeds()


@pytest.mark.parametrize("seed", SEEDS, ids=["rich", "outside", "small", "hidden"])
def test_every_prefix_is_refused_or_read_as_onnx_reads_it(seed: bytes) -> None:
    for size in range(len(seed) + 1):
        accepted_as_onnx_reads_it(seed[:size])


def test_changed_bytes_are_refused_or_read_as_onnx_reads_them() -> None:
    draw = random.Random(1)
    accepted = 0
    for _ in range(12_000):
        data = bytearray(draw.choice(SEEDS))
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            at = draw.randrange(len(data))
            other = draw.randrange(len(data))
            change = draw.randrange(6)
            if change == 0:
                data[at] ^= 1 << draw.randrange(8)
            elif change == 1:
                data[at] = draw.choice((0, 1, 2, 0x2A, 0x3A, 0x6A, 0x70, 0x7F, 0x80, 0xFF))
            elif change == 2:
                del data[at : at + draw.randrange(1, 4)]
            elif change == 3:
                data[at:at] = draw.randbytes(draw.randrange(1, 6))
            elif change == 4:
                data[at:at] = data[other : other + draw.randrange(40)]
            else:
                data[at:at] = data[at : at + 1]
            data = data or bytearray(1)
        accepted += accepted_as_onnx_reads_it(bytes(data))
    assert accepted > 300


def test_changed_fields_are_refused_or_read_as_onnx_reads_them() -> None:
    """All sizes are right again, so that the change is the only thing that is odd."""
    draw = random.Random(2)
    whole_seeds = [seed for seed in SEEDS if seed != HIDDEN.read_bytes()]
    accepted = 0
    for _ in range(6000):
        tree = fields(draw.choice(whole_seeds), onnx.ModelProto.DESCRIPTOR)
        for _ in range(draw.choice((1, 1, 2))):
            changed = draw.choice([each for each in every_list(tree) if each] or [[(7, SIZED, [])]])
            at = draw.randrange(len(changed))
            changed[at : at + 1] = _changed(changed[at], draw.choice(changed), draw)
        accepted += accepted_as_onnx_reads_it(message(tree))
    assert accepted > 500


def _changed(field: Field, other: Field, draw: random.Random) -> list[Field]:
    number, wire, payload = field
    change = draw.randrange(8)
    if change == 0:
        return []
    if change == 1:
        return [field, field]
    if change == 2:
        return [(draw.randrange(1, 27), wire, payload)]
    if change == 3:
        return [(number + (1 << draw.choice((29, 32, 40))), wire, payload)]
    if change == 4:
        return [(number, draw.randrange(6), payload)]
    if change == 5:
        return [(number, other[1], other[2])]
    if change == 6:
        return [field, other]
    return [(number, VARINT, varint(draw.choice((0, 1, 2, 1 << 31, 1 << 32 | 1, (1 << 64) - 1)), draw.choice((1, 2))))]


def test_sizes_in_a_longer_form_are_refused() -> None:
    for seed in SEEDS[:1]:
        tree = fields(seed, onnx.ModelProto.DESCRIPTOR)
        assert message(tree) == seed
        assert onnx.load_from_string(message(tree, slack=1)) == onnx.load_from_string(seed)
        assert "shortest form" in refused(message(tree, slack=1))
