"""HiFiC as Justin-Tan/high-fidelity-generative-compression saves it.

A `.pt` file holds `model_state_dict`, the options of the training run as `args`, and the states of the optimisers.
The options decide what the network computes, so they are read and never assumed.

Three conventions differ from the family's. They are converted without changing what is computed:

* The hyper-syntheses end in a transposed convolution of stride 1, which is a convolution with the kernel flipped on
  both axes (Dumoulin and Visin 2016, section 4.1).
* The density of z has four layers and the family's has five; an identity layer is appended.
* z is rounded without subtracting a median, so its medians are 0.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.importers.bottleneck import require_scale_bound
from edgecodec_export.checkpoints.importers.importer import Importer
from edgecodec_export.checkpoints.importers.layout import (
    checkpoint,
    count_of,
    foreign_names,
    repetitions,
    require_layout,
    width,
)
from edgecodec_export.checkpoints.importers.state_dicts import StateDict
from edgecodec_export.checkpoints.tensor_mismatches import Shape, state_shapes
from edgecodec_export.families.hific import Hific, Preset

PUBLISHED = Hific.PRESETS["published"]
_BLOCK = r"Generator\.resblock_(\d+)\."
_FLIPPED = ("Hyperprior.synthesis_mu.conv3.weight", "Hyperprior.synthesis_std.conv3.weight")

#: Parts of the state that are not needed for coding, by prefix.
LEFT_OUT = {
    "Hyperprior.hyperprior_entropy_model.": "copies of the density and tables made from it",
    "Hyperprior.prior_entropy_model.": "tables of the likelihood",
}

_SCALE_BOUND = "Hyperprior.prior_entropy_model.min_scale_tensor"

# Options for variants of the network that the family does not have, with the value that turns them off.
_REQUIRED = {"use_channel_norm": True, "use_latent_mixture_model": False, "sample_noise": False}

_DENSITY = "Hyperprior.hyperlatent_likelihood"
_DENSITY_NAMES = {
    f"{ours}{k}": f"{theirs}_{k}"
    for ours, theirs in (("_matrix", "H"), ("_bias", "b"), ("_factor", "a"))
    for k in range(4)
}
_DENSITY_FILTERS = (1, 3, 3, 3, 1)
_SOFTPLUS_ONE = math.log(math.e - 1)  # whose softplus is 1
_SOFTPLUS_ZERO = -100.0  # whose softplus is 0 in float32


class JustinTan(Importer):
    """Importer of this layout."""

    ORIGIN = "Justin-Tan/high-fidelity-generative-compression (HiFiC)"
    FAMILY = "hific"
    STATE = "model_state_dict"
    OPTIONS = ("args",)
    ROOTS = ("Encoder.", "Generator.", "Hyperprior.")

    def has_layout(self, names: AbstractSet[str]) -> bool:
        return any(name.startswith("Hyperprior.") for name in names)

    def convert(self, stored: StateDict) -> Checkpoint:
        stored = _without_copies(stored)
        found, options = stored.entries, stored.around.get("args")
        preset, problems = _preset(options, found)
        shapes = state_shapes(Hific, preset)
        names = foreign_names(shapes, _modules(preset.residual_blocks))
        expected = {foreign: shapes[name] for name, foreign in names.items()}
        for name in _FLIPPED:
            outputs, inputs, *kernel = expected[name]
            expected[name] = (inputs, outputs, *kernel)
        expected |= _density_shapes(preset.hyperlatent_channels)
        hint = _hint(options, preset) if problems else None
        require_layout(self.ORIGIN, stored, expected, others=problems, hint=hint)

        tensors = {name: found[foreign].float() for name, foreign in names.items()}
        for network in ("hyper_synthesis_mean", "hyper_synthesis_scale"):
            transposed = tensors[f"{network}.4.weight"]
            tensors[f"{network}.4.weight"] = transposed.transpose(0, 1).flip(2, 3).contiguous()
        tensors |= {f"density.{name}": tensor for name, tensor in _density(found).items()}
        names |= {f"density.{ours}": f"{_DENSITY}.{theirs}" for ours, theirs in _DENSITY_NAMES.items()}
        notes = {"origin": self.ORIGIN, "iterations": count_of(stored.around.get("steps"))}
        for name in ("regime", "model_type"):
            value = options.get(name) if isinstance(options, Mapping) else None
            if isinstance(value, str) and value.isprintable():
                notes[f"option {name}"] = value
        return checkpoint(stored, self.FAMILY, "justin-tan", notes, names, tensors, preset)


def _without_copies(stored: StateDict) -> StateDict:
    """The tensors that coding needs; the others are left out. Raises as `require_scale_bound` does."""
    if _SCALE_BOUND in stored.entries:
        require_scale_bound(stored.key(_SCALE_BOUND), stored.entries[_SCALE_BOUND])
    kept = {name: entry for name, entry in stored.entries.items() if not name.startswith(tuple(LEFT_OUT))}
    counts = {prefix: sum(name.startswith(prefix) for name in stored.entries) for prefix in LEFT_OUT}
    left_out = {f"{prefix}*": f"{count} tensors: {LEFT_OUT[prefix]}" for prefix, count in counts.items() if count}
    return replace(stored, entries=kept, left_out={**stored.left_out, **left_out})


def _hint(options: Any, sizes: Preset) -> str:
    """How to give the options with the weights: those that are stored or follow from the tensors are filled in."""
    needed = {
        "normalize_input_image": "True or False",
        "likelihood_type": "'gaussian' or 'logistic'",
        "latent_channels": sizes.latent_channels,
        "n_residual_blocks": sizes.residual_blocks,
    }
    if isinstance(options, Mapping):
        return "the options decide what the network computes; they must be those of the training run"
    listed = ", ".join(f"{name!r}: {value}" for name, value in needed.items())
    return (
        "the options decide what the network computes; take them from the training run, and save both with "
        f"torch.save({{'model_state_dict': torch.load(FILE), 'args': {{{listed}}}}}, NEW)"
    )


def _preset(options: Any, state: Mapping[str, Any]) -> tuple[Preset, list[str]]:
    """The preset that the shapes and options tell, and a line for each option that does not fit."""
    stages = [{f"Encoder.conv_block{k + 1}.1.{leaf}": 0 for leaf in ("bias", "weight")} for k in range(5)]
    for k in range(4):
        stages[k][f"Generator.upconv_block{4 - k}.0.bias"] = 0
        stages[k + 1][f"Generator.upconv_block{4 - k}.0.weight"] = 0
    latent = {"Encoder.conv_block_out.1.bias": 0, "Encoder.conv_block_out.1.weight": 0}
    latent["Hyperprior.synthesis_mu.conv3.bias"] = 0
    hyperlatent = {f"Hyperprior.analysis_net.conv{i}.bias": 0 for i in (1, 2, 3)}
    full, half, quarter, eighth, sixteenth = (width(state, stages[k], PUBLISHED.widths[k]) for k in range(5))
    sizes = Preset(
        widths=(full, half, quarter, eighth, sixteenth),
        latent_channels=width(state, latent, PUBLISHED.latent_channels),
        hyperlatent_channels=width(state, hyperlatent, PUBLISHED.hyperlatent_channels),
        residual_blocks=repetitions(state, _BLOCK),
        padding="reflect",
        rounding="half up",
        pads_latent=True,
    )
    problems = _option_problems(options, sizes)
    if problems:
        return sizes, problems
    signed, likelihood = options["normalize_input_image"], options["likelihood_type"]
    return replace(sizes, signed_images=signed, likelihood=likelihood), []


def _option_problems(options: Any, sizes: Preset) -> list[str]:
    if options is None:
        return ["args: missing, should hold the options of the training run"]
    if not isinstance(options, Mapping):
        return [f"args: is of type {type(options).__name__}, should hold the options of the training run"]
    needed: dict[str, tuple[Any, ...]] = {
        "normalize_input_image": (True, False),
        "likelihood_type": ("gaussian", "logistic"),
        "latent_channels": (sizes.latent_channels,),
        "n_residual_blocks": (sizes.residual_blocks,),
    }
    allowed = needed | {name: (value,) for name, value in _REQUIRED.items()}
    problems = [f"args.{name}: missing" for name in needed if name not in options]
    return problems + [
        f"args.{name}: is {reprlib.repr(options[name])}, should be {' or '.join(map(repr, values))}"
        for name, values in allowed.items()
        if name in options
        and not any(type(options[name]) is type(value) and options[name] == value for value in values)
    ]


def _modules(residual_blocks: int) -> dict[str, str]:
    """The origin's path of each of the family's modules except the density."""
    modules = {"analysis.15": "Encoder.conv_block_out.1", "synthesis.image": "Generator.conv_block_out.1"}
    for k in range(5):
        modules |= {f"analysis.{3 * k + i}": f"Encoder.conv_block{k + 1}.{i + 1}" for i in (0, 1)}
    for k in range(4):
        modules |= {f"synthesis.doublings.{3 * k + i}": f"Generator.upconv_block{k + 1}.{i}" for i in (0, 1)}
    # At the origin the reflection padding between the norm and the convolution is a layer with a number.
    modules |= {f"synthesis.head.{i}": f"Generator.conv_block_init.{layer}" for i, layer in enumerate((0, 2, 3))}
    for k in range(residual_blocks):
        layers = {0: "conv1", 1: "norm1", 3: "conv2", 4: "norm2"}
        modules |= {
            f"synthesis.residual_blocks.{k}.body.{i}": f"Generator.resblock_{k}.{layer}" for i, layer in layers.items()
        }
    networks = {
        "hyper_analysis": "analysis_net",
        "hyper_synthesis_mean": "synthesis_mu",
        "hyper_synthesis_scale": "synthesis_std",
    }
    for ours, theirs in networks.items():
        modules |= {f"{ours}.{2 * i}": f"Hyperprior.{theirs}.conv{i + 1}" for i in range(3)}
    return modules


def _density_shapes(channels: int) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for k in range(4):
        inputs, outputs = _DENSITY_FILTERS[k : k + 2]
        shapes |= {f"{_DENSITY}.H_{k}": (channels, outputs, inputs)}
        shapes |= {f"{_DENSITY}.{name}_{k}": (channels, outputs, 1) for name in "ab"}
    return shapes


def _density(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The density of z as five layers: the fourth outputs the origin's value and two zeros, and the fifth passes the
    first of the three on.

    Matrices are stored before their softplus.
    """
    density = {ours: state[f"{_DENSITY}.{theirs}"].float() for ours, theirs in _DENSITY_NAMES.items()}
    channels = len(density["_matrix3"])
    for name, filling in (("_matrix3", _SOFTPLUS_ZERO), ("_bias3", 0.0), ("_factor3", 0.0)):
        one = density[name]
        density[name] = torch.cat([one, torch.full((channels, 2, one.shape[2]), filling)], 1)
    density["_matrix4"] = torch.tensor([_SOFTPLUS_ONE, _SOFTPLUS_ZERO, _SOFTPLUS_ZERO]).repeat(channels, 1, 1)
    density["_bias4"] = torch.zeros(channels, 1, 1)
    # Coding uses only the middle one, the median.
    density["quantiles"] = torch.tensor([-10.0, 0.0, 10.0]).repeat(channels, 1, 1)
    return density
