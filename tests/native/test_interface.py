"""The structs, signatures and numbers that Python declares are those of the C headers."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import pytest

from edgecodec import interface, native
from support import engine_table, native_index, native_runtime
from support.c_header import declared_functions
from support.paths import ROOT

INCLUDE = ROOT / "native" / "include" / "edgecodec"
PUBLIC, INTERNAL = ((INCLUDE / name).read_text() for name in ("edgecodec.h", "core.h"))

#: Structs of the public header that Python has no use for: engines of C, and shapes that they take.
UNUSED = {"ec_loaded_graph", "ec_engine_options", "ec_engine"}

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
    if kind in STRUCTS:
        return ctypes.sizeof(STRUCTS[kind])
    if kind in UNUSED:  # those that are fields of others have no padding
        return sum(size(each) * (length or 1) for each, _, length in ALL[kind])
    return ctypes.sizeof(ctypes.c_int)  # an enum


ALL = {**declared(PUBLIC), **declared(INTERNAL)}


def test_every_struct_is_declared() -> None:
    assert set(declared(PUBLIC)) - set(STRUCTS) == UNUSED
    assert set(STRUCTS) <= set(ALL)


@pytest.mark.parametrize("name", STRUCTS)
def test_fields_are_those_of_the_header(name: str) -> None:
    expected = [(word, size(kind) * (length or 1)) for kind, word, length in ALL[name]]
    assert [(word, ctypes.sizeof(kind)) for word, kind in STRUCTS[name]._fields_] == expected  # type: ignore[misc]


# ---- functions -----------------------------------------------------------------------------------------------------

SCALARS = {
    "uint8_t": ctypes.c_uint8,
    "uint32_t": ctypes.c_uint32,
    "int32_t": ctypes.c_int32,
    "uint64_t": ctypes.c_uint64,
    "int64_t": ctypes.c_int64,
    "size_t": ctypes.c_size_t,
    "double": ctypes.c_double,
}

#: Name, result, arguments: those of the package, and those that tests have for what the package does not use.
DECLARED: list[tuple[str, Any, list[Any]]] = [
    *interface.SIGNATURES,
    *native._SIGNATURES,
    *((f"ec_core_{name}", ctypes.c_int, [*given, native._ERROR]) for name, given in native_runtime._SIGNATURES.items()),
    *((name, result, given) for name, (result, given) in native_index._SIGNATURES.items()),
    *engine_table.SIGNATURES,
]


def functions(header: str) -> dict[str, tuple[str, list[str]]]:
    """The type of the result and those of the arguments, without names: "ec_error*", "size_t", "void"."""
    found = {}
    for result, name, given in re.findall(r"EC_API ([^;()]+?)(\w+)\(([^;]*?)\);", plain(header)):
        arguments = [] if given == "void" else [_type_of(each) for each in given.split(",")]
        found[name] = _words(result), arguments
    return found


def _type_of(argument: str) -> str:
    """What is declared as an array is passed as a pointer."""
    kind, array = re.sub(r"\w+\s*(\[\w*\])?$", "", argument.strip()), argument.endswith("]")
    return _words(kind) + "*" * array


def _words(kind: str) -> str:
    return re.sub(r"\bconst\b|\s", "", kind)


def fits(kind: str, given: Any) -> bool:
    """Whether ctypes passes what C takes. A pointer may be any address; where a struct is named, it is that one."""
    if not kind.endswith("*"):
        return given is (None if kind == "void" else SCALARS.get(kind, ctypes.c_int))
    if given is ctypes.c_void_p or (given is ctypes.c_char_p and kind in ("char*", "uint8_t*")):
        return True
    target = getattr(given, "_type_", None)
    if isinstance(given, type) and issubclass(given, ctypes.Array):
        return kind == "uint32_t*" and target is ctypes.c_uint32
    if not isinstance(target, type):
        return False
    if kind.endswith("**"):
        return ctypes.sizeof(target) == ctypes.sizeof(ctypes.c_void_p)
    if issubclass(target, ctypes.Structure):
        expected = [(word, size(each) * (length or 1)) for each, word, length in ALL[kind[:-1]]]
        return [(word, ctypes.sizeof(each)) for word, each in target._fields_] == expected  # type: ignore[misc]
    return target is SCALARS.get(kind[:-1])


FUNCTIONS = {**functions(PUBLIC), **functions(INTERNAL)}


@pytest.mark.parametrize(
    ("name", "result", "arguments"), DECLARED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_functions_are_those_of_the_header(name: str, result: Any, arguments: list[Any]) -> None:
    in_c, taken = FUNCTIONS[name]
    assert fits(in_c, result), (in_c, result)
    assert len(arguments) == len(taken)
    assert [(kind, given) for kind, given in zip(taken, arguments, strict=True) if not fits(kind, given)] == []


def test_the_headers_are_read_whole() -> None:
    assert list(FUNCTIONS) == [
        name for header in ("edgecodec.h", "core.h") for name in declared_functions(INCLUDE / header)
    ]
    assert FUNCTIONS["ec_core_sha256"] == ("void", ["uint8_t*", "size_t", "uint32_t", "uint8_t*"])
    assert FUNCTIONS["ec_job_next"] == ("ec_status", ["ec_job*", "ec_step*", "ec_error*"])
    assert FUNCTIONS["ec_version"] == ("char*", [])


def test_what_does_not_fit_is_noticed() -> None:
    assert fits("ec_error*", native._ERROR) and not fits("ec_error*", ctypes.POINTER(interface.Limits))
    assert (
        fits("size_t", ctypes.c_size_t) and not fits("size_t", ctypes.c_uint32) and not fits("size_t", ctypes.c_void_p)
    )
    assert fits("ec_status", ctypes.c_int) and fits("void", None) and not fits("void", ctypes.c_int)
    assert fits("ec_job**", ctypes.POINTER(ctypes.c_void_p)) and not fits("ec_job**", ctypes.POINTER(ctypes.c_uint32))
    assert not fits("double*", ctypes.c_char_p) and not fits("uint32_t*", ctypes.POINTER(ctypes.c_uint64))
    assert not fits("char*", ctypes.c_int)


def test_a_function_that_was_not_declared_is_not_called() -> None:
    """ctypes would cut its addresses to 32 bits."""
    with pytest.raises(AttributeError, match="not declared"):
        native.library().ec_core_sha256  # noqa: B018
