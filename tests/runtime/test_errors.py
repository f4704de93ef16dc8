"""Errors have frozen numbers that C, Python and the command line share, and say what, where and what to do."""

from __future__ import annotations

import pickle
import re

import pytest

from edgecodec import errors
from edgecodec.errors import BY_CODE, EdgecodecError
from support.paths import ROOT

HEADER = ROOT / "native" / "include" / "edgecodec" / "edgecodec.h"

FROZEN = {
    20: "InvalidArgument", 21: "OutputExists", 22: "AlphaRefused",
    30: "NotEdgc", 31: "Corrupt", 32: "LatentsDiffer",
    40: "UnsupportedVersion", 41: "ModelMismatch", 42: "BadModel", 43: "NotABundle", 44: "BundleChanged",
    45: "KnobUnavailable", 46: "CheckpointRejected",
    50: "LimitExceeded", 51: "OutOfMemory", 52: "OutOfRange",
    60: "EngineUnavailable", 61: "EngineFailed",
    70: "CannotRead", 71: "CannotWrite", 72: "NotAnImage",
    80: "VerificationFailed", 90: "InternalError", 130: "Cancelled",
}  # fmt: skip


def test_codes_are_frozen() -> None:
    assert {code: kind.__name__ for code, kind in BY_CODE.items()} == FROZEN


def test_every_status_of_the_c_header_has_its_error() -> None:
    names = {
        "INVALID_ARGUMENT": "InvalidArgument", "NOT_EDGC": "NotEdgc", "CORRUPT": "Corrupt",
        "LATENTS_DIFFER": "LatentsDiffer", "VERSION": "UnsupportedVersion", "MODEL_MISMATCH": "ModelMismatch",
        "BAD_MODEL": "BadModel", "NOT_A_BUNDLE": "NotABundle", "BUNDLE_CHANGED": "BundleChanged",
        "KNOB_UNAVAILABLE": "KnobUnavailable", "ENGINE_UNAVAILABLE": "EngineUnavailable",
        "ENGINE_FAILED": "EngineFailed", "CANNOT_READ": "CannotRead", "CANCELLED": "Cancelled",
        "LIMIT": "LimitExceeded", "NO_MEMORY": "OutOfMemory", "OUT_OF_RANGE": "OutOfRange",
        "INTERNAL": "InternalError",
    }  # fmt: skip
    listing = HEADER.read_text().partition("typedef enum ec_status {")[2].partition("}")[0]
    statuses = dict(re.findall(r"EC_([A-Z_]+) = (\d+)", listing))
    assert statuses.pop("OK") == "0"
    assert {names[name]: int(code) for name, code in statuses.items()} == {
        name: code for code, name in FROZEN.items() if name in names.values()
    }


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"─ ([A-Za-z]+) +(\d\d\d?)\b", (errors.__doc__ or "").split("The numbers")[0])
    assert {int(code): name for name, code in drawn} == FROZEN


@pytest.mark.parametrize("code", FROZEN)
def test_exit_status_is_the_tens(code: int) -> None:
    assert BY_CODE[code]("x").exit_status == {90: 70, 130: 130}.get(code, code // 10)


def test_names_are_those_of_the_classes_and_no_two_are_alike() -> None:
    names = {kind.__name__: kind("x").name for kind in BY_CODE.values()}
    assert names["NotABundle"] == "not_a_bundle" and names["NotEdgc"] == "not_edgc" and names["Corrupt"] == "corrupt"
    assert len(set(names.values())) == len(FROZEN)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", name) for name in names.values())


def test_message_says_what_where_and_what_to_do() -> None:
    error = errors.Corrupt("ends too early", where="a.edgc", offset=12, hint="fetch it again")
    assert str(error) == "a.edgc: ends too early (at byte 12) (hint: fetch it again)"
    assert str(errors.Corrupt("ends too early")) == "ends too early"


def test_the_first_place_named_stays() -> None:
    error = errors.Corrupt("x")
    error.locate(None)
    error.locate("first")
    error.locate("second")
    assert error.where == "first"


def test_an_error_of_the_system_names_the_file_it_is_about() -> None:
    error = errors.typed(OSError(28, "No space left on device", "out.png"))
    assert type(error) is errors.CannotWrite and str(error) == "out.png: No space left on device"
    assert errors.typed(OSError(28, "No space left on device", 3)).where is None  # a descriptor has no name


@pytest.mark.parametrize("kind", BY_CODE.values(), ids=lambda kind: kind.__name__)
def test_errors_survive_pickling(kind: type[EdgecodecError]) -> None:
    error = kind("what", where="where", hint="do", offset=3)
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is kind and vars(copied) == vars(error) and str(copied) == str(error)
