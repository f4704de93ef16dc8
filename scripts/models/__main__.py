"""Measures the models in checkpoints/, and writes docs/models.md, its pictures and the facts of the model cards.

    python -m scripts.models [KODAK --work DIR] [--models NAME...] [--threads N] [--lpips FILE] [--dists FILE] [--check]

KODAK: the folder of the Kodak set. DIR: keeps bundles and measurements, from which an interrupted run goes on. The
first model takes about 20 minutes of a core, most of them for the other formats, which are measured once. Without KODAK
nothing is measured: what is written is what was recorded before. Models that are not named keep their measurements.
With --check nothing is written, and the status is 1 where cards, page, pictures and checkpoints do not agree.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from edgecodec_evaluate.metrics.networks import NETWORKS
from scripts.models import record as records
from scripts.models.card import card, prose_of, template, unwritten
from scripts.models.measuring import measure
from scripts.models.page import page
from scripts.models.shipped import Home, models, said_by

#: Of all pictures together: they are in everyone's clone, for ever.
MOST_BYTES = 3_000_000
AGAIN = "run python -m scripts.models"


def main() -> None:
    """What the command does."""
    parser = argparse.ArgumentParser(prog="scripts.models", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", nargs="?", type=Path, metavar="KODAK", help="folder of the Kodak set")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps bundles and measurements")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="measure these alone")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the processor")
    for name in NETWORKS:
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help="weights, to measure it too")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where something does not agree")
    given = parser.parse_args()
    home = Home()
    if given.check:
        sys.exit("\n".join(disagreements(home)) or 0)
    if given.pictures is not None:
        if given.work is None:
            parser.error("measuring needs --work")
        known = {model.name for model in models(home.checkpoints)}
        if unknown := set(given.models or ()) - known:
            parser.error(f"there is no model {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        weights = {name: file for name in NETWORKS if (file := getattr(given, name)) is not None}
        _measure(home, given.pictures, given.work, given.models or sorted(known), given.threads, weights)
    write(home)
    for each in disagreements(home):
        print(each, file=sys.stderr)


def _measure(home: Home, folder: Path, work: Path, names: list[str], threads: int, weights: Mapping[str, Path]) -> None:
    torch.set_num_threads(threads)
    pictures = {file.name: file for file in sorted(folder.glob("*.png"))}
    for model in models(home.checkpoints):
        if model.name in names:
            found = measure(model, pictures, work, home, _say, threads=threads, weights=weights)
            records.write(found, model.record)
            write(home)


def _say(line: str) -> None:
    print(line, flush=True)


def write(home: Home) -> None:
    """The page, the cards, and no picture that no model has."""
    for path, text in _texts(home).items():
        path.write_text(text, encoding="utf-8", newline="\n")
    for picture in _pictures_left_over(home):
        picture.unlink()


def _texts(home: Home) -> dict[Path, str]:
    """What the page and the cards should say, by path."""
    shipped = models(home.checkpoints)
    said = {file: said_by(file) for model in shipped for file in model.checkpoints}
    found = {model.name: records.read(model.record) for model in shipped}
    texts = {home.page: page(shipped, {model.name: said[model.main] for model in shipped}, found, home)}
    for model in shipped:
        prose = prose_of(_text(model.card) or template(model))
        texts[model.card] = card(prose, model, said, found[model.name], home)
    return texts


def disagreements(home: Home) -> Iterator[str]:
    """Everything that is not as it should be, a line each."""
    for path, text in _texts(home).items():
        if _text(path) != text:
            yield f"{path.relative_to(home.root)} is out of date: {AGAIN}"
    measured = {}
    for model in models(home.checkpoints):
        if missing := unwritten(_text(model.card)):
            yield f"{model.card.relative_to(home.root)} says nothing under {', '.join(missing)}"
        found = records.read(model.record)
        if found is None:
            continue
        measured[model.name] = found
        if found.checkpoints != model.hashes():
            yield f"{model.record.relative_to(home.root)} is of other weights: {AGAIN} KODAK --work DIR"
        for name in found.all_pictures:
            if not (home.pictures / name).exists():
                yield f"{model.name}: there is no picture {name}"
    if len({found.set_id for found in measured.values()}) > 1:
        yield f"not all models were measured on the same pictures: {', '.join(measured)}"
    for picture in _pictures_left_over(home):
        yield f"no model has the picture {picture.name}: {AGAIN}"
    size = sum(file.stat().st_size for file in home.pictures.glob("*"))
    if size > MOST_BYTES:
        yield f"the pictures have {size} bytes, more than {MOST_BYTES}"


def _pictures_left_over(home: Home) -> list[Path]:
    found = [records.read(model.record) for model in models(home.checkpoints)]
    wanted = {name for record in found if record is not None for name in record.all_pictures}
    return sorted(file for file in home.pictures.glob("*") if file.name not in wanted)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    main()
