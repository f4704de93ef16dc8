"""What generator and discriminator learn from logits: one class for each adversarial loss.

r and f are the logits of real and of synthesised pictures. Each loss is the mean over a scale's logits, and the sum
over scales, each times its weight. Everything is computed in float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from edgecodec.errors import InvalidArgument
from edgecodec_train.discriminators import Judgement, Judgements

#: The picture that a generator's is compared with: none, the real one, or the same codec's at the next higher rate
#: level (the real one at the highest).
Reference = Literal["none", "real", "higher rate"]


class AdversarialLoss(ABC):
    """reference: the picture whose judgements `generator` needs beside those of the generator's own."""

    reference: ClassVar[Reference] = "none"

    def generator(self, fake: Judgements, reference: Judgements | None = None) -> Tensor:
        """What the generator minimises, a scalar. No gradient flows into the judgements of the reference.

        Raises ValueError without a reference where the loss compares with one.
        """
        if self.reference == "none":
            return _weighted(fake, [self._generator(_logits(f), None) for f in fake])
        if reference is None:
            raise ValueError(f"the loss compares with a picture ({self.reference}), and its judgements are missing")
        pairs = zip(fake, reference, strict=True)
        return _weighted(fake, [self._generator(_logits(f), _logits(r).detach()) for f, r in pairs])

    def discriminator(self, real: Judgements, fake: Judgements) -> Tensor:
        """What the discriminator minimises, a scalar. The generator's picture is to be detached before judging."""
        pairs = zip(real, fake, strict=True)
        return _weighted(fake, [self._discriminator(_logits(r), _logits(f)) for r, f in pairs])

    @abstractmethod
    def _generator(self, f: Tensor, r: Tensor | None) -> Tensor:
        """The loss of each logit at one scale."""

    @abstractmethod
    def _discriminator(self, r: Tensor, f: Tensor) -> Tensor:
        """The loss of each logit at one scale."""


class NonSaturating(AdversarialLoss):
    """Generator: -log sigmoid(f). Discriminator: -log sigmoid(r) - log(1 - sigmoid(f)).

    Goodfellow et al. 2014, section 3; Mentzer et al. 2020, equation 7.
    """

    def _generator(self, f: Tensor, r: Tensor | None) -> Tensor:
        return softplus(-f)

    def _discriminator(self, r: Tensor, f: Tensor) -> Tensor:
        return softplus(-r) + softplus(f)


class Log(NonSaturating):
    """Generator: log(1 - sigmoid(f)), the discriminator's own term, whose gradient vanishes where that one is sure.

    Goodfellow et al. 2014, equation 1; Wu et al. 2020.
    """

    def _generator(self, f: Tensor, r: Tensor | None) -> Tensor:
        return -softplus(f)


class LeastSquares(AdversarialLoss):
    """Generator: (f - 1)^2. Discriminator: (r - 1)^2 + f^2 (Mao et al. 2017, equation 9, without its halves)."""

    def _generator(self, f: Tensor, r: Tensor | None) -> Tensor:
        return (f - 1).square()

    def _discriminator(self, r: Tensor, f: Tensor) -> Tensor:
        return (r - 1).square() + f.square()


class Relativistic(AdversarialLoss):
    """How much more real one picture looks than the other, patch by patch (Jolicoeur-Martineau 2019, RSGAN).

    Generator: -log sigmoid(f - r). Discriminator: -log sigmoid(r - f). Each is the mean of two terms, one for either
    picture, which are equal here but not for averages.
    """

    reference: ClassVar[Reference] = "real"

    def _generator(self, f: Tensor, r: Tensor | None) -> Tensor:
        assert r is not None
        return (softplus(self._compared(r, f)) + softplus(-self._compared(f, r))) / 2

    def _discriminator(self, r: Tensor, f: Tensor) -> Tensor:
        return (softplus(-self._compared(r, f)) + softplus(self._compared(f, r))) / 2

    def _compared(self, logits: Tensor, others: Tensor) -> Tensor:
        return logits - others


class RelativisticAverage(Relativistic):
    """Compares each patch with the mean over batch and patches of the other pictures (ibid., RaSGAN)."""

    def _compared(self, logits: Tensor, others: Tensor) -> Tensor:
        return logits - others.mean()


class HigherRateRelativistic(Relativistic):
    """The generator is compared with itself at the next higher rate, the discriminator sees real pictures.

    Iwai et al. 2024.
    """

    reference: ClassVar[Reference] = "higher rate"


ADVERSARIAL_LOSSES: dict[str, type[AdversarialLoss]] = {
    "non-saturating": NonSaturating,
    "log": Log,
    "least-squares": LeastSquares,
    "relativistic": Relativistic,
    "relativistic-average": RelativisticAverage,
    "higher-rate-relativistic": HigherRateRelativistic,
}


def build_adversarial_loss(kind: str) -> AdversarialLoss:
    """For example build_adversarial_loss("least-squares"). Raises InvalidArgument for an unknown kind."""
    if kind not in ADVERSARIAL_LOSSES:
        raise InvalidArgument(f"unknown adversarial loss {kind!r}", hint=f"known: {', '.join(ADVERSARIAL_LOSSES)}")
    return ADVERSARIAL_LOSSES[kind]()


def _logits(judgement: Judgement) -> Tensor:
    return judgement.logits.float()


def _weighted(judgements: Judgements, losses: list[Tensor]) -> Tensor:
    weighted = [each.weight * loss.mean() for each, loss in zip(judgements, losses, strict=True)]
    return torch.stack(weighted).sum()
