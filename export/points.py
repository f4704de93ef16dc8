"""What is baked: every family's encoder and decoder at fixed knobs, as modules that are ready to become graphs.

A knob is baked, so that it costs nothing at run time; or it stays an input of the encoder's graph, where it cannot be
folded into weights; or the family has none. Points are made one at a time, because a decoder may be large.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
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

    module: what is exported. An encoder maps (1, 3, H, W) in [0, 1] and one (1,) tensor per scalar to the codec's
    encoder latents; a decoder maps decoder latents, and noise where the codec has any, to the picture.
    reference: the model itself with the same inputs, which the graph is checked against.
    """

    knobs: Knobs
    module: nn.Module
    reference: nn.Module
    scalars: dict[str, Scalar] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """What distinguishes the graph's file name."""
        return "".join(f"-{knob}{repr(value).removesuffix('.0')}" for knob, value in sorted(self.knobs.items()))


@dataclass(frozen=True)
class Asked:
    """Values of the knobs to bake; None for the family's own choice."""

    alpha: Sequence[float] | None = None
    quality: Sequence[float] | None = None
    beta: Sequence[float] | None = None


class Baking:
    """One encoder and one decoder, as they are."""

    #: Knobs of the family that can be baked, and those that pictures are encoded with.
    BAKED: ClassVar[tuple[str, ...]] = ()
    INPUTS: ClassVar[Mapping[str, Scalar]] = {}

    def __init__(
        self, model: LearnedCodec, asked: Asked | None = None, mse: Mapping[str, Tensor] | None = None
    ) -> None:
        """mse: state dict of a second model with the same encoder. Raises InvalidArgument for a knob there is not."""
        self.model, self.asked, self.mse = model, asked or Asked(), mse
        for knob, values in vars(self.asked).items():
            if values is not None and knob not in self.baked_knobs():
                raise InvalidArgument(f"{model.FAMILY} has no {knob} to bake", hint=f"its knobs: {self._knobs()}")
        if mse is not None and "alpha" not in self.BAKED:
            raise InvalidArgument(f"{model.FAMILY} takes one checkpoint, not two", hint=f"its knobs: {self._knobs()}")

    def baked_knobs(self) -> tuple[str, ...]:
        """Knobs that this model can be baked at."""
        return self.BAKED

    def _knobs(self) -> str:
        inputs = [f"{name} (given when a picture is encoded)" for name in self.INPUTS]
        return ", ".join([*self.baked_knobs(), *inputs]) or "none"

    def encoders(self) -> Iterator[Point]:
        """Every baked encoder."""
        module = Encoder(self.model)
        yield Point({}, module, module)

    def decoders(self) -> Iterator[Point]:
        """Every baked decoder."""
        module = Decoder(self.model)
        yield Point({}, module, module)

    def default_knobs(self) -> Knobs:
        """What is meant where nothing is asked at run time."""
        return {}

    def settings(self) -> list[Knobs]:
        """Knobs, by their names in the model's `encode`, at which pictures are to be coded: what calibration covers."""
        return [{}]


class Interpolation(Baking):
    """Decoders between one trained for fidelity and one trained for realism, where there are two checkpoints."""

    BAKED = ("alpha",)

    def __init__(
        self, model: LearnedCodec, asked: Asked | None = None, mse: Mapping[str, Tensor] | None = None
    ) -> None:
        """Raises CheckpointRejected too, where the two models differ outside their decoders."""
        super().__init__(model, asked, mse)
        self.alphas: tuple[float, ...] = ()
        if mse is not None:
            self.alphas = _distinct(DEFAULT_ALPHAS if self.asked.alpha is None else self.asked.alpha)
            require_interpolation(model.state_dict(), mse, self.alphas, model.DECODER_PREFIXES)
        elif self.asked.alpha is not None:
            raise InvalidArgument("alpha needs two decoders", hint="give the second checkpoint with --ckpt-mse")

    def decoders(self) -> Iterator[Point]:
        if self.mse is None:
            yield from super().decoders()
            return
        for alpha in self.alphas:
            mixed = copy.deepcopy(self.model)
            mixed.load_state_dict(
                interpolate(self.model.state_dict(), self.mse, alpha, self.model.DECODER_PREFIXES), assign=True
            )
            module = Decoder(mixed)
            yield Point({"alpha": alpha}, module, module)

    def default_knobs(self) -> Knobs:
        """The most realistic decoder, which is what the main checkpoint was trained for."""
        return {"alpha": max(self.alphas)} if self.alphas else {}


class RateAndRealism(Baking):
    """quality in encoder and decoder; beta, where the model has it, in the decoder."""

    BAKED = ("quality", "beta")
    model: Crdr

    def __init__(self, model: Crdr, asked: Asked | None = None, mse: Mapping[str, Tensor] | None = None) -> None:
        """quality is rounded to 1/64. Raises InvalidArgument for values out of range or none at all."""
        super().__init__(model, asked, mse)
        qualities = range(model.levels) if self.asked.quality is None else self.asked.quality
        self.qualities = _distinct(
            round(model.checked_quality(quality) * QUALITY_STEPS) / QUALITY_STEPS for quality in qualities
        )
        betas = (DEFAULT_BETAS if model.realism else (0.0,)) if self.asked.beta is None else self.asked.beta
        self.betas = _distinct(model.checked_beta(beta) for beta in betas)
        if not self.qualities or not self.betas:
            raise InvalidArgument("quality and beta need one value at least")

    def baked_knobs(self) -> tuple[str, ...]:
        return self.BAKED if self.model.realism else ("quality",)

    def encoders(self) -> Iterator[Point]:
        for quality in self.qualities:
            yield Point(
                {"quality": quality}, bake_encoder(self.model, quality), Encoder(self.model, {"quality": quality})
            )

    def decoders(self) -> Iterator[Point]:
        for quality in self.qualities:
            for beta in self.betas:
                knobs = {"quality": quality, "beta": beta}
                yield Point(
                    {name: knobs[name] for name in self.baked_knobs()},
                    bake_decoder(self.model, quality, beta),
                    Decoder(self.model, knobs),
                )

    def default_knobs(self) -> Knobs:
        """Those nearest to the middle rate and to the paper's realistic pictures."""
        middle = (self.model.levels - 1) / 2
        quality = min(self.qualities, key=lambda quality: abs(quality - middle))
        beta = min(self.betas, key=lambda beta: abs(beta - max(DEFAULT_BETAS)))
        return {"quality": quality, "beta": beta} if self.model.realism else {"quality": quality}

    def settings(self) -> list[Knobs]:
        return [{"quality": quality} for quality in self.qualities]


class ScalarRate(Baking):
    """The rate is an input of the one encoder; batch norm is folded."""

    INPUTS: ClassVar = {"n": Scalar(SMALLEST_N, LARGEST_N, 0.0)}
    model: Tunable

    def encoders(self) -> Iterator[Point]:
        yield Point({}, Encoder(fold_batch_norm(self.model)), Encoder(self.model), dict(self.INPUTS))

    def decoders(self) -> Iterator[Point]:
        yield Point({}, Decoder(fold_batch_norm(self.model)), Decoder(self.model))

    def default_knobs(self) -> Knobs:
        return {name: scalar.default for name, scalar in self.INPUTS.items()}

    def settings(self) -> list[Knobs]:
        return [{"n": n} for n in (0.0, SMALLEST_N, LARGEST_N, SMALLEST_N / 2, LARGEST_N / 2)]


#: How each kind of codec is baked. A new kind is a class above and a line here.
BAKINGS: tuple[tuple[type[LearnedCodec], type[Baking]], ...] = (
    (ScaleHyperprior, Interpolation),
    (Fidelity, Interpolation),
    (Crdr, RateAndRealism),
    (Tunable, ScalarRate),
    (Agustsson, Baking),
)


def baking_of(model: LearnedCodec, asked: Asked | None = None, mse: Mapping[str, Tensor] | None = None) -> Baking:
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


def _distinct(values: Any) -> tuple[float, ...]:
    return tuple(sorted(set(map(float, values))))
