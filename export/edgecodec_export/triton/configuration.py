"""The configuration of a model in Triton's text form, config.pbtxt (inference.ModelConfig of its protocol)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from edgecodec_export.fused.graph import FILE, IMAGE

KINDS = {"cpu": "KIND_CPU", "gpu": "KIND_GPU"}


@dataclass(frozen=True)
class Configuration:
    """What differs between models.

    library: libedgecodec as the server sees it; ONNX Runtime opens it by this path. warmup: a coded picture in the
    model's folder `warmup`, and its size in bytes. threads: of a session, or None for as many as there are processors.
    """

    name: str
    library: str
    device: str
    instances: int
    threads: int | None
    warmup: tuple[str, int]


def text(configuration: Configuration) -> str:
    """The file.

    A request holds one coded picture: pictures have sizes of their own, so that there are no batches of them, and
    requests of several clients run side by side on the model's instances instead.
    """
    file, size = configuration.warmup
    threads = ""
    if configuration.threads is not None:
        value = _quoted(str(configuration.threads))
        threads = f'parameters {{ key: "intra_op_thread_count" value {{ string_value: {value} }} }}\n'
    return f"""\
name: {_quoted(configuration.name)}
backend: "onnxruntime"
max_batch_size: 0
input {{ name: "{FILE}" data_type: TYPE_UINT8 dims: [ -1 ] }}
output {{ name: "{IMAGE}" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }}
model_operations {{ op_library_filename: {_quoted(configuration.library)} }}
instance_group {{ kind: {KINDS[configuration.device]} count: {configuration.instances} }}
{threads}model_warmup {{
  name: "golden picture"
  batch_size: 1
  inputs {{
    key: "{FILE}"
    value {{ data_type: TYPE_UINT8 dims: [ {size} ] input_data_file: {_quoted(file)} }}
  }}
}}
"""


def _quoted(value: str) -> str:
    """As protobuf's text form has strings; JSON's escapes are among its own."""
    return json.dumps(value)
