"""The options of an export, for the function and the command line alike. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from typer import Option


@dataclass(frozen=True)
class ExportOptions:
    """One export of a checkpoint, or a pair of them, to the bundle `output`.

    mse_checkpoint: a decoder trained for fidelity on the same encoder; the bundle then holds decoders interpolated
    between the two. knobs: the values to bake by name; knobs that are not named get the family's own choice. family:
    the checkpoint's family, for files that are not recognised. calibration: a folder of photographs. entropy_from: a
    bundle of the same checkpoint whose entropy model to keep, so that the files it has coded decode with the new one.
    force: replace a bundle that is already there.
    """

    checkpoint: Annotated[Path, Option("--ckpt", metavar="FILE", help="Trained weights, as their authors saved them.")]
    output: Annotated[Path, Option("--output", "-o", metavar="DIR", help="Bundle to write.")]
    mse_checkpoint: Annotated[
        Path | None, Option("--ckpt-mse", metavar="FILE", help="Decoder trained for fidelity, to interpolate with.")
    ] = None
    knobs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    family: Annotated[str | None, Option(metavar="NAME", help="What the checkpoint is. [default: recognised]")] = None
    calibration: Annotated[
        Path | None, Option(metavar="DIR", help="Photographs to calibrate on. [default: built in]")
    ] = None
    entropy_from: Annotated[
        Path | None,
        Option(
            metavar="BUNDLE",
            help="Earlier bundle of the same checkpoint: keep its entropy model, so that its files decode. "
            "[default: calibrate a new one]",
        ),
    ] = None
    force: Annotated[bool, Option("--force", help="Overwrite existing outputs.")] = False
