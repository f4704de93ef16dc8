"""Noise for generators, from a seed: the same integers on every machine, so that a file names its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecodec import native
from edgecodec.container import check_noise_seed
from edgecodec.errors import OutOfMemory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: What stands for 1.0.
ONE = 4096


def normal_noise(seed: int, channels: int, height: int, width: int) -> npt.NDArray[np.int16]:
    """(channels, height, width) normal values in units of 1/4096, within -24570..24570.

    seed: 0 to 2^64 - 1; InvalidArgument otherwise. Raises OutOfMemory.
    """
    import numpy as np

    check_noise_seed(seed)
    try:
        values = np.empty((channels, height, width), np.int16)
    except (MemoryError, ValueError) as error:  # ValueError: more than there are addresses
        raise OutOfMemory(f"no memory for noise of {channels}x{height}x{width} values") from error
    native.call(native.library().ec_core_noise, seed, values.ctypes.data, values.size)
    return values
