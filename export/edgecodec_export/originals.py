"""What the models of a bundle are made of: checkpoints as they were read, and photographs to calibrate on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgecodec.errors import InvalidArgument
from edgecodec_export.baking import Baking
from edgecodec_export.bundle.description import CheckpointFile, Source
from edgecodec_export.calibration import CalibrationPictures, load_calibration_pictures
from edgecodec_export.checkpoints import (
    WRAPPING,
    Checkpoint,
    class_names,
    load_models,
    rate_fits,
    read_checkpoint,
    stored_notes,
)
from edgecodec_export.entropy.kept import KeptEntropy, keep_entropy
from edgecodec_export.file_hash import sha256_of
from edgecodec_export.options import ExportOptions
from edgecodec_export.text import Progress, label, printable


@dataclass(frozen=True)
class Original:
    """One model to export. kept: the entropy model to use instead of freezing a new one."""

    source: Source
    baking: Baking
    pictures: CalibrationPictures
    kept: KeptEntropy | None = None


def load_originals(options: ExportOptions, progress: Progress) -> list[Callable[[], Original]]:
    """A function for each checkpoint, or pair of them, that gives what it holds.

    Several are read here once and again when they are exported, so that whatever is wrong with the last is said before
    the first is exported, and yet one is in memory at a time.

    Raises InvalidArgument for checkpoints that do not belong into one bundle; and what `export_bundle` raises for
    checkpoints, calibration and entropy_from.
    """
    pairs = _pairs(options)
    names = _names([path for pair in pairs for path in pair if path is not None])
    if len(pairs) == 1:
        original = _load(*pairs[0], names, options, progress)
        return [lambda: original]
    known: list[tuple[Path, _Traits]] = []
    for checkpoint, mse in pairs:
        found = _traits(checkpoint, _load(checkpoint, mse, names, options, progress))
        for path, traits in known:
            found.require_alike(checkpoint, traits, path)
        known.append((checkpoint, found))
    return [partial(_load, checkpoint, mse, names, options, lambda line: None) for checkpoint, mse in pairs]


_ONE_BY_ONE = "export each checkpoint to a bundle of its own"


def _pairs(options: ExportOptions) -> list[tuple[Path, Path | None]]:
    """Each checkpoint with its second one, where there are any."""
    mains, others = options.checkpoints, options.mse_checkpoints or []
    if not mains:
        raise InvalidArgument("there is no checkpoint to export", where="--ckpt")
    if not others:
        return [(main, None) for main in mains]
    if len(mains) != len(others):
        raise InvalidArgument(
            f"--ckpt is given {_times(mains)} and --ckpt-mse {_times(others)}",
            where="--ckpt-mse",
            hint="give one for each --ckpt, in the same order, or none",
        )
    return list(zip(mains, others, strict=True))


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """What files are called: by their names, and by their folders' where several have one name."""
    alone = Counter(path.name for path in set(paths))
    return {
        path: printable(path.name if alone[path.name] == 1 else os.path.join(path.parent.name, path.name))
        for path in paths
    }


def _times(paths: Sequence[Path]) -> str:
    return "once" if len(paths) == 1 else f"{len(paths)} times"


def _require_one_rate(baking: Baking, checkpoint: Path) -> None:
    knobs = sorted({*baking.scalars()}.union(*baking.encoder_knobs()))
    if knobs:
        raise InvalidArgument(
            f"{baking.model.FAMILY} has all its rates in one checkpoint, by {' and '.join(knobs)}",
            where=str(checkpoint),
            hint=_ONE_BY_ONE,
        )


@dataclass(frozen=True)
class _Traits:
    """What all models of a bundle have in common, by what it is called; and the hash that none of them shares."""

    common: Mapping[str, str]
    sha256: str

    def require_alike(self, path: Path, other: _Traits, other_path: Path) -> None:
        """Raise InvalidArgument, with both files, for what cannot be in one bundle."""
        if self.sha256 == other.sha256:
            raise InvalidArgument(f"is the same checkpoint as {other_path}", where=str(path), hint="give each once")
        for what, value in self.common.items():
            if value != other.common[what]:
                raise InvalidArgument(
                    f"differs from {other_path} in {what}: {value}, not {other.common[what]}",
                    where=str(path),
                    hint=_ONE_BY_ONE,
                )


def _traits(checkpoint: Path, original: Original) -> _Traits:
    """Raises InvalidArgument for a model that has several rates by itself."""
    source, baking = original.source, original.baking
    _require_one_rate(baking, checkpoint)
    common = {
        "family": [source.family],
        "decoders": [label(knobs) for knobs in baking.decoder_knobs() if knobs],
        "side inputs": [latent.name for latent in baking.model.side_latents()],
        "classes": list(source.classes),
    }
    return _Traits({what: ", ".join(each) or "none" for what, each in common.items()}, source.checkpoints[0].sha256)


def _load(
    checkpoint: Path, mse: Path | None, names: Mapping[Path, str], options: ExportOptions, progress: Progress
) -> Original:
    """names: of the files. Tensors as they were stored are released on return."""
    paths = {"main": checkpoint} | ({} if mse is None else {"mse": mse})
    checkpoints = {role: read_checkpoint(path, options.family) for role, path in paths.items()}
    for role, path in paths.items():
        for line in _what_was_taken(checkpoints[role]):
            progress(f"{names[path]}, {line}")
    model, second = load_models(checkpoints["main"], checkpoints.get("mse"))
    files = tuple(
        CheckpointFile(role, names[path], sha256_of(path), stored_notes(checkpoints[role]))
        for role, path in paths.items()
    )
    main = checkpoints["main"]
    source = Source(main.family, main.preset, files, class_names(main, model), rate_fits(main, model))
    baking = model.baking(options.knobs, second)
    for note in baking.notes():
        progress(note)
    earlier = options.entropy_from
    kept = None if earlier is None else keep_entropy(earlier, model, source.family, source.preset)
    pictures = load_calibration_pictures(options.calibration, model.latent_alignment(), model.SMALLEST_SIDE)
    return Original(source, baking, pictures, kept)


def _what_was_taken(checkpoint: Checkpoint) -> list[str]:
    """Which weights of the file the checkpoint is, where the file holds more than plain weights."""
    wrapped = [f"{topic}: {checkpoint.notes[topic]}" for topic in WRAPPING if topic in checkpoint.notes]
    left_out = "; ".join(f"{name} ({why})" for name, why in sorted(checkpoint.left_out.items()))
    return wrapped + ([f"left out: {left_out}"] if left_out else [])
