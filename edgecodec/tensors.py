"""Pictures in tensors of PyTorch, which is never imported: a tensor is known by what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from edgecodec.errors import InvalidArgument

if TYPE_CHECKING:
    from edgecodec.picture import Pixels

_CHANNELS = (1, 3)


@runtime_checkable
class Tensor(Protocol):
    """What is used of torch.Tensor, which is an instance of this."""

    def cpu(self) -> Any: ...
    def detach(self) -> Any: ...
    def is_floating_point(self) -> bool: ...
    def numpy(self) -> Any: ...


def pixels_of(tensor: Tensor) -> Pixels:
    """A tensor on any device, uint8 or of floats from 0 to 1, as uint8 (height, width, 3) or (height, width).

    The tensor is (channels, height, width) or (height, width, channels), with 1 or 3 channels, or (height, width).
    Floats are rounded to the nearest of 256 levels.

    Raises InvalidArgument for other shapes and types, for a shape that could be read both ways, and for values that
    are not from 0 to 1.
    """
    import numpy as np

    kept = tensor.detach().cpu()
    values = (kept.float() if kept.is_floating_point() else kept).numpy()  # NumPy has no bfloat16
    if values.dtype == np.float32:
        levels = np.floor(values * np.float32(255) + np.float32(0.5))
        if not ((levels >= 0) & (levels <= 255)).all():  # which not-a-number is not either
            raise InvalidArgument(
                f"the tensor's values are from {values.min():.4g} to {values.max():.4g}",
                hint="scale floats to 0 to 1, or give uint8",
            )
        values = levels.astype(np.uint8)
    if values.dtype != np.uint8:
        raise InvalidArgument(f"the tensor is of {values.dtype}", hint="give uint8, or floats from 0 to 1")
    pixels: Pixels = np.ascontiguousarray(_channels_last(values))
    return pixels


def _channels_last(values: Any) -> Any:
    shape = tuple(values.shape)
    if len(shape) == 2:
        return values
    first, last = (len(shape) == 3 and shape[at] in _CHANNELS for at in (0, -1))
    if first == last:
        what = "could be (channels, height, width) or (height, width, channels)" if first else "is no picture's"
        hint = "give an array of NumPy, (height, width, 3)" if first else "give one picture, (3, height, width)"
        raise InvalidArgument(f"the tensor's shape {shape} {what}", hint=hint)
    if first:
        values = values.transpose(1, 2, 0)
    return values[..., 0] if values.shape[2] == 1 else values
