"""The public C interface (native/include/edgecodec/edgecodec.h) for ctypes: its structs and signatures, in its order.

Fields are called as in the header, which says what they mean.
"""

from __future__ import annotations

from ctypes import (
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
    sizeof,
)
from typing import Any, TypeVar

MAX_SECTIONS = 16
ICC, EXIF, XMP = 1, 2, 3  # tags of sections
ENCODE, DECODE = 1, 2  # ec_side
FROM_GRAPH, LABELS, MASK = 0, 1, 2  # ec_source
REFLECT, GREY = 0, 1  # ec_padding
UINT8, INT16, INT64, FLOAT32 = 1, 2, 3, 4  # ec_type
IMAGE, LATENT, KNOB, SIZE, NOISE = 0, 1, 2, 3, 4  # ec_role
TILE_OFF = 0xFFFFFFFF
NO_ENGINE = b"none"


class Error(Structure):
    """ec_error"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("status", c_int32),
        ("offset", c_int64),
        ("message", c_char * 512),
        ("where", c_char * 1024),
        ("hint", c_char * 512),
    ]


class Section(Structure):
    """ec_section"""

    _fields_ = [("tag", c_uint32), ("data", c_void_p), ("size", c_size_t)]


class FileInfo(Structure):
    """ec_file_info"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("version", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("greyscale", c_uint32),
        ("has_quality", c_uint32),
        ("quality", c_double),
        ("model_id", c_uint32),
        ("lanes", c_uint32),
        ("noise_seed", c_uint64),
        ("payload_offset", c_uint64),
        ("payload_bytes", c_uint64),
        ("section_count", c_uint32),
        ("sections", Section * MAX_SECTIONS),
    ]


class KnobValue(Structure):
    """ec_knob_value"""

    _fields_ = [("name", c_char_p), ("value", c_double)]


class Knob(Structure):
    """ec_knob"""

    _fields_ = [
        ("name", c_char_p),
        ("help", c_char_p),
        ("side", c_int),
        ("values", POINTER(c_double)),
        ("value_count", c_size_t),
        ("low", c_double),
        ("high", c_double),
        ("default_value", c_double),
        ("fit", POINTER(c_double)),
        ("fit_count", c_size_t),
        ("fit_low", c_double),
        ("fit_high", c_double),
        ("fit_residual", c_double),
    ]


class Latent(Structure):
    """ec_latent"""

    _fields_ = [
        ("name", c_char_p),
        ("channels", c_uint32),
        ("stride", c_uint32),
        ("source", c_int),
        ("classes", POINTER(c_char_p)),
        ("class_count", c_size_t),
    ]


class Model(Structure):
    """ec_model"""

    _fields_ = [
        ("id", c_uint32),
        ("file", c_char_p),
        ("rate", c_double),
        ("alignment", c_uint32),
        ("padding_alignment", c_uint32),
        ("smallest_side", c_uint32),
        ("padding", c_int),
        ("noise_channels", c_uint32),
        ("noise_stride", c_uint32),
        ("encoder_latents", POINTER(POINTER(Latent))),
        ("encoder_latent_count", c_size_t),
        ("decoder_latents", POINTER(POINTER(Latent))),
        ("decoder_latent_count", c_size_t),
    ]


class Port(Structure):
    """ec_port"""

    _fields_ = [
        ("name", c_char_p),
        ("role", c_int),
        ("index", c_uint32),
        ("type", c_int),
        ("channels", c_uint32),
        ("stride", c_uint32),
    ]


class Graph(Structure):
    """ec_graph"""

    _fields_ = [
        ("number", c_uint32),
        ("file", c_char_p),
        ("side", c_int),
        ("model", c_uint32),
        ("precision", c_char_p),
        ("knobs", POINTER(KnobValue)),
        ("knob_count", c_size_t),
        ("inputs", POINTER(POINTER(Port))),
        ("input_count", c_size_t),
        ("outputs", POINTER(POINTER(Port))),
        ("output_count", c_size_t),
        ("tolerance_levels", c_uint32),
        ("tolerance_db", c_double),
        ("not_tiled", c_char_p),
        ("halo_before", c_uint32),
        ("halo_after", c_uint32),
        ("bytes_per_pixel", c_double),
    ]


class BundleFile(Structure):
    """ec_bundle_file"""

    _fields_ = [("name", c_char_p), ("size", c_uint64), ("sha256", c_uint8 * 32)]


class BundleInfo(Structure):
    """ec_bundle_info"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("schema", c_uint32),
        ("family", c_char_p),
        ("preset", c_char_p),
        ("models", POINTER(POINTER(Model))),
        ("model_count", c_size_t),
        ("knobs", POINTER(POINTER(Knob))),
        ("knob_count", c_size_t),
        ("graphs", POINTER(POINTER(Graph))),
        ("graph_count", c_size_t),
        ("files", POINTER(POINTER(BundleFile))),
        ("file_count", c_size_t),
    ]


class Weights(Structure):
    """ec_weights"""

    _fields_ = [("location", c_char_p), ("data", c_void_p), ("size", c_size_t)]


class GraphData(Structure):
    """ec_graph_data"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("graph", POINTER(Graph)),
        ("path", c_char_p),
        ("data", c_void_p),
        ("size", c_size_t),
        ("weights", POINTER(Weights)),
        ("weight_count", c_size_t),
        ("owner", c_void_p),
    ]


class Tensor(Structure):
    """ec_tensor"""

    _fields_ = [
        ("name", c_char_p),
        ("type", c_int),
        ("rank", c_uint32),
        ("shape", c_int64 * 4),
        ("data", c_void_p),
        ("bytes", c_size_t),
    ]


class Limits(Structure):
    """ec_limits"""

    _fields_ = [
        ("max_pixels", c_uint64),
        ("max_side", c_uint64),
        ("max_file_bytes", c_uint64),
        ("max_pixels_per_byte", c_uint64),
    ]


class Allocator(Structure):
    """ec_allocator"""

    _fields_ = [("allocate", c_void_p), ("release", c_void_p), ("context", c_void_p)]


class CodecOptions(Structure):
    """ec_codec_options"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("engine", c_char_p),
        ("engine_table", c_void_p),
        ("onnxruntime_library", c_char_p),
        ("provider_library", c_char_p),
        ("knobs", POINTER(KnobValue)),
        ("knob_count", c_size_t),
        ("precision", c_char_p),
        ("encode_precision", c_char_p),
        ("threads", c_uint32),
        ("tile", c_uint32),
        ("max_memory", c_uint64),
        ("limits", Limits),
        ("allocator", Allocator),
        ("one_shot", c_uint32),
        ("provider_device", c_char_p),
    ]


class DecodeOptions(Structure):
    """ec_decode_options"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("knobs", POINTER(KnobValue)),
        ("knob_count", c_size_t),
        ("channels", c_uint32),
    ]


class Timings(Structure):
    """ec_timings"""

    _fields_ = [("parse", c_double), ("entropy", c_double), ("engine", c_double), ("rest", c_double)]


class Tiles(Structure):
    """ec_tiles"""

    _fields_ = [("count", c_uint32), ("height", c_uint32), ("width", c_uint32), ("overhead", c_double)]


class Picture(Structure):
    """ec_picture"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("pixels", c_void_p),
        ("capacity", c_size_t),
        ("row_stride", c_size_t),
        ("width", c_uint32),
        ("height", c_uint32),
        ("channels", c_uint32),
        ("section_count", c_uint32),
        ("sections", Section * MAX_SECTIONS),
        ("timings", Timings),
        ("tiles", Tiles),
        ("graph", POINTER(Graph)),
    ]


class Image(Structure):
    """ec_image"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("pixels", c_void_p),
        ("row_stride", c_size_t),
        ("width", c_uint32),
        ("height", c_uint32),
        ("channels", c_uint32),
    ]


class EncodeOptions(Structure):
    """ec_encode_options"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("knobs", POINTER(KnobValue)),
        ("knob_count", c_size_t),
        ("target_bpp", c_double),
        ("seed", c_uint64),
        ("has_seed", c_uint32),
        ("labels", c_void_p),
        ("labels_row_stride", c_size_t),
        ("mask", c_void_p),
        ("mask_row_stride", c_size_t),
        ("sections", POINTER(Section)),
        ("section_count", c_size_t),
    ]


class File(Structure):
    """ec_file"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("data", c_void_p),
        ("capacity", c_size_t),
        ("size", c_size_t),
        ("timings", Timings),
        ("tiles", Tiles),
        ("graph", POINTER(Graph)),
        ("knob", c_char_p),
        ("value", c_double),
        ("reached", c_uint32),
    ]


class RunningEngine(Structure):
    """ec_core_running_engine"""

    _fields_ = [("device", c_char * 64), ("version", c_char * 64)]


class SideRange(Structure):
    """ec_side_range"""

    _fields_ = [("least", c_uint32), ("most", c_uint32), ("multiple", c_uint32)]


class ShapeRange(Structure):
    """ec_shape_range"""

    _fields_ = [("height", SideRange), ("width", SideRange)]


class Device(Structure):
    """ec_core_device"""

    _fields_ = [("provider", c_char * 64), ("name", c_char * 16), ("vendor", c_char * 64)]


class Step(Structure):
    """ec_step"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("graph", POINTER(Graph)),
        ("low_memory", c_uint32),
        ("inputs", POINTER(Tensor)),
        ("input_count", c_size_t),
        ("outputs", POINTER(Tensor)),
        ("output_count", c_size_t),
    ]


Struct = TypeVar("Struct", bound=Structure)


def start(kind: type[Struct], **fields: Any) -> Struct:
    """A struct as EC_INIT starts it: with its size, these fields, and zeros."""
    return kind(sizeof(kind), **fields)


_HANDLE = POINTER(c_void_p)
_ERROR = POINTER(Error)

#: Name, result, arguments. Data buffers and handles are plain addresses.
SIGNATURES: list[tuple[str, Any, list[Any]]] = [
    ("ec_version", c_char_p, []),
    ("ec_peek", c_int, [c_void_p, c_size_t, POINTER(FileInfo), _ERROR]),
    ("ec_bundle_open", c_int, [c_char_p, _HANDLE, _ERROR]),
    ("ec_bundle_describe", c_int, [c_void_p, POINTER(BundleInfo), _ERROR]),
    ("ec_bundle_close", None, [c_void_p]),
    ("ec_graph_open", c_int, [c_void_p, c_uint32, POINTER(GraphData), _ERROR]),
    ("ec_graph_close", None, [POINTER(GraphData)]),
    ("ec_codec_open", c_int, [c_void_p, POINTER(CodecOptions), _HANDLE, _ERROR]),
    ("ec_codec_close", None, [c_void_p]),
    ("ec_job_decode", c_int, [c_void_p, c_void_p, c_size_t, POINTER(DecodeOptions), _HANDLE, _ERROR]),
    ("ec_job_encode", c_int, [c_void_p, POINTER(Image), POINTER(EncodeOptions), _HANDLE, _ERROR]),
    ("ec_job_run", c_int, [c_void_p, _ERROR]),
    ("ec_job_next", c_int, [c_void_p, POINTER(Step), _ERROR]),
    ("ec_job_finish_decode", c_int, [c_void_p, POINTER(Picture), _ERROR]),
    ("ec_job_finish_encode", c_int, [c_void_p, POINTER(File), _ERROR]),
    ("ec_job_latent", c_int, [c_void_p, c_size_t, POINTER(Tensor), _ERROR]),
    ("ec_job_cancel", None, [c_void_p]),
    ("ec_job_progress", None, [c_void_p, POINTER(c_uint32), POINTER(c_uint32)]),
    ("ec_job_close", None, [c_void_p]),
    ("ec_free", None, [c_void_p]),
]
