"""What freezing costs: the size of r with the integer scale net against the float one, same tables, same rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecodec.export.coding_tables import coded_bits
from edgecodec.export.entropy_file import Affine, EntropyModel
from edgecodec.export.freeze import Latents, fixed_point


@dataclass(frozen=True)
class EntropyCost:
    """Ideal bits of r over all pictures, and how many more the integer net needs."""

    pictures: int
    float_bits: float
    integer_bits: float

    @property
    def overhead_percent(self) -> float:
        return 100 * (self.integer_bits / self.float_bits - 1)


def measure(entropy: EntropyModel, pictures: Sequence[Latents]) -> EntropyCost:
    """The cost on pictures, which should not be those that calibrated `entropy`."""
    (affine,) = (step for step in entropy.steps if isinstance(step, Affine))
    net, tables = entropy.nets[0], entropy.table_sets[1]
    float_bits = sum(coded_bits(tables, each.float_indices, each.r) for each in pictures)
    integer_bits = sum(coded_bits(tables, net.run(fixed_point(affine, each.z)), each.r) for each in pictures)
    return EntropyCost(len(pictures), float_bits, integer_bits)
