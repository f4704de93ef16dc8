"""The engines that tests of engines in general run on."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")

#: Those that decode to the picture, by name.
REAL_ENGINES = ["onnxruntime", pytest.param("openvino", marks=needs_openvino)]
