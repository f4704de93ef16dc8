"""The training loop: every stage runs in it, resumes, and leaves behind the running average of its model's weights."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edgecodec_export.families import LearnedCodec
from edgecodec_train.progress import Run, cosine
from edgecodec_train.stages.stage import Objective, Stage

logger = logging.getLogger(__name__)


def train(stage: Stage, output: Path, save_every: int, *, steer: bool = False) -> LearnedCodec:
    """Run `stage`, or resume it from `output`.state, and write the averaged model to the checkpoint `output`.

    Every `save_every` steps, and after the last, the state is saved beside the checkpoint and a row is added to
    `output`.csv: step, learning rate, and the stage's scores. steer: resume with another recipe than the run had so
    far.

    Raises InvalidArgument as `Run.resume` does, and what the stage raises.
    """
    recipe = stage.recipe
    average = AveragedModel(stage.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay))
    averaged = average.module
    assert isinstance(averaged, LearnedCodec)
    parts = {"model": stage.model, "averaged": average, **stage.parts()}
    run = Run(output, stage.NAME, stage.preset, parts, stage.decisive, stage.notes)
    for step in range(run.resume(steer=steer), recipe.steps):
        # All that is drawn depends on the step alone, so a resumed run draws what an unbroken one would.
        generator = np.random.default_rng((recipe.seed, step))
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        rate = cosine(step, recipe.steps, recipe.learning_rate, recipe.final_learning_rate, recipe.warm_up)
        stage.set_learning_rates(rate)
        for objective in stage.objectives(step, generator):
            _learn(objective, recipe.gradient_norm)
        average.update_parameters(stage.model)
        done = step + 1
        if done % save_every == 0 or done == recipe.steps:
            stage.settle(averaged)
            scores = stage.scores(averaged)
            logger.info("step %d  %s", done, "  ".join(f"{name} {score:.4f}" for name, score in scores.items()))
            run.save(done, learning_rate=rate, **scores)
    return averaged


def _learn(objective: Objective, gradient_norm: float) -> None:
    """Let every optimiser take a step."""
    for optimiser in objective.optimisers:
        optimiser.zero_grad()
    # The gradients of anything else would be computed in vain.
    groups = (group for optimiser in objective.optimisers for group in optimiser.param_groups)
    learning = [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]
    objective.loss.backward(inputs=learning)
    if objective.clipped:
        nn.utils.clip_grad_norm_(objective.clipped, gradient_norm)
    for optimiser in objective.optimisers:
        optimiser.step()
