"""Size of files against the streams that the systems' public codecs write for the same symbols.

    python bench/public_streams.py CHECKPOINT BUNDLE FOLDER

BUNDLE is an export of CHECKPOINT; the pictures are the PNG files of FOLDER. Needs the packages `compressai` (the coder
of CRDR, of NeuralCompression's HiFiC and of CompressAI's own models) and `range-coder` (that of the codec of
`fidelity`). The public streams get the tables that those codecs make of the float networks, and the bytes that their
files add, where they have a file format at all. Of the edgecodec file all bytes count.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from edgecodec import container
from edgecodec.entropy_model import EntropyModel
from edgecodec.manifest import read_manifest
from edgecodec_export.calibration import to_tensor
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.entropy.cost import as_int16
from edgecodec_export.families import Crdr, Fidelity, LearnedCodec, ScaleHyperprior
from edgecodec_export.layers.densities import FactorizedDensity

CRDR_HEADER, FIDELITY_HEADER = 6 + 3 * 4, 5  # bytes
PUBLIC_SCALES = torch.exp(torch.linspace(np.log(0.11), np.log(256), 64))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("checkpoint", type=Path)
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("folder", type=Path)
    given = arguments.parse_args()
    sources = read_manifest(given.bundle).background.provenance["checkpoints"]
    if hashlib.sha256(given.checkpoint.read_bytes()).hexdigest() not in [source["sha256"] for source in sources]:
        raise SystemExit(f"{given.bundle} is not an export of {given.checkpoint}")
    model = load_model(read_checkpoint(given.checkpoint))
    entropy = EntropyModel((given.bundle / "entropy.bin").read_bytes())
    print("| knobs | bits per pixel | edgecodec, bytes | public, bytes | edgecodec over public |\n" + "|---" * 5 + "|")
    files = sorted(given.folder.glob("*.png"))
    for knobs in [{"quality": float(level)} for level in range(model.levels)] if isinstance(model, Crdr) else [{}]:
        ours = theirs = pixels = 0
        for file in files:
            picture = np.array(Image.open(file).convert("RGB"))
            grid = model.latent_alignment()
            height, width = (side - side % grid for side in picture.shape[:2])
            image = to_tensor(np.ascontiguousarray(picture[:height, :width]))
            ours += file_size(entropy, model.freezer().observe(image, **knobs), width, height)
            theirs += public_size(model, image, knobs)
            pixels += width * height
        name = ", ".join(f"{knob} {value:g}" for knob, value in knobs.items())
        print(
            f"| {name} | {8 * ours / pixels:.4f} | {ours} | {theirs} | {100 * (ours / theirs - 1):+.2f} % |", flush=True
        )


def file_size(entropy: EntropyModel, observation: Any, width: int, height: int) -> int:
    payload, lanes = entropy.encode(as_int16(observation), width=width, height=height)
    return len(container.write(payload, width=width, height=height, lanes=lanes, model_id=entropy.model_id, quality=0))


@torch.no_grad()
def public_size(model: LearnedCodec, image: Tensor, knobs: dict[str, float]) -> int:
    if isinstance(model, Crdr):
        y = model.analyse(image, **knobs)
        z = model.hyperlatent_symbols(y)
        slices = model.slices_of(z, y)
        symbols, scales = (torch.cat([getattr(part, name) for part in slices], 1) for name in ("symbols", "scale"))
        return CRDR_HEADER + compressai_size(model.density, z, symbols, scales)
    if isinstance(model, ScaleHyperprior):
        z, r, _ = model.quantise(model.analysis(image))
        return compressai_size(
            model.density, z, r, model.scale_network()(z + model.density.medians.reshape(1, -1, 1, 1))
        )
    if isinstance(model, Fidelity):
        (y,) = model.encode(image)
        return FIDELITY_HEADER + range_coder_size(y, *model.context.mixture(y))
    raise SystemExit(f"{model.FAMILY}: its public code writes no stream")


def compressai_size(density: FactorizedDensity, z: Tensor, symbols: Tensor, scales: Tensor) -> int:
    """Bytes of both strings. z and symbols: integers around the medians and means."""
    from compressai.entropy_models import EntropyBottleneck, GaussianConditional

    bottleneck = EntropyBottleneck(density.channels)
    own = dict(density.named_parameters())
    for name, parameter in bottleneck.named_parameters():
        kind, _, number = name.partition(".")
        singular = {"matrices": "_matrix", "biases": "_bias", "factors": "_factor"}.get(kind, kind)
        parameter.copy_(own[singular + number])
    bottleneck.update(force=True)
    conditional = GaussianConditional(None)
    conditional.update_scale_table(PUBLIC_SCALES, force=True)
    strings = bottleneck.compress(z + density.medians.reshape(1, -1, 1, 1))
    strings += conditional.compress(symbols, conditional.build_indexes(scales))
    return sum(map(len, strings))


def range_coder_size(y: Tensor, means: Tensor, deviations: Tensor, weights: Tensor) -> int:
    """Bytes of the stream: one table a symbol, over as many values to both sides of zero as the picture needs."""
    from range_coder import RangeEncoder

    reach = int(y.abs().max())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream"
        encoder = RangeEncoder(str(path))
        for row in range(y.shape[2]):
            place = (0, ..., row, slice(None))
            mean, deviation, weight = (each[place].double().numpy() for each in (means, deviations, weights))
            tables = cumulative(mean, deviation, weight, reach)
            symbols = y[place].long().numpy() + reach
            for table, symbol in coded(tables, symbols):
                encoder.encode([symbol], table)
        encoder.close()
        return path.stat().st_size


def coded(tables: npt.NDArray[np.int64], symbols: npt.NDArray[np.int64]) -> Iterator[tuple[list[int], int]]:
    channels, columns = symbols.shape
    for column in range(columns):
        for channel in range(channels):
            yield tables[:, channel, column].tolist(), int(symbols[channel, column])


def cumulative(means: Any, deviations: Any, weights: Any, reach: int) -> npt.NDArray[np.int64]:
    """(2 reach + 2, C, w) tables: the mixture's, cut to whole numbers of 2^-16 and made to rise by 1 at least."""
    from scipy.special import ndtr

    edges = np.arange(-reach, reach + 2).reshape(-1, 1, 1, 1) - 0.5
    levels = (weights * ndtr((edges - means) / np.maximum(deviations, 1e-9))).sum(1)
    table = (65536 * (levels - levels[:1])).astype(np.int64)
    steps = np.maximum(np.diff(table, axis=0), 1)
    return np.concatenate([np.zeros_like(table[:1]), steps.cumsum(0)])


if __name__ == "__main__":
    main()
