"""Which parameters of a model learn in a stage."""

from __future__ import annotations

from fnmatch import fnmatch

from torch import nn

from edgecodec.errors import InvalidArgument
from edgecodec_export.families import LearnedCodec
from edgecodec_export.layers.densities import FactorizedDensity
from edgecodec_train.recipe import StageSettings


def learned_parameters(model: LearnedCodec, stage: StageSettings) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name, without the quantiles of densities, which have a loss of their own.

    Raises InvalidArgument for a pattern of `stage.frozen` that fits no parameter, and for patterns that leave none.
    """
    for pattern in stage.frozen:
        if not any(fnmatch(name, pattern) for name, _ in model.named_parameters()):
            raise InvalidArgument(f"{pattern!r} is no parameter", where=f"stage {stage.name}: frozen")
    prefixes = model.DECODER_PREFIXES if stage.learn == "decoder" else ("",)
    quantiles = {id(module.quantiles) for module in model.modules() if isinstance(module, FactorizedDensity)}
    chosen = {
        name: parameter
        for name, parameter in model.named_parameters()
        if name.startswith(prefixes)
        and id(parameter) not in quantiles
        and not any(fnmatch(name, pattern) for pattern in stage.frozen)
    }
    if not chosen:
        raise InvalidArgument("leaves nothing to learn", where=f"stage {stage.name}: frozen")
    return chosen
