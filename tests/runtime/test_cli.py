"""The command line: data on standard output, talk on standard error, statuses that scripts can rely on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgecodec
from edgecodec import native
from edgecodec.cli import signals
from edgecodec.container import FORMAT_VERSION, FileInfo
from support.bundle_editing import edit_manifest
from support.command_line import Outcome, run_command
from support.paths import ENVIRONMENT, PHOTOS, TINY

STUB = ("-b", TINY, "--engine", "stub")


Run = Callable[..., Outcome]


@pytest.fixture
def run() -> Run:
    """The command in this process."""
    return run_command


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with the three photographs and nothing else."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in PHOTOS:
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def file(tmp_path: Path, coded: bytes) -> Path:
    """A coded picture."""
    (tmp_path / "a.edgc").write_bytes(coded)
    return tmp_path / "a.edgc"


def _process(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edgecodec", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, env=ENVIRONMENT, **pipes)


# ---- one picture ----------------------------------------------------------------------------------------------------


def test_encode_and_decode_do_what_the_library_does(
    run: Run, tmp_path: Path, photo: Path, codec: edgecodec.Codec
) -> None:
    engine = ("-b", TINY, "--engine", "onnxruntime")
    assert run("encode", photo, *engine, "-o", tmp_path / "a.edgc").status == 0
    assert (tmp_path / "a.edgc").read_bytes() == codec.encode(photo).data
    for alpha in (0.0, 1.0):
        assert run("decode", tmp_path / "a.edgc", *engine, "--alpha", alpha, "--force").status == 0
        expected = codec.decode(tmp_path / "a.edgc", alpha=alpha).pixels
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), expected)


def test_data_on_standard_output_and_nothing_else(run: Run, file: Path, coded: bytes) -> None:
    from_file = run("decode", file, *STUB, "-o", "-")
    from_stdin = run("decode", "-", *STUB, "-v", stdin=coded)
    assert from_file.status == from_stdin.status == 0
    assert from_file.output == from_stdin.output and from_file.output.startswith(b"\x89PNG")
    assert "engine: stub" in from_stdin.talk


def test_encode_through_pipes_gives_the_same_bytes(run: Run, photo: Path, mosaic: edgecodec.Codec) -> None:
    assert run("encode", "-", *STUB, stdin=photo.read_bytes()).output == mosaic.encode(photo).data


def test_several_pictures_on_standard_output_are_concatenated(run: Run, file: Path) -> None:
    outcome = run("decode", file, file, *STUB, "-o", "-", "--format", "ppm")
    assert outcome.status == 0 and len(outcome.output) == 2 * (13 + 96 * 64 * 3)
    assert outcome.output[: len(outcome.output) // 2] == outcome.output[len(outcome.output) // 2 :]


@pytest.mark.parametrize("picture_format", ["ppm", "npy", "webp"])
def test_the_extension_decides_and_format_wins(run: Run, file: Path, tmp_path: Path, picture_format: str) -> None:
    run("decode", file, *STUB, "-o", tmp_path / f"by_extension.{picture_format}")
    run("decode", file, *STUB, "-o", tmp_path / "by_option.xyz", "--format", picture_format)
    assert (tmp_path / "by_option.xyz").read_bytes() == (tmp_path / f"by_extension.{picture_format}").read_bytes()


def test_strip_leaves_metadata_out(run: Run, tmp_path: Path, photo: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "someone"
    Image.open(photo).save(tmp_path / "in.png", exif=exif)
    run("encode", tmp_path / "in.png", *STUB)
    run("decode", tmp_path / "in.edgc", *STUB, "-o", tmp_path / "kept.png")
    run("decode", tmp_path / "in.edgc", *STUB, "-o", tmp_path / "stripped.png", "--strip")
    run("encode", tmp_path / "in.png", *STUB, "-o", tmp_path / "stripped.edgc", "--strip")
    assert Image.open(tmp_path / "kept.png").getexif()[0x013B] == "someone"
    assert not Image.open(tmp_path / "stripped.png").getexif()
    assert run("inspect", tmp_path / "stripped.edgc", "--json").records[0]["exif_bytes"] == 0


def test_json_and_quiet(run: Run, file: Path, tmp_path: Path) -> None:
    outcome = run("decode", file, *STUB, "-o", tmp_path / "a.png", "--json", "-q")
    (record,) = outcome.records
    assert outcome.talk == ""
    assert record["ok"] and record["input"] == str(file) and record["output"] == str(tmp_path / "a.png")
    assert (record["width"], record["height"], record["engine"]["name"]) == (96, 64, "stub")
    assert set(record["seconds"]) == {"parse", "entropy", "upload", "engine", "download", "rest"}


def test_quiet_is_about_standard_error(run: Run, file: Path) -> None:
    """What a command is asked to show is shown."""
    quiet = run("inspect", file, "-q")
    assert quiet.talk == "" and quiet.output == run("inspect", file).output != b""


def test_auto_says_what_it_took_and_why(run: Run, file: Path, tmp_path: Path) -> None:
    outcome = run("decode", file, "-b", TINY, "-o", tmp_path / "a.png", "-v", "--json")
    engine = outcome.records[0]["engine"]
    for name, reason in engine["passed_over"]:
        assert f"not {name}: {reason}" in outcome.talk
    assert f"engine: {engine['name']}" in outcome.talk


def test_notes_say_what_was_changed(run: Run, tmp_path: Path, photo: Path) -> None:
    Image.open(photo).convert("RGBA").save(tmp_path / "in.png")
    outcome = run("encode", tmp_path / "in.png", *STUB, "--alpha-channel", "white", "--json")
    assert outcome.records[0]["notes"] == ["transparency: white"]
    assert f"{tmp_path / 'in.png'}: transparency: white" in outcome.talk


# ---- many pictures --------------------------------------------------------------------------------------------------


def test_a_folder_there_and_back(run: Run, photos: Path, tmp_path: Path) -> None:
    assert run("encode", photos, *STUB, "-o", tmp_path / "coded").status == 0
    assert run("decode", tmp_path / "coded", *STUB, "-o", tmp_path / "decoded").status == 0
    assert sorted(path.name for path in (tmp_path / "decoded").iterdir()) == [path.name for path in PHOTOS]


def test_outputs_lie_beside_their_inputs(run: Run, photos: Path) -> None:
    assert run("encode", *sorted(photos.iterdir()), *STUB).status == 0
    assert len(list(photos.glob("*.edgc"))) == len(PHOTOS)


def test_one_bad_file_does_not_stop_the_others(run: Run, photos: Path) -> None:
    run("encode", photos, *STUB)
    names = sorted(photos.glob("*.edgc"))
    names[1].write_bytes(names[1].read_bytes()[:-1])
    outcome = run("decode", *names, *STUB, "--json", "--force")
    assert outcome.status == 1
    assert [record["ok"] for record in outcome.records] == [True, False, True]
    bad = outcome.records[1]
    assert (bad["code"], bad["input"]) == ("corrupt", str(names[1]))
    assert f"edgecodec: error: {names[1]}: " in outcome.talk and "2 of 3 done, 1 failed" in outcome.talk


def test_errors_in_the_bundle_say_which_picture_they_stopped(run: Run, file: Path) -> None:
    other = Path(shutil.copy(file, file.with_name("b.edgc")))
    outcome = run("decode", file, other, *STUB, "--max-memory", "1K", "--json")
    assert [line.split(": ")[2:4] for line in outcome.talk.splitlines()[:2]] == [
        [str(each), "synthesis-alpha1.onnx"] for each in (file, other)
    ]
    assert [(record["input"], record["where"]) for record in outcome.records] == [
        (str(each), "synthesis-alpha1.onnx") for each in (file, other)
    ]


def test_errors_name_each_place_once(run: Run, bundle_copy: Path, file: Path, photo: Path) -> None:
    manifest = bundle_copy / "manifest.json"
    edit_manifest(bundle_copy, lambda values: values.update(schema="two"))
    file.write_bytes(file.read_bytes()[:-1])
    talk = run("inspect", bundle_copy, photo, "-q").talk + run("decode", file, *STUB).talk
    for line, place in zip(talk.splitlines(), (f"{manifest}: schema", str(photo), str(file)), strict=True):
        before, found, after = line.partition(f"edgecodec: error: {place}: ")
        assert found and not before and place not in after


def test_two_outputs_that_would_be_one(run: Run, photos: Path) -> None:
    shutil.copy(PHOTOS[0], photos / PHOTOS[0].with_suffix(".bmp").name)
    outcome = run("encode", photos, *STUB)
    assert outcome.status == 2 and "would both be written" in outcome.talk
    assert not list(photos.glob("*.edgc"))


# ---- statuses -------------------------------------------------------------------------------------------------------


def test_an_existing_output_is_refused(run: Run, file: Path) -> None:
    picture = file.with_suffix(".png")
    picture.write_bytes(b"precious")
    outcome = run("decode", file, *STUB, "--json")
    assert outcome.status == 2 and outcome.records[0]["code"] == "output_exists" and "--force" in outcome.talk
    assert picture.read_bytes() == b"precious"
    assert run("decode", file, *STUB, "--force").status == 0 and picture.read_bytes() != b"precious"


def test_transparency_is_refused(run: Run, tmp_path: Path, photo: Path) -> None:
    Image.open(photo).convert("RGBA").save(tmp_path / "in.png")
    outcome = run("encode", tmp_path / "in.png", *STUB, "--json")
    assert outcome.status == 2 and outcome.records[0]["code"] == "alpha_refused" and "--alpha-channel" in outcome.talk


def test_a_damaged_file(run: Run, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    assert run("decode", file, *STUB).status == 3


def test_a_bundle_that_is_none(run: Run, file: Path, tmp_path: Path) -> None:
    outcome = run("decode", file, "-b", tmp_path, "--json")
    assert outcome.status == 4 and outcome.records[0]["code"] == "not_a_bundle"


def test_nothing_is_made_for_a_bundle_that_is_none(run: Run, photos: Path, tmp_path: Path) -> None:
    assert run("encode", photos, "-b", tmp_path, "-o", tmp_path / "coded").status == 4
    assert not (tmp_path / "coded").exists()


def test_a_folder_that_cannot_be_made(run: Run, photos: Path, file: Path) -> None:
    occupied = file.rename(file.with_name("occupied"))
    outcome = run("encode", photos, *STUB, "-o", occupied, "--json")
    assert outcome.status == 7 and outcome.records[0]["where"] == str(occupied)


def test_a_knob_that_was_not_exported(run: Run, file: Path) -> None:
    assert run("decode", file, *STUB, "--alpha", "0.3").status == 4


def test_a_picture_beyond_the_limit(run: Run, file: Path, photo: Path) -> None:
    assert run("decode", file, *STUB, "--max-pixels", 96 * 64 - 1).status == 5
    assert run("encode", photo, *STUB, "--max-pixels", 96 * 64 - 1).status == 5


def test_an_engine_that_is_not_there(run: Run, file: Path) -> None:
    available = pytest.importorskip("onnxruntime").get_available_providers()
    if "TensorrtExecutionProvider" in available:
        pytest.skip("this machine has it")
    outcome = run("decode", file, "-b", TINY, "--engine", "onnxruntime:tensorrt")
    assert outcome.status == 6 and not file.with_suffix(".png").exists()


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    assert run("decode", tmp_path / "nowhere.edgc", *STUB).status == 7
    assert run("encode", tmp_path / "nowhere.png", *STUB).status == 7


def test_a_bundle_that_does_not_verify(run: Run, bundle_copy: Path) -> None:
    assert run("verify", bundle_copy, "--engine", "onnxruntime").status == 0
    readme = bundle_copy / "README.md"
    readme.write_bytes(readme.read_bytes()[:-1] + b"?")
    outcome = run("verify", bundle_copy, "--engine", "onnxruntime", "--json")
    assert outcome.status == 8
    assert [record["subject"] for record in outcome.records[:-1] if not record["ok"]] == ["README.md"]
    files = sum("latents" not in each["detail"] and each["detail"].endswith(" bytes") for each in outcome.records[:-1])
    assert f"ok     size and SHA-256 of {files} files" in outcome.talk and "FAILED README.md" in outcome.talk
    assert outcome.talk.count(" bytes\n") == 0
    assert outcome.records[-1]["code"] == "verification_failed"


def test_an_engine_that_paints_something_else_does_not_verify(run: Run) -> None:
    """The stub is not the decoder: golden pixels must tell."""
    outcome = run("verify", TINY, "--engine", "stub", "--json")
    assert outcome.status == 8
    assert all("synthesis" in record["subject"] for record in outcome.records[:-1] if not record["ok"])


def test_a_bug_is_reported_as_ours(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*arguments: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("edgecodec.codec.Codec._synthesise", bug)
    outcome = run("decode", file, *STUB)
    assert outcome.status == 70 and "ZeroDivisionError: oops" in outcome.talk


# ---- usage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["decode", "x", "--forse"], "--force"),
        (["encode", "x", "--alfa-channel", "drop"], "--alpha-channel"),
        (["encod", "x"], "encode"),
        (["decode", "x", "-b", TINY, "--engine", "onxruntime"], "onnxruntime"),
        (["decode", "x", "-b", TINY, "-o", "a.pgn"], "png"),
        (["decode", "x", "-b", TINY, "--format", "giff"], "png"),
    ],
)
def test_typos_are_refused_with_a_suggestion(run: Run, arguments: list[str], suggestion: str) -> None:
    outcome = run(*arguments)
    assert outcome.status == 2 and outcome.output == b"" and suggestion in outcome.talk


@pytest.mark.parametrize(
    "arguments",
    [
        ["decode", "a.edgc", "-o", "-", "--json"],
        ["decode", "a.edgc", "b.edgc", "-o", "-"],
        ["encode", "a.png", "b.png", "-o", "-"],
        ["decode", "-", "-"],
    ],
)
def test_contradictions_are_refused(run: Run, arguments: list[str]) -> None:
    assert run(*arguments, *STUB).status == 2


def test_an_empty_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("encode", tmp_path / "empty", *STUB).status == 2


def test_an_input_without_a_name(run: Run) -> None:
    for command in ("encode", "decode"):
        outcome = run(command, "", *STUB)
        assert outcome.status == 2 and "empty" in outcome.talk


def test_a_file_whose_name_is_no_text(coded: bytes, tmp_path: Path) -> None:
    """Standard output takes UTF-8 and nothing else, and the name is none."""
    name = os.fsencode(tmp_path) + b"/\xff.edgc"
    try:
        with open(name, "wb") as file:
            file.write(coded)
    except OSError:
        pytest.skip("this system has no such names")
    strict = {**ENVIRONMENT, "PYTHONIOENCODING": "utf-8:strict"}
    for verb, *options in (("decode", *map(str, STUB), "--json"), ("inspect", "--json"), ("inspect",)):
        command: list[str | bytes] = [sys.executable, "-m", "edgecodec", verb, name, *options]
        done = subprocess.run(command, env=strict, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert rb"\udcff.edgc" in done.stdout
        if "--json" in options:
            assert os.fsencode(json.loads(done.stdout)["input"]) == name


def test_no_command_shows_help_and_version_is_one_line(run: Run) -> None:
    assert run().status == 2
    version = run("--version")
    said = version.output.decode()
    assert version.status == 0 and said.startswith(f"edgecodec {edgecodec.__version__} (") and said.count("\n") == 1
    for part in (f"format {FORMAT_VERSION}", "C interface 0", f"{native.kernels()} kernels", "engines: onnxruntime"):
        assert part in said


def test_the_version_of_the_format_is_that_of_files(coded: bytes) -> None:
    info = edgecodec.inspect(coded)
    assert isinstance(info, FileInfo) and info.version == FORMAT_VERSION


def test_help_grows(run: Run) -> None:
    short, long = (run("encode", option).output.decode() for option in ("--help", "--help-all"))
    assert "--quality" in short and "--help-all" in short and "--max-pixels" not in short
    assert set(short.split()) < set(long.split()) and "--max-pixels-per-byte" in long


def test_verbosity_grows(run: Run, file: Path) -> None:
    talks = [run("decode", file, *STUB, "--force", *flags).talk for flags in ([], ["-v"], ["-vv"])]
    assert [("engine: stub" in talk, "model_id" in talk) for talk in talks] == [
        (False, False), (True, False), (True, True)
    ]  # fmt: skip
    file.write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    failing = [run("encode", file, *STUB, "-o", f"{file}.edgc", flag).talk for flag in ("-v", "-vv")]
    assert ["Traceback" in talk for talk in failing] == [False, True]


@pytest.mark.parametrize("threads", ["0", "257", "many", "-1"])
def test_threads_are_a_number_or_all(run: Run, file: Path, threads: str) -> None:
    assert run("decode", file, *STUB, "-j", threads).status == 2
    assert run("decode", file, *STUB, "-j", "all", "--force").status == 0


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["decode", "--engine", "onnx"], ["onnxruntime", "onnxruntime:cuda", "onnxruntime:tensorrt"]),
        (["decode", "--format", "we"], ["webp"]),
        (["export", "--family", "h"], ["hific", "hyperprior"]),
        (["dec"], ["decode"]),
    ],
)
def test_shells_complete_names_and_values(typed: list[str], completed: list[str]) -> None:
    asked = {"_EDGECODEC_COMPLETE": "complete_bash", "COMP_CWORD": str(len(typed))}
    command = [sys.executable, "-c", "import sys; sys.argv[0] = 'edgecodec'; from edgecodec.cli import main; main()"]
    environment = {**ENVIRONMENT, **asked, "COMP_WORDS": " ".join(["edgecodec", *typed])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert set(completed) <= set(done.stdout.split()) and all(
        each.startswith(typed[-1]) for each in done.stdout.split()
    )


@pytest.mark.parametrize("command", ["export", "fuse", "encode", "decode", "inspect", "verify"])
def test_every_command_has_help_and_the_common_flags(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    text = outcome.output.decode()
    assert outcome.status == 0
    assert all(flag in text for flag in ("--json", "--quiet", "--verbose", "--help"))


def test_inspect_for_people_and_for_machines(run: Run, file: Path) -> None:
    spoken = run("inspect", file, TINY).output.decode()
    assert "96x64" in spoken and "hific tiny, schema 2" in spoken and max(map(len, spoken.splitlines())) <= 200
    picture, bundle = run("inspect", file, TINY, "--json").records
    assert [picture["model_id"]] == [model["id"] for model in bundle["models"]] and bundle["path"] == str(TINY)
    assert bundle["background"]["provenance"] and bundle["background"]["golden"]
    (cost,) = bundle["decoding_cost"].values()
    assert 0 < cost["bytes_per_pixel"] < 256 and 0 < cost["multiplications_per_pixel"] < 2**20


def test_inspect_goes_on_after_a_bad_file(run: Run, file: Path, photo: Path) -> None:
    outcome = run("inspect", photo, file, "--json")
    assert outcome.status == 1 and [record["ok"] for record in outcome.records] == [False, True]
    assert run("inspect", photo).status == 3


def test_export_without_torch_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("edgecodec_export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    outcome = run("export", "--ckpt", tmp_path / "x.safetensors", "-o", tmp_path / "out")
    assert outcome.status == 6 and "edgecodec[export]" in outcome.talk


# ---- terminals, pipes and signals -----------------------------------------------------------------------------------


def test_no_colour_when_it_is_not_wanted() -> None:
    pty = pytest.importorskip("pty")
    screen, terminal = pty.openpty()
    command = [sys.executable, "-m", "edgecodec", "decode", "--forse"]
    environment = {**ENVIRONMENT, "NO_COLOR": "1", "TERM": "xterm-256color"}
    status = subprocess.call(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    assert status == 2 and b"\x1b" not in os.read(screen, 1 << 16)
    os.close(screen)


def test_a_closed_pipe_ends_quietly(file: Path) -> None:
    with _process("decode", file, *STUB, "-q", "-o", "-") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(timeout=60) == 141


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_by_a_signal_while_it_waits(tmp_path: Path, number: signal.Signals) -> None:
    """Standard input that never comes keeps the command waiting for the signal."""
    with _waiting(tmp_path / "a.png", number, signal.SIG_DFL) as process:
        process.send_signal(number)
        assert process.communicate(timeout=60)[1] == b"" and process.returncode == 128 + number


_WRITES_FOR_EVER = """
import os, sys, time
from edgecodec import cli

def fsync(descriptor):
    print("writing", flush=True)
    time.sleep(60)

os.fsync = fsync
cli.main()
"""


def test_ended_by_a_signal_it_leaves_no_rubbish(tmp_path: Path, coded: bytes) -> None:
    """Nor does a second one keep it from tidying up."""
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "a.edgc").write_bytes(coded)
    arguments = ["decode", tmp_path / "a.edgc", *STUB, "-o", folder / "a.png"]
    default: dict[str, Any] = {"preexec_fn": lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)}
    command = [sys.executable, "-c", _WRITES_FOR_EVER, *map(str, arguments)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, **default) as process:
        assert process.stdout is not None and process.stdout.readline() == b"writing\n"
        assert [each.suffix for each in folder.iterdir()] == [".part"]
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not list(folder.iterdir())


def test_a_signal_that_a_destructor_swallows_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does Python write a traceback of it, as it does of other exceptions there."""

    class Swallowing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    class Failing:
        def __del__(self) -> None:
            raise ValueError

    told: list[type[BaseException]] = []
    monkeypatch.setattr(signals, "CLEANUP_SECONDS", 0.0)
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_type))
    hook = sys.unraisablehook
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ended, signals.unwinding_on("SIGTERM"):
            Swallowing()
            Failing()
            signal.raise_signal(signal.SIGTERM)
        assert ended.value.code == 128 + signal.SIGTERM
        assert told == [ValueError] and sys.unraisablehook is hook
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_thread_may_run_commands() -> None:
    """Only the main thread can take signals, and none is needed elsewhere."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with signals.unwinding_on("SIGTERM"):
                pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures


def test_a_hang_up_that_is_ignored_stays_ignored(tmp_path: Path, coded: bytes) -> None:
    with _waiting(tmp_path / "a.png", signal.SIGHUP, signal.SIG_IGN) as process:
        process.send_signal(signal.SIGHUP)
        process.communicate(coded, timeout=60)
        assert process.returncode == 0 and (tmp_path / "a.png").exists()


@contextmanager
def _waiting(output: Path, number: signal.Signals, action: signal.Handlers) -> Iterator[subprocess.Popen[bytes]]:
    """A command that waits for standard input, started with this action for a signal.

    A shell that starts the tests in the background keeps interrupts away from them; here one has to arrive.
    """
    streams = {"stdin": subprocess.PIPE, "preexec_fn": lambda: signal.signal(number, action)}
    with _process("decode", "-", *STUB, "-v", "-o", output, **streams) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline().startswith(b"bundle: ")
            time.sleep(0.2)  # long enough to be waiting; if it is not yet, the test is only easier
            yield process
        finally:
            process.kill()
