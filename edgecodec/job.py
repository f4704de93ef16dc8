"""One picture on its way through the native library.

The library does all else: which graph, padding, tiles, noise, the entropy model, the crop, and a search for a rate.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgecodec import interface, native
from edgecodec.engine import SizeRange
from edgecodec.errors import InvalidArgument

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgecodec.entropy_model import Latents
    from edgecodec.steps import Parts

#: NumPy's name of each type of tensor.
DTYPES = {
    interface.UINT8: "uint8",
    interface.INT16: "int16",
    interface.INT64: "int64",
    interface.FLOAT32: "float32",
}


class Job:
    """Belongs to one thread at a time. Its memory lives as long as this or an array on it."""

    def __init__(self, codec: native.Owned, handle: ctypes.c_void_p, *borrowed: object) -> None:
        """handle: of a job that has begun. borrowed: what it reads from."""
        self._owned = native.Owned(native.library().ec_job_close, handle.value, codec, *borrowed)

    @classmethod
    def decode(cls, codec: native.Owned, data: native.Buffer, knobs: Mapping[str, float]) -> Job:
        """Parse a file and decode its latents.

        Raises NotEdgc, Corrupt, LatentsDiffer, UnsupportedVersion, ModelMismatch, LimitExceeded, OutOfRange,
        OutOfMemory, KnobUnavailable, BundleChanged, BadModel.
        """
        borrowed, handle = native.view(data), ctypes.c_void_p()
        options = decode_options(knobs)
        native.call(
            native.library().ec_job_decode,
            codec.value,
            borrowed.address,
            borrowed.size,
            ctypes.byref(options),
            ctypes.byref(handle),
        )
        return cls(codec, handle, borrowed)

    @classmethod
    def encode(cls, codec: native.Owned, image: interface.Image, options: interface.EncodeOptions) -> Job:
        """Check a picture and what is asked for; all of it is copied.

        Raises InvalidArgument, KnobUnavailable, LimitExceeded, OutOfRange, OutOfMemory, BundleChanged, BadModel.
        """
        handle = ctypes.c_void_p()
        native.call(
            native.library().ec_job_encode,
            codec.value,
            ctypes.byref(image),
            ctypes.byref(options),
            ctypes.byref(handle),
        )
        return cls(codec, handle)

    @classmethod
    def load(cls, codec: native.Owned, number: int, low_memory: bool) -> Job:
        """A job without steps, whose run loads a graph on the codec's own engine."""
        handle = ctypes.c_void_p()
        native.call(native.library().ec_core_job_load, codec.value, number, int(low_memory), ctypes.byref(handle))
        return cls(codec, handle)

    def next(self, progress: Parts | None = None) -> interface.Step | None:
        """Give back the outputs of the step before and take the next one, None after the last.

        progress: is told how far the job has come.
        Raises LimitExceeded, OutOfMemory, OutOfRange, EngineFailed for outputs that cannot be, Cancelled.
        """
        step = interface.start(interface.Step)
        native.call(native.library().ec_job_next, self._owned.value, ctypes.byref(step))
        if progress is not None:
            progress(*self.progress())
        return step if step.graph else None

    def fit(self, sizes: Sequence[SizeRange]) -> bool:
        """Tell the job at a graph's first step which sizes its engine takes. False where it has to plan again for them:
        then the step is not to be run, and `next` gives another one in its place.
        """
        again = ctypes.c_uint32()
        ranges = [
            interface.ShapeRange(*(interface.SideRange(each.least, each.most, each.multiple) for each in sides))
            for sides in ((size.height, size.width) for size in sizes)
        ]
        listed = (interface.ShapeRange * max(len(ranges), 1))(*ranges)
        native.call(native.library().ec_core_job_shapes, self._owned.value, listed, len(ranges), ctypes.byref(again))
        return not again.value

    def run(self) -> None:
        """All steps on the codec's own engine.

        Raises EngineUnavailable, EngineFailed, LimitExceeded, OutOfMemory, OutOfRange, BundleChanged, BadModel,
        Cancelled.
        """
        native.call(native.library().ec_job_run, self._owned.value)

    def cancel(self) -> None:
        """End `run` soon, with Cancelled, and any later one. May be called by any thread."""
        native.library().ec_job_cancel(self._owned.value)

    def progress(self) -> tuple[int, int]:
        """How many tiles are done, and how many there are; 0 and 0 before the first. May be called by any thread."""
        done, count = ctypes.c_uint32(), ctypes.c_uint32()
        native.library().ec_job_progress(self._owned.value, ctypes.byref(done), ctypes.byref(count))
        return done.value, count.value

    def engine(self) -> interface.RunningEngine:
        """What loaded or ran the last graph of a job that ran on the codec's own engine."""
        found = interface.RunningEngine()
        native.call(native.library().ec_core_job_engine, self._owned.value, ctypes.byref(found))
        return found

    def latents(self) -> Latents:
        """Decoder latents of a job that decodes, encoder latents of one that has encoded: by name, in their order.

        The arrays lie in the job's memory.
        """
        latents: Latents = {}
        while True:
            found = interface.Tensor()
            try:
                native.call(native.library().ec_job_latent, self._owned.value, len(latents), ctypes.byref(found))
            except InvalidArgument:  # beyond the last
                return latents
            latents[found.name.decode()] = self.array(found)

    def finish_decode(self) -> tuple[interface.Picture, memoryview]:
        """After the last step: the picture, and its pixels row by row, in memory of their own. Raises OutOfMemory."""
        library, picture = native.library(), interface.start(interface.Picture)
        native.call(library.ec_job_finish_decode, self._owned.value, ctypes.byref(picture))
        owned = native.Owned(library.ec_free, picture.pixels)
        size = picture.height * picture.width * picture.channels
        return picture, memoryview(native.lent(picture.pixels, size, owned))

    def finish_encode(self) -> tuple[interface.File, bytes]:
        """After the last step: what came out, and the coded file. Raises OutOfMemory."""
        library, file = native.library(), interface.start(interface.File)
        native.call(library.ec_job_finish_encode, self._owned.value, ctypes.byref(file))
        try:
            return file, ctypes.string_at(file.data, file.size)
        finally:
            library.ec_free(file.data)

    def array(self, tensor: interface.Tensor) -> npt.NDArray[Any]:
        """On a tensor's memory, which lives as long: a call that an interrupt left behind may still read it."""
        import numpy as np

        memory = native.lent(tensor.data, tensor.bytes, self._owned)
        values: npt.NDArray[Any] = np.frombuffer(memoryview(memory).cast("B"), DTYPES[tensor.type])
        return values.reshape(shape_of(tensor))


def decode_options(knobs: Mapping[str, float]) -> interface.DecodeOptions:
    return interface.start(interface.DecodeOptions, knobs=knob_values(knobs), knob_count=len(knobs))


def knob_values(knobs: Mapping[str, float]) -> ctypes.Array[interface.KnobValue]:
    """As a C array. A name that C cannot have is written with escapes; no knob is called that either."""
    names = (name.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00") for name in knobs)
    values = [interface.KnobValue(name, value) for name, value in zip(names, knobs.values(), strict=True)]
    return (interface.KnobValue * len(values))(*values)


def shape_of(tensor: interface.Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[: tensor.rank])
