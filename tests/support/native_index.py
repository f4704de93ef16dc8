"""index.bin and bundles through the C interface."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgecodec import native
from edgecodec.interface import BundleInfo, Error, GraphData, Knob, start
from support import index_file

_HANDLE, _ERROR = POINTER(c_void_p), POINTER(Error)
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "ec_version": (c_char_p, []),
    "ec_status_text": (c_char_p, [c_int32]),
    "ec_bundle_open": (c_int, [c_char_p, _HANDLE, _ERROR]),
    "ec_bundle_describe": (c_int, [c_void_p, POINTER(BundleInfo), _ERROR]),
    "ec_bundle_close": (None, [c_void_p]),
    "ec_graph_open": (c_int, [c_void_p, c_uint32, POINTER(GraphData), _ERROR]),
    "ec_graph_close": (None, [POINTER(GraphData)]),
    "ec_core_index_open": (c_int, [c_char_p, c_size_t, _HANDLE, _ERROR]),
    "ec_core_index_describe": (c_int, [c_void_p, POINTER(BundleInfo), _ERROR]),
    "ec_core_index_close": (None, [c_void_p]),
    "ec_core_bundle_read": (c_int, [c_void_p, c_char_p, c_char_p, c_size_t, POINTER(c_size_t), _ERROR]),
    "ec_core_bundle_check": (c_int, [c_void_p, c_char_p, _ERROR]),
    "ec_core_bundle_check_model": (c_int, [c_void_p, c_uint32, _ERROR]),
    "ec_core_sha256": (None, [c_char_p, c_size_t, c_uint32, c_char_p]),
}


@cache
def library() -> ctypes.CDLL:
    """A handle of its own, so that its signatures are those above."""
    loaded = ctypes.CDLL(native.library()._name)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


@dataclass
class Refusal(Exception):
    """What an ec_error says. The texts are bytes, because paths may be any."""

    status: int
    offset: int
    message: str
    where: bytes
    hint: str


def call(name: str, *arguments: Any) -> None:
    """Raises Refusal."""
    error = start(Error)
    status = getattr(library(), name)(*arguments, byref(error))
    if status != 0:
        assert status == error.status
        raise Refusal(status, error.offset, error.message.decode(), error.where, error.hint.decode())


# ---- the description as records of the format ------------------------------------------------------------------------


def _latents(latents: Any, count: int) -> list[index_file.Latent]:
    return [
        index_file.Latent(
            each.name.decode(),
            each.channels,
            each.stride,
            each.source,
            [each.classes[k].decode() for k in range(each.class_count)],
        )
        for each in (latents[i].contents for i in range(count))
    ]


def _knob(knob: Knob) -> index_file.Knob:
    fit = None
    if knob.fit_count:
        fit = index_file.Fit(knob.fit[: knob.fit_count], knob.fit_low, knob.fit_high, knob.fit_residual)
    values = knob.values[: knob.value_count]
    return index_file.Knob(
        knob.name.decode(), knob.side, knob.help.decode(), values, knob.low, knob.high, knob.default_value, fit
    )


#: Type of what a port carries, by role (ec_type).
_TYPES = {index_file.IMAGE: 1, index_file.LATENT: 4, index_file.KNOB: 4, index_file.SIZE: 3, index_file.NOISE: 4}


def _ports(ports: Any, count: int, model: index_file.Model, latents: list[index_file.Latent]) -> list[index_file.Port]:
    """Checks what the description adds to the index: types, channels and strides."""
    found = []
    for port in (ports[i].contents for i in range(count)):
        shape = {index_file.IMAGE: (3, 1), index_file.NOISE: (model.noise_channels, model.noise_stride)}
        if port.role == index_file.LATENT:
            shape[port.role] = (latents[port.index].channels, latents[port.index].stride)
        assert (port.channels, port.stride) == shape.get(port.role, (0, 0))
        assert port.type == _TYPES[port.role]
        found.append(index_file.Port(port.name.decode(), port.role, port.index))
    return found


def records(info: BundleInfo) -> index_file.Index:
    """The whole description, every pointer of it followed."""
    assert info.schema == index_file.SCHEMA
    files = [
        index_file.File(each.name.decode(), each.size, bytes(each.sha256))
        for each in (info.files[i].contents for i in range(info.file_count))
    ]
    file_numbers = {file.name: i for i, file in enumerate(files)}
    models = [
        index_file.Model(
            each.id,
            file_numbers[each.file.decode()],
            each.rate,
            each.alignment,
            each.padding_alignment,
            each.smallest_side,
            each.padding,
            each.noise_channels,
            each.noise_stride,
            _latents(each.encoder_latents, each.encoder_latent_count),
            _latents(each.decoder_latents, each.decoder_latent_count),
        )
        for each in (info.models[i].contents for i in range(info.model_count))
    ]
    knobs = [_knob(info.knobs[i].contents) for i in range(info.knob_count)]
    knob_numbers = {(knob.side, knob.name): i for i, knob in enumerate(knobs)}
    graphs = []
    for i in range(info.graph_count):
        each = info.graphs[i].contents
        assert each.number == i
        model = models[each.model]
        graphs.append(
            index_file.Graph(
                each.side,
                each.model,
                file_numbers[each.file.decode()],
                each.precision.decode(),
                [(knob_numbers[each.side, knob.name.decode()], knob.value) for knob in each.knobs[: each.knob_count]],
                _ports(each.inputs, each.input_count, model, model.decoder_latents),
                _ports(each.outputs, each.output_count, model, model.encoder_latents),
                each.tolerance_levels,
                each.tolerance_db,
                (each.halo_before, each.halo_after) if each.not_tiled is None else each.not_tiled.decode(),
                each.bytes_per_pixel,
            )
        )
    return index_file.Index(info.family.decode(), info.preset.decode(), files, models, knobs, graphs)


def read(data: bytes) -> index_file.Index:
    """Raises Refusal."""
    handle, info = c_void_p(), start(BundleInfo)
    call("ec_core_index_open", data, len(data), byref(handle))
    try:
        call("ec_core_index_describe", handle, byref(info))
        return records(info)
    finally:
        library().ec_core_index_close(handle)


# ---- bundles ---------------------------------------------------------------------------------------------------------


class Bundle:
    def __init__(self, path: Path | bytes) -> None:
        self._handle = c_void_p()
        call("ec_bundle_open", path if isinstance(path, bytes) else str(path).encode(), byref(self._handle))

    def close(self) -> None:
        library().ec_bundle_close(self._handle)

    def describe(self) -> index_file.Index:
        info = start(BundleInfo)
        call("ec_bundle_describe", self._handle, byref(info))
        return records(info)

    def read(self, name: str, capacity: int = 1 << 16) -> bytes:
        buffer, written = ctypes.create_string_buffer(max(capacity, 1)), c_size_t()
        call("ec_core_bundle_read", self._handle, name.encode(), buffer, capacity, byref(written))
        return buffer.raw[: written.value]

    def check(self, name: str) -> None:
        call("ec_core_bundle_check", self._handle, name.encode())

    def check_model(self, number: int) -> None:
        call("ec_core_bundle_check_model", self._handle, number)

    def graph(self, number: int) -> tuple[bytes, dict[str, bytes]]:
        """Its contents, and those of its weights by location."""
        data = start(GraphData)
        call("ec_graph_open", self._handle, number, byref(data))
        try:
            assert data.graph.contents.number == number
            weights = {
                each.location.decode(): ctypes.string_at(each.data, each.size)
                for each in data.weights[: data.weight_count]
            }
            return ctypes.string_at(data.data, data.size), weights
        finally:
            library().ec_graph_close(byref(data))


@contextmanager
def opened(path: Path | bytes) -> Iterator[Bundle]:
    bundle = Bundle(path)
    try:
        yield bundle
    finally:
        bundle.close()


def sha256(data: bytes, *, portable: bool) -> bytes:
    digest = ctypes.create_string_buffer(32)
    library().ec_core_sha256(data, len(data), portable, digest)
    return digest.raw
