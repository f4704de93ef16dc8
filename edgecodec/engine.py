"""The seam between the codec and whatever runs its graphs.

A backend is one module that holds an `Engine` and a `Backend`, which describes it without importing its library.
`edgecodec.engine_registry` finds it by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecodec.description import SINGLE

if TYPE_CHECKING:
    import numpy.typing as npt

    #: Tensors by name. Latents: float32 (1, channels, rows, columns). Images: uint8 (height, width, 3). Scalars:
    #: float32 (). Sizes: int64 (2,), height and width in pixels.
    Arrays = Mapping[str, npt.NDArray[Any]]


#: Most processor threads that may be asked for: more than help, and no more than every system starts.
MAX_THREADS = 256


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: `channels` values every `stride` pixels; an image has stride 1 and 3 channels."""

    name: str
    channels: int
    stride: int

    @property
    def is_image(self) -> bool:
        return self.stride == 1 and self.channels == 3


@dataclass(frozen=True)
class Graph:
    """One ONNX file and what the index of its bundle promises about it.

    data: the file's bytes. weights: the contents of the files that hold weights of it, by the graph's names for them.
    An engine takes both from here: these bytes were checked. path: for messages, and for what takes no bytes; the files
    may have changed since, and may be links to anywhere. scalars: inputs of one number, of whatever rank the graph
    declares. size: the input that takes a picture's size. precision: "fp32", "fp16" or "int8", that of its layers.
    """

    path: Path
    data: bytes = field(repr=False)
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    scalars: tuple[str, ...] = ()
    size: str | None = None
    weights: Mapping[str, bytes | memoryview] = field(default_factory=dict, repr=False)
    precision: str = "fp32"


@dataclass(frozen=True)
class Options:
    """threads: of the processor, 1 to MAX_THREADS, or None for the engine's own choice.

    low_memory: whether memory is returned as soon as it can be, which takes time, rather than kept for the next call.
    one_shot: whether the graph is wanted for one picture, so that it matters more how soon it starts than how fast it
    runs.
    only_verified: for `auto`, whether what was compiled ahead is taken only where it gave the golden pictures.
    shapes: of the inputs of the first call, by name, where they are known: what was compiled ahead is chosen by them.
    """

    threads: int | None = None
    low_memory: bool = False
    one_shot: bool = False
    only_verified: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class SideRange:
    """The lengths of a side that an engine takes, in pixels: from `least` to `most`, in steps of `multiple` from 0."""

    least: int
    most: int
    multiple: int


@dataclass(frozen=True)
class SizeRange:
    """Sizes of pictures that an engine takes."""

    height: SideRange
    width: SideRange


@dataclass(frozen=True)
class RunningEngine:
    """What really runs. passed_over: for `auto`, the engines that it would rather take and why each was not taken.
    precision: of the graph.
    """

    name: str
    version: str
    device: str
    passed_over: tuple[tuple[str, str], ...] = ()
    precision: str = SINGLE


@dataclass(frozen=True)
class Copies:
    """Seconds that a call took to copy inputs to a device, and outputs back. 0 for an engine that works in place."""

    upload: float = 0.0
    download: float = 0.0


@dataclass(frozen=True)
class Ran:
    """What ran a job. engine: tells which engine ran a graph, by its number. copies: those of all steps together."""

    engine: Callable[[int], RunningEngine]
    copies: Copies = Copies()


class Engine(ABC):
    """One loaded graph. `run` may be called by several threads at a time; arrays it is given are not kept."""

    #: Set by `auto`, for the description.
    passed_over: tuple[tuple[str, str], ...] = ()

    @classmethod
    @abstractmethod
    def require(cls, variant: str) -> None:
        """Raise EngineUnavailable unless it is installed and `variant` (what follows the colon, or "") can be tried."""

    @classmethod
    @abstractmethod
    def load(cls, graph: Graph, variant: str, options: Options) -> Engine:
        """Raises EngineUnavailable if another device than the one asked for would run, EngineFailed for a bad graph."""

    @abstractmethod
    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Every output of the graph by name. Raises EngineFailed."""

    def allowed_sizes(self) -> tuple[SizeRange, ...]:
        """The sizes of pictures that the graph can be run for, 16 ranges at most; none for every size.

        Pictures are padded or cut into windows to fit.
        """
        return ()

    @abstractmethod
    def close(self) -> None:
        """Release what the engine holds. Safe to call twice; `run` is an error afterwards."""

    @abstractmethod
    def describe(self) -> RunningEngine:
        """What runs, for reports."""

    def copies(self) -> Copies:
        """Of the last `run` on the calling thread. An engine on another device than the processor may tell."""
        return Copies()


@dataclass(frozen=True)
class Tolerance:
    """How far the pixels of an engine may be from those of fp32: at most `levels` of 255, at least `psnr_db`."""

    levels: int
    psnr_db: float


@dataclass(frozen=True)
class Variant:
    """One way to run a backend. name: what follows the colon in the engine's name, "" for the backend alone.

    auto_rank: where `auto` tries it, the lowest first; None where it is taken only by name, as every engine of another
    package is. precision: in which decoders run on it where nobody names one and the bundle has it; fp16 on a GPU.
    slow_start: `auto` tries it after all others where one picture is to come. tolerance: of arithmetic that is coarser
    than the graph's own, None for what computes as exactly as the graph says.
    """

    name: str
    device: str
    auto_rank: int | None
    precision: str = SINGLE
    slow_start: bool = False
    tolerance: Tolerance | None = None


@dataclass(frozen=True)
class Plugin:
    """A library that brings providers to a backend. library: its path, or the name of the Python package that has it.

    device: "cpu", "gpu" or "npu", and "gpu:1" for the second of the kind; None for the first that the plugin lists.
    """

    library: str
    device: str | None = None


@dataclass(frozen=True)
class NativeEngine:
    """An engine that the native library can run by itself. name: the engine's. library: of ONNX Runtime.

    plugin, device: the library that brings the provider, and which of its devices; None where there is none.
    """

    name: str
    library: Path
    plugin: Path | None = None
    device: str | None = None


@dataclass(frozen=True)
class Backend:
    """What a backend says of itself. name: that of its engines, before the colon.

    native: finds out, by the name of a variant and without importing anything large, whether the native library can run
    it; then `engine` is not needed. None where it never can. plugin: the engine of a provider, by the name after the
    colon, that a plugin brings. It raises EngineUnavailable and InvalidArgument. None where the backend takes no
    plugins. modules: of Python, one of which it needs, to tell without loading anything whether it is installed.
    preparation: what has to be made of each bundle before the engine runs it, and how, like "a plan: edgecodec build
    BUNDLE"; "" where nothing has to.
    """

    name: str
    variants: tuple[Variant, ...]
    engine: type[Engine]
    native: Callable[[str], NativeEngine | None] | None = None
    plugin: Callable[[str, Plugin], NativeEngine] | None = None
    modules: tuple[str, ...] = ()
    preparation: str = ""

    def engine_names(self) -> list[str]:
        """The name of the engine for each variant, like "onnxruntime:cuda"."""
        return [f"{self.name}:{variant.name}" if variant.name else self.name for variant in self.variants]
