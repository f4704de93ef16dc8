"""What half precision loses: encoders by the files that they give, decoders against those in fp32.

    python bench/precisions.py BUNDLE CHECKPOINT[+MSE_CHECKPOINT] PICTURE...

The bundle is an export of the checkpoints in fp32 and fp16, and gives the entropy model and the knobs. Networks run in
PyTorch, in half precision with sums in single as tensor cores compute it: engines on processors would hide what is lost
between layers. Sides of the pictures are multiples of 64. PSNR is that of bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from edgecodec.bundle import Bundle
from edgecodec.description import Knobs
from edgecodec.entropy_model import EntropyModel
from edgecodec_export.baking import Baking
from edgecodec_export.calibration import to_tensor
from edgecodec_export.checkpoints import load_models, read_checkpoint
from edgecodec_export.graphs.onnx_export import SynthesisModule
from edgecodec_export.graphs.sample_latents import decoder_inputs
from edgecodec_export.precisions import SINGLE, Precision
from edgecodec_export.precisions.half import Half

Pixels = npt.NDArray[np.uint8]
Latents = Mapping[str, npt.NDArray[np.int16]]
HALF = Half()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("checkpoints")
    arguments.add_argument("pictures", nargs="+", type=Path)
    given = arguments.parse_args()
    pictures = [np.array(Image.open(path).convert("RGB")) for path in given.pictures]
    bundle = Bundle(given.bundle)
    (entropy,) = (EntropyModel(bundle.read(model.entropy)) for model in bundle.info.models)
    points = {
        side: [each.knobs for each in bundle.info.graphs if (each.side, each.precision) == (side, "fp16")]
        for side in ("encode", "decode")
    }
    asked = {
        name: sorted({knobs[name] for side in points.values() for knobs in side if name in knobs})
        for name in {name for side in points.values() for knobs in side for name in knobs}
    }
    model, mse = load_models(*(read_checkpoint(Path(each)) for each in given.checkpoints.split("+")))
    with torch.no_grad():
        compare(model.baking(asked, mse), entropy, points["encode"], points["decode"], pictures)


def compare(
    baking: Baking, entropy: EntropyModel, encoders: Sequence[Knobs], decoders: Sequence[Knobs], pictures: list[Pixels]
) -> None:
    single = [coded(baking, entropy, encoders[0], SINGLE, each) for each in pictures]
    half = [coded(baking, entropy, encoders[0], HALF, each) for each in pictures]
    rate = sum(size for size, _ in half) / sum(size for size, _ in single) - 1
    before = psnrs(pictures, [decoded(baking, decoders[-1], SINGLE, latents) for _, latents in single])
    after = psnrs(pictures, [decoded(baking, decoders[-1], SINGLE, latents) for _, latents in half])
    print(f"encoding in fp16: {100 * rate:+.3f} % bytes, {changes(before, after)}", flush=True)
    for knobs in decoders:
        one = [decoded(baking, knobs, SINGLE, latents) for _, latents in single]
        other = [decoded(baking, knobs, HALF, latents) for _, latents in single]
        apart = psnrs(one, other)
        levels = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(one, other, strict=True))
        change = changes(psnrs(pictures, one), psnrs(pictures, other))
        where = f"{dict(knobs)}: {min(apart):.1f} to {max(apart):.1f} dB to fp32, {levels} levels at most"
        print(f"decoding in fp16 {where}, {change}", flush=True)


def coded(
    baking: Baking, entropy: EntropyModel, knobs: Knobs, precision: Precision, picture: Pixels
) -> tuple[int, Latents]:
    """Bytes of a picture, and the latents that a decoder gets."""
    point = baking.encoder(knobs)
    inputs = [to_tensor(picture), *(torch.tensor(each.default) for each in point.scalars.values())]
    outputs = precision.run(precision.converted(point.module, "encode", inputs), inputs)
    specs = baking.model.encoder_latents()
    symbols = {spec.name: each[0].numpy().astype(np.int16) for spec, each in zip(specs, outputs, strict=True)}
    height, width = picture.shape[:2]
    payload, lanes = entropy.encode(symbols, width=width, height=height)
    return len(payload), entropy.decode(payload, width=width, height=height, lanes=lanes)


def decoded(baking: Baking, knobs: Knobs, precision: Precision, latents: Mapping[str, npt.NDArray[np.int16]]) -> Pixels:
    point = baking.decoder(knobs)
    inputs = [torch.from_numpy(each) for each in decoder_inputs(baking.model, latents).values()]
    (picture,) = precision.run(SynthesisModule(precision.converted(point.module, "decode", inputs)), inputs)
    pixels: Pixels = picture.numpy()
    return pixels


def psnrs(ones: Sequence[Pixels], others: Sequence[Pixels]) -> list[float]:
    squares = [np.square(one.astype(float) - other).mean() for one, other in zip(ones, others, strict=True)]
    return [float(10 * np.log10(255**2 / each)) for each in squares]


def changes(before: Sequence[float], after: Sequence[float]) -> str:
    found = [b - a for a, b in zip(before, after, strict=True)]
    return f"{mean(found):+.4f} dB to the picture (worst {min(found):+.4f})"


if __name__ == "__main__":
    main()
