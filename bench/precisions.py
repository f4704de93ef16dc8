"""What graphs in half precision lose: decoders against those in fp32, and encoders by the files that they give.

    python bench/precisions.py BUNDLE CHECKPOINT[+MSE_CHECKPOINT] PICTURE...

The bundle is an export of the checkpoints in fp32 and fp16. Each picture is encoded with the default encoder in both
precisions on ONNX Runtime. Each decoder then decodes the file of the first in PyTorch, in fp32 and in half precision
with sums in single, as tensor cores compute it; engines on processors would hide what half precision loses inside.
PSNR is that of bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

import edgecodec
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.graphs.onnx_export import SynthesisModule
from edgecodec_export.graphs.sample_latents import decoder_inputs
from edgecodec_export.precisions.half import Half

Pixels = npt.NDArray[np.uint8]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("checkpoints")
    arguments.add_argument("pictures", nargs="+", type=Path)
    given = arguments.parse_args()
    pictures = [np.array(Image.open(path).convert("RGB")) for path in given.pictures]
    files = encoders(given.bundle, pictures)
    decoders(given.bundle, given.checkpoints, pictures, files)


def encoders(bundle: Path, pictures: list[Pixels]) -> list[bytes]:
    """Print what encoding in half precision changes. Returns the files of the encoder in fp32."""
    coded: dict[str, list[bytes]] = {}
    shown: dict[str, list[float]] = {}
    for precision in ("fp32", "fp16"):
        with edgecodec.open_bundle(bundle, "onnxruntime", precision="fp32", encode_precision=precision) as codec:
            coded[precision] = [codec.encode(each).data for each in pictures]
            decoded = [codec.decode(data).pixels for data in coded[precision]]
        shown[precision] = [psnr(one, other) for one, other in zip(pictures, decoded, strict=True)]
    single, half = (sum(map(len, each)) for each in coded.values())
    changes = [after - before for before, after in zip(*shown.values(), strict=True)]
    worse = f"{mean(changes):+.4f} dB (worst {min(changes):+.4f})"
    print(f"encoding in fp16: {100 * (half / single - 1):+.3f} % bytes, {worse}")
    return coded["fp32"]


def decoders(bundle: Path, checkpoints: str, pictures: list[Pixels], files: list[bytes]) -> None:
    main_model, *mse = (load_model(read_checkpoint(Path(each), None)) for each in checkpoints.split("+"))
    info = edgecodec.inspect(bundle)
    knobs = [graph.knobs for graph in info.graphs if (graph.side, graph.precision) == ("decode", "fp16")]
    asked = {name: sorted({each[name] for each in knobs}) for name in knobs[0]}
    baking = main_model.baking(asked, *mse)
    with edgecodec.open_bundle(bundle, "onnxruntime") as codec:
        latents = [codec.decode_latents(data) for data in files]
    for each in knobs:
        point, half = baking.decoder(each), Half()
        inputs = [[torch.from_numpy(value) for value in decoder_inputs(main_model, maps).values()] for maps in latents]
        converted = half.converted(point.module, "decode", inputs[0])
        to_single, changes, levels = [], [], []
        for picture, values in zip(pictures, inputs, strict=True):
            with torch.no_grad():
                one = SynthesisModule(point.module)(*values).numpy()
            (other,) = half.run(SynthesisModule(converted), values)
            height, width = picture.shape[:2]
            one, two = one[:height, :width], other.numpy()[:height, :width]
            to_single.append(psnr(one, two))
            changes.append(psnr(picture, two) - psnr(picture, one))
            levels.append(int(np.abs(one.astype(int) - two).max()))
        print(
            f"decoding in fp16 {dict(each)}: {min(to_single):.1f} to {max(to_single):.1f} dB to fp32, "
            f"{mean(changes):+.4f} dB to the picture (worst {min(changes):+.4f}), {max(levels)} levels",
            flush=True,
        )


def psnr(one: Pixels, other: Pixels) -> float:
    return float(20 * np.log10(255) - 10 * np.log10(np.square(one.astype(float) - other).mean()))


if __name__ == "__main__":
    main()
