"""The package shows seven names and a version; what is not listed here may change."""

from __future__ import annotations

import inspect

import pytest

import edgecodec

NAMES = ["Codec", "EdgecodecError", "Limits", "custom_ops_library", "inspect", "open_bundle", "register_opener"]


def test_exactly_these_names() -> None:
    assert edgecodec.__all__ == NAMES
    assert dir(edgecodec) == sorted([*NAMES, "__version__"])


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(edgecodec, name))


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'decode_image'"):
        edgecodec.decode_image  # noqa: B018


def test_codec_methods() -> None:
    methods = {name for name in vars(edgecodec.Codec) if not name.startswith("_")}
    assert methods == {"check_encoding", "close", "decode", "decode_latents", "decode_many", "encode"}
