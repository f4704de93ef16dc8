"""The frozen entropy model: bytes to integer latents and back, exact everywhere (docs/format.md, sections 2 and 3)."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecodec import native
from edgecodec.description import LatentSpec as LatentSpec
from edgecodec.errors import InvalidArgument, OutOfMemory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    #: By name, in the model's order: int16 (channels, rows, columns).
    Latents = dict[str, npt.NDArray[np.int16]]


@dataclass(frozen=True)
class Cost:
    """bytes: of memory held at once, beside latents and payload. multiplications: about as many, of integers."""

    bytes: int
    multiplications: int


class EntropyModel:
    """An opened entropy.bin. May be used by many threads at a time; freed with its last reference.

    model_id: 8 hexadecimal digits. alignment: image sides are padded to this multiple. encoder_latents: what `encode`
    takes. decoder_latents: what `decode` gives; the same, unless the model computes them from what it codes.
    """

    def __init__(self, data: native.Buffer) -> None:
        """Open the bytes of entropy.bin, which are copied. Raises BadModel, or UnsupportedVersion."""
        core = native.library()
        borrowed = native.view(data)
        handle = ctypes.c_void_p()
        native.call(core.ec_core_model_open, borrowed.address, borrowed.size, ctypes.byref(handle))
        weakref.finalize(self, core.ec_core_model_close, handle.value)
        self._core, self._handle = core, handle
        self.model_id = f"{core.ec_core_model_id(handle):08x}"
        self.alignment = int(core.ec_core_model_alignment(handle))
        self.encoder_latents = self._latents("encoder")
        self.decoder_latents = self._latents("decoder")

    def _latents(self, side: str) -> tuple[LatentSpec, ...]:
        count = getattr(self._core, f"ec_core_model_{side}_latent_count")(self._handle)
        describe = getattr(self._core, f"ec_core_model_{side}_latent")
        tensors = [native.CoreTensor() for _ in range(count)]
        for i, tensor in enumerate(tensors):
            describe(self._handle, i, ctypes.byref(tensor))
        return tuple(LatentSpec(each.name.decode("ascii"), each.channels, each.stride) for each in tensors)

    def cost(self, width: int, height: int) -> Cost:
        """What decoding a picture of this size in pixels takes. Raises LimitExceeded for one that is too large."""
        cost = native.CoreCost()
        native.call(self._core.ec_core_model_cost, self._handle, width, height, ctypes.byref(cost))
        return Cost(cost.bytes, cost.multiplications)

    def encoder_shapes(self, width: int, height: int) -> dict[str, tuple[int, int, int]]:
        """(channels, rows, columns) of each encoder latent of a picture of this size in pixels."""
        return self._shapes(self.encoder_latents, width, height)

    def decoder_shapes(self, width: int, height: int) -> dict[str, tuple[int, int, int]]:
        """The same of each decoder latent."""
        return self._shapes(self.decoder_latents, width, height)

    def _shapes(self, latents: tuple[LatentSpec, ...], width: int, height: int) -> dict[str, tuple[int, int, int]]:
        columns, rows = (-(-side // self.alignment) * self.alignment for side in (width, height))
        return {latent.name: (latent.channels, rows // latent.stride, columns // latent.stride) for latent in latents}

    def decode(self, payload: native.Buffer, *, width: int, height: int, lanes: int, threads: int = 1) -> Latents:
        """The decoder latents of a payload. The result does not depend on `threads`.

        Raises Corrupt, LatentsDiffer, OutOfMemory.
        """
        import numpy as np

        borrowed = native.view(payload)
        try:
            latents = {name: np.empty(shape, np.int16) for name, shape in self.decoder_shapes(width, height).items()}
        except MemoryError as error:
            raise OutOfMemory(f"no memory for the latents of {width}x{height} pixels") from error
        native.call(
            self._core.ec_core_decode,
            self._handle,
            width,
            height,
            lanes,
            borrowed.address,
            borrowed.size,
            native.addresses(list(latents.values())),
            threads,
        )
        return latents

    def encode(
        self, latents: Mapping[str, npt.NDArray[np.int16]], *, width: int, height: int, lanes: int = 0, threads: int = 1
    ) -> tuple[bytes, int]:
        """The payload of these encoder latents and its number of lanes; lanes 0 lets the coder choose.

        Raises InvalidArgument for wrong names, types or shapes, and OutOfRange.
        """
        import numpy as np

        ordered = self._ordered(latents, width, height)
        payload = np.empty(self._core.ec_core_encode_bound(self._handle, width, height), np.uint8)
        chosen, written = ctypes.c_uint32(lanes), ctypes.c_size_t()
        native.call(
            self._core.ec_core_encode,
            self._handle,
            width,
            height,
            ctypes.byref(chosen),
            native.addresses(ordered),
            payload.ctypes.data,
            payload.size,
            ctypes.byref(written),
            threads,
        )
        return payload[: written.value].tobytes(), chosen.value

    def bits(self, latents: Mapping[str, npt.NDArray[np.int16]], *, width: int, height: int, threads: int = 1) -> int:
        """What coding these encoder latents takes, but for the coder's few bytes of state; for measurements of rate.

        Raises what `encode` raises.
        """
        ordered = self._ordered(latents, width, height)
        bits = ctypes.c_uint64()
        native.call(
            self._core.ec_core_encode_bits,
            self._handle,
            width,
            height,
            native.addresses(ordered),
            ctypes.byref(bits),
            threads,
        )
        return bits.value

    def _ordered(
        self, latents: Mapping[str, npt.NDArray[np.int16]], width: int, height: int
    ) -> list[npt.NDArray[np.int16]]:
        """Contiguous arrays in the model's order, proven to be what the library will read."""
        import numpy as np

        shapes = self.encoder_shapes(width, height)
        if set(latents) != set(shapes):
            raise InvalidArgument(f"latents are {sorted(latents)}, the model takes {sorted(shapes)}")
        for name, shape in shapes.items():
            if latents[name].dtype != np.int16 or latents[name].shape != shape:
                raise InvalidArgument(
                    f"is {latents[name].dtype} {latents[name].shape}, the model takes int16 {shape}",
                    where=f"latent {name}",
                )
        return [np.ascontiguousarray(latents[name]) for name in shapes]
