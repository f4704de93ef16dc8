"""Fused graphs in sessions of ONNX Runtime as any program would open them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import edgecodec
from edgecodec.errors import EngineUnavailable

try:
    from edgecodec_engines.onnxruntime import import_runtime

    onnxruntime = import_runtime()
except EngineUnavailable:
    pytest.skip("onnxruntime is not installed", allow_module_level=True)

_FATAL = 4


def open_fused(path: Path) -> Any:
    """A session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _FATAL
    options.register_custom_ops_library(edgecodec.custom_ops_library())
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def decode_fused(session: Any, file: bytes) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3)"""
    options = onnxruntime.RunOptions()
    options.log_severity_level = _FATAL
    image: npt.NDArray[np.uint8]
    (image,) = session.run(["image"], {"file": np.frombuffer(file, np.uint8)}, options)
    return image


def refusal(session: Any, file: bytes) -> str:
    """What a session says instead of giving a picture. ONNX Runtime's exceptions have no common base but this."""
    with pytest.raises(Exception, match="edgecodec: ") as caught:
        decode_fused(session, file)
    return str(caught.value).split("edgecodec: ")[1]


def three_channels(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A decoded picture as a fused graph gives it."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
