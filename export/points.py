"""What is baked: every family's encoder and decoder at fixed knobs, as modules that are ready to become graphs.

A knob is baked, so that it costs nothing at run time; or it stays an input of the encoder's graph, where it cannot be
folded into weights; or the family has none. Points are made one at a time, because decoders may be large.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from edgecodec.errors import InvalidArgument
from edgecodec.export.bake import interpolate, require_interpolation
from edgecodec.export.families import Agustsson, Crdr, Fidelity, LearnedCodec, ScaleHyperprior, Tunable
from edgecodec.export.families.crdr_baking import bake_decoder, bake_encoder
from edgecodec.export.families.tunable import LARGEST_N, SMALLEST_N, fold_batch_norm

Knobs = dict[str, float]

DEFAULT_ALPHAS = (0.0, 0.5, 1.0)
DEFAULT_BETAS = (0.0, 3.84)  # those of the paper's figures
QUALITY_STEPS = 64  # coded pictures carry quality in this fraction of a level


@dataclass(frozen=True)
class Scalar:
    """A knob that is an input of the graph."""

    low: float
    high: float
    default: float


@dataclass(frozen=True)
class Point:
    """An encoder or a decoder with its baked knobs.

    module: what is exported. An encoder maps (1, 3, H, W) in [0, 1] and one scalar per knob that is not to the codec's
    encoder latents; a decoder maps decoder latents, and noise where the codec has any, to the picture.
    reference: the model itself with the same inputs, which the graph is checked against.
    """

    knobs: Knobs
    module: nn.Module
    reference: nn.Module
    scalars: Mapping[str, Scalar] = field(default_factory=dict)


def suffix(knobs: Knobs) -> str:
    """What tells the files of baked points apart: "-beta3.84-quality2"."""
    return "".join(f"-{knob}{repr(value).removesuffix('.0')}" for knob, value in sorted(knobs.items()))


@dataclass(frozen=True)
class Asked:
    """Values of the knobs to bake; None for the family's own choice."""

    alpha: Sequence[float] | None = None
    quality: Sequence[float] | None = None
    beta: Sequence[float] | None = None


NOTHING = Asked()


class Baking:
    """One encoder and one decoder, as they are."""

    #: Knobs of the family that can be baked, and those that are inputs of its encoder.
    BAKED: ClassVar[tuple[str, ...]] = ()
    INPUTS: ClassVar[Mapping[str, Scalar]] = {}

    def __init__(self, model: LearnedCodec, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> None:
        """mse: a second model with the same encoder. Raises InvalidArgument for a knob there is not."""
        self.model, self.asked, self.mse = model, asked, mse
        known = [*self.baked_knobs(), *(f"{name} (given when a picture is encoded)" for name in self.INPUTS)]
        hint = f"its knobs: {', '.join(known) or 'none'}"
        for knob, values in vars(asked).items():
            if values is not None and knob not in self.baked_knobs():
                raise InvalidArgument(f"{model.FAMILY} has no {knob} to bake", hint=hint)
            if values is not None and not values:
                raise InvalidArgument(f"there is no {knob} to bake", hint="give one value or more")
        if mse is not None and "alpha" not in self.BAKED:
            raise InvalidArgument(f"{model.FAMILY} takes one checkpoint, not two", hint=hint)

    def baked_knobs(self) -> tuple[str, ...]:
        """Knobs that this model can be baked at."""
        return self.BAKED

    def encoder_knobs(self) -> list[Knobs]:
        """Those of every encoder to bake."""
        return [{}]

    def decoder_knobs(self) -> list[Knobs]:
        """Those of every decoder to bake."""
        return [{}]

    def default_knobs(self) -> Knobs:
        """What is meant where nothing is asked at run time."""
        return {}

    def settings(self) -> list[Knobs]:
        """Knobs, by their names in the model's `encode`, at which pictures are to be coded: what calibration covers."""
        return [{}]

    def encoder(self, knobs: Knobs) -> Point:
        """One of `encoder_knobs`."""
        module = Encoder(self.model)
        return Point(knobs, module, module)

    def decoder(self, knobs: Knobs) -> Point:
        """One of `decoder_knobs`."""
        module = Decoder(self.model)
        return Point(knobs, module, module)


class Interpolation(Baking):
    """Decoders between one trained for fidelity and one trained for realism, where there are two checkpoints."""

    BAKED = ("alpha",)

    def __init__(self, model: LearnedCodec, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> None:
        """Raises CheckpointRejected too, where the two models differ outside their decoders."""
        super().__init__(model, asked, mse)
        if mse is not None:
            self.alphas = _distinct(DEFAULT_ALPHAS if asked.alpha is None else asked.alpha)
            require_interpolation(
                model.state_dict(),
                mse.state_dict(),
                self.alphas,
                model.DECODER_PREFIXES,
                configurations=(model.preset, mse.preset),
            )
        elif asked.alpha is not None:
            raise InvalidArgument("alpha needs two decoders", hint="give the second checkpoint with --ckpt-mse")

    def decoder_knobs(self) -> list[Knobs]:
        return [{}] if self.mse is None else [{"alpha": alpha} for alpha in self.alphas]

    def default_knobs(self) -> Knobs:
        """The most realistic decoder, which is what the main checkpoint was trained for."""
        return self.decoder_knobs()[-1]

    def decoder(self, knobs: Knobs) -> Point:
        if self.mse is None:
            return super().decoder(knobs)
        prefixes = self.model.DECODER_PREFIXES
        mixed = copy.deepcopy(self.model)
        mixed.load_state_dict(interpolate(self.model.state_dict(), self.mse.state_dict(), knobs["alpha"], prefixes))
        module = Decoder(mixed)
        return Point(knobs, module, module)


class RateAndRealism(Baking):
    """quality in encoder and decoder; beta, where the model has it, in the decoder."""

    BAKED = ("quality", "beta")
    model: Crdr

    def __init__(self, model: Crdr, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> None:
        """quality is rounded to 1/64. Raises InvalidArgument for values out of range."""
        super().__init__(model, asked, mse)
        qualities = range(model.levels) if asked.quality is None else asked.quality
        self.qualities = _distinct(
            round(model.checked_quality(quality) * QUALITY_STEPS) / QUALITY_STEPS for quality in qualities
        )
        self.betas = _distinct(model.checked_beta(beta) for beta in asked.beta or DEFAULT_BETAS if model.realism)

    def baked_knobs(self) -> tuple[str, ...]:
        return self.BAKED if self.model.realism else ("quality",)

    def encoder_knobs(self) -> list[Knobs]:
        return [{"quality": quality} for quality in self.qualities]

    def decoder_knobs(self) -> list[Knobs]:
        betas: list[Knobs] = [{"beta": beta} for beta in self.betas] or [{}]
        return [{"quality": quality, **beta} for quality in self.qualities for beta in betas]

    def default_knobs(self) -> Knobs:
        """Those nearest to the middle rate and to the realism of the paper's figures."""
        middle, realistic = (self.model.levels - 1) / 2, max(DEFAULT_BETAS)
        return min(
            self.decoder_knobs(),
            key=lambda knobs: (abs(knobs["quality"] - middle), abs(knobs.get("beta", 0.0) - realistic)),
        )

    def settings(self) -> list[Knobs]:
        return self.encoder_knobs()

    def encoder(self, knobs: Knobs) -> Point:
        return Point(knobs, bake_encoder(self.model, knobs["quality"]), Encoder(self.model, knobs))

    def decoder(self, knobs: Knobs) -> Point:
        baked = bake_decoder(self.model, knobs["quality"], knobs.get("beta", 0.0))
        return Point(knobs, baked, Decoder(self.model, knobs))


class ScalarRate(Baking):
    """The rate is an input of the one encoder; batch norm is folded."""

    INPUTS: ClassVar = {"n": Scalar(SMALLEST_N, LARGEST_N, 0.0)}
    model: Tunable

    def default_knobs(self) -> Knobs:
        return {name: scalar.default for name, scalar in self.INPUTS.items()}

    def settings(self) -> list[Knobs]:
        return [{"n": n} for n in (0.0, SMALLEST_N, LARGEST_N, SMALLEST_N / 2, LARGEST_N / 2)]

    def encoder(self, knobs: Knobs) -> Point:
        return Point(knobs, Encoder(fold_batch_norm(self.model)), Encoder(self.model), self.INPUTS)

    def decoder(self, knobs: Knobs) -> Point:
        return Point(knobs, Decoder(fold_batch_norm(self.model)), Decoder(self.model))


#: How each kind of codec is baked. A new kind is a class above and a line here.
BAKINGS: tuple[tuple[type[LearnedCodec], type[Baking]], ...] = (
    (ScaleHyperprior, Interpolation),
    (Fidelity, Interpolation),
    (Crdr, RateAndRealism),
    (Tunable, ScalarRate),
    (Agustsson, Baking),
)


def baking_of(model: LearnedCodec, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> Baking:
    """How `model` is baked. Raises InvalidArgument for knobs its family has not, and what the baking raises."""
    (kind,) = (baking for family, baking in BAKINGS if isinstance(model, family))
    return kind(model, asked, mse)


class Encoder(nn.Module):
    """`encode` of a codec as a module, with keywords fixed."""

    def __init__(self, model: LearnedCodec, fixed: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.fixed = model, dict(fixed or {})

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.model.encode(*inputs, **self.fixed)


class Decoder(nn.Module):
    """`decode` of a codec as a module, with keywords fixed."""

    def __init__(self, model: LearnedCodec, fixed: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.fixed = model, dict(fixed or {})

    def forward(self, *latents: Tensor) -> Tensor:
        return self.model.decode(*latents, **self.fixed)


def _distinct(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(set(map(float, values))))
