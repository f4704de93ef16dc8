"""`edgecodec train` tells what it does, stops when it is asked to, and can be gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgecodec.cli.console import Console
from edgecodec.cli.train import _tell
from edgecodec_export.checkpoints import read_checkpoint
from edgecodec_train.events import Progress
from edgecodec_train.recipe_files import known_recipes, read_recipe
from edgecodec_train.run_folder import read_rows
from support.command_line import Outcome, run_command
from support.paths import ENVIRONMENT
from support.tiny_training import photographs, tiny_changes, tiny_presets

RECIPE = "fidelity-compact"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("data"))


def train(*arguments: object, name: str = RECIPE) -> Outcome:
    with tiny_presets():
        return run_command("train", name, *arguments)


def changes() -> list[str]:
    return [part for change in tiny_changes(RECIPE) for part in ("--set", change)]


def test_a_run_leaves_what_people_look_at(data: Path, tmp_path: Path) -> None:
    outcome = train("--data", data, "-o", tmp_path / "run", "-j", 1, "--json", *changes())
    assert outcome.status == 0, outcome.talk
    assert "rate-distortion 2/4  psnr_db " in outcome.talk and "realism is done: " in outcome.talk
    *events, last = outcome.records
    assert [event["event"] for event in events] == ["Scored", "Scored", "Scored", "StageDone"] * 2
    made = [tmp_path / "run" / f"{stage}.safetensors" for stage in ("rate-distortion", "realism")]
    assert last == {"ok": True, "checkpoints": list(map(str, made)), "stopped": None}
    for path in made:
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in path.with_suffix(".svg").read_bytes()
        assert len(read_rows(path.with_suffix(".csv"))) == 3
    assert len(list((tmp_path / "run" / "sheets").iterdir())) == 6


def test_the_stage_is_told_by_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier run did is no part of the pace."""
    said: list[str] = []
    monkeypatch.setattr(Console, "_tell", lambda console, line: said.append(line))
    console = Console()
    with console.progress("training") as progress:
        for stage, step in (("main", 400), ("main", 401), ("last", 1)):
            _tell(console, progress, Progress(stage, step, 500, 2.5, 40.0, 0.1234))
            told = progress.words()
            assert told[:3] == [f"stage {stage}", f"step {step + 1} of 500", "loss 0.1234"]
            assert told[-1] == "2.5 steps/s" and progress.share() == step / 500
    assert said == ["stage main", "stage last"]


def test_a_time_limit_ends_a_run_that_goes_on_later(data: Path, tmp_path: Path) -> None:
    limited = train("--data", data, "-o", tmp_path / "run", "--minutes", 0, *changes())
    assert limited.status == 0
    assert "stopped at rate-distortion 0/4: the time is over; --resume goes on from here" in limited.talk
    again = train("--data", data, "-o", tmp_path / "run", *changes())
    assert again.status == 2 and "holds a training run" in again.talk and "--resume" in again.talk
    resumed = train("--data", data, "-o", tmp_path / "run", "--resume", "-q")
    assert (resumed.status, resumed.talk) == (0, "")
    assert (tmp_path / "run" / "realism.safetensors").exists()


def test_a_run_is_resumed_without_its_name(data: Path, tmp_path: Path) -> None:
    train("--data", data, "-o", tmp_path / "run", "--minutes", 0, *changes())
    with tiny_presets():
        resumed = run_command("train", "--data", data, "-o", tmp_path / "run", "--resume")
    assert resumed.status == 0 and "fidelity-compact: " in resumed.talk


def test_a_run_is_resumed_as_what_it_is(data: Path, tmp_path: Path) -> None:
    train("--data", data, "-o", tmp_path / "run", "--minutes", 0, *changes())
    other = train("--data", data, "-o", tmp_path / "run", "--resume", name="hific-compact")
    assert other.status == 2 and "holds a run of fidelity-compact, not of hific-compact" in other.talk
    nothing = train("--data", data, "-o", tmp_path / "absent", "--resume")
    assert nothing.status == 7 and "holds no training run" in nothing.talk


def test_other_pictures_are_not_those_of_the_run(data: Path, tmp_path: Path) -> None:
    train("--data", data, "-o", tmp_path / "run", "--minutes", 0, *changes())
    other = train("--data", photographs(tmp_path / "other", 9), "-o", tmp_path / "run", "--resume")
    assert other.status == 2 and "is not the data that this run had so far" in other.talk


def test_bad_pictures_are_counted(data: Path, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "data")
    for number in range(12):
        (folder / f"bad{number}.png").write_bytes(b"\x89PNG no picture")
    outcome = train("--data", folder, "-o", tmp_path / "run", *changes())
    assert outcome.status == 0
    assert "not readable" in outcome.talk and "bad" in outcome.talk


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "--data, -o DIR missing"),
        (("--data", "absent", "-o", "run"), 7, "absent"),
        (("--data", "absent", "-o", "run", "--set", "data.crop"), 2, "--set data.crop: is not of the form KEY=VALUE"),
        (("--data", "absent", "-o", "run", "--set", "speed=3"), 2, "fidelity-compact: speed: is unknown"),
        (
            ("--data", "absent", "-o", "run", "--device", "tpu"),
            6,
            "training runs on cpu, cuda and cuda:NUMBER, not on tpu",
        ),
        (("--data", "absent", "-o", "run", "--device", "cpux"), 6, "not on cpux"),
        (("--data", "absent", "-o", "run", "--device", "cuda:x"), 6, "not on cuda:x"),
        (("--data", "absent", "-o", "run", "--minutes", "nan"), 2, "--minutes: is nan, not 0 or more"),
    ],
)
def test_mistakes_are_said_before_the_work(
    arguments: tuple[str, ...], status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = train(*arguments)
    assert (outcome.status, said in outcome.talk) == (status, True), outcome.talk
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("perceptual.weights=absent.pth", "absent.pth: no such file"),
        ("perceptual.kind=lpips", "stage realism: unknown perceptual loss 'lpips'"),
        ("adversarial.loss=hinge", "stage realism: unknown adversarial loss 'hinge'"),
        ("adversarial.discriminator.kind=unet", "stage realism: unknown discriminator 'unet'"),
        ("crop=200", "data.crop: crops of 200 pixels do not fit"),
        ("preset=large", "preset: fidelity has no preset 'large'"),
    ],
)
def test_mistakes_of_a_later_stage_are_said_before_the_first(
    change: str, said: str, data: Path, tmp_path: Path
) -> None:
    made = ["--set", f"stages.realism.{change}"]
    if "kind=lpips" in change:
        made += ["--set", "stages.realism.perceptual.weights=absent.pth"]
    outcome = train("--data", data, "-o", tmp_path / "run", *changes(), *made)
    assert outcome.status != 0 and said in outcome.talk, outcome.talk
    assert not (tmp_path / "run").exists()


def test_the_recipes_are_listed() -> None:
    outcome = run_command("train", "--list")
    listed = {line.split()[0] for line in outcome.output.decode().splitlines()}
    assert outcome.status == 0 and listed == set(known_recipes())


def test_a_recipe_that_is_shown_is_a_recipe_to_start_from(tmp_path: Path) -> None:
    """What --show prints is the built-in recipe as a file, comments and all."""
    outcome = run_command("train", RECIPE, "--show")
    assert outcome.status == 0 and outcome.output.startswith(b"#")
    copy = tmp_path / "mine.toml"
    copy.write_bytes(outcome.output)
    assert read_recipe(str(copy)) == read_recipe(RECIPE)
    assert run_command("train", str(copy), "--show").output == outcome.output
    assert run_command("train", "nobody", "--show").status == 7
    nameless = run_command("train", "--show")
    assert nameless.status == 2 and "RECIPE missing" in nameless.talk


@pytest.mark.parametrize("swallowed", [False, True])
def test_a_second_signal_ends_a_run_at_once_and_leaves_nothing_half_written(
    swallowed: bool, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """swallowed: a library makes an error of its own of what the handler raises."""
    write = os.write

    def interrupted(descriptor: int, content: memoryview) -> int:
        if not (tmp_path / "run" / "state.pt").exists():
            return write(descriptor, content)
        half = write(descriptor, content[: len(content) // 2])
        signal.raise_signal(signal.SIGTERM)
        try:
            signal.raise_signal(signal.SIGTERM)
        except SystemExit as error:
            if swallowed:
                raise OSError("no more of it") from error
            raise
        return half

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", interrupted)
            outcome = train("--data", data, "-o", tmp_path / "run", "-j", 1, *changes())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert outcome.status == 128 + signal.SIGTERM, outcome.talk
    assert "no more of it" not in outcome.talk
    assert not list((tmp_path / "run").rglob("*.part"))
    assert train("--data", data, "-o", tmp_path / "run", "--resume", "-q").status == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_after_its_step(number: signal.Signals, data: Path, tmp_path: Path) -> None:
    """Exit status 128 + signal, and a state from which the curve goes on as if unbroken."""
    steps = ["--set", "stages.rate-distortion.steps=400", "--set", "validation.every=100"]
    steps += ["--set", "stages.realism.steps=0", "--set", "validation.photographs=1", "--set", "validation.one_in=8"]
    steps += ["--set", "precision=float32", "--set", "data.crop=16", "--set", "data.batch=1"]
    steps += ["--set", "stages.realism.crop=192"]  # MS-SSIM takes no smaller ones
    base = [sys.executable, "-m", "edgecodec", "train", RECIPE, "--data", str(data), "-j", "1"]
    run = tmp_path / "run"
    process = subprocess.Popen(
        [*base, "-o", str(run), *steps],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell's background job has interrupts ignored, and so have its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (run / "state.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 128 + number, talk.decode()
    assert b"a signal came" in talk
    resumed = subprocess.run([*base, "-o", str(run), "--resume"], env=ENVIRONMENT, capture_output=True, timeout=240)
    assert resumed.returncode == 0, resumed.stderr.decode()
    whole = subprocess.run([*base, "-o", str(tmp_path / "whole"), *steps], env=ENVIRONMENT, capture_output=True)
    assert whole.returncode == 0
    name = "rate-distortion.csv"
    assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    notes = json.loads(read_checkpoint(run / "rate-distortion.safetensors").notes["recipes"])
    assert len(notes) == 1
