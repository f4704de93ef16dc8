"""Training runs that take seconds: presets of a few channels, small crops, and a handful of photographs."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgecodec_export.calibration import DEFAULT_FOLDER
from edgecodec_export.families import FAMILIES
from edgecodec_train.events import Event
from edgecodec_train.recipe_files import read_recipe
from edgecodec_train.stopping import Stopping
from edgecodec_train.training import train_recipe
from support.tiny_codecs import PRESETS

#: Names under which tiny presets stand in for those of the recipes; a codec with beta
#: is one without plus "-multirate".
TINY_PRESETS = {
    "hific": {"tiny": PRESETS["hific"]},
    "fidelity": {"tiny": PRESETS["fidelity"]},
    "tunable": {"tiny": PRESETS["tunable"]},
    "hyperprior": {"tiny": PRESETS["hyperprior"], "tiny-light": PRESETS["hyperprior-blocks"]},
    "crdr": {"tiny": PRESETS["crdr"], "tiny-multirate": replace(PRESETS["crdr"], realism_channels=0)},
    "agustsson": {
        "tiny": PRESETS["agustsson"],
        "tiny-grain": replace(PRESETS["agustsson"], grain=True),
        "tiny-sc": PRESETS["agustsson-sc"],
    },
}

STEPS, EVERY = 4, 2


@contextmanager
def tiny_presets() -> Iterator[None]:
    """Let recipes name the tiny presets."""
    before = {family: dict(FAMILIES[family].PRESETS) for family in TINY_PRESETS}
    try:
        for family, names in TINY_PRESETS.items():
            presets: Any = FAMILIES[family].PRESETS
            presets.update(names)
        yield
    finally:
        for family, names in before.items():
            presets = FAMILIES[family].PRESETS
            presets.clear()
            presets.update(names)


def tiny_changes(name: str) -> list[str]:
    """What makes the recipe of that name take seconds. The stages, losses and discriminators stay as they are."""
    recipe = read_recipe(name)
    suffix = {"published": "tiny", "compact": "tiny", "light": "tiny-light"}
    changes = [f"preset={_tiny(recipe['preset'], suffix)}", "validation.photographs=1", f"validation.every={EVERY}"]
    changes += [
        "validation.one_in=8",
        "start=random",
        "precision=float32",
        "data.crop=64",
        "data.batch=2",
        "validation.sheet=1",
    ]
    for stage in recipe["stages"]:
        place = f"stages.{stage['name']}"
        perceptual = "perceptual" in stage
        changes += [f"{place}.steps={STEPS}", f"{place}.crop={192 if perceptual else 64}", f"{place}.batch=2"]
        if "preset" in stage:
            changes.append(f"{place}.preset={_tiny(stage['preset'], suffix)}")
        if "adversarial" in stage:
            changes.append(f"{place}.adversarial.discriminator.alone=0")
            changes.append(f"{place}.adversarial.discriminator.options={_small(stage['adversarial']['discriminator'])}")
    return changes


def _small(discriminator: Mapping[str, Any]) -> str:
    """The options of the discriminator as TOML, with few channels."""
    widths = {"multiscale": "width=4", "pyramid": "widths=[4, 4]"}.get(discriminator["kind"], "widths=[4, 4, 4, 4]")
    options = discriminator.get("options", {})
    kept = [f"{key}={_toml(value)}" for key, value in options.items() if key not in ("width", "widths")]
    return f"{{ {', '.join([*kept, widths])} }}"


def _tiny(preset: str, names: Mapping[str, str]) -> str:
    head, dash, tail = preset.partition("-")
    return names[head] + dash + tail


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


class StopAfter(Stopping):
    """Ends a run before the step that comes after so many."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def reason(self) -> str | None:
        self._left -= 1
        return "time" if self._left < 0 else None


def run_tiny(
    name: str,
    data: Path,
    output: Path,
    *changes: str,
    resume: bool = False,
    stopping: Stopping | None = None,
    report: Callable[[Event], None] = lambda event: None,
) -> list[Path]:
    """`train_recipe` on the processor with `tiny_changes`; a resumed run has them already."""
    with tiny_presets():
        return train_recipe(
            name,
            data,
            output,
            resume=resume,
            changes=[*(() if resume else tiny_changes(name)), *changes],
            device="cpu",
            stopping=stopping,
            report=report,
        )


def photographs(folder: Path, count: int = 8) -> Path:
    """A folder with a tar file of photographs, of which the last one is held out."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "photographs.tar", "w") as archive:
        for file in sorted(DEFAULT_FOLDER.glob("*.webp"))[:count]:
            pixels = np.asarray(Image.open(file).convert("RGB"))[:224, :256]
            add_file(archive, f"{file.stem}.png", png(pixels))
    return folder


def scenes(path: Path, classes: int = 5) -> Path:
    """Two scenes to train on and one to validate on, whose labels are their brightness in steps."""
    with Image.open(min(DEFAULT_FOLDER.glob("*.webp"))) as photo:
        picture = photo.convert("RGB").crop((0, 0, 256, 224))
    grey = np.asarray(picture.convert("L")).astype(np.uint16)
    labels = (grey * classes // 256).astype(np.uint8)
    with tarfile.open(path, "w") as archive:
        names = "".join(f"{number} class{number}\n" for number in range(classes))
        add_file(archive, "classes.txt", names.encode())
        for name in ("train/{}/a", "train/{}/b", "val/{}/a"):
            add_file(archive, f"{name.format('images')}.png", png(np.asarray(picture)))
            add_file(archive, f"{name.format('labels')}.png", png(labels))
    return path


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    """The picture as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def add_file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file with that content."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
