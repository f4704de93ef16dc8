"""Tensor names and shapes of other projects' checkpoints that can be imported, at any size."""

from __future__ import annotations

from collections.abc import Sequence

Shape = tuple[int, ...]
Layout = dict[str, Shape]


def _layer(name: str, *weight: int, outputs: int | None = None) -> Layout:
    return {f"{name}.weight": weight, f"{name}.bias": (weight[0] if outputs is None else outputs,)}


def _transposed(name: str, *weight: int) -> Layout:
    return _layer(name, *weight, outputs=weight[1])


def _norm(name: str, channels: int) -> Layout:
    return {f"{name}.gamma": (1, channels, 1, 1), f"{name}.beta": (1, channels, 1, 1)}


def bottleneck(name: str, channels: int) -> Layout:
    """CompressAI's entropy bottleneck as versions up to 1.2.6 save it, before its tables are made."""
    filters = (1, 3, 3, 3, 3, 1)
    layout: Layout = {}
    for k in range(5):
        layout[f"{name}._matrix{k}"] = (channels, filters[k + 1], filters[k])
        layout[f"{name}._bias{k}"] = (channels, filters[k + 1], 1)
        if k < 4:
            layout[f"{name}._factor{k}"] = (channels, filters[k + 1], 1)
    layout |= {f"{name}.quantiles": (channels, 1, 3), f"{name}.target": (3,)}
    layout |= {f"{name}.{table}": (0,) for table in ("_offset", "_quantized_cdf", "_cdf_length")}
    return layout | {f"{name}.likelihood_lower_bound.bound": (1,)}


def _conditional(name: str) -> Layout:
    layout: Layout = {f"{name}.{table}": (0,) for table in ("_offset", "_quantized_cdf", "_cdf_length", "scale_table")}
    bounds = ("scale_bound", "likelihood_lower_bound.bound", "lower_bound_scale.bound")
    return layout | {f"{name}.{bound}": (1,) for bound in bounds}


def justin_tan(widths: Sequence[int], m: int, n: int, blocks: int, discriminator: bool = True) -> Layout:
    """`model_state_dict` as the training of Justin-Tan/high-fidelity-generative-compression saves it."""
    layout: Layout = {}
    for k, channels in enumerate(widths):
        kernel, inputs = (7, 3) if k == 0 else (3, widths[k - 1])
        layout |= _layer(f"Encoder.conv_block{k + 1}.1", channels, inputs, kernel, kernel)
        layout |= _norm(f"Encoder.conv_block{k + 1}.2", channels)
    last = widths[-1]
    layout |= _layer("Encoder.conv_block_out.1", m, last, 3, 3)
    layout |= _norm("Generator.conv_block_init.0", m) | _layer("Generator.conv_block_init.2", last, m, 3, 3)
    layout |= _norm("Generator.conv_block_init.3", last)
    for k in range(blocks):
        for i in (1, 2):
            layout |= _layer(f"Generator.resblock_{k}.conv{i}", last, last, 3, 3)
            layout |= _norm(f"Generator.resblock_{k}.norm{i}", last)
    for k, (inputs, outputs) in enumerate(zip(widths[:0:-1], widths[-2::-1], strict=True), 1):
        layout |= _transposed(f"Generator.upconv_block{k}.0", inputs, outputs, 3, 3)
        layout |= _norm(f"Generator.upconv_block{k}.1", outputs)
    layout |= _layer("Generator.conv_block_out.1", 3, widths[0], 7, 7)
    layout |= _layer("Hyperprior.analysis_net.conv1", n, m, 3, 3)
    for i in (2, 3):
        layout |= _layer(f"Hyperprior.analysis_net.conv{i}", n, n, 5, 5)
    for network in ("mu", "std"):
        for i in (1, 2):
            layout |= _transposed(f"Hyperprior.synthesis_{network}.conv{i}", n, n, 5, 5)
        layout |= _transposed(f"Hyperprior.synthesis_{network}.conv3", n, m, 3, 3)
    filters = (1, 3, 3, 3, 1)
    for k in range(4):
        layout[f"Hyperprior.hyperlatent_likelihood.H_{k}"] = (n, filters[k + 1], filters[k])
        for name in "ab":
            layout[f"Hyperprior.hyperlatent_likelihood.{name}_{k}"] = (n, filters[k + 1], 1)
    if discriminator:
        layout |= _layer("Discriminator.context_conv", 12, m, 3, 3) | _layer("Discriminator.conv_out", 1, 512, 1, 1)
        for k, (inputs, outputs) in enumerate(((15, 64), (64, 128), (128, 256), (256, 512)), 1):
            name = f"Discriminator.conv{k}"
            layout |= {f"{name}.bias": (outputs,), f"{name}.weight_orig": (outputs, inputs, 4, 4)}
            layout |= {f"{name}.weight_u": (outputs,), f"{name}.weight_v": (inputs * 16,)}
    return layout


def neural_compression(widths: Sequence[int], m: int, n: int, blocks: int) -> Layout:
    """The state dict of HiFiC in NeuralCompression."""
    layout: Layout = {}
    for k, channels in enumerate(widths):
        kernel, inputs = (7, 3) if k == 0 else (3, widths[k - 1])
        layout |= _layer(f"encoder.blocks.{k}.0", channels, inputs, kernel, kernel)
        layout |= _norm(f"encoder.blocks.{k}.1", channels)
    last = widths[-1]
    layout |= _layer("encoder.blocks.5", m, last, 3, 3)
    layout |= _norm("decoder.block_0.0", m) | _layer("decoder.block_0.1", last, m, 3, 3)
    layout |= _norm("decoder.block_0.2", last)
    for k in range(blocks):
        for i in (0, 3):
            layout |= _layer(f"decoder.resid_blocks.{k}.sequence.{i}", last, last, 3, 3)
            layout |= _norm(f"decoder.resid_blocks.{k}.sequence.{i + 1}", last)
    for k, (inputs, outputs) in enumerate(zip(widths[:0:-1], widths[-2::-1], strict=True)):
        layout |= _transposed(f"decoder.blocks.{k}.0", inputs, outputs, 3, 3)
        layout |= _norm(f"decoder.blocks.{k}.1", outputs)
    layout |= _layer("decoder.blocks.4", 3, widths[0], 7, 7)
    layout |= _layer("hyper_analysis.0", n, m, 3, 3)
    for i in (2, 4):
        layout |= _layer(f"hyper_analysis.{i}", n, n, 5, 5)
    for network in ("mean", "scale"):
        for i in (0, 2):
            layout |= _transposed(f"hyper_synthesis_{network}.{i}", n, n, 5, 5)
        layout |= _layer(f"hyper_synthesis_{network}.4", m, n, 3, 3)
    return layout | bottleneck("hyper_bottleneck", n) | _conditional("latent_bottleneck")


def compressai(n: int, m: int, predicts_means: bool) -> Layout:
    """The state dict of `mbt2018_mean`, or of `bmshj2018_hyperprior`."""
    layout: Layout = {}
    for i, (inputs, outputs) in enumerate(((3, n), (n, n), (n, n), (n, m))):
        layout |= _layer(f"g_a.{2 * i}", outputs, inputs, 5, 5)
    for i, (inputs, outputs) in enumerate(((m, n), (n, n), (n, n), (n, 3))):
        layout |= _transposed(f"g_s.{2 * i}", inputs, outputs, 5, 5)
    for name in (f"{transform}.{i}" for transform in ("g_a", "g_s") for i in (1, 3, 5)):
        layout |= {f"{name}.beta": (n,), f"{name}.gamma": (n, n)}
        for parameter in ("beta", "gamma"):
            layout |= {f"{name}.{parameter}_reparam.{each}": (1,) for each in ("pedestal", "lower_bound.bound")}
    layout |= _layer("h_a.0", n, m, 3, 3) | _layer("h_a.2", n, n, 5, 5) | _layer("h_a.4", n, n, 5, 5)
    first, second, last = (m, m * 3 // 2, 2 * m) if predicts_means else (n, n, m)
    layout |= _transposed("h_s.0", n, first, 5, 5) | _transposed("h_s.2", first, second, 5, 5)
    layout |= _layer("h_s.4", last, second, 3, 3)
    return layout | bottleneck("entropy_bottleneck", n) | _conditional("gaussian_conditional")
