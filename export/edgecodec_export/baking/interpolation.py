"""Network interpolation: a decoder between a faithful one and a realistic one (Wang et al. 2019, section 3.4; used for
codecs by Iwai et al. 2020, equation 8).

Baked at export, so the knob costs nothing at run time. It needs two decoders of one encoder and one entropy model;
only then does every baked decoder read the same files.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from edgecodec.description import Knobs
from edgecodec.errors import CheckpointRejected, InvalidArgument
from edgecodec_export.baking.baking import NOTHING, Asked, Baking, distinct
from edgecodec_export.baking.knob import Knob
from edgecodec_export.baking.point import Decoder, Point
from edgecodec_export.text import first_few

if TYPE_CHECKING:  # families import their bakings, not the other way round
    from edgecodec_export.families.codec import LearnedCodec

ALPHA = Knob("alpha", "alpha 0 is the decoder trained for fidelity, alpha 1 the one trained for realism.")
DEFAULT_ALPHAS = (0.0, 0.5, 1.0)
#: A mixture is named that is further than this, in dB, below the worse one of its decoders.
LEAST_CONNECTED = -1.0


class Interpolation(Baking):
    """Decoders between one trained for fidelity and one trained for realism, where there are two checkpoints."""

    TAKES_SECOND_MODEL: ClassVar[bool] = True

    def __init__(self, model: LearnedCodec, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> None:
        """Raises CheckpointRejected too, where the two models differ outside their decoders."""
        super().__init__(model, asked, mse)
        if mse is not None:
            self.alphas = distinct(asked.get("alpha", DEFAULT_ALPHAS))
            require_interpolation(
                model.state_dict(),
                mse.state_dict(),
                self.alphas,
                model.DECODER_PREFIXES,
                codecs=(model, mse),
            )
        elif "alpha" in asked:
            raise InvalidArgument("alpha needs two decoders", hint="give the second checkpoint with --ckpt-mse")

    @torch.no_grad()
    def doubts(self, images: Sequence[Tensor]) -> list[str]:
        """Of every mixture that is worse than both of its decoders, as where their weights lie far apart."""
        between = [alpha for alpha in self.alphas if 0 < alpha < 1] if self.mse is not None else []
        if not between:
            return []
        latents = [self.model.decoder_input(image, {}).latents for image in images]

        def decibels(alpha: float) -> float:
            decoder = self.baked_decoder({"alpha": alpha}).module
            pictures = [decoder(*each).clamp(0, 1) for each in latents]
            errors = [float((one - other).square().mean()) for one, other in zip(pictures, images, strict=True)]
            return -10 * math.log10(max(sum(errors) / len(errors), 1e-10))

        worse = min(decibels(0.0), decibels(1.0))
        return [
            f"alpha {alpha:g} is {-difference:.1f} dB worse than both decoders on photographs: their weights lie "
            "too far apart to be mixed; leave it out with --alpha, or train the realistic one nearer to the other"
            for alpha in between
            if not (difference := decibels(alpha) - worse) >= LEAST_CONNECTED  # nor is it where that is no number
        ]

    def decoder_knobs(self) -> list[Knobs]:
        return [{}] if self.mse is None else [{"alpha": alpha} for alpha in self.alphas]

    def default_knobs(self) -> Knobs:
        """The knobs of the most realistic decoder, for which the main checkpoint was trained."""
        return self.decoder_knobs()[-1]

    def baked_decoder(self, knobs: Knobs) -> Point:
        if self.mse is None:
            return super().baked_decoder(knobs)
        prefixes = self.model.DECODER_PREFIXES
        mixed = copy.deepcopy(self.model)
        mixed.load_state_dict(interpolate(self.model.state_dict(), self.mse.state_dict(), knobs["alpha"], prefixes))
        module = Decoder(mixed)
        return Point(knobs, module, module)


def interpolate(
    main: Mapping[str, Tensor], mse: Mapping[str, Tensor], alpha: float, decoder_prefixes: Sequence[str]
) -> dict[str, Tensor]:
    """(1 - alpha) * mse + alpha * main for every tensor under `decoder_prefixes`; all others as they are.

    alpha: 0 (the mse decoder) to 1 (the main one). The ends are exact copies.
    Raises what `require_interpolation` raises.
    """
    require_interpolation(main, mse, [alpha], decoder_prefixes)
    return {
        name: _mix(mse[name], tensor, alpha) if name.startswith(tuple(decoder_prefixes)) else tensor
        for name, tensor in main.items()
    }


def _mix(mse: Tensor, main: Tensor, alpha: float) -> Tensor:
    if alpha in (0.0, 1.0):
        return main if alpha else mse
    return ((1 - alpha) * mse.double() + alpha * main.double()).to(main.dtype)


def require_interpolation(
    main: Mapping[str, Tensor],
    mse: Mapping[str, Tensor],
    alphas: Sequence[float],
    decoder_prefixes: Sequence[str],
    codecs: tuple[LearnedCodec, LearnedCodec] | None = None,
) -> None:
    """Raise InvalidArgument for an alpha outside 0 to 1, and where there is none at all.

    Raise CheckpointRejected, with the list, where keys, shapes or types differ, or a single bit outside the decoder.
    codecs: the models of both, if the caller has them. Their families are compared first, and then each field of their
    presets: equal weights with other conventions (padding, rounding, range of the pictures) are another codec.
    """
    if not alphas or not all(0 <= alpha <= 1 for alpha in alphas):
        raise InvalidArgument(f"alpha must be between 0 and 1, not {', '.join(map(str, alphas)) or 'nothing'}")
    problems = (codecs and _codec_differences(*codecs)) or _tensor_differences(
        main, mse, tuple(decoder_prefixes), lambda name: _in_their_words(name, codecs)
    )
    if problems:
        files = [codec.checkpoint_file for codec in codecs or ()]
        pair = " and ".join(filter(None, files)) if files and all(files) else "these two checkpoints"
        raise CheckpointRejected(
            f"{pair} do not share an encoder:\n  " + "\n  ".join(problems),
            hint="train the second decoder with the encoder and the entropy model of the first frozen",
        )


def _codec_differences(main: LearnedCodec, mse: LearnedCodec) -> list[str]:
    if main.FAMILY != mse.FAMILY:
        return [f"family: {main.FAMILY!r} and {mse.FAMILY!r}"]
    return [f"configuration, {line}" for line in _preset_differences(main.preset, mse.preset)]


def _preset_differences(main: Any, mse: Any) -> list[str]:
    """A line for each field in which two presets differ."""
    a, b = vars(main), vars(mse)
    return [f"{name}: {a.get(name)!r} and {b.get(name)!r}" for name in sorted(a | b) if a.get(name) != b.get(name)]


def _in_their_words(name: str, codecs: tuple[LearnedCodec, LearnedCodec] | None) -> str:
    """The key that a tensor has in the files of the two codecs, or both keys."""
    keys = dict.fromkeys(codec.checkpoint_keys.get(name, name) for codec in codecs or ())
    return " and ".join(keys) or name


def _tensor_differences(
    main: Mapping[str, Tensor],
    mse: Mapping[str, Tensor],
    decoder_prefixes: tuple[str, ...],
    shown: Callable[[str], str],
) -> list[str]:
    shapes, values = [], []
    for name in (name for name in main if name in mse):
        a, b = main[name], mse[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            shapes.append(f"{shown(name)}: {tuple(a.shape)} {a.dtype} and {tuple(b.shape)} {b.dtype}")
        elif not name.startswith(decoder_prefixes) and not _same_bits(a, b):
            values.append(f"{shown(name)}: outside the decoder, and the values differ")
    return [
        *first_few(
            [f"{shown(name)}: only in the main checkpoint" for name in main if name not in mse], "only in the main one"
        ),
        *first_few(
            [f"{shown(name)}: only in the mse checkpoint" for name in mse if name not in main], "only in the mse one"
        ),
        *first_few(shapes, "of other shapes or types"),
        *first_few(values, "outside the decoder, whose values differ"),
    ]


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))
