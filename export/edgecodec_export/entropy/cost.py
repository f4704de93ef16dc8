"""The cost of freezing: the size of pictures under the integer entropy model against the float one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from edgecodec.description import Knobs
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import CheckpointRejected
from edgecodec_export.entropy.freezer import Comparing, Fitting, Freezer, Observation

if TYPE_CHECKING:
    from edgecodec.entropy_model import Latents

_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class EntropyCost:
    """Ideal bits of `pictures` pictures under the float and the integer model.

    bound_percent: percent over the float model above which export warns. compared_bits: bits of the same pictures under
    other codings, by name. knobs: the setting at which the pictures were coded. by_setting: for pictures coded at
    several settings the cost at each; the whole is their sum. density_bits: where both models have tables that were
    fitted to photographs, bits under the float model with the checkpoint's own densities in their place.
    """

    pictures: int
    float_bits: float
    integer_bits: float
    bound_percent: float
    compared_bits: dict[str, float] = field(default_factory=dict)
    knobs: Knobs = field(default_factory=dict)
    by_setting: tuple[EntropyCost, ...] = ()
    density_bits: float | None = None

    @property
    def overhead_percent(self) -> float:
        """Percent of bits by which the integer model exceeds the float model."""
        return 100 * (self.integer_bits / self.float_bits - 1)

    @property
    def fitting_percent(self) -> float | None:
        """Percent of bits by which fitted tables exceed the checkpoint's densities; negative where they save."""
        return None if self.density_bits is None else 100 * (self.float_bits / self.density_bits - 1)

    def beyond_bound(self) -> list[EntropyCost]:
        """The settings whose overhead exceeds the bound; this cost itself if it has no settings."""
        return [each for each in self.by_setting or (self,) if each.overhead_percent > each.bound_percent]


def measure(freezer: Freezer, entropy: EntropyModel, observations: Sequence[Observation]) -> EntropyCost:
    """The cost on observed pictures, which should not be those that calibrated `entropy`."""
    integer_bits = sum(integer_bits_of(entropy, each) for each in observations)
    compared_bits = freezer.compared_bits(observations) if isinstance(freezer, Comparing) else {}
    return EntropyCost(
        len(observations),
        freezer.float_bits(observations),
        integer_bits,
        freezer.BOUND_PERCENT,
        compared_bits,
        density_bits=freezer.density_bits(observations) if isinstance(freezer, Fitting) else None,
    )


def summed(costs: Sequence[EntropyCost]) -> EntropyCost:
    """The total cost of the same pictures, coded at one setting or more. costs: one for each setting."""
    if len(costs) == 1:
        return costs[0]
    first = costs[0]
    density_bits = [each.density_bits for each in costs if each.density_bits is not None]
    return replace(
        first,
        float_bits=sum(each.float_bits for each in costs),
        integer_bits=sum(each.integer_bits for each in costs),
        compared_bits={name: sum(each.compared_bits[name] for each in costs) for name in first.compared_bits},
        knobs={},
        by_setting=tuple(costs),
        density_bits=sum(density_bits) if len(density_bits) == len(costs) else None,
    )


def integer_bits_of(entropy: EntropyModel, observation: Observation) -> int:
    """Ideal bits of one picture under the frozen model."""
    width, height = size_of(entropy, observation)
    return entropy.bits(as_int16(observation), width=width, height=height)


def size_of(entropy: EntropyModel, observation: Observation) -> tuple[int, int]:
    """Width and height in pixels of an observed picture."""
    latent = entropy.encoder_latents[0]
    _, rows, columns = observation.latents[latent.name].shape
    return columns * latent.stride, rows * latent.stride


def as_int16(observation: Observation) -> Latents:
    """The latents as the native library takes them. Raises CheckpointRejected for values that exceed 16 bits."""
    for name, values in observation.latents.items():
        lowest, highest = values.min(), values.max()
        if not _INT16.min <= lowest <= highest <= _INT16.max:
            raise CheckpointRejected(
                f"latent {name} of a photograph ranges from {lowest:.4g} to {highest:.4g}",
                hint="files hold 16 bits: this checkpoint is damaged, or not of this family",
            )
    return {name: values.astype(np.int16) for name, values in observation.latents.items()}
