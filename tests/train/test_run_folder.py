"""A run's folder tells what the run was, and lets it go on as what it was and as nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from edgecodec.errors import CannotRead, CannotWrite, InvalidArgument, OutputExists
from edgecodec_train.recipe import Recipe
from edgecodec_train.recipe_content import as_content, parse_recipe
from edgecodec_train.recipe_files import change
from edgecodec_train.run_folder import Position, RunFolder, read_rows

CONTENT: dict[str, Any] = {
    "title": "a run",
    "family": "fidelity",
    "preset": "compact",
    "data": {"crop": 64, "batch": 1},
    "stages": [
        {"name": "first", "steps": 4, "optimiser": {"learning_rate": 0.5}},
        {"name": "second", "steps": 4, "optimiser": {"learning_rate": 0.5}},
    ],
}


def recipe(*changes: str) -> Recipe:
    return parse_recipe(change(CONTENT, changes), "mine")


@pytest.fixture(autouse=True)
def undrawn() -> Iterator[None]:
    with mock.patch("edgecodec_train.run_folder.write_curve"):
        yield


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    planned = RunFolder.plan(tmp_path / "run", "mine", recipe())
    planned.begin()
    return planned


def test_a_run_is_what_it_was_when_it_is_opened_again(run: RunFolder) -> None:
    run.use_data("of these")
    run.begin()
    again = RunFolder.reopen(run.path)
    assert (again.name, again.recipe, again.fingerprint) == ("mine", run.recipe, "of these")
    assert again.history == [(0, 0, as_content(run.recipe))]


def test_a_folder_with_a_run_is_not_begun_anew(run: RunFolder) -> None:
    with pytest.raises(OutputExists, match=r"holds a training run.*--resume"):
        RunFolder.plan(run.path, "mine", recipe())


def test_a_folder_without_a_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match=r"holds no training run.*leave out --resume"):
        RunFolder.reopen(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "a", "history": []}', '{"name": "a", "history": [[0]]}'])
def test_a_damaged_folder_is_refused(run: RunFolder, text: str) -> None:
    (run.path / "recipe.json").write_text(text)
    with pytest.raises(CannotRead, match=r"recipe\.json: cannot be read"):
        RunFolder.reopen(run.path)


def test_a_recipe_that_no_longer_fits_names_the_key(run: RunFolder) -> None:
    stored = json.loads((run.path / "recipe.json").read_text())
    stored["history"][0][2]["speed"] = 3
    (run.path / "recipe.json").write_text(json.dumps(stored))
    with pytest.raises(InvalidArgument, match=r"recipe\.json: speed: is unknown"):
        RunFolder.reopen(run.path)


def test_a_damaged_state_is_refused(run: RunFolder) -> None:
    (run.path / "state.pt").write_bytes(b"not a state")
    with pytest.raises(CannotRead, match=r"state\.pt: cannot be read"):
        run.position()


def test_a_state_cannot_run_code(run: RunFolder) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("run",)

    torch.save({"stage": Malicious()}, run.path / "state.pt")
    with pytest.raises(CannotRead, match="cannot be read"):
        run.position()


def test_other_data_is_refused(run: RunFolder) -> None:
    run.use_data("of these")
    run.use_data("of these")
    run.begin()
    with pytest.raises(InvalidArgument, match="not the data that this run had"):
        RunFolder.reopen(run.path).use_data("of others")


def test_a_steered_run_remembers_every_recipe(run: RunFolder) -> None:
    longer = recipe("stages.second.steps=9")
    run.steer(longer, Position(stage=1, step=2))
    run.begin()
    again = RunFolder.reopen(run.path)
    assert again.recipe == longer
    assert [(stage, step) for stage, step, _ in again.history] == [(0, 0), (1, 2)]


@pytest.mark.parametrize("changes", ["family=hific", "preset=published", "seed=7", "stages.first.name=other"])
def test_no_run_can_be_steered_to_another_start(run: RunFolder, changes: str) -> None:
    with pytest.raises(InvalidArgument, match="begin another run in another folder"):
        run.steer(recipe(changes), Position())
    assert RunFolder.reopen(run.path).recipe == recipe()


def test_the_state_comes_back(run: RunFolder) -> None:
    saved = Position(1, 3, 12.5, 2, True, {"loss": (1.5, 2)}, {"model": {"a": torch.ones(2)}})
    run.save(saved)
    found = run.position()
    assert torch.equal(found.parts.pop("model")["a"], torch.ones(2))
    assert found == Position(1, 3, 12.5, 2, True, {"loss": (1.5, 2)}, {})


def test_a_curve_takes_columns_that_its_first_rows_lack(run: RunFolder) -> None:
    run.add_row(Position(step=2), {"loss": 0.5})
    run.add_row(Position(step=4), {"loss": 0.25, "grid": 1.5})
    assert (run.path / "first.csv").read_text() == "step,loss,grid\n2,0.5,\n4,0.25,1.5\n"
    assert read_rows(run.path / "first.csv") == [{"step": 2, "loss": 0.5}, {"step": 4, "loss": 0.25, "grid": 1.5}]


def test_rows_of_steps_that_were_undone_are_dropped(run: RunFolder) -> None:
    for step in (2, 4, 6):
        run.add_row(Position(step=step), {"loss": 0.5})
    run.add_row(Position(step=4), {"loss": 0.25})
    assert [row["step"] for row in read_rows(run.path / "first.csv")] == [2, 4]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite):
        RunFolder.plan(tmp_path / "file" / "run", "mine", recipe()).begin()


def test_a_planned_run_writes_nothing(tmp_path: Path) -> None:
    RunFolder.plan(tmp_path / "run", "mine", recipe()).use_data("of these")
    assert list(tmp_path.iterdir()) == []
