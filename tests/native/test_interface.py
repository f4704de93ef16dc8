"""The structs, signatures and numbers that Python declares are those of the C headers."""

from __future__ import annotations

import ctypes
import re

import pytest

from edgecodec import interface, native
from support.paths import ROOT

INCLUDE = ROOT / "native" / "include" / "edgecodec"
PUBLIC, INTERNAL = ((INCLUDE / name).read_text() for name in ("edgecodec.h", "core.h"))

#: Structs of the public header that Python has no use for: engines of C, and shapes that they take.
UNUSED = {"ec_side_range", "ec_shape_range", "ec_loaded_graph", "ec_engine_options", "ec_engine"}

KINDS = [kind for module in (interface, native) for kind in vars(module).values() if isinstance(kind, type)]
#: By their name in C, which their docstrings say.
STRUCTS = {str(kind.__doc__): kind for kind in KINDS if issubclass(kind, ctypes.Structure)}
del STRUCTS[str(ctypes.Structure.__doc__)]

NUMBERS = {"uint8_t": 1, "uint32_t": 4, "int32_t": 4, "uint64_t": 8, "int64_t": 8, "size_t": 8, "double": 8, "char": 1}


def plain(header: str) -> str:
    """Without comments, and with the macro of struct sizes written out."""
    return re.sub(r"EC_STRUCT_SIZE\(\w+\)", "size_t struct_size", re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL))


def declared(header: str) -> dict[str, list[tuple[str, str, int]]]:
    """(type, name, length) of the fields of every struct; length 0 for what is no array."""
    lengths = {name: int(value) for name, value in re.findall(r"#define (EC_\w+) (\d+)\b", PUBLIC + INTERNAL)}
    structs = {}
    for name, body in re.findall(r"typedef struct (ec_\w+) \{(.*?)\n\} \1;", plain(header), re.DOTALL):
        fields = []
        for line in re.sub(r"\(\*(\w+)\)\([^)]*\)", r"*\1", body).split(";"):
            if not (field := line.strip()):
                continue
            match = re.match(r"(?:const )?(\w+) (.*)", field, re.DOTALL)
            assert match is not None, field
            for each in match[2].replace("const ", "").split(","):
                parts = re.fullmatch(r"([* ]*(?:const \*)?)(\w+)(?:\[(\w+)\])?", each.strip())
                assert parts is not None, each
                stars, word, length = parts.groups()
                kind = "pointer" if "*" in stars else match[1]
                fields.append((kind, word, 0 if length is None else lengths.get(length) or int(length)))
        structs[name] = fields
    return structs


def size(kind: str) -> int:
    if kind == "pointer":
        return ctypes.sizeof(ctypes.c_void_p)
    if kind in NUMBERS:
        return NUMBERS[kind]
    return ctypes.sizeof(STRUCTS[kind]) if kind in STRUCTS else ctypes.sizeof(ctypes.c_int)  # an enum


ALL = {**declared(PUBLIC), **declared(INTERNAL)}


def test_every_struct_is_declared() -> None:
    assert set(declared(PUBLIC)) - set(STRUCTS) == UNUSED
    assert set(STRUCTS) <= set(ALL)


@pytest.mark.parametrize("name", STRUCTS)
def test_fields_are_those_of_the_header(name: str) -> None:
    expected = [(word, size(kind) * (length or 1)) for kind, word, length in ALL[name]]
    assert [(word, ctypes.sizeof(kind)) for word, kind in STRUCTS[name]._fields_] == expected  # type: ignore[misc]
