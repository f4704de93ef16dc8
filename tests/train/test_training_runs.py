"""A training run goes on as it began or says that it did not, and its checkpoint tells what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from edgecodec.errors import InvalidArgument
from edgecodec_export.checkpoints import read_checkpoint
from edgecodec_train import __main__ as command_line
from edgecodec_train.progress import Run, set_learning_rates
from support.tiny_codecs import tiny_codec

RECIPE = {"steps": 4, "learning_rate": 1e-3, "photographs": {"a.tar": "12"}, "encoder": None}


def run_of(output: Path, recipe: Mapping[str, Any]) -> Run:
    """A run of a model that nobody trains."""
    averaged = torch.optim.swa_utils.AveragedModel(tiny_codec("fidelity"))
    return Run(output, "a stage", "tiny", {"averaged": averaged}, recipe, {"classes": "a,b"})


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Of a run that has done two of its four steps."""
    path = tmp_path / "a.safetensors"
    run = run_of(path, RECIPE)
    assert run.resume() == 0
    run.save(2, loss=0.5)
    return path


def told(output: Path) -> Any:
    return json.loads(read_checkpoint(output).notes["recipes"])


def test_a_checkpoint_tells_what_made_it(output: Path) -> None:
    checkpoint = read_checkpoint(output)
    assert (checkpoint.family, checkpoint.preset, checkpoint.classes) == ("fidelity", "tiny", ("a", "b"))
    assert checkpoint.notes == {
        "stage": "a stage",
        "steps": "2",
        "recipes": json.dumps([[0, RECIPE]]),
    }
    assert output.with_suffix(".csv").read_text().split() == ["step,loss", "2,0.5"]


def test_a_curve_takes_columns_that_its_first_rows_lack(output: Path) -> None:
    run = run_of(output, RECIPE)
    run.resume()
    run.save(3, loss=0.25, grid=1.5)
    assert output.with_suffix(".csv").read_text().split() == ["step,loss,grid", "2,0.5,", "3,0.25,1.5"]


def test_the_same_recipe_goes_on(output: Path) -> None:
    run = run_of(output, RECIPE)
    assert run.resume() == 2
    run.save(3)
    assert told(output) == [[0, RECIPE]]


def test_another_recipe_is_refused_with_what_differs(output: Path) -> None:
    before = {file: file.read_bytes() for file in output.parent.iterdir()}
    other = RECIPE | {"learning_rate": 0.1, "photographs": {"b.tar": "34"}, "grid_weight": 0.05}
    with pytest.raises(InvalidArgument) as refused:
        run_of(output, other).resume()
    assert str(refused.value).splitlines() == [
        f"{output.with_suffix('.state')}: is of a run with another recipe:",
        "  grid_weight: None before, 0.05 now",
        "  learning_rate: 0.001 before, 0.1 now",
        "  photographs: {'a.tar': '12'} before, {'b.tar': '34'} now"
        " (hint: give that recipe, or go on with this one by --steer (steer=True))",
    ]
    assert {file: file.read_bytes() for file in output.parent.iterdir()} == before


def test_a_steered_run_tells_every_recipe(output: Path) -> None:
    longer = RECIPE | {"steps": 6}
    run = run_of(output, longer)
    assert run.resume(steer=True) == 2
    run.save(3)
    assert told(output) == [[0, RECIPE], [2, longer]]
    run = run_of(output, longer)
    assert run.resume() == 3
    run.save(6)
    assert told(output) == [[0, RECIPE], [2, longer]]
    with pytest.raises(InvalidArgument, match="steps: 6 before, 4 now"):
        run_of(output, RECIPE).resume()


@pytest.mark.parametrize("name", ["family", "preset", "encoder", "first_stage"])
def test_no_run_can_be_steered_to_another_start(name: str, output: Path) -> None:
    with pytest.raises(InvalidArgument, match=f"another start:\n  {name}: None before, 'other' now"):
        run_of(output, RECIPE | {name: "other"}).resume(steer=True)


def test_a_finished_run_writes_its_checkpoint_again(output: Path) -> None:
    run = run_of(output, RECIPE)
    run.resume()
    run.save(4)
    written, content = output.read_bytes(), read_checkpoint(output)
    assert run_of(output, RECIPE).resume() == 4
    assert output.read_bytes() == written, "the next stage knows it by its SHA-256"
    output.unlink()
    assert run_of(output, RECIPE).resume() == 4
    again = read_checkpoint(output)
    assert again.notes == content.notes
    assert all(torch.equal(tensor, content.tensors[name]) for name, tensor in again.tensors.items())


def test_a_recipe_that_did_nothing_is_not_told(output: Path) -> None:
    """Steered to fewer steps than are done, the run ends where it is."""
    output.unlink()
    assert run_of(output, RECIPE | {"steps": 1}).resume(steer=True) == 2
    assert read_checkpoint(output).notes["steps"] == "2"
    assert told(output) == [[0, RECIPE]]


def test_a_run_from_before_recipes_were_kept_goes_on(output: Path) -> None:
    state = torch.load(output.with_suffix(".state"), weights_only=True)
    del state["recipes"]
    torch.save(state, output.with_suffix(".state"))
    run = run_of(output, RECIPE)
    assert run.resume() == 2
    run.save(3)
    assert told(output) == [[0, None], [2, RECIPE]]


def test_learning_rates_are_those_of_now(tmp_path: Path) -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    before, now = (torch.optim.Adam([{"params": [each]} for each in weights], lr=rate) for rate in (0.1, 0.2))
    now.load_state_dict(before.state_dict())
    assert [group["lr"] for group in now.param_groups] == [0.1, 0.1], "else there is no need to set them"
    set_learning_rates(now, 0.2, 0.3)
    assert [group["lr"] for group in now.param_groups] == [0.2, 0.3]


@pytest.mark.parametrize("command", ["rate-distortion", "adversarial", "selective"])
@pytest.mark.parametrize("steer", [False, True])
def test_steering_is_asked_for(command: str, steer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        command_line, f"train_{command.replace('-', '_')}", lambda *_, **given: asked.append(given["steer"])
    )
    for name in ("_prepare", "_set_up", "load_scenes"):
        monkeypatch.setattr(command_line, name, lambda *_: None)
    inputs = {"adversarial": ["--photos", "p", "--first-stage", "f"], "selective": ["--scenes", "s"]}
    arguments = [command, *inputs.get(command, ["--photos", "p"]), "-o", "o", *["--steer"] * steer]
    outcome = CliRunner().invoke(command_line.app, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert asked == [steer]
