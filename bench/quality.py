"""Rate and quality of real files: a bundle's decoders against Pillow's JPEG, WebP and AVIF, over a folder of pictures.

    python bench/quality.py BUNDLE FOLDER [--match BPP]

Every number is of a file that was written, read back and decoded to 8-bit pixels. Bits per pixel, PSNR (dB, over the
three channels) and MS-SSIM are means over the pictures. The classic codecs take one quality for the whole folder, the
one whose mean rate comes nearest to --match (default: the bundle's own).
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pytorch_msssim import ms_ssim

import edgecodec

Pixels = npt.NDArray[np.uint8]
Row = tuple[float, float, float]  # bits per pixel, PSNR, MS-SSIM


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--match", type=float, help="bits per pixel at which to compare")
    given = arguments.parse_args()
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in sorted(given.folder.glob("*.png"))]
    if not pictures:
        raise SystemExit(f"{given.folder}: no PNG files here")

    codec = edgecodec.open_bundle(given.bundle)
    info = codec.info
    alphas = sorted(
        {graph.knobs.get("alpha") for graph in info.graphs if graph.side == "decode"}, key=lambda alpha: alpha or 0.0
    )
    files = [codec.encode(picture).data for picture in pictures]
    rows = {
        f"{info.family} alpha {alpha:g}" if alpha is not None else info.family: average(
            [
                measure(picture, len(file), codec.decode(file, alpha=alpha).pixels)
                for picture, file in zip(pictures, files, strict=True)
            ]
        )
        for alpha in alphas
    }
    match = given.match or next(iter(rows.values()))[0]
    rows |= {name: at_rate(pictures, write, match) for name, write in CLASSICS.items()}
    print(f"{len(pictures)} pictures of {given.folder.name}\n")
    print("| codec | bits per pixel | PSNR dB | MS-SSIM |\n|---|---|---|---|")
    for name, (bpp, psnr, structure) in rows.items():
        print(f"| {name} | {bpp:.4f} | {psnr:.2f} | {structure:.4f} |")


def measure(picture: Pixels, size: int, decoded: Pixels) -> Row:
    error = float(np.mean((picture.astype(np.float64) - decoded) ** 2))
    tensors = [torch.from_numpy(np.array(each)).permute(2, 0, 1)[None].float() for each in (picture, decoded)]
    pixels = picture.shape[0] * picture.shape[1]
    return 8 * size / pixels, 10 * np.log10(255**2 / error), float(ms_ssim(*tensors, data_range=255.0))


def average(rows: list[Row]) -> Row:
    bpp, psnr, structure = (fmean(column) for column in zip(*rows, strict=True))
    return bpp, psnr, structure


def saver(name: str, **settings: int | str) -> Callable[[Pixels, int], bytes]:
    def write(picture: Pixels, quality: int) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, name, quality=quality, **settings)
        return stream.getvalue()

    return write


CLASSICS = {
    "JPEG (Pillow, optimised)": saver("JPEG", optimize=True),
    "WebP (Pillow, method 6)": saver("WEBP", method=6),
    "AVIF (Pillow, speed 6)": saver("AVIF", speed=6),
}


def at_rate(pictures: list[Pixels], write: Callable[[Pixels, int], bytes], match: float) -> Row:
    """Bisect the one quality whose mean rate over all pictures is nearest to `match`."""

    def files_at(quality: int) -> list[bytes]:
        return [write(picture, quality) for picture in pictures]

    def rate(files: list[bytes]) -> float:
        return fmean(
            8 * len(file) / (picture.shape[0] * picture.shape[1]) for picture, file in zip(pictures, files, strict=True)
        )

    low, high = 1, 95
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rate(files_at(middle)) < match else (low, middle)
    best = min((files_at(low), files_at(high)), key=lambda files: abs(rate(files) - match))
    decoded = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in best]
    return average(
        [measure(picture, len(file), back) for picture, file, back in zip(pictures, best, decoded, strict=True)]
    )


if __name__ == "__main__":
    main()
