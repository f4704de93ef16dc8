"""Memory, streams and recorded work of a GPU, through the CUDA driver's own library, which needs no package.

The driver's interface is the same for every version of CUDA. Each object here belongs to the GPU's primary context,
which TensorRT uses as well; whoever uses one does so inside `Gpu.current`.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any

from edgecodec.errors import EngineFailed, EngineUnavailable, OutOfMemory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LIBRARY = "libcuda.so.1"
_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads' calls do not disturb a recording

_HANDLE = POINTER(c_void_p)
_ADDRESS = POINTER(c_uint64)

#: Arguments of the driver's functions, all of which return a CUresult.
_SIGNATURES: dict[str, list[Any]] = {
    "cuInit": [c_uint],
    "cuGetErrorName": [c_int, POINTER(c_char_p)],
    "cuDeviceGet": [POINTER(c_int), c_int],
    "cuDevicePrimaryCtxRetain": [_HANDLE, c_int],
    "cuCtxPushCurrent_v2": [c_void_p],
    "cuCtxPopCurrent_v2": [_HANDLE],
    "cuMemAlloc_v2": [_ADDRESS, c_size_t],
    "cuMemFree_v2": [c_uint64],
    "cuMemHostAlloc": [_HANDLE, c_size_t, c_uint],
    "cuMemFreeHost": [c_void_p],
    "cuMemcpyHtoDAsync_v2": [c_uint64, c_void_p, c_size_t, c_void_p],
    "cuMemcpyDtoHAsync_v2": [c_void_p, c_uint64, c_size_t, c_void_p],
    "cuStreamCreate": [_HANDLE, c_uint],
    "cuStreamDestroy_v2": [c_void_p],
    "cuStreamSynchronize": [c_void_p],
    "cuStreamBeginCapture_v2": [c_void_p, c_int],
    "cuStreamEndCapture": [c_void_p, _HANDLE],
    "cuGraphInstantiateWithFlags": [_HANDLE, c_void_p, c_uint64],
    "cuGraphLaunch": [c_void_p, c_void_p],
    "cuGraphExecDestroy": [c_void_p],
    "cuGraphDestroy": [c_void_p],
}


class Gpu:
    """The first GPU and its primary context, which is kept for as long as the process lives."""

    def __init__(self) -> None:
        """Raises EngineUnavailable where there is no driver, or none that works."""
        try:
            self._library = ctypes.CDLL(_LIBRARY)
            for name, arguments in _SIGNATURES.items():
                function = getattr(self._library, name)
                function.restype, function.argtypes = c_int, arguments
        except (OSError, AttributeError) as error:
            raise EngineUnavailable(
                f"the CUDA driver cannot be used: {error}", where=_LIBRARY, hint="install NVIDIA's driver"
            ) from error
        device, context = c_int(), c_void_p()
        try:
            self.call("cuInit", 0)
            self.call("cuDeviceGet", byref(device), 0)
            self.call("cuDevicePrimaryCtxRetain", byref(context), device)
        except EngineFailed as error:
            raise EngineUnavailable(error.message, where=_LIBRARY, hint="check the driver with nvidia-smi") from error
        self._context = context

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver. Raises EngineFailed, OutOfMemory."""
        status = getattr(self._library, name)(*arguments)
        if status == _OUT_OF_MEMORY:
            raise OutOfMemory("there is not enough memory on the GPU")
        if status != 0:
            text = c_char_p()
            self._library.cuGetErrorName(status, byref(text))
            raise EngineFailed(f"CUDA failed: {name} gives {(text.value or b'').decode() or status}")

    @contextmanager
    def current(self) -> Iterator[None]:
        """The context is that of this thread in here, and what it had before comes back afterwards."""
        self.call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self.call("cuCtxPopCurrent_v2", byref(c_void_p()))


class Buffer:
    """An array on the GPU, and as much memory of the processor that the GPU can copy from and to while it works."""

    def __init__(self, gpu: Gpu, dtype: npt.DTypeLike, elements: int) -> None:
        import numpy as np

        self._gpu = gpu
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        size = max(elements * self.dtype.itemsize, 1)
        device, host = c_uint64(), c_void_p()
        gpu.call("cuMemAlloc_v2", byref(device), size)
        try:
            gpu.call("cuMemHostAlloc", byref(host), size, 0)
        except Exception:
            gpu.call("cuMemFree_v2", device)
            raise
        self.device, self.host = device.value, host.value or 0
        memory = (ctypes.c_uint8 * size).from_address(self.host)
        self._values: npt.NDArray[Any] = np.frombuffer(memoryview(memory).cast("B"), self.dtype, elements)

    def view(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The processor's memory as an array of this shape, which is no larger than the buffer."""
        return self._values[: math.prod(shape)].reshape(shape)

    def to_device(self, shape: tuple[int, ...], stream: Stream) -> None:
        size = math.prod(shape) * self.dtype.itemsize
        self._gpu.call("cuMemcpyHtoDAsync_v2", self.device, self.host, size, stream.handle)

    def to_host(self, shape: tuple[int, ...], stream: Stream) -> None:
        size = math.prod(shape) * self.dtype.itemsize
        self._gpu.call("cuMemcpyDtoHAsync_v2", self.host, self.device, size, stream.handle)

    def close(self) -> None:
        self._gpu.call("cuMemFree_v2", self.device)
        self._gpu.call("cuMemFreeHost", self.host)


class Stream:
    """Work that the GPU does in order."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        handle = c_void_p()
        gpu.call("cuStreamCreate", byref(handle), _NON_BLOCKING)
        self.handle = handle.value or 0

    def wait(self) -> None:
        """Until all work is done. Raises what went wrong in it."""
        self._gpu.call("cuStreamSynchronize", self.handle)

    def record(self, work: Callable[[], None]) -> Recording | None:
        """What `work` gives the stream to do, which is not done now. None where some of it cannot be recorded."""
        self._gpu.call("cuStreamBeginCapture_v2", self.handle, _THREAD_LOCAL)
        graph, recorded = c_void_p(), True
        try:
            work()
        except EngineFailed:
            recorded = False
        finally:
            # Also after a failure: the stream would take no other work.
            try:
                self._gpu.call("cuStreamEndCapture", self.handle, byref(graph))
            except EngineFailed:
                recorded = False
        if not graph.value:
            return None
        try:
            return Recording(self._gpu, self, graph) if recorded else None
        except EngineFailed:
            return None
        finally:
            self._gpu.call("cuGraphDestroy", graph)

    def close(self) -> None:
        self._gpu.call("cuStreamDestroy_v2", self.handle)


class Recording:
    """Recorded work (a CUDA graph), which the GPU starts as one."""

    def __init__(self, gpu: Gpu, stream: Stream, graph: c_void_p) -> None:
        self._gpu = gpu
        self._stream = stream
        self._handle = c_void_p()
        gpu.call("cuGraphInstantiateWithFlags", byref(self._handle), graph, 0)

    def play(self) -> None:
        self._gpu.call("cuGraphLaunch", self._handle, self._stream.handle)

    def close(self) -> None:
        self._gpu.call("cuGraphExecDestroy", self._handle)
