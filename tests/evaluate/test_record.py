"""What was measured is kept, whenever a run ends, and nothing that was not."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgecodec.errors import CannotWrite, Corrupt
from edgecodec_evaluate.measurement import HEADER, Measurement, line_of, measurement_of
from edgecodec_evaluate.record import Record

FIRST = Measurement(
    "a.png", 96, 64, "any small", "", "look=0", 1234, 1.606771, 28.1234, 0.987654, 0.5, 0.123456, 0.2, 0.25, 0.125
)
SECOND = Measurement(
    'b, "c".png', 96, 64, "jpeg", "quality=5", "", 99, 0.128906, math.inf, None, None, None, None, 0.001, 0.0
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    record = Record(tmp_path / "measurements.csv")
    for each in (FIRST, SECOND):
        record.append(each)
    return tmp_path / "measurements.csv"


def test_lines_can_be_read_back_and_by_a_person(path: Path) -> None:
    assert path.read_text().splitlines() == [
        "picture,width,height,codec,encoder,decoder,bytes,bits_per_pixel,psnr_db,ms_ssim,detail,lpips,dists,"
        "encode_seconds,decode_seconds",
        "a.png,96,64,any small,,look=0,1234,1.606771,28.1234,0.987654,0.5000,0.123456,0.200000,0.25000,0.12500",
        '"b, ""c"".png",96,64,jpeg,quality=5,,99,0.128906,inf,,,,,0.00100,0.00000',
    ]
    assert [measurement_of(line_of(each)) for each in (FIRST, SECOND)] == [FIRST, SECOND]


def test_a_torn_last_line_is_dropped_wherever_it_tore(path: Path) -> None:
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in (0, 1, len(HEADER) - 1, len(HEADER), len(HEADER) + 9, last - 1, last, last + 1, len(whole) - 1):
        path.write_bytes(whole[:end])
        record = Record(path)
        assert (record.get(FIRST.key), record.get(SECOND.key)) == (FIRST if end >= last else None, None)
        assert path.read_bytes() == (whole[:last] if end >= last else HEADER.encode())
        if end >= last:
            record.append(SECOND)
            assert path.read_bytes() == whole


def test_lines_come_into_order(path: Path) -> None:
    record, keys = Record(path), [SECOND.key, ("no", "such", "", ""), FIRST.key]
    assert record.of(keys) == [SECOND, FIRST] and path.read_text() == HEADER + line_of(FIRST) + line_of(SECOND)
    record.sort(keys)
    assert path.read_text() == HEADER + line_of(SECOND) + line_of(FIRST)
    record.sort([FIRST.key])
    assert path.read_text() == HEADER + line_of(FIRST) + line_of(SECOND), (
        "what was not asked for stays, behind the rest"
    )


def test_two_runs_at_once_leave_one_table(tmp_path: Path) -> None:
    path, keys = tmp_path / "measurements.csv", [FIRST.key, SECOND.key]
    records = [Record(path), Record(path)]
    for record in records:
        record.append(FIRST)
        record.append(SECOND)
    for record in records:
        record.sort(keys)
        assert path.read_text() == HEADER + line_of(FIRST) + line_of(SECOND)


@pytest.mark.parametrize("line", ["a,b", "a.png,96,64,c,,,12,much,1,,,,,1,1", line_of(FIRST).replace("a.png", '"a')])
def test_a_line_that_is_something_else_is_said(path: Path, line: str) -> None:
    path.write_text(HEADER + line_of(SECOND) + line.rstrip("\n") + "\n")
    with pytest.raises(Corrupt, match="is no measurement") as raised:
        Record(path)
    assert raised.value.where == f"{path}, line 3" and raised.value.hint == "--force begins anew"


@pytest.mark.parametrize(
    "numbers",
    [
        *("0,64,c,,,12,1.5,28,,,,,1,1", "96,64,c,,,0,1.5,28,,,,,1,1", "96,64,c,,,12,-1,28,,,,,1,1"),
        *("96,64,c,,,12,1e999,28,,,,,1,1", "96,64,c,,,12,1.5,nan,,,,,1,1", "96,64,c,,,12,1.5,-inf,,,,,1,1"),
        *("96,64,c,,,12,1.5,28,2,,,,1,1", "96,64,c,,,12,1.5,28,,inf,,,1,1", "96,64,c,,,12,1.5,28,,,,,nan,1"),
        *("96,64,c,,,12,1.5,28,,,nan,,1,1", "96,64,c,,,12,1.5,28,,,,inf,1,1"),
        # No float is so large, or the sum of two.
        *("96,64,c,,,1" + 400 * "0" + ",1.5,28,,,,,1,1", "96,64,c,,,12,1.5,1e308,,,,,1,1"),
    ],
)
def test_numbers_that_no_picture_has_are_not_taken_for_measurements(numbers: str) -> None:
    with pytest.raises(Corrupt):
        measurement_of("a.png," + numbers)


def test_a_line_that_was_doubled_by_hand_counts_once(path: Path) -> None:
    path.write_text(HEADER + line_of(FIRST) + line_of(SECOND) + line_of(FIRST))
    record = Record(path)
    assert record.of([FIRST.key, SECOND.key]) == [FIRST, SECOND]
    assert path.read_text() == HEADER + line_of(FIRST) + line_of(SECOND)


def test_another_table_is_not_taken_for_one(path: Path) -> None:
    path.write_text("name,score\nme,7\n")
    with pytest.raises(Corrupt, match="no table of measurements"):
        Record(path)


def test_a_disk_that_is_full_for_a_while_spoils_no_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, before, third = Record(path), path.read_text(), replace(FIRST, picture="c.png")
    write = os.write
    with monkeypatch.context() as full:
        full.setattr("os.write", lambda descriptor, data: write(descriptor, data[:5]))
        with pytest.raises(CannotWrite, match="no room"):
            record.append(third)
    assert path.read_text() == before and record.get(third.key) is None
    record.append(third)
    assert path.read_text() == before + line_of(third)
