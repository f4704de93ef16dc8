"""The models that are checked, with trained weights where the repository has them and seeded ones elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from edgecodec import container
from edgecodec.bundle import Bundle
from edgecodec.codec import Codec
from edgecodec.entropy_model import EntropyModel
from edgecodec_export.baking import Baking
from edgecodec_export.bundle.description import Source
from edgecodec_export.calibration import CalibrationPictures, crop, load_calibration_pictures
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.families import LearnedCodec, build
from edgecodec_export.families.hific import Hific, Preset
from edgecodec_export.originals import Original
from edgecodec_export.pipeline import write_bundle
from edgecodec_export.precisions import named
from gpu_check import torch_engine

ROOT = Path(__file__).resolve().parents[2]
_CALIBRATION_SIDE, _SMALL_SIDE = 256, 128  # pixels; what calibration gives changes no time that is measured
_SCALE = 1.0  # of the Laplace distribution that latents of seeded models are drawn from
_TINY = Preset((4, 8, 8, 16, 16), 8, 8, 1)


@dataclass(frozen=True)
class Model:
    """knobs: what is baked, where the family's own choice would be many decoders. units: of a latent that is coded in
    fractions, by name.
    """

    family: str
    preset: str
    knobs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    units: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.family}/{self.preset}"

    @property
    def checkpoint(self) -> Path:
        return ROOT / "checkpoints" / f"{self.family}-{self.preset}.safetensors"

    @property
    def is_trained(self) -> bool:
        return self.checkpoint.exists()


_CRDR = {"quality": (2.0,), "beta": (3.84,)}
MODELS = (
    Model("hific", "published"),
    Model("hific", "compact"),
    Model("crdr", "compact", _CRDR),
    Model("fidelity", "compact"),
    Model("tunable", "compact"),
    Model("crdr", "published", _CRDR, {"y": 64}),
)
SMALL = (Model("hific", "tiny"),)


@torch.no_grad()
def baking_of(model: Model) -> Baking:
    """The same on every call."""
    return _loaded(model).baking(dict(model.knobs))


def _loaded(model: Model) -> LearnedCodec:
    if model.is_trained:
        return load_model(read_checkpoint(model.checkpoint)).eval()
    torch.manual_seed(0)
    if model.preset == "tiny":
        return Hific(_TINY).eval()
    return build(model.family, model.preset).eval()


def make_bundle(model: Model, folder: Path) -> None:
    """Export it in every precision that it bears, with little calibration."""
    baking = baking_of(model)
    aligned = load_calibration_pictures(None, baking.model.latent_alignment(), baking.model.SMALLEST_SIDE)
    side = _SMALL_SIDE if model.preset == "tiny" else _CALIBRATION_SIDE
    few = CalibrationPictures(
        *([crop(picture, side, side) for picture in half[:2]] for half in (aligned.calibrating, aligned.measuring))
    )
    original = Original(Source(model.family, model.preset), baking, few)
    write_bundle(folder, [lambda: original], precisions=named(None), leave_out=True, force=True)


def offer_decoders(model: Model, bundle: Path) -> None:
    """Let PyTorch's engine have the decoders of a bundle."""
    baking = baking_of(model)
    for graph in Bundle(bundle).info.graphs:
        if graph.side == "decode":
            data = (bundle / graph.file).read_bytes()
            torch_engine.offer(data, baking.decoder(graph.knobs).module, graph.precision)


def coded_picture(model: Model, codec: Codec, height: int, width: int) -> bytes:
    """A coded picture of this size: of a photograph with trained weights, with drawn symbols otherwise."""
    if model.is_trained:
        return codec.encode(_photograph(height, width)).data
    entropy = EntropyModel((Path(codec.info.path) / "entropy.bin").read_bytes())
    generator = np.random.default_rng(0)
    latents = {
        name: np.rint(generator.laplace(0, _SCALE * model.units.get(name, 1), shape)).astype(np.int16)
        for name, shape in entropy.encoder_shapes(width, height).items()
    }
    payload, lanes = entropy.encode(latents, width=width, height=height)
    quality = next((knob.default for knob in codec.info.knobs if knob.name == "quality"), None)
    return container.write(payload, width=width, height=height, lanes=lanes, model_id=entropy.model_id, quality=quality)


def _photograph(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The example's photograph, mirrored until it is large enough."""
    from PIL import Image

    pixels = np.asarray(Image.open(ROOT / "examples" / "photo.png").convert("RGB"))
    beyond = [max(0, side - have) for side, have in zip((height, width), pixels.shape, strict=False)]
    return np.ascontiguousarray(np.pad(pixels, (*((0, each) for each in beyond), (0, 0)), "reflect")[:height, :width])
