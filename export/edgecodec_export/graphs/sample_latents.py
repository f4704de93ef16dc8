"""Decoder latents of sample pictures, decoded by the frozen entropy model: inputs for checking synthesis graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgecodec.description import Knobs
from edgecodec.noise import normal_noise
from edgecodec_export.baking import Baking
from edgecodec_export.calibration import Picture, to_tensor
from edgecodec_export.entropy.cost import as_int16, size_of
from edgecodec_export.entropy.freeze import Frozen
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.graphs.onnx_export import synthesis_inputs
from edgecodec_export.sample_labels import side_latents


@dataclass(frozen=True)
class SampleLatents:
    """knobs: those of the encoder. picture: what was coded. latents: decoder latents by name, int16 (C, h, w)."""

    knobs: Knobs
    picture: Picture
    latents: dict[str, npt.NDArray[np.int16]]

    def suit(self, decoder: Knobs) -> bool:
        """Whether a decoder with these knobs decodes what the encoder's knobs gave."""
        return all(decoder.get(knob, value) == value for knob, value in self.knobs.items())


def sample_latents(baking: Baking, frozen: Frozen, pictures: Sequence[Picture]) -> list[SampleLatents]:
    """Latents of at least one picture at each setting and for each encoder; every picture is used.

    Pictures are (H, W, 3) bytes with sides that are multiples of the model's latent alignment.
    """
    settings = baking.settings()
    settings += [knobs for knobs in baking.encoder_knobs() if knobs not in settings]
    return [_coded(baking, frozen, knobs, picture) for knobs, picture in _covering(settings, pictures)]


def decoder_inputs(
    model: LearnedCodec, latents: Mapping[str, npt.NDArray[np.int16]]
) -> dict[str, npt.NDArray[np.float32]]:
    """What a synthesis graph takes for decoder latents (C, h, w), by name and in its order: noise of seed 0 too."""
    maps = dict(latents)
    noise = model.noise()
    if noise:
        last = model.decoder_latents()[-1]
        height, width = (side * last.stride // noise.stride for side in maps[last.name].shape[1:])
        maps[noise.name] = normal_noise(0, noise.channels, height, width)
    return {latent.name: maps[latent.name][None].astype(np.float32) for latent in synthesis_inputs(model)}


def _covering(settings: Sequence[Knobs], pictures: Sequence[Picture]) -> Iterator[tuple[Knobs, Picture]]:
    """As few pairs as contain every setting and every picture."""
    for i in range(max(len(settings), len(pictures))):
        yield settings[i % len(settings)], pictures[i % len(pictures)]


def _coded(baking: Baking, frozen: Frozen, knobs: Knobs, picture: Picture) -> SampleLatents:
    """A picture's latents after encoding and decoding with the frozen entropy model."""
    side_inputs = side_latents(baking.model, *picture.shape[:2])
    observation = frozen.freezer.observe(to_tensor(picture), **knobs, **side_inputs)
    width, height = size_of(frozen.entropy, observation)
    payload, lanes = frozen.entropy.encode(as_int16(observation), width=width, height=height)
    return SampleLatents(knobs, picture, frozen.entropy.decode(payload, width=width, height=height, lanes=lanes))
