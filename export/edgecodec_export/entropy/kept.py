"""Keeping the entropy model of an earlier bundle, so that its files decode with the new one.

Calibrating again on other photographs, with another version of PyTorch or NumPy, or on another kind of processor gives
an entropy model with another id, which does not decode files of the first. A kept model is accepted if it fits this
checkpoint: latents and padding are the same, and it codes photographs about as well as the checkpoint's float model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecodec.bundle import Bundle
from edgecodec.description import LatentSpec, Model
from edgecodec.errors import ModelMismatch
from edgecodec.manifest import read_manifest
from edgecodec_export.entropy.cost import EntropyCost
from edgecodec_export.families import LearnedCodec
from edgecodec_export.text import printable

# Largest overhead in percent at any one setting. A checkpoint's own frozen model costs some tenths of a percent,
# another checkpoint's many percent.
LARGEST_OVERHEAD = 1.0
# The same for counted probabilities: those counted on other photographs differ more than integers from floats.
LARGEST_OVERHEAD_OF_COUNTS = 5.0

_HINT = "export without it; files of that bundle then need that bundle"


@dataclass(frozen=True)
class KeptEntropy:
    """The entropy model of an earlier bundle. path: of that bundle.

    candidates: the bytes of entropy.bin; several where the bundle has several models of the same shapes, of which the
    one that codes photographs best is kept. origin: JSON values for the provenance: the bundle, versions and processor
    that froze the model. An earlier bundle that kept its model itself passes its own origin on.
    """

    candidates: tuple[bytes, ...]
    path: Path
    origin: Mapping[str, Any]


def keep_entropy(path: Path, model: LearnedCodec, family: str, preset: str) -> KeptEntropy:
    """The entropy model of the bundle at `path`, for another export of `model`.

    Raises ModelMismatch, with the list, if family, preset, latents, alignment or padding differ; and what opening a
    bundle raises: NotABundle, UnsupportedVersion, BundleChanged, BadModel, CannotRead.
    """
    bundle = Bundle(path)
    description, provenance = bundle.info, read_manifest(path).background.provenance
    common = {} if description.family == family else {"family": (description.family, family)}
    if preset not in description.preset.split(", "):
        common["preset"] = (description.preset, preset)
    differing = {own.entropy: common | _differences(own, model) for own in description.models}
    fitting = [entropy for entropy, problems in differing.items() if not problems]
    if not fitting:
        problems = [
            f"{what}: {kept}, not {wanted}" for what, (kept, wanted) in min(differing.values(), key=len).items()
        ]
        raise ModelMismatch(
            "its entropy model is not one of this checkpoint:\n  " + "\n  ".join(problems), where=str(path), hint=_HINT
        )
    origin = provenance.get("entropy")
    if not isinstance(origin, dict) or not isinstance(origin.get("bundle"), str):
        froze = {name: provenance.get(name) for name in ("versions", "processor")}
        origin = {"bundle": printable(path.resolve().name), **froze}
    return KeptEntropy(tuple(map(bundle.read, fitting)), path, origin)


def _differences(own: Model, model: LearnedCodec) -> dict[str, tuple[Any, Any]]:
    """What a kept model has and what the checkpoint wants, by what it is called, where the two differ."""
    coded = (*model.side_latents(), *model.encoder_latents())
    pairs = {
        "latents that are coded": (_shapes(own.encoder_latents), _shapes(coded)),
        "latents that are decoded": (_shapes(own.decoder_latents), _shapes(model.decoder_latents())),
        "alignment of latents": (own.alignment, model.latent_alignment()),
        "alignment of pictures": (own.padding.alignment, model.ALIGNMENT),
        "padding": (own.padding.rule, model.PADDING),
    }
    return {what: (kept, wanted) for what, (kept, wanted) in pairs.items() if kept != wanted}


def require_fit(kept: KeptEntropy, cost: EntropyCost, *, counted: bool) -> None:
    """Raise ModelMismatch, with the list, if a kept model costs too much at any one setting.

    cost: of the kept model. counted: whether the probabilities it is compared with were counted on photographs.
    """
    bound = LARGEST_OVERHEAD_OF_COUNTS if counted else LARGEST_OVERHEAD
    problems = [
        f"{_words(each.knobs)}{each.overhead_percent:+.2f} % bits"
        for each in cost.by_setting or (cost,)
        if not each.overhead_percent <= bound
    ]
    if problems:
        raise ModelMismatch(
            f"its entropy model does not fit this checkpoint: bits exceed the float model's by more than {bound:g} %:"
            + "\n  ".join(["", *problems]),
            where=str(kept.path),
            hint=_HINT,
        )


def _shapes(latents: Iterable[LatentSpec]) -> list[tuple[str, int, int]]:
    return [(each.name, each.channels, each.stride) for each in latents]


def _words(knobs: Mapping[str, float]) -> str:
    return "".join(f"{name} {value:g}: " for name, value in sorted(knobs.items()))
