"""Model cards: prose that a person wrote, and behind a mark the facts that checkpoints and measurements tell."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgecodec.errors import InvalidArgument
from edgecodec_train.recipe_content import as_content, parse_recipe
from edgecodec_train.recipe_files import known_recipes, read_recipe
from edgecodec_train.run_folder import read_rows
from scripts.models.record import Record
from scripts.models.shipped import Home, Model, Said, sha256
from scripts.models.tables import millions, per_pixel, span, table

MARK = "<!-- What follows is written by `python -m scripts.models`. -->"
#: Headings under which a person has to say something.
REQUIRED = ("Use", "What one sees", "Limits")
PHOTOGRAPHS = "photographs.md"
#: Notes that are told in words of their own, or elsewhere.
_TOLD = ("stage", "steps", "hours", "recipe", "recipes", "photographs", "skipped_steps")
#: Columns of a curve that are of held-out photographs begin with these.
_HELD_OUT = ("bits_per_pixel", "psnr", "ms_ssim", "lpips", "dists", "detail", "grid")


@dataclass(frozen=True)
class Setting:
    """A value of a recipe that another has in its place."""

    name: str
    before: object
    after: object


def template(model: Model) -> str:
    """A card in which a person has not written anything yet."""
    return "\n".join([f"# {model.name}", "", *(line for name in REQUIRED for line in (f"## {name}", "", ""))])


def prose_of(card: str) -> str:
    """What a person wrote."""
    return card.partition(MARK)[0].rstrip()


def unwritten(card: str) -> list[str]:
    """Of the REQUIRED headings those that are not there, or that nothing stands under."""
    found: dict[str, str] = {}
    for part in prose_of(card).split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        found[heading.strip()] = text.strip()
    return [name for name in REQUIRED if not found.get(name)]


def card(prose: str, model: Model, said: Mapping[Path, Said], record: Record | None, home: Home) -> str:
    """The whole card. said: by checkpoint."""
    lines = [prose, "", MARK, "", *_facts(model, said, record), ""]
    lines += ["## Training", ""]
    for checkpoint in model.checkpoints:
        lines += [*_training(checkpoint, said[checkpoint], record, home), ""]
    return "\n".join(lines).rstrip() + "\n"


def _facts(model: Model, said: Mapping[Path, Said], record: Record | None) -> Iterator[str]:
    main = said[model.main]
    rows = [
        ["system", f"{main.paper[:1].upper()}{main.paper[1:]}"],
        ["family and preset", f"`{main.family}`, `{main.preset}`"],
    ]
    for file in model.checkpoints:
        what = "the decoder alone, " if said[file].alone else ""
        size = f"{file.stat().st_size / 1e6:.1f} MB"
        rows.append([f"`{file.name}`", f"{what}{size}, SHA-256 `{sha256(file)[:16]}...`"])
    if record is not None:
        rows += [
            ["parameters", millions(record.parameters)],
            [
                "work of encoding",
                f"{per_pixel(record.analysis)} in the networks, {per_pixel(record.entropy)} in the entropy model",
            ],
            [
                "work of decoding",
                f"{per_pixel(record.synthesis)} in the network, {per_pixel(record.entropy)} in the entropy model",
            ],
            ["knobs", "; ".join(record.knobs) or "none"],
            ["rate on the Kodak set", f"{span([point.bits_per_pixel for point in record.points], 3)} bits per pixel"],
            ["bundle", f"{record.bundle_bytes / 1e6:.1f} MB, in fp32 and fp16"],
        ]
    yield "## Facts"
    yield ""
    yield from table(["", ""], rows)
    yield ""
    if record is None:
        yield "Its rates and scores were not measured yet."
    else:
        yield f"Rates, scores, curves and pictures are in [docs/models.md](../docs/models.md#{model.name})."


def _training(checkpoint: Path, said: Said, record: Record | None, home: Home) -> Iterator[str]:
    notes = said.notes
    yield f"### {checkpoint.stem}"
    yield ""
    rows = [["stage", f"{notes.get('stage', 'unknown')}, {int(notes['steps']):,} steps" if "steps" in notes else ""]]
    if "hours" in notes:
        rows.append(["time", f"{notes['hours']} hours, earlier stages of the run included"])
    if int(notes.get("skipped_steps", 0)):
        rows.append(["skipped steps", notes["skipped_steps"]])
    rows += [["recipe", text] for text in _recipe(notes)]
    if "photographs" in notes:
        rows.append(["data", _data(notes["photographs"], home)])
    rows += [
        [topic.replace("_", " "), text]
        for topic, text in sorted(notes.items())
        if topic not in _TOLD and not _is_json(text)
    ]
    yield from table(["", ""], rows)
    curve = checkpoint.with_suffix(".csv")
    rows_of_curve = read_rows(curve)
    if not rows_of_curve:
        return
    yield ""
    at = next((row for row in rows_of_curve if str(int(row["step"])) == notes.get("steps")), rows_of_curve[-1])
    scores = ", ".join(f"{name} {value:.4g}" for name, value in at.items() if name.startswith(_HELD_OUT))
    yield from textwrap.wrap(
        f"On the held-out photographs at step {at['step']:,.0f}: {scores}. [{curve.name}]({curve.name}) has the whole"
        " curve, and [training.md](../docs/training.md) says what its columns are.",
        120,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if record is not None and checkpoint.name in record.curves:
        target = os.path.relpath(home.pictures / record.curves[checkpoint.name], home.checkpoints)
        yield ""
        yield f"![The training curves of {checkpoint.stem}]({target})"


def _data(fingerprint: str, home: Home) -> str:
    """The photographs by their fingerprint, which the page about them states."""
    page = home.checkpoints / PHOTOGRAPHS
    known = page.exists() and fingerprint in page.read_text(encoding="utf-8")
    return (
        f"[those of {PHOTOGRAPHS}]({PHOTOGRAPHS})"
        if known
        else f"photographs with the fingerprint `{fingerprint[:16]}`"
    )


# ---- recipes ----


def _recipe(notes: Mapping[str, str]) -> Iterator[str]:
    """What a run followed, a text for each time that its recipe was changed."""
    name, followed = notes.get("recipe", ""), json.loads(notes.get("recipes", "[]"))
    if _is_json(name):  # in notes of before there were recipes it is the settings
        yield _listed(json.loads(name))
    elif followed and len(followed[0]) == 2:
        yield from _older(followed)
    elif followed:
        yield from _followed(name, followed)


def _older(followed: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[str]:
    before: Mapping[str, Any] = {}
    for step, settings in followed:
        changed = {name: value for name, value in settings.items() if before.get(name) != value}
        yield f"from step {step:,} on: {_listed(changed)}" if before else _listed(changed)
        before = settings


def _followed(name: str, followed: Sequence[tuple[str, int, Mapping[str, Any]]]) -> Iterator[str]:
    """Against the built-in recipe of that name, and later ones against the one before."""
    before: Mapping[str, Any]
    if name in _built_in():
        link = f"[{name}](../{BUILT_IN_PATH}/{name}.toml)"
        before = _built_in()[name]
    else:
        link, before = (
            f"`{name}`, which does not come with edgecodec: {followed[0][2].get('title', '')}",
            followed[0][2],
        )
    for number, (stage, step, content) in enumerate(followed):
        changed = changes(_completed(before), _completed(content))
        said = "; ".join(f"{each.name} {_value(each.after)} in place of {_value(each.before)}" for each in changed)
        if number == 0:
            yield f"{link}, with {said}" if changed else link
        elif changed:
            yield f"from step {step:,} of {stage} on: {said}"
        before = content


def _completed(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the defaults of settings that recipes did not have yet; as it is where a setting is no longer known."""
    try:
        return as_content(parse_recipe(content, ""))
    except InvalidArgument:
        return content


BUILT_IN_PATH = "train/edgecodec_train/recipes"


@cache
def _built_in() -> dict[str, dict[str, Any]]:
    return {name: as_content(parse_recipe(read_recipe(name), name)) for name in known_recipes()}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Setting]:
    """Where two recipes differ, by the names of settings; stages go by their own."""
    first, second = dict(_settings(before)), dict(_settings(after))
    names = dict.fromkeys([*first, *second])
    different = [name for name in names if first.get(name) != second.get(name) and name != "title"]
    return [Setting(name, first.get(name), second.get(name)) for name in different]


def _settings(content: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Each value with its name, like "stages.realism.mse"."""
    if isinstance(content, Mapping):
        if set(content) == {"value", "values"} and not content["values"]:  # a weight without levels
            yield name, content["value"]
            return
        for key, value in content.items():
            yield from _settings(value, f"{name}.{key}" if name else key)
    elif (
        isinstance(content, list) and content and all(isinstance(each, Mapping) and "name" in each for each in content)
    ):
        for each in content:
            yield from _settings(each, f"{name}.{each['name']}")
    else:
        yield name, content


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in settings.items())


def _value(value: object) -> str:
    if value is None:
        return "none"
    return (
        f"{value:g}"
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e5
        else str(value)
    )


def _is_json(text: str) -> bool:
    return text[:1] in ("{", "[")
