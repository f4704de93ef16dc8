"""What models are trained on: photographs, and scenes (pictures with label maps), drawn at random as batches."""

from __future__ import annotations

from edgecodec_train.data.crops import Mirror, random_crops, require_sides, whole_photo
from edgecodec_train.data.photographs import Photo, PhotoSet, Pictures, open_photographs, read_photo
from edgecodec_train.data.prefetch import Prefetch
from edgecodec_train.data.scenes import (
    MaskKind,
    Scene,
    SceneSet,
    instances_of,
    load_scenes,
    random_labelled_crops,
    random_masks,
    whole_scene,
)

__all__ = [
    "MaskKind",
    "Mirror",
    "Photo",
    "PhotoSet",
    "Pictures",
    "Prefetch",
    "Scene",
    "SceneSet",
    "instances_of",
    "load_scenes",
    "open_photographs",
    "random_crops",
    "random_labelled_crops",
    "random_masks",
    "read_photo",
    "require_sides",
    "whole_photo",
    "whole_scene",
]
