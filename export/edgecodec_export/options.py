"""The options of an export and of fusing, for functions and the command line alike. Importing this loads no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

#: Folder of a bundle for fused graphs.
FUSED = "fused"
#: Of every bundle, where the graphs stay within the bounds of each.
PRECISIONS = ("fp32", "fp16")

#: What a checkpoint can be, for the completion of shells, which cannot wait until torch is loaded.
FAMILY_NAMES = ("agustsson", "crdr", "fidelity", "hific", "hyperprior", "tunable")


def family_names() -> list[str]:
    return list(FAMILY_NAMES)


@dataclass(frozen=True)
class ExportOptions:
    """One export to the bundle `output`.

    checkpoints: one; or several of one family and of several rates, of which encoding chooses by `quality`, 0 for the
    lowest rate. mse_checkpoints: to each a decoder trained for fidelity on the same encoder; the bundle then holds
    decoders interpolated between the two. knobs: the values to bake by name; knobs that are not named get the family's
    own choice. family: of the checkpoints, for files that are not recognised. calibration: a folder of photographs.
    entropy_from: a bundle of the same checkpoints whose entropy models to keep, so that the files it has coded decode
    with the new one. precision: those of the graphs; None for PRECISIONS, of which those whose graphs miss their
    bounds are left out. One that is named is exported, or is an error. fused: write the decoders as fused graphs
    too, to the folder FUSED of the bundle. triton: write them as models to this repository too, as `TritonOptions`
    does by default. force: replace a bundle, and models, that are there.
    """

    checkpoints: Annotated[
        list[Path],
        Option("--ckpt", metavar="FILE", help="Trained weights, as their authors saved them. Repeated: several rates."),
    ]
    output: Annotated[Path, Option("--output", "-o", metavar="DIR", help="Bundle to write.")]
    mse_checkpoints: Annotated[
        list[Path] | None,
        Option(
            "--ckpt-mse", metavar="FILE", help="Decoder trained for fidelity, to interpolate with; one for each --ckpt."
        ),
    ] = None
    knobs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    family: Annotated[
        str | None,
        Option(metavar="NAME", help="What the checkpoint is. [default: recognised]", autocompletion=family_names),
    ] = None
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
    fused: Annotated[bool, Option("--fused", help="Write the decoders as fused graphs too; see fuse.")] = False
    triton: Annotated[
        Path | None, Option(metavar="DIR", help="Write the decoders to a Triton model repository too; see triton.")
    ] = None
    force: Annotated[bool, Option("--force", help="Overwrite existing outputs.")] = False
    precision: Sequence[str] | None = None


@dataclass(frozen=True)
class FuseOptions:
    """Decoders of `bundle` to write as fused graphs to the folder `output`; None: beside the bundle.

    knobs: decoders that have one of these values of each, by name; precision: those in it. Without either, all.
    max_pixels: of a picture, width times height; the graphs refuse larger ones. force: replace files that are there.
    """

    bundle: Annotated[Path, Argument(metavar="BUNDLE", help="Folder that export wrote.")]
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="DIR", help="Folder to write to. [default: BUNDLE's name.fused]")
    ] = None
    knobs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    precision: Annotated[str | None, Option(metavar="P", help="fp32, fp16... [default: all]")] = None
    max_pixels: Annotated[int, Option(min=1, metavar="N", help="Largest picture that the graphs take, in pixels.")] = (
        1 << 26
    )
    force: Annotated[bool, Option("--force", help="Overwrite existing outputs.")] = False

    def folder(self) -> Path:
        """Where the graphs go."""
        if self.output is not None:
            return self.output
        named = self.bundle if self.bundle.name not in ("", "..") else Path(os.path.abspath(self.bundle))
        return named.with_name(f"{named.name.removesuffix('.bundle')}.fused")


@dataclass(frozen=True)
class TritonOptions:
    """Decoders of `bundle` to write as models to the repository `output`, which may hold others.

    knobs, precision: as in FuseOptions. name: begins the models' names; None: as the bundle is called. mounted_at: the
    path of the repository on the server. library: a build of libedgecodec for the server; None: the one in use here.
    threads: of the processor for each instance, or None for all. force: replace models that are there.
    """

    bundle: Annotated[Path, Argument(metavar="BUNDLE", help="Folder that export wrote.")]
    output: Annotated[Path, Option("--output", "-o", metavar="DIR", help="Model repository to write to.")]
    knobs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    precision: Annotated[str | None, Option(metavar="P", help="fp32, fp16... [default: all]")] = None
    name: Annotated[
        str | None, Option(metavar="NAME", help="First part of the models' names. [default: the bundle's]")
    ] = None
    mounted_at: Annotated[str, Option(metavar="PATH", help="Where the server sees the repository.")] = "/models"
    device: Annotated[str, Option(metavar="D", help="Runs the network: cpu or gpu.")] = "cpu"
    instances: Annotated[int, Option(min=1, metavar="N", help="Pictures at a time, for each model.")] = 1
    threads: Annotated[
        int | None, Option(min=1, metavar="N", help="Processor threads of an instance. [default: all]")
    ] = None
    library: Annotated[
        Path | None, Option(metavar="FILE", help="libedgecodec for the server. [default: the one in use here]")
    ] = None
    max_pixels: Annotated[int, Option(min=1, metavar="N", help="Largest picture that the graphs take, in pixels.")] = (
        1 << 26
    )
    force: Annotated[bool, Option("--force", help="Overwrite existing outputs.")] = False
