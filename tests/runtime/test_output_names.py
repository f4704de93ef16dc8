"""-o means the same for one input and for many, and what cannot be meant is said before the work."""

from __future__ import annotations

import shutil
from os.path import basename, normpath, splitext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecodec.cli.batch import plan
from edgecodec.cli.inputs import Input, Inputs, Kinds
from edgecodec.codec import Codec
from edgecodec.errors import CannotWrite, InvalidArgument
from edgecodec.files import refuse_long_name
from support.command_line import run_command
from support.paths import PHOTOS, TINY

STUB = ("-b", TINY, "--engine", "stub")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one picture, one below it, and files that nothing here reads."""
    (tmp_path / "in" / "below" / "it").mkdir(parents=True)
    shutil.copy(PHOTOS[0], tmp_path / "in" / "a.png")
    shutil.copy(PHOTOS[1], tmp_path / "in" / "below" / "it" / "b.PNG")
    for name in ("c.xyz", "d.xyz", "e", "f.edgc", ".hidden"):
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


@pytest.mark.parametrize("one", [True, False], ids=["a file", "a folder of one"])
@pytest.mark.parametrize("ending", ["/", "", "there"])
def test_what_a_name_stands_for(folder: Path, tmp_path: Path, one: bool, ending: str) -> None:
    coded = tmp_path / "coded"
    if ending == "there":
        coded.mkdir()
    source = folder / "a.png" if one else folder
    assert run_command("encode", source, *STUB, "-o", f"{coded}{'/' * (ending == '/')}").status == 0
    file = coded if one and not ending else coded / "a.edgc"
    assert file.is_file() and run_command("inspect", file).status == 0


def test_a_folder_is_mirrored(folder: Path, tmp_path: Path) -> None:
    assert run_command("encode", "-r", folder, *STUB, "-o", tmp_path / "coded").status == 0
    assert run_command("decode", "-r", tmp_path / "coded", *STUB, "-o", tmp_path / "back").status == 0
    found = sorted(str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").rglob("*.*"))
    assert found == ["a.png", "below/it/b.png"]


def test_the_files_of_a_bundle_are_nobodys_pictures(tmp_path: Path, mosaic: Codec) -> None:
    shutil.copytree(TINY, tmp_path / "coded" / "tiny.bundle")
    for place in ("coded", "coded/tiny.bundle/golden"):
        mosaic.encode(PHOTOS[0]).save(tmp_path / place / "a.edgc")
    outcome = run_command("decode", "-r", tmp_path / "coded", *STUB, "-o", tmp_path / "back", "--json")
    assert [record["input"] for record in outcome.records] == [str(tmp_path / "coded" / "a.edgc")]


def test_without_recursion_only_the_folder_itself_is_read(folder: Path, tmp_path: Path) -> None:
    assert run_command("encode", folder, *STUB, "-o", tmp_path / "coded").status == 0
    assert [path.name for path in (tmp_path / "coded").iterdir()] == ["a.edgc"]
    outcome = run_command("encode", folder / "below", *STUB)
    assert outcome.status == 2 and "-r" in outcome.talk


def test_other_kinds_are_counted_and_named(folder: Path, tmp_path: Path) -> None:
    outcome = run_command("encode", folder, *STUB, "-o", tmp_path / "coded")
    assert f"{folder}: skipped 3 of other kinds: 2 .xyz, 1 without extension\n" in outcome.talk
    assert "skipped" not in run_command("encode", folder, *STUB, "-q").talk


def test_a_second_name_is_the_output(tmp_path: Path) -> None:
    photo, coded, back = PHOTOS[0], tmp_path / "a.edgc", tmp_path / "b.ppm"
    assert run_command("encode", photo, coded, *STUB).status == 0
    assert run_command("decode", coded, back, *STUB).status == 0
    assert back.read_bytes().startswith(b"P6")
    assert run_command("decode", coded, back, *STUB).status == 2  # it is there


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encode", PHOTOS[0], "-o", "x.png"], "x.edgc"),
        (["encode", PHOTOS[0], "-o", "x.JPG"], ".jpg is the name of a picture"),
        (["encode", PHOTOS[0], "-o", "nowhere/x.edgc"], "nowhere: there is no such folder"),
        (["encode", *PHOTOS, "-o", "x.edgc"], "x.edgc/ makes it a folder"),
        (["decode", "a.edgc", "b.edgc", "-o", "x.png"], "x.png/ makes it a folder"),
        (["decode", "*.nothing"], "matches no file"),
        (["decode"], "no input"),
        (["encode", TINY], "-b"),
        (["encode", "-", "--list", "-"], "read only once"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgecodec.open_bundle", None)  # before the work
    outcome = run_command(*arguments, *STUB)
    assert outcome.status in (2, 7) and said in outcome.talk and not list(tmp_path.iterdir())


def test_names_that_are_too_long_are_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "n...n.png" fits where "n...n.edgc" does not; the others of a batch go on."""
    names = [Path(shutil.copy(PHOTOS[0], tmp_path / f"{letter}.png")) for letter in ("n" * 251, "a")]
    outcome = run_command("encode", *names, *STUB, "-o", tmp_path / "coded", "--force", "--json")
    assert outcome.status == 1 and [record["ok"] for record in outcome.records] == [False, True]
    assert outcome.records[0]["message"] == "the name has 256 bytes, and the file system takes 255"
    monkeypatch.setattr("edgecodec.open_bundle", None)
    long = "ü" * 126 + ".edgc"  # 131 characters, 257 bytes
    outcome = run_command("encode", names[1], *STUB, "-o", tmp_path / long)
    assert outcome.status == 7 and f"{long}: the name has 257 bytes" in outcome.talk


def test_folders_that_are_to_be_made_are_looked_at(tmp_path: Path) -> None:
    refuse_long_name(tmp_path / "new" / ("n" * 255) / "a")
    for path in (tmp_path / ("n" * 256), tmp_path / "new" / ("n" * 256) / "a", tmp_path / "new" / ("ü" * 128)):
        with pytest.raises(CannotWrite, match="has 256 bytes"):
            refuse_long_name(path)


_NAMES = st.builds(
    "{}{}.{}".format,
    st.sampled_from(["", "./", "x/", "x/../"]),
    st.sampled_from("ab"),
    st.sampled_from(["e", "E", "f"]),
)


@given(
    inputs=st.lists(_NAMES, min_size=1, max_size=5),
    output=st.sampled_from([None, "out/", "out"]),
    suffix=st.sampled_from([".png", ".edgc"]),
)
def test_no_two_inputs_are_written_to_one_file(inputs: list[str], output: str | None, suffix: str) -> None:
    """Names that differ in case alone are different, as on most file systems of Linux."""
    kinds = Kinds(frozenset((".e", ".f")), frozenset((suffix,)))
    found = Inputs([Input(name) for name in inputs], several=True)
    written = [
        normpath(splitext(name)[0] + suffix if output is None else f"out/{basename(splitext(name)[0])}{suffix}")
        for name in inputs
    ]
    twice = next((at for at, name in enumerate(written) if name in written[:at]), None)
    if twice is None:
        assert [normpath(job.output) for job in plan(found, output, suffix, kinds)] == written
    else:
        with pytest.raises(InvalidArgument) as caught:
            plan(found, output, suffix, kinds)
        assert {inputs[written.index(written[twice])], inputs[twice]} <= set(caught.value.message.split())


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_an_input_that_is_given_twice_is_refused(tmp_path: Path, mosaic: Codec, command: str) -> None:
    file = tmp_path / "a.edgc"
    mosaic.encode(PHOTOS[0]).save(file)
    source = file if command == "decode" else PHOTOS[0]
    for again in (source, source.parent / "." / source.name):
        outcome = run_command(command, source, again, *STUB, "-o", tmp_path / "out", "--force")
        assert outcome.status == 2 and f"{source} is given twice" in outcome.talk
    assert not (tmp_path / "out").exists()


def test_patterns_and_lists(folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{PHOTOS[2]}\n\n{PHOTOS[1]}\n")
    outcome = run_command("encode", folder / "*.png", "--list", listed, *STUB, "-o", tmp_path / "coded", "--json")
    assert [record["input"] for record in outcome.records] == [str(folder / "a.png"), str(PHOTOS[2]), str(PHOTOS[1])]
    names = "\n".join(map(str, PHOTOS)).encode()
    assert run_command("encode", "--list", "-", *STUB, "-o", tmp_path / "more", stdin=names).status == 0
    assert len(list((tmp_path / "more").iterdir())) == len(PHOTOS)


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    odd = Path(shutil.copy(PHOTOS[0], tmp_path / "a[1].png"))
    assert run_command("encode", odd, *STUB).status == 0 and (tmp_path / "a[1].edgc").exists()


def test_going_on_leaves_out_what_is_there(folder: Path, tmp_path: Path) -> None:
    coded = tmp_path / "coded"
    run_command("encode", folder, *STUB, "-o", coded)
    (coded / "a.edgc").write_bytes(b"as it is")
    outcome = run_command("encode", "-r", folder, *STUB, "-o", coded, "--skip-existing", "--json")
    assert outcome.status == 0 and "1 of 2 done, 1 was there already" in outcome.talk
    assert [record.get("skipped", False) for record in outcome.records] == [True, False]
    assert (coded / "a.edgc").read_bytes() == b"as it is"


def test_what_is_there_of_many_may_be_of_an_earlier_run(folder: Path, tmp_path: Path) -> None:
    coded = tmp_path / "coded"
    coded.mkdir()
    (coded / "a.edgc").write_bytes(b"as it is")
    one = run_command("encode", folder / "a.png", *STUB, "-o", coded / "a.edgc")
    many = run_command("encode", "-r", folder, *STUB, "-o", coded)
    assert "--force" in one.talk and "--skip-existing" not in one.talk
    assert "--skip-existing leaves it" in many.talk
