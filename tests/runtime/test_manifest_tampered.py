"""Whatever stands in a manifest, in the fields that only some bundles have: a typed error, or a bundle that opens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import edgecodec
from edgecodec.errors import EdgecodecError
from support.json_damage import damaged
from support.make_bundles import Recipe, analysis, plain, with_labels, with_noise, with_qualities

GREY = {"image": {"alignment": 8, "padding": "grey", "smallest_side": 1}}
FIT = {"low": -2.0, "high": 1.0, "coefficients": [-3.0, -0.5], "residual_percent": 2.5}
RECIPES = {
    "qualities": with_qualities({0.0: 1, 1.5: 2}, (0.0, 3.84)),
    "labels": with_labels(),
    "noise": with_noise(),
    "tunable": replace(plain(), analysis=[analysis(grey=True, scalar_shape=(), rate_fit=FIT)], manifest=GREY),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_field_replaced_by_everything(tmp_path: Path, recipe: Recipe) -> None:
    manifest = recipe.write(tmp_path / "test.bundle") / "manifest.json"
    tampered = 0
    for what, value in damaged(json.loads(manifest.read_text())):
        manifest.write_text(json.dumps(value))
        try:
            edgecodec.open_bundle(tmp_path / "test.bundle", "stub")
        except EdgecodecError as error:
            assert error.code in (40, 42, 43, 44, 45), (what, error)
            tampered += 1
    assert tampered > 100
