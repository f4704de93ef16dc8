"""The rules of the native runtime (ec_core_* of native/src/core_runtime.cpp), on the types of edgecodec.description."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence
from ctypes import POINTER, Structure, c_char_p, c_double, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgecodec import interface, native
from edgecodec.description import BakedGraph, Description, Knob, Knobs, Model, PaddingRule, Side
from edgecodec.errors import EdgecodecError
from support.reference_runtime.windows import Plan, Range, Shape, Span

Result = TypeVar("Result")

_SIDES = {"encode": 1, "decode": 2}
_SOURCES = {"labels": 1, "mask": 2}
_ROLES = {"image": 0, "latent": 1, "knob": 2, "size": 3, "noise": 4}
_UNKNOWN = (1 << 64) - 1


class _SideRange(Structure):
    _fields_ = [("least", c_uint32), ("most", c_uint32), ("multiple", c_uint32)]


class _ShapeRange(Structure):
    _fields_ = [("height", _SideRange), ("width", _SideRange)]


class _Window(Structure):
    _fields_ = [("start", c_uint32), ("stop", c_uint32), ("first", c_uint32), ("last", c_uint32)]


class _Plan(Structure):
    _fields_ = [
        ("row_count", c_uint32),
        ("column_count", c_uint32),
        ("low_memory", c_uint32),
        ("padded", c_uint32),
        ("tiles", interface.Tiles),
    ]


_ERROR = POINTER(native.Error)
_SIGNATURES: dict[str, list[Any]] = {
    "decimal": [c_double, c_void_p],
    "memory_words": [c_double, c_void_p],
    "available_memory": [c_char_p, POINTER(c_uint64)],
    "check_size": [POINTER(interface.Limits), c_uint64, c_uint64],
    "check_bytes": [POINTER(interface.Limits), c_uint64],
    "check_ratio": [POINTER(interface.Limits), c_uint64, c_uint64, c_uint64],
    "noise": [c_uint64, c_void_p, c_size_t],
    "check_room": [POINTER(interface.Model), c_uint32, c_uint32],
    "pad": [POINTER(interface.Image), c_uint32, c_uint32, c_int, c_void_p],
    "store_pixels": [c_void_p, c_size_t, c_void_p, c_size_t, c_uint32, c_uint32, c_uint32, c_uint32],
    "windows": [
        POINTER(interface.Graph),
        c_uint32,
        c_uint32,
        c_uint32,
        c_uint32,
        c_uint64,
        POINTER(_ShapeRange),
        c_size_t,
        POINTER(_Window),
        c_size_t,
        POINTER(_Plan),
    ],
    "choose_graph": [
        POINTER(interface.BundleInfo),
        c_int,
        c_uint32,
        c_char_p,
        POINTER(interface.KnobValue),
        c_size_t,
        c_uint32,
        POINTER(POINTER(interface.Graph)),
    ],
    "input_value": [POINTER(interface.Knob), POINTER(interface.KnobValue), c_size_t, POINTER(c_double)],
    "side_inputs": [
        POINTER(interface.Model),
        c_uint32,
        c_uint32,
        c_void_p,
        c_size_t,
        c_void_p,
        c_size_t,
        c_void_p,
        c_void_p,
    ],
    "search_open": [c_size_t, c_double, POINTER(c_double), POINTER(c_void_p)],
    "search_next": [c_void_p, POINTER(c_size_t)],
    "search_report": [c_void_p, c_size_t, c_uint64],
    "search_best": [c_void_p, POINTER(c_size_t)],
}


@cache
def _library() -> ctypes.CDLL:
    """A handle of its own, so that the package's has the functions of the package alone."""
    loaded = ctypes.CDLL(native.library()._name)
    for name, arguments in _SIGNATURES.items():
        function = getattr(loaded, f"ec_core_{name}")
        function.restype, function.argtypes = c_int, [*arguments, _ERROR]
    side, close = loaded.ec_core_encoder_side, loaded.ec_core_search_close
    side.restype, side.argtypes = c_uint32, [POINTER(interface.Model), c_uint32]
    close.restype, close.argtypes = None, [c_void_p]
    return loaded


def _call(name: str, *arguments: object) -> None:
    native.call(getattr(_library(), f"ec_core_{name}"), *arguments)


def outcome(call: Callable[[], Result]) -> Result | tuple[str, str, str | None, str | None]:
    """What a call returns, or all that its error says: its kind, message, where and hint."""
    try:
        return call()
    except EdgecodecError as error:
        return type(error).__name__, error.message, error.where, error.hint


# ---- texts, memory and limits --------------------------------------------------------------------------------------


def _text(name: str, value: float) -> str:
    out = ctypes.create_string_buffer(32)
    _call(name, value, out)
    return out.value.decode("ascii")


def decimal(value: float) -> str:
    return _text("decimal", value)


def memory_words(amount: float) -> str:
    return _text("memory_words", amount)


def available_memory(root: Path | str = "") -> int | None:
    amount = c_uint64()
    _call("available_memory", str(root).encode(), ctypes.byref(amount))
    return None if amount.value == _UNKNOWN else amount.value


def check_size(width: int, height: int, **limits: int) -> None:
    _call("check_size", ctypes.byref(interface.Limits(**limits)), width, height)


def check_bytes(size: int, **limits: int) -> None:
    _call("check_bytes", ctypes.byref(interface.Limits(**limits)), size)


def check_ratio(width: int, height: int, size: int, **limits: int) -> None:
    _call("check_ratio", ctypes.byref(interface.Limits(**limits)), width, height, size)


# ---- arrays --------------------------------------------------------------------------------------------------------


def normal_noise(seed: int, count: int) -> list[int]:
    out = np.empty(count, np.int16)
    _call("noise", seed, out.ctypes.data, count)
    return out.tolist()


def encoder_side(side: int, model: Model) -> int:
    return int(_library().ec_core_encoder_side(_Memory().model(model), side))


def check_room(width: int, height: int, model: Model) -> None:
    memory = _Memory()
    _call("check_room", memory.model(model), width, height)


def pad(pixels: npt.NDArray[np.uint8], rows: int, columns: int, rule: PaddingRule) -> npt.NDArray[np.uint8]:
    """pixels may be a part of a larger array, but for its rows."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    image = interface.Image(
        ctypes.sizeof(interface.Image), pixels.ctypes.data, pixels.strides[0], width, height, channels
    )
    out = np.full((rows, columns, 3), 0x5A, np.uint8)
    _call("pad", ctypes.byref(image), rows, columns, {"reflect": 0, "grey": 1}[rule], out.ctypes.data)
    return out


def store_pixels(picture: npt.NDArray[np.uint8], channels: int, grey: bool) -> npt.NDArray[np.uint8]:
    """A part of a decoder's picture (rows, columns, 3) as (rows, columns, channels), in rows that are longer."""
    rows, columns = picture.shape[:2]
    out = np.full((rows, columns + 2, channels), 0x5A, np.uint8)
    _call(
        "store_pixels",
        picture.ctypes.data,
        picture.strides[0],
        out.ctypes.data,
        out.strides[0],
        rows,
        columns,
        channels,
        int(grey),
    )
    assert (out[:, columns:] == 0x5A).all()
    return out[:, :columns]


def side_inputs(
    model: Model,
    width: int,
    height: int,
    labels: npt.NDArray[np.uint8] | None,
    mask: npt.NDArray[np.uint8] | None,
) -> dict[str, npt.NDArray[np.int16]]:
    """Latents by kind, as the reference gives them. Planes may be parts of larger arrays, but for their rows."""
    memory = _Memory()
    strides = {latent.name: latent.stride for latent in model.encoder_latents}
    made: dict[str, npt.NDArray[np.int16]] = {}
    for name, side_input in model.side_inputs.items():
        rows, columns = (-(-side // model.alignment) * model.alignment // strides[name] for side in (height, width))
        made[side_input.kind] = np.full((1, rows, columns), 0x5A5A, np.int16)
    planes: list[Any] = []
    for plane in (labels, mask):
        planes += (None, 0) if plane is None else (plane.ctypes.data, plane.strides[0])
    outputs = [made[kind].ctypes.data if kind in made else None for kind in ("labels", "mask")]
    _call("side_inputs", memory.model(model), width, height, *planes, *outputs)
    return made


# ---- windows -------------------------------------------------------------------------------------------------------


def windows(
    graph: BakedGraph,
    height: int,
    width: int,
    unit: int,
    tile: int = 0,
    max_memory: int = 0,
    shapes: Sequence[Shape] = (),
) -> tuple[Plan, tuple[int, int, int, float]]:
    """The plan, and count, height, width and overhead of its tiles."""
    memory = _Memory()
    planned = _Plan()

    def side_range(taken: Range) -> _SideRange:
        return _SideRange(taken.least, taken.most, taken.multiple)

    ranges = [_ShapeRange(side_range(rows), side_range(columns)) for rows, columns in shapes]
    found = (_Window * (2 * max(height, width)))()
    _call(
        "windows",
        ctypes.byref(memory.graph(graph, (), ())),
        height,
        width,
        unit,
        tile,
        max_memory,
        (_ShapeRange * max(len(ranges), 1))(*ranges),
        len(ranges),
        found,
        len(found),
        ctypes.byref(planned),
    )
    count = planned.row_count + planned.column_count
    spans = [Span(each.start, each.stop, each.first, each.last) for each in found[:count]]
    rows, columns = tuple(spans[: planned.row_count]), tuple(spans[planned.row_count :])
    tiles = planned.tiles
    plan = Plan(rows, columns, bool(planned.low_memory), bool(planned.padded))
    return plan, (tiles.count, tiles.height, tiles.width, tiles.overhead)


# ---- knobs ---------------------------------------------------------------------------------------------------------


def choose_graph(
    description: Description,
    side: Side,
    asked: Knobs | Sequence[tuple[str | None, float]],
    *,
    model: int = 0,
    precision: str | None = None,
    any_default: bool = False,
) -> BakedGraph:
    """asked: by name, or pairs for what a mapping cannot say."""
    memory = _Memory()
    chosen = POINTER(interface.Graph)()
    _call(
        "choose_graph",
        ctypes.byref(memory.bundle(description)),
        _SIDES[side],
        model,
        None if precision is None else precision.encode(),
        *memory.values(asked),
        int(any_default),
        ctypes.byref(chosen),
    )
    return description.graphs[chosen.contents.number]


def input_value(knob: Knob, asked: Knobs) -> float:
    memory = _Memory()
    value = c_double()
    _call("input_value", ctypes.byref(memory.knob(knob)), *memory.values(asked), ctypes.byref(value))
    return value.value


# ---- the search for a rate -----------------------------------------------------------------------------------------


class RateSearch:
    """A search that is told sizes, one after the other."""

    def __init__(self, points: int, target: float, expected: Sequence[float] | None = None) -> None:
        curve = None if expected is None else (c_double * len(expected))(*expected)
        handle = c_void_p()
        _call("search_open", points, target, curve, ctypes.byref(handle))
        weakref.finalize(self, _library().ec_core_search_close, handle.value)
        self._handle = handle

    def next(self) -> int | None:
        point = c_size_t()
        _call("search_next", self._handle, ctypes.byref(point))
        return None if point.value == _UNKNOWN else point.value

    def report(self, point: int, size: int) -> None:
        _call("search_report", self._handle, point, size)

    def best(self) -> int:
        point = c_size_t()
        _call("search_best", self._handle, ctypes.byref(point))
        return point.value


def search(points: int, target: float, size_of: Callable[[int], int], expected: Sequence[float] | None = None) -> int:
    """As the reference has it."""
    searching = RateSearch(points, target, expected)
    while (point := searching.next()) is not None:
        searching.report(point, size_of(point))
    return searching.best()


# ---- descriptions as C structs -------------------------------------------------------------------------------------


class _Memory:
    """Makes C structs of descriptions, and holds what they point to for as long as it lives."""

    def __init__(self) -> None:
        self._held: list[Any] = []

    def _array(self, kind: Any, values: Sequence[Any]) -> Any:
        array = (kind * max(len(values), 1))(*values)
        self._held.append(array)
        return array

    def _pointers(self, structs: Sequence[Any], kind: Any) -> Any:
        self._held.append(structs)
        return self._array(POINTER(kind), [ctypes.pointer(each) for each in structs])

    def values(self, knobs: Knobs | Sequence[tuple[str | None, float]]) -> tuple[Any, int]:
        pairs = list(knobs.items()) if isinstance(knobs, Mapping) else list(knobs)
        values = [interface.KnobValue(None if name is None else name.encode(), value) for name, value in pairs]
        return self._array(interface.KnobValue, values), len(values)

    def knob(self, knob: Knob) -> interface.Knob:
        return interface.Knob(
            name=knob.name.encode(),
            help=knob.help.encode(),
            side=_SIDES[knob.side],
            values=self._array(c_double, knob.values),
            value_count=len(knob.values),
            low=knob.low,
            high=knob.high,
            default_value=knob.default,
        )

    def model(self, model: Model) -> interface.Model:
        latents = []
        for latent in model.encoder_latents:
            side_input = model.side_inputs.get(latent.name)
            classes = [each.encode() for each in side_input.classes] if side_input else []
            source = _SOURCES[side_input.kind] if side_input else 0
            names = self._array(c_char_p, classes)
            latents.append(
                interface.Latent(latent.name.encode(), latent.channels, latent.stride, source, names, len(classes))
            )
        return interface.Model(
            alignment=model.alignment,
            padding_alignment=model.padding.alignment,
            smallest_side=model.padding.smallest_side,
            padding={"reflect": 0, "grey": 1}[model.padding.rule],
            encoder_latents=self._pointers(latents, interface.Latent),
            encoder_latent_count=len(latents),
        )

    def graph(
        self, graph: BakedGraph, latents: Sequence[str], knobs: Sequence[tuple[str, Side]], number: int = 0
    ) -> interface.Graph:
        """latents, knobs: what the numbers of ports stand for."""
        values, count = self.values(graph.knobs)
        numbers = {"latent": latents, "knob": [name if side == graph.side else "" for name, side in knobs]}
        ports = [
            interface.Port(
                name=port.name.encode(),
                role=_ROLES[port.role],
                index=numbers[port.role].index(port.of) if port.role in numbers else 0,
            )
            for port in graph.inputs
        ]
        halo = graph.tiling.halo
        return interface.Graph(
            number=number,
            file=graph.file.encode(),
            side=_SIDES[graph.side],
            model=graph.model,
            precision=graph.precision.encode(),
            knobs=values,
            knob_count=count,
            inputs=self._pointers(ports, interface.Port),
            input_count=len(ports),
            not_tiled=graph.tiling.reason.encode() if halo is None else None,
            halo_before=halo[0] if halo else 0,
            halo_after=halo[1] if halo else 0,
            bytes_per_pixel=graph.bytes_per_pixel or 0.0,
        )

    def bundle(self, description: Description) -> interface.BundleInfo:
        knobs = [self.knob(each) for each in description.knobs]
        names = [(each.name, each.side) for each in description.knobs]
        latents = [
            [each.name for each in getattr(model, f"{side}r_latents")]
            for model in description.models
            for side in ("encode", "decode")
        ]
        graphs = [
            self.graph(graph, latents[2 * graph.model + (graph.side == "decode")], names, number)
            for number, graph in enumerate(description.graphs)
        ]
        models = [self.model(each) for each in description.models]
        return interface.BundleInfo(
            struct_size=ctypes.sizeof(interface.BundleInfo),
            schema=2,
            models=self._pointers(models, interface.Model),
            model_count=len(models),
            knobs=self._pointers(knobs, interface.Knob),
            knob_count=len(knobs),
            graphs=self._pointers(graphs, interface.Graph),
            graph_count=len(graphs),
        )
