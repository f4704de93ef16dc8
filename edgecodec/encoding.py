"""A picture to a coded file: what is asked of the library, and what comes out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgecodec import container, files, interface, knobs
from edgecodec.container import FileInfo, check_noise_seed
from edgecodec.engine import RunningEngine
from edgecodec.errors import InvalidArgument
from edgecodec.job import Job, knob_values
from edgecodec.loading import LoadedGraphs
from edgecodec.native import Owned, view
from edgecodec.native_engine import NativeGraphs
from edgecodec.tiling import Tiles, tiles_of
from edgecodec.timings import Timings, timings_of

if TYPE_CHECKING:
    from edgecodec.entropy_model import Latents
    from edgecodec.picture import Picture
    from edgecodec.side_inputs import Planes
    from edgecodec.steps import Parts


@dataclass(frozen=True, repr=False)
class Encoded:
    """data: the coded picture. latents: input of the entropy coder, (channels, rows, columns) by name.

    notes: what was changed in the picture before it was coded, and the rate that was reached for a target.
    engine: what computed the latents. May be pickled.
    """

    data: bytes
    info: FileInfo
    timings: Timings
    notes: tuple[str, ...]
    tiles: Tiles
    engine: RunningEngine
    _job: Job = field(compare=False)

    @cached_property
    def latents(self) -> Latents:
        return self._job.latents()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the coded file. One that is there is replaced, by a whole one or not at all. Raises CannotWrite."""
        files.write(path, self.data, force=True)

    def __repr__(self) -> str:
        info = self.info
        size = f"{info.width}x{info.height}{' grey' * info.greyscale}"
        return f"<Encoded {size}, {info.file_bytes} bytes, {info.bits_per_pixel:.3f} bits per pixel>"

    def __getstate__(self) -> dict[str, Any]:
        """The latents leave the memory of the job, which stays in this process."""
        latents = {name: array.copy() for name, array in self.latents.items()}
        return {**vars(self), "latents": latents, "_job": None}


@dataclass(frozen=True)
class Wish:
    """What is asked for, whatever the picture: knobs or, instead, bits per pixel; and a seed of noise."""

    knobs: Mapping[str, float]
    target_bpp: float | None
    noise_seed: int | None

    def options(self) -> interface.EncodeOptions:
        """For the library. Raises InvalidArgument for what that could not be told."""
        if self.target_bpp == 0 and not self.knobs:  # which stands for none
            raise InvalidArgument("the target is 0 bits per pixel", hint="give a positive number")
        if self.noise_seed is not None:
            check_noise_seed(self.noise_seed)
        return interface.start(
            interface.EncodeOptions,
            knobs=knob_values(self.knobs),
            knob_count=len(self.knobs),
            target_bpp=0.0 if self.target_bpp is None else self.target_bpp or -1.0,
            seed=self.noise_seed or 0,
            has_seed=int(self.noise_seed is not None),
        )

    def note(self, file: interface.File, info: FileInfo) -> Iterator[str]:
        """Which rate was reached, for a target."""
        if self.target_bpp is None:
            return
        chosen, target = knobs.decimal(file.value), knobs.decimal(self.target_bpp)
        note = f"{file.knob.decode()} {chosen} gives {info.bits_per_pixel:.4g} bpp for a target of {target}"
        yield note if file.reached else f"{note}, the smallest that was found"


def encode(
    codec: Owned,
    graphs: LoadedGraphs | NativeGraphs,
    picture: Picture,
    planes: Planes,
    wish: Wish,
    progress: Parts | None = None,
) -> Encoded:
    """Encode a picture. progress: as `graphs.run` takes it.

    In tiles, a value halfway between two integers may round to the other one than in the whole picture, which gives
    another file that is as good. Raises what `Job.encode` and `Job.run` raise.
    """
    import numpy as np

    pixels = np.ascontiguousarray(picture.pixels)
    image = interface.start(
        interface.Image,
        pixels=pixels.ctypes.data,
        width=pixels.shape[1],
        height=pixels.shape[0],
        channels=1 if picture.greyscale else 3,
    )
    options = wish.options()
    options.labels, options.mask = (None if plane is None else plane.ctypes.data for plane in planes)
    metadata = {interface.ICC: picture.icc, interface.EXIF: picture.exif, interface.XMP: picture.xmp}
    borrowed = {tag: view(data) for tag, data in metadata.items() if data}
    options.sections = (interface.Section * len(borrowed))(
        *(interface.Section(tag, each.address, each.size) for tag, each in borrowed.items())
    )
    options.section_count = len(borrowed)
    job = Job.encode(codec, image, options)
    ran = graphs.run(job, progress)
    file, data = job.finish_encode()
    info = container.parse(data).info
    return Encoded(
        data=data,
        info=info,
        timings=timings_of(file.timings, ran.copies),
        notes=(*picture.notes, *wish.note(file, info)),
        tiles=tiles_of(file.tiles),
        engine=ran.engine(file.graph.contents.number),
        _job=job,
    )
