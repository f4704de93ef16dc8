"""Keeping the entropy model of an earlier bundle, so that its files decode with the new one.

Integers ranged elsewhere, on other photographs, by another version of PyTorch or NumPy, or on a processor for which
they have other kernels, are another model with another id, and nothing decodes what the first has coded. What a kept
model is asked is whether it is of this checkpoint: whether it codes photographs about as well as the checkpoint's own
model in floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecodec.bundle import Bundle
from edgecodec.errors import ModelMismatch
from edgecodec_export.entropy.cost import EntropyCost
from edgecodec_export.families import LearnedCodec
from edgecodec_export.messages import printable

# Percent of the bits of any one setting. What is frozen for a checkpoint costs it some tenths of a percent at most, and
# what is frozen for another one many percent.
LARGEST_OVERHEAD = 1.0
# The same where probabilities are counted and not learned: those of other photographs differ by more than integers do.
LARGEST_OVERHEAD_OF_COUNTS = 5.0

_HINT = "export without it; files of that bundle then need that bundle"


@dataclass(frozen=True)
class KeptEntropy:
    """data: entropy.bin. path: of the bundle it was taken from. origin: for people, the bundle and the versions and
    processor that froze it, which may be older still.
    """

    data: bytes
    path: Path
    origin: Mapping[str, Any]


def keep_entropy(path: Path, model: LearnedCodec, family: str, preset: str) -> KeptEntropy:
    """The entropy model of the bundle at `path`, for another export of `model`.

    Raises ModelMismatch, with the list, where it is of another family or preset, has other latents, or pads otherwise;
    NotABundle, UnsupportedVersion, BundleChanged, BadModel, CannotRead.
    """
    bundle = Bundle(path)
    info, entropy = bundle.info, bundle.entropy_model()
    coded = (*model.side_latents(), *model.encoder_latents())
    pairs = {
        "family": (info.family, family),
        "preset": (info.preset, preset),
        "latents that are coded": (_shapes(info.encoder_latents), _shapes(coded)),
        "latents that are decoded": (_shapes(info.decoder_latents), _shapes(model.decoder_latents())),
        "alignment of latents": (entropy.alignment, model.latent_alignment()),
        "alignment of pictures": (info.image.alignment, model.ALIGNMENT),
        "padding": (info.image.rule, model.PADDING),
    }
    problems = [f"{what}: {kept}, not {own}" for what, (kept, own) in pairs.items() if kept != own]
    if problems:
        raise ModelMismatch(
            "its entropy model is not one of this checkpoint:\n  " + "\n  ".join(problems), where=str(path), hint=_HINT
        )
    origin = info.provenance.get("entropy")
    if not isinstance(origin, dict) or not isinstance(origin.get("bundle"), str):
        told = {name: info.provenance.get(name) for name in ("versions", "processor")}
        origin = {"bundle": printable(path.resolve().name), **told}
    return KeptEntropy(bundle.checked(info.entropy).read_bytes(), path, origin)


def require_fit(kept: KeptEntropy, cost: EntropyCost, *, counted: bool) -> None:
    """Raise ModelMismatch, with the list, where a kept model codes pictures of any one setting too badly.

    cost: of the kept model. counted: whether what it is compared with are counts of these pictures' like.
    """
    bound = LARGEST_OVERHEAD_OF_COUNTS if counted else LARGEST_OVERHEAD
    problems = [
        f"{_words(each.knobs)}{each.overhead_percent:+.2f} % bits"
        for each in cost.by_setting or (cost,)
        if not each.overhead_percent <= bound
    ]
    if problems:
        raise ModelMismatch(
            f"its entropy model does not fit this checkpoint, whose own would take fewer bits by more than {bound:g} %:"
            + "\n  ".join(["", *problems]),
            where=str(kept.path),
            hint=_HINT,
        )


def _shapes(latents: Any) -> list[tuple[str, int, int]]:
    return [(each.name, each.channels, each.stride) for each in latents]


def _words(knobs: Mapping[str, float]) -> str:
    return "".join(f"{name} {value:g}: " for name, value in sorted(knobs.items()))
