"""Where the first stage starts: a transform codec in the weights, written the way each family needs.

A family that is not listed starts as PyTorch draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from edgecodec_export.families import Agustsson, Crdr, Fidelity, Hific, LearnedCodec, Tunable
from edgecodec_train.starts.agustsson import initialise_agustsson
from edgecodec_train.starts.crdr import initialise_crdr
from edgecodec_train.starts.fidelity import initialise_fidelity
from edgecodec_train.starts.hific import initialise_hific
from edgecodec_train.starts.tunable import initialise_tunable

# From a fresh model and photographs (n, 3, H, W), values in [0, 1].
STARTS: dict[type[LearnedCodec], Callable[[Any, Tensor], None]] = {
    Agustsson: initialise_agustsson,
    Crdr: initialise_crdr,
    Fidelity: initialise_fidelity,
    Hific: initialise_hific,
    Tunable: initialise_tunable,
}
